"""`pictograph-model.json`: where a model came from, and the size and SHA-256 of each of its files."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pictograph.encode.checkpoint import CONFIG, PREPROCESSOR, PROCESSOR, WEIGHTS, WEIGHTS_INDEX
from pictograph.encode.tokens import SPECIAL_TOKENS_MAP, TOKENIZER, TOKENIZER_CONFIG
from pictograph.errors import ModelDamaged
from pictograph.models.names import PLAIN_NAME

MANIFEST: Final = "pictograph-model.json"
FORMAT: Final = 1
SETTINGS: Final = (
    TOKENIZER,
    TOKENIZER_CONFIG,
    SPECIAL_TOKENS_MAP,
    PREPROCESSOR,
    PROCESSOR,
    CONFIG,
    WEIGHTS_INDEX,
)
"""In the order a bundle has them; the weights come after."""
SHARD: Final = re.compile(r"model-\d+-of-\d+\.safetensors")
SAFETENSORS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors")
SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file must be."""

    size: int
    """In bytes."""
    sha256: str
    """64 hex digits."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of one model. Two folders with equal manifests hold the same model."""

    name: str
    files: Mapping[str, FileFacts]
    """By file name, in the order of `in_order`."""
    repository: str | None = None
    """`google/siglip2-...` on the hub; None if the folder was copied by hand."""
    commit: str | None = None
    """The commit there, 40 hex digits."""

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(facts.size for facts in self.files.values())

    @property
    def origin(self) -> str:
        """Where it is from, for people."""
        return f"{self.repository}@{(self.commit or '')[:12]}" if self.repository else "copied by hand"

    def values(self) -> dict[str, Any]:
        """As JSON values."""
        files = {name: {"size": facts.size, "sha256": facts.sha256} for name, facts in self.files.items()}
        return {
            "format": FORMAT,
            "name": self.name,
            "repository": self.repository,
            "commit": self.commit,
            "files": files,
        }

    def to_json(self) -> str:
        """Returns the file's text; equal manifests give equal text."""
        return json.dumps(self.values(), indent=2) + "\n"

    @classmethod
    def parse(cls, text: str | bytes, source: str) -> Manifest:
        """source: for the message. Raises ModelDamaged if this is no manifest, or names a file no model has."""
        try:
            values = json.loads(text)
            if values["format"] != FORMAT:
                raise ValueError(f"format {values['format']!r}; this version reads {FORMAT}")
            files = {name: _facts(name, values["files"][name]) for name in in_order(values["files"])}
            name = _checked_name(values["name"])
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ModelDamaged(
                f"{source} is not a model manifest ({error}). Get the model again, with --replace."
            ) from error
        return cls(name, files, _text(values.get("repository")), _text(values.get("commit")))

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """Reads the manifest in a model's folder, None if there is none. Raises ModelDamaged if it cannot be read."""
        path = folder / MANIFEST
        try:
            return cls.parse(path.read_bytes(), str(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ModelDamaged(f"{path} cannot be read: {error}. Get the model again.") from error

    def write(self, folder: Path) -> None:
        """Puts it into the folder, in one step."""
        scratch = folder / f".{MANIFEST}.new"
        scratch.write_text(self.to_json(), encoding="utf-8")
        scratch.replace(folder / MANIFEST)


def is_model_file(name: str) -> bool:
    """True for a file that is read: never code, never pickles, never a path."""
    return name in SETTINGS or bool(SAFETENSORS.fullmatch(name))


def in_order(names: Collection[str]) -> list[str]:
    """tokenizer, processor, config, weights."""
    return sorted(names, key=lambda name: (SETTINGS.index(name) if name in SETTINGS else len(SETTINGS), name))


def to_fetch(names: Collection[str]) -> list[str]:
    """Returns which of a repository's files a model needs, config first: it tells whether the rest is worth having."""
    weights = [WEIGHTS] if WEIGHTS in names else [WEIGHTS_INDEX, *(name for name in names if SHARD.fullmatch(name))]
    settings = [name for name in SETTINGS if name != WEIGHTS_INDEX]
    return sorted((name for name in in_order([*settings, *weights]) if name in names), key=lambda name: name != CONFIG)


def _facts(name: str, values: Mapping[str, Any]) -> FileFacts:
    size, sha256 = values["size"], values["sha256"]
    if not is_model_file(name):
        raise ValueError(f"{name!r} is not a file of a model")
    if type(size) is not int or size < 0 or not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
        raise ValueError(f"size or sha256 of {name!r} is wrong")
    return FileFacts(size, sha256)


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not PLAIN_NAME.fullmatch(name):
        raise ValueError(f"its name is {name!r}")
    return name


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
