"""The background pictures: photographs of everything, whose vectors tell what is ordinary in a space."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from pictograph.errors import ConfigurationError

FOLDER: Final = Path(__file__).parents[1] / "assets" / "background"
MANIFEST: Final = "MANIFEST.json"
"""`{file: SHA-256 in hex}`, in the order of the vectors."""


def background_files(folder: Path = FOLDER) -> list[Path]:
    """Returns the pictures that this version ships, in a fixed order. Raises ConfigurationError if one is missing."""
    try:
        names = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _incomplete(folder / MANIFEST) from error
    files = [folder / name for name in names]
    for path in files:
        if not path.is_file():
            raise _incomplete(path)
    return files


def _incomplete(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"The background picture file {path} is missing or cannot be read. Install pictograph again, or run "
        "scripts/build_background.py in a source checkout."
    )
