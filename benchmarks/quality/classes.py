"""The name of a class -> what ImageNet calls it, what is certainly true of it, and what cannot be told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from benchmarks.quality.folder import WORDNET_NAME
from pictograph.encode.offline_assets import ASSETS_FOLDER, CLASSES, ImageClass
from pictograph.tagging.taxonomy import Label, Taxonomy


@dataclass(frozen=True)
class PhotoClass:
    """One class of the folder, as far as it is understood."""

    name: str
    """As written in the folder."""
    words: str | None
    """For a prompt: `goldfinch`; None for a bare WordNet id that is not in ImageNet-1k."""
    image_class: ImageClass | None
    """The ImageNet-1k class, if it is one."""
    true: frozenset[str]
    """Keys of object labels that every picture of the class deserves."""
    open: frozenset[str]
    """Keys of object labels that the class says nothing of: a folder `animals` may well hold a dog."""

    @property
    def is_judged(self) -> bool:
        """True if tags can be held against it at all."""
        return bool(self.image_class or self.true)


class ClassReader:
    """Understands the names of classes by ImageNet-1k and by one taxonomy."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self._taxonomy = taxonomy
        self._objects = {label.name: label for label in taxonomy.labels if label.category == "objects"}
        self._without_classes = frozenset(label.key for label in self._objects.values() if not label.imagenet_classes)

    @cached_property
    def image_classes(self) -> tuple[ImageClass, ...]:
        """The 1000 classes by index."""
        rows = json.loads((ASSETS_FOLDER / CLASSES).read_text(encoding="utf-8"))
        return tuple(ImageClass(**row) for row in rows)

    @cached_property
    def _by_wnid(self) -> Mapping[str, ImageClass]:
        return {entry.wnid: entry for entry in self.image_classes}

    @cached_property
    def _by_name(self) -> Mapping[str, ImageClass]:
        return {plain(entry.name): entry for entry in reversed(self.image_classes)}

    def read_all(self, names: Iterable[str]) -> dict[str, PhotoClass]:
        """The classes by name."""
        return {name: self.read(name) for name in dict.fromkeys(names)}

    def read(self, name: str) -> PhotoClass:
        """A WordNet id is an ImageNet class; a word is a label of the taxonomy, or else the name of a class."""
        match = WORDNET_NAME.fullmatch(name)
        if match:
            entry = self._by_wnid.get(match[1])
            return self._of_image_class(name, entry) if entry else self._unknown(name, match[2])
        for word in spellings(name):
            if word in self._objects:
                return self._of_label(name, self._objects[word])
        found = next((self._by_name[word] for word in spellings(name) if word in self._by_name), None)
        return self._of_image_class(name, found) if found else self._unknown(name, name)

    def _of_image_class(self, name: str, entry: ImageClass) -> PhotoClass:
        true = (label.key for label in self._objects.values() if entry.index in label.imagenet_classes)
        return PhotoClass(name, entry.name, entry, frozenset(true), self._without_classes)

    def _of_label(self, name: str, label: Label) -> PhotoClass:
        below = (other.key for other in self._objects.values() if label.key in self._taxonomy.ancestors(other))
        true = self._taxonomy.ancestors(label) | {label.key}
        return PhotoClass(name, plain(name), None, true, self._without_classes.union(below) - true)

    def _unknown(self, name: str, words: str | None) -> PhotoClass:
        everything = frozenset(label.key for label in self._objects.values())
        return PhotoClass(name, plain(words) if words else None, None, frozenset(), everything)


def plain(name: str) -> str:
    """`Traffic_Light` -> `traffic light`."""
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def spellings(name: str) -> list[str]:
    """The word as it is, and what it may be the plural of: `buses` -> buses, buse, bus."""
    word = plain(name)
    irregular = {"people": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse"}
    singulars = [
        word[: -len(end)] + single for end, single in (("ies", "y"), ("s", ""), ("es", "")) if word.endswith(end)
    ]
    return [word, *singulars, *([irregular[word]] if word in irregular else [])]
