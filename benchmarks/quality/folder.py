"""A folder of labelled photographs, in either of two layouts.

bee/1.jpg  n01531178/a.jpg  n01531178_goldfinch/b.jpg      a folder for each class
n01531178_goldfinch.JPEG                                   the class in the name of the file
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pictograph.client.walk import Walk
from pictograph.errors import ConfigurationError

WORDNET_NAME = re.compile(r"(n\d{8})(?:_(.*))?")


@dataclass(frozen=True)
class Photo:
    """A file and what somebody says is on it."""

    path: Path
    class_name: str
    """As it is written in the folder: `bee`, `n01531178`, `n01531178_goldfinch`."""


@dataclass(frozen=True)
class Folder:
    """What was found."""

    photos: Sequence[Photo]
    """Sorted by path."""
    without_class: Sequence[Path]
    """Pictures that nothing says the class of; they are left out."""


def read_folder(root: Path) -> Folder:
    """The labelled photographs below `root`.

    A picture inside folders belongs to the class of the first of them. One that lies in `root` itself needs a WordNet
    id in its name. Raises ConfigurationError if there is no such folder, or no labelled picture in it.
    """
    if not root.is_dir():
        raise ConfigurationError(f"{root} is not a folder. Give the folder of labelled photographs.")
    walk = Walk(root)
    walk.run()
    classes = {path: class_of(path.relative_to(root)) for path in sorted(walk.pictures)}
    photos = [Photo(path, name) for path, name in classes.items() if name]
    if not photos:
        raise ConfigurationError(
            f"{root} has no labelled photographs. Put them into a folder for each class (bee/1.jpg), or name them by "
            "WordNet id (n01531178_goldfinch.JPEG)."
        )
    return Folder(photos, [path for path, name in classes.items() if not name])


def class_of(path: Path) -> str | None:
    """The class's name by the place of a file, relative to the root; None if nothing says it."""
    if len(path.parts) > 1:
        return path.parts[0]
    match = WORDNET_NAME.match(path.name)
    if not match:
        return None
    # n02504458_123.JPEG, as ImageNet has them, is a number and not a name.
    named = WORDNET_NAME.fullmatch(path.stem)
    return path.stem if named and named[2] and not re.fullmatch(r"[\d_]+", named[2]) else match[1]
