"""A folder with a SigLIP model in the Hugging Face format: what its files say, without opening the weights.

Nothing here needs torch, so the server can tell whose vectors it holds without loading a model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pictograph.encode.checksums import checksums
from pictograph.encode.protocol import EncoderSpec
from pictograph.encode.squash import SquashRecipe
from pictograph.encode.tokens import TOKENIZER
from pictograph.errors import ConfigurationError
from pictograph.types import DIMENSION

CONFIG: Final = "config.json"
PREPROCESSOR: Final = "preprocessor_config.json"
PROCESSOR: Final = "processor_config.json"
WEIGHTS: Final = "model.safetensors"
WEIGHTS_INDEX: Final = "model.safetensors.index.json"

MODEL_TYPE: Final = "siglip"
NAFLEX_MODEL_TYPE: Final = "siglip2"
"""Despite its name only the *-naflex checkpoints have this; all others of SigLIP 2 are `siglip`."""

DEFAULT_HIDDEN_SIZE: Final = 768
DEFAULT_IMAGE_SIZE: Final = 224
DEFAULT_TEXT_LENGTH: Final = 64
"""Published configs leave out what equals transformers' SiglipVisionConfig and SiglipTextConfig; these are those."""

SAVED_BY: Final = frozenset({"transformers_version", "_name_or_path"})
"""Keys that tell who saved a config, and nothing of the model."""
HUB_CACHE_PREFIX: Final = "models--"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checked folder: the files are there and fit together; the weights themselves have not been read."""

    folder: Path
    name: str
    weights: tuple[Path, ...]
    """The safetensors files: one, or the shards that the index names."""
    recipe: SquashRecipe
    dimension: int
    """Width of the model's vectors, at most 1152."""
    text_length: int
    """Tokens of every text."""
    config: Mapping[str, Any]
    preprocessor: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Checkpoint:
        """Reads the small files; milliseconds.

        Raises ConfigurationError that names the file and the fix, for anything but a fixed-resolution SigLIP or
        SigLIP 2 model.
        """
        folder = _existing(folder)
        config = _json(folder / CONFIG)
        _require_siglip(folder, config)
        vision, text = (_section(folder, config, name) for name in ("vision_config", "text_config"))
        preprocessor = _preprocessor(folder)
        checkpoint = cls(
            folder=folder,
            name=name_of(folder),
            weights=_weights(folder),
            recipe=_recipe(folder, preprocessor),
            dimension=vision.get("hidden_size", DEFAULT_HIDDEN_SIZE),
            text_length=text.get("max_position_embeddings", DEFAULT_TEXT_LENGTH),
            config=config,
            preprocessor=preprocessor,
        )
        checkpoint._require_agreement(vision, text)
        _require_file(folder / TOKENIZER)
        return checkpoint

    def spec(self) -> EncoderSpec:
        """Who makes vectors with these files. Reads all weights at the first call for a folder, seconds per gigabyte.

        Raises ConfigurationError if they cannot be read.
        """
        return EncoderSpec(self.name, self._revision(), self.dimension, self.recipe.side_px, has_text=True)

    def _revision(self) -> str:
        """12 hex digits of the SHA-256 of what decides a vector: weights, config, preprocessing."""
        try:
            weights = checksums(self.weights)
        except OSError as error:
            raise ConfigurationError(f"The weights in {self.folder} cannot be read: {error}.") from error
        decisive = [_without_savers(self.config), _without_savers(self.preprocessor), weights]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]

    def _require_agreement(self, vision: Mapping[str, Any], text: Mapping[str, Any]) -> None:
        image_size = vision.get("image_size", DEFAULT_IMAGE_SIZE)
        if image_size != self.recipe.side_px:
            raise _unusable(
                self.folder, f"{CONFIG} says {image_size} px, but {PREPROCESSOR} makes {self.recipe.side_px} px"
            )
        if not vision.get("vision_use_head", True):
            raise _unusable(self.folder, "its picture tower has no pooling head, so a picture has no vector")
        words = text.get("projection_size") or text.get("hidden_size", DEFAULT_HIDDEN_SIZE)
        if words != self.dimension:
            raise _unusable(self.folder, f"pictures have {self.dimension} numbers and words {words}")
        if self.dimension > DIMENSION:
            raise _unusable(self.folder, f"its vectors have {self.dimension} numbers; {DIMENSION} are stored")


