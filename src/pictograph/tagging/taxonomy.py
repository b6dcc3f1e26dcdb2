"""The taxonomy: every label a picture can get, and how each is judged. Data: `taxonomy.json`, checked as it is read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any, Final, Literal, TypeAlias

from pictograph.errors import ConfigurationError
from pictograph.tagging.measures import MEASURE_NAMES
from pictograph.types import TAG_CATEGORIES, TagCategory

IMAGENET_CLASSES: Final = 1000
DEFAULT_THRESHOLD: Final = 0.5

Side: TypeAlias = Literal["above", "below"]


@dataclass(frozen=True, slots=True)
class Condition:
    """A soft comparison of one pixel measure with a threshold."""

    measure: str
    """One of `MEASURE_NAMES`."""
    side: Side
    """On which side of `at` the condition holds."""
    at: float
    """The threshold, in the measure's own unit: the score is 0.5 here."""
    width: float
    """Above 0, same unit: the score is 0.73 one width beyond the threshold, 0.95 three widths beyond."""


@dataclass(frozen=True, slots=True)
class Label:
    """One tag, and how it can be judged."""

    category: TagCategory
    name: str
    """Lower case, unique in its category."""
    group: str
    """A heading for people, `road vehicles` for instance."""
    parents: tuple[str, ...]
    """Labels of the same category that this one implies: a dog is an animal."""
    prompts: tuple[str, ...]
    """2 to 4 lower-case captions, for taggers that compare words with pictures."""
    imagenet_classes: tuple[int, ...]
    """ImageNet-1k classes (0..999, in order of WordNet id) that show it, its children's included; may be empty."""
    conditions: tuple[Condition, ...]
    """What pixels must say besides, all of it; may be empty."""
    threshold: float = DEFAULT_THRESHOLD
    """The label is assigned from this score on, 0 to 1."""

    @property
    def key(self) -> str:
        """`objects/car`: unique in the taxonomy, and its name in `Tagged.scores`."""
        return f"{self.category}/{self.name}"

    @property
    def is_judged_offline(self) -> bool:
        """False if neither ImageNet classes nor pixels can tell: the offline tagger then never assigns it."""
        return bool(self.imagenet_classes or self.conditions)


@dataclass(frozen=True)
class Taxonomy:
    """All labels in a fixed order: category by category, kin together."""

    version: str
    labels: tuple[Label, ...]
    exclusive: tuple[tuple[str, ...], ...]
    """Sets of keys of which a picture keeps one at most: (`scenes/indoor`, `scenes/outdoor`)."""

    @cached_property
    def index_of(self) -> Mapping[str, int]:
        """Where each key stands in `labels`."""
        return {label.key: index for index, label in enumerate(self.labels)}

    def names(self, category: TagCategory) -> tuple[str, ...]:
        """Returns the labels of one category, in order."""
        return tuple(label.name for label in self.labels if label.category == category)

    def ancestors(self, label: Label) -> frozenset[str]:
        """Returns the keys of the labels that this one implies, the distant ones too."""
        parents = [f"{label.category}/{parent}" for parent in label.parents]
        distant = (self.ancestors(self.labels[self.index_of[key]]) for key in parents)
        return frozenset(parents).union(*distant)


def load_taxonomy() -> Taxonomy:
    """Loads the taxonomy this version ships. Raises ConfigurationError that names the entry if the file is wrong."""
    text = resources.files("pictograph.tagging").joinpath("taxonomy.json").read_text(encoding="utf-8")
    return parse_taxonomy(text)


def parse_taxonomy(text: str) -> Taxonomy:
    """Reads a taxonomy from JSON. Raises ConfigurationError that names the entry at fault."""
    try:
        content = json.loads(text)
        labels = tuple(_parse_label(entry) for entry in content["labels"])
        exclusive = tuple(_parse_rivals(entry) for entry in content["exclusive"])
        taxonomy = Taxonomy(str(content["version"]), labels, exclusive)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"taxonomy: {_in_words(error)}. Restore taxonomy.json or correct this entry."
        ) from error
    for fault in _faults(taxonomy):
        raise ConfigurationError(f"taxonomy: {fault}. Restore taxonomy.json or correct this entry.")
    return taxonomy


