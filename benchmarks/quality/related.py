"""Which pairs of photographs belong together, by the classes they were filed under.

Three definitions, and every answer says which it used:

class      the same class: the plain one, where classes have several pictures
wordnet    two ImageNet classes whose narrowest common group in WordNet has at most 20 of the 1000 classes (grouse,
           terriers, wind instruments); unrelated if it has more than 300 (animals, artefacts, everything)
taxonomy   the same with the object labels of the taxonomy as groups; unrelated if no label holds both
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from scripts.offline_encoder.wordnet import Noun, ancestors, read_nouns

from benchmarks.quality.classes import PhotoClass
from benchmarks.quality.metrics import BoolArray
from pictograph.errors import ConfigurationError
from pictograph.tagging.taxonomy import IMAGENET_CLASSES, Taxonomy

Definition: TypeAlias = Literal["class", "wordnet", "taxonomy"]
DEFINITIONS = get_args(Definition)
RELATED, UNRELATED = 20, 300
"""Classes in the narrowest common group: at most, and more than."""
WORDNET_FILE = Path("/usr/share/wordnet/data.noun")
"""Where Debian's wordnet-base puts it."""
APART = IMAGENET_CLASSES
"""The size of the group of two classes that share no label."""


@dataclass(frozen=True)
class Relation:
    """Which pairs are related, and which certainly not; the rest lies between. Both (N, N), symmetric."""

    definition: Definition
    related: BoolArray
    unrelated: BoolArray

    def pairs(self, cosines: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], BoolArray, BoolArray]:
        """Every pair once: its cosine, whether it is related, and whether it is unrelated."""
        upper = np.triu_indices(len(cosines), 1)
        return cosines[upper], self.related[upper], self.unrelated[upper]


class WordnetTree:
    """WordNet as seen from the 1000 classes."""

    def __init__(self, nouns: Mapping[str, Noun], wnids: Sequence[str]) -> None:
        """wnids: of all 1000 classes, in order of their index."""
        self.nouns = dict(nouns)
        self.above = [ancestors(self.nouns, wnid[1:]) for wnid in wnids]
        self._classes_under = Counter(offset for above in self.above for offset in above)

    @classmethod
    def read(cls, data_noun: Path, wnids: Sequence[str]) -> WordnetTree:
        """data_noun: of WordNet 3.0. Raises ConfigurationError if it cannot be read."""
        try:
            return cls(read_nouns(data_noun), wnids)
        except (OSError, ValueError, LookupError) as error:
            raise ConfigurationError(
                f"{data_noun} is not the data.noun of WordNet 3.0: {error}. Install wordnet-base, or name the file "
                "with --wordnet."
            ) from error

    def group_size(self, one: int, other: int) -> int:
        """How many classes the narrowest group that holds both has; 1 for a class and itself."""
        return min(self._classes_under[offset] for offset in self.above[one] & self.above[other])

    def holds(self, word: str, truth: Sequence[int]) -> BoolArray:
        """Which photographs are a kind of `word`: (N,), for its sense that holds most of them; none if it has none."""
        senses = [offset for offset, noun in self.nouns.items() if word in noun.words]
        found = [np.array([sense in self.above[index] for index in truth]) for sense in senses]
        return max(found, key=np.sum, default=np.zeros(len(truth), dtype=bool))


def best_definition(classes: Sequence[PhotoClass], wordnet: Path) -> Definition:
    """The plain one where any class has two pictures; else WordNet if it is here; else the taxonomy."""
    if len({entry.name for entry in classes}) < len(classes):
        return "class"
    return "wordnet" if wordnet.is_file() and all(entry.image_class for entry in classes) else "taxonomy"


def by_class(classes: Sequence[PhotoClass]) -> Relation:
    """Related: of the same name; unrelated: all others."""
    names = np.array([entry.name for entry in classes])
    same: BoolArray = names[:, np.newaxis] == names
    return Relation("class", same, ~same)


def by_wordnet(classes: Sequence[PhotoClass], tree: WordnetTree) -> Relation:
    """Pairs with a class that is not in ImageNet-1k are neither. classes: one for each photograph."""

    def size(one: PhotoClass, other: PhotoClass) -> int:
        if one.image_class is None or other.image_class is None:
            return RELATED + 1
        return tree.group_size(one.image_class.index, other.image_class.index)

    sizes = _of_pairs(classes, size)
    return Relation("wordnet", sizes <= RELATED, sizes > UNRELATED)


def by_taxonomy(classes: Sequence[PhotoClass], taxonomy: Taxonomy) -> Relation:
    """Pairs with a class that no label describes are neither. classes: one for each photograph."""
    size_of = {label.key: max(1, len(label.imagenet_classes)) for label in taxonomy.labels}

    def size(one: PhotoClass, other: PhotoClass) -> int:
        if one.name == other.name:
            return 1
        if not one.true or not other.true:
            return RELATED + 1
        return min((size_of[key] for key in one.true & other.true), default=APART)

    sizes = _of_pairs(classes, size)
    return Relation("taxonomy", sizes <= RELATED, sizes == APART)


def _of_pairs(classes: Sequence[PhotoClass], size: Callable[[PhotoClass, PhotoClass], int]) -> npt.NDArray[np.int16]:
    """(N, N), one call for each pair of classes however many photographs they have."""
    different = list({entry.name: entry for entry in classes}.values())
    sizes = np.array([[size(one, other) for other in different] for one in different], dtype=np.int16)
    place = {entry.name: number for number, entry in enumerate(different)}
    rows = [place[entry.name] for entry in classes]
    return sizes[np.ix_(rows, rows)]
