"""The files the offline encoder ships with: found, checked, opened."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from pictograph.encode.protocol import EncoderSpec
from pictograph.errors import ConfigurationError
from pictograph.types import DIMENSION

ASSETS_FOLDER: Final = Path(__file__).parent / "assets" / "offline"
VISION_MODEL: Final = "vision.onnx"
TEXT_MODEL: Final = "text.onnx"
TOKENIZER: Final = "tokenizer.json"
CLASSES: Final = "classes.json"
CLASS_VECTORS: Final = "class_vectors.npy"
FEATURE_MEAN: Final = "feature_mean.npy"
PROJECTION: Final = "projection.npy"
FILES: Final = (VISION_MODEL, TEXT_MODEL, TOKENIZER, CLASSES, CLASS_VECTORS, FEATURE_MEAN, PROJECTION)
MANIFEST: Final = "MANIFEST.json"


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers that, with the files, make a vector; `docs/offline-encoder.md` tells where they come from."""

    input_px: int
    """Side of the square the network sees."""
    picture_share: float
    """Part of a cosine that comes from how the picture looks; the rest comes from what it shows."""
    common_share: float
    """Part of every picture's squared length that all pictures share; it lifts every cosine alike."""
    classes_mixed: int
    """How many of the likeliest classes make up what a picture shows."""


@dataclass(frozen=True, slots=True)
class ImageClass:
    """One of the 1000 things the network tells apart."""

    index: int
    """Its column in `evidence`."""
    wnid: str
    """Its WordNet 3.0 synset, `n02504458` for instance."""
    name: str
    """Its English name: `African bush elephant`."""


@dataclass(frozen=True, slots=True)
class OfflineAssets:
    """A checked folder of assets."""

    folder: Path
    revision: str
    """12 hex digits that name the files and the recipe: vectors of another revision are another space."""
    recipe: Recipe

    @classmethod
    def check(cls, folder: Path = ASSETS_FOLDER) -> OfflineAssets:
        """Reads every file once and compares it with the manifest (30 MB, well under a second).

        Raises ConfigurationError naming the file that is missing or damaged.
        """
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            hashes = {name: manifest["files"][name]["sha256"] for name in FILES}
            recipe = Recipe(**manifest["recipe"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise _damaged(folder / MANIFEST, "cannot be read") from error
        for name, sha256 in hashes.items():
            _check_file(folder / name, sha256)
        return cls(folder, revision_of(hashes, recipe), recipe)

    @property
    def spec(self) -> EncoderSpec:
        """Who makes vectors with these files."""
        return EncoderSpec("offline", self.revision, DIMENSION, self.recipe.input_px, has_text=True)

    def path(self, name: str) -> Path:
        """Where the asset `name` lies."""
        return self.folder / name

    def array(self, name: str) -> npt.NDArray[np.float32]:
        """Returns the array `name`, widened to float32."""
        stored: npt.NDArray[np.floating] = np.load(self.path(name), allow_pickle=False)
        return stored.astype(np.float32)

    def classes(self) -> tuple[ImageClass, ...]:
        """Returns the 1000 classes; the class at place i is column i of `evidence`."""
        rows = json.loads(self.path(CLASSES).read_text(encoding="utf-8"))
        return tuple(ImageClass(**row) for row in rows)


def revision_of(hashes: dict[str, str], recipe: Recipe) -> str:
    """12 hex digits of the SHA-256 of what decides a vector: the files and the recipe, not sources or licences."""
    decisive = json.dumps({"files": hashes, "recipe": asdict(recipe)}, sort_keys=True)
    return hashlib.sha256(decisive.encode()).hexdigest()[:12]


def _check_file(path: Path, expected_sha256: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _damaged(path, "is missing or cannot be read") from error
    if found != expected_sha256:
        raise _damaged(path, "is damaged: its SHA-256 is not the one in the manifest")


def _damaged(path: Path, trouble: str) -> ConfigurationError:
    return ConfigurationError(
        f"The offline encoder's file {path} {trouble}. Install pictograph again, or run "
        "scripts/build_offline_encoder.py in a source checkout."
    )