def _in_words(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _parse_label(entry: dict[str, Any]) -> Label:
    try:
        return Label(
            category=entry["category"],
            name=str(entry["name"]),
            group=str(entry["group"]),
            parents=tuple(entry["parents"]),
            prompts=tuple(entry["prompts"]),
            imagenet_classes=tuple(int(index) for index in entry["imagenet_classes"]),
            conditions=tuple(_parse_condition(condition) for condition in entry["conditions"]),
            threshold=float(entry.get("threshold", DEFAULT_THRESHOLD)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"label {entry.get('name', entry)!r}: {_in_words(error)}") from error


def _parse_condition(entry: dict[str, Any]) -> Condition:
    return Condition(str(entry["measure"]), entry["side"], float(entry["at"]), float(entry["width"]))


def _parse_rivals(entry: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"{entry['category']}/{name}" for name in entry["labels"])


def _faults(taxonomy: Taxonomy) -> Iterator[str]:
    """What is wrong, one sentence each, the first first."""
    seen: set[str] = set()
    for label in taxonomy.labels:
        yield from (f"{label.key}: {fault}" for fault in _label_faults(label))
        if label.key in seen:
            yield f"{label.key}: is listed twice"
        seen.add(label.key)
    for label in taxonomy.labels:
        yield from (f"{label.key}: {fault}" for fault in _kinship_faults(label, taxonomy))
    for rivals in taxonomy.exclusive:
        yield from (f"exclusive set: {key} is not a label" for key in rivals if key not in seen)
        if len(set(rivals)) < 2:
            yield f"exclusive set: {', '.join(rivals) or 'empty'} needs two different labels"


def _label_faults(label: Label) -> Iterator[str]:
    if label.category not in TAG_CATEGORIES:
        yield f"unknown category {label.category!r}"
    if not label.name or label.name != label.name.strip().lower():
        yield "the name must be lower case, without outer spaces"
    if not 2 <= len(label.prompts) <= 4 or any(not prompt or prompt != prompt.lower() for prompt in label.prompts):
        yield "needs 2 to 4 lower-case prompts"
    if not 0 < label.threshold <= 1:
        yield f"threshold {label.threshold} is not in (0, 1]"
    if any(not 0 <= index < IMAGENET_CLASSES for index in label.imagenet_classes):
        yield f"ImageNet classes lie in 0..{IMAGENET_CLASSES - 1}"
    for condition in label.conditions:
        yield from _condition_faults(condition)


def _condition_faults(condition: Condition) -> Iterator[str]:
    if condition.measure not in MEASURE_NAMES:
        yield f"unknown measure {condition.measure!r}"
    if condition.side not in ("above", "below"):
        yield f"side must be above or below, not {condition.side!r}"
    if not condition.width > 0:
        yield f"width {condition.width} of {condition.measure} is not above 0"


def _kinship_faults(label: Label, taxonomy: Taxonomy) -> Iterator[str]:
    for name in label.parents:
        position = taxonomy.index_of.get(f"{label.category}/{name}")
        if position is None:
            yield f"parent {name!r} is not a label of its category"
        elif not set(label.imagenet_classes) <= set(taxonomy.labels[position].imagenet_classes):
            yield f"parent {name!r} lacks some of its ImageNet classes"
        elif label.is_judged_offline and not taxonomy.labels[position].is_judged_offline:
            yield f"parent {name!r} has neither classes nor conditions, though this label has"
    if not _ends_at_a_root(label, taxonomy):
        yield "is its own ancestor"


def _ends_at_a_root(label: Label, taxonomy: Taxonomy) -> bool:
    """False if going up from this label leads in a circle."""
    generation = {label.key}
    for _ in taxonomy.labels:
        members = [taxonomy.labels[taxonomy.index_of[key]] for key in generation]
        generation = {f"{member.category}/{parent}" for member in members for parent in member.parents}
        generation &= taxonomy.index_of.keys()
        if not generation:
            return True
    return False