def require_siglip(folder: Path) -> None:
    """Raises ConfigurationError unless `config.json` there is of a fixed-resolution SigLIP model; needs no weights."""
    _require_siglip(folder, _json(folder / CONFIG))


def name_of(folder: Path) -> str:
    """The model's name: the folder's, or the repository's if the folder is a snapshot in the hub's own cache."""
    for part in reversed(folder.parts):
        if part.startswith(HUB_CACHE_PREFIX):
            return part.rpartition("--")[2]
    return folder.name


def _existing(folder: Path) -> Path:
    resolved = folder.expanduser().absolute()
    if not resolved.is_dir():
        raise ConfigurationError(f"There is no folder {resolved}. Name one that holds {CONFIG} and {WEIGHTS}.")
    return resolved


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise ConfigurationError(f"{path} is missing. Copy the whole model again; its files belong together.")


def _json(path: Path) -> Mapping[str, Any]:
    _require_file(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. Copy the model again.") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} holds no JSON object. Copy the model again.")
    return values


def _require_siglip(folder: Path, config: Mapping[str, Any]) -> None:
    model_type = config.get("model_type")
    if model_type == NAFLEX_MODEL_TYPE:
        raise ConfigurationError(
            f"{folder} is a naflex checkpoint (model_type siglip2), whose pictures have many shapes. "
            "Use one of fixed resolution: siglip2-so400m-patch14-384, or siglip2-base-patch16-224 without a GPU."
        )
    if model_type != MODEL_TYPE:
        raise _unusable(folder, f"its model_type is {model_type!r}, not {MODEL_TYPE!r}")


def _section(folder: Path, config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = config.get(name)
    if not isinstance(section, dict):
        raise _unusable(folder, f"{CONFIG} has no {name}; both towers are needed")
    return section


def _preprocessor(folder: Path) -> Mapping[str, Any]:
    """Newer versions of transformers save the same settings inside the processor's file."""
    if not (folder / PREPROCESSOR).is_file() and (folder / PROCESSOR).is_file():
        nested = _json(folder / PROCESSOR).get("image_processor")
        if isinstance(nested, dict):
            return nested
    return _json(folder / PREPROCESSOR)


def _recipe(folder: Path, settings: Mapping[str, Any]) -> SquashRecipe:
    try:
        return SquashRecipe.of(settings)
    except LookupError as error:
        raise _unusable(folder, f"{PREPROCESSOR} does not say {error}") from error
    except (ValueError, TypeError) as error:
        raise _unusable(folder, f"{PREPROCESSOR}: {error}") from error


def _weights(folder: Path) -> tuple[Path, ...]:
    names = [WEIGHTS]
    if not (folder / WEIGHTS).is_file() and (folder / WEIGHTS_INDEX).is_file():
        shards = _json(folder / WEIGHTS_INDEX).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise _unusable(folder, f"{WEIGHTS_INDEX} names no file")
        names = sorted({Path(str(shard)).name for shard in shards.values()})
    for name in names:
        if not (folder / name).is_file():
            raise ConfigurationError(
                f"{folder / name} is missing. Copy the whole model again; only safetensors weights are read, "
                "because other formats can run code."
            )
    return tuple(folder / name for name in names)


def _without_savers(values: object) -> object:
    if isinstance(values, dict):
        return {key: _without_savers(value) for key, value in values.items() if key not in SAVED_BY}
    return values


def _unusable(folder: Path, trouble: str) -> ConfigurationError:
    return ConfigurationError(
        f"{folder} cannot be used: {trouble}. "
        "A fixed-resolution SigLIP or SigLIP 2 model is needed, siglip2-so400m-patch14-384 for instance."
    )
