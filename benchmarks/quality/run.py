"""One run: an encoder and a folder, and every question about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.quality.attributes import attributes
from benchmarks.quality.calibration import calibration_of, judged_by_prompts
from benchmarks.quality.classes import ClassReader, PhotoClass
from benchmarks.quality.copies import copies
from benchmarks.quality.encoding import Seen, see
from benchmarks.quality.folder import Folder, read_folder
from benchmarks.quality.related import (
    Definition,
    Relation,
    WordnetTree,
    best_definition,
    by_class,
    by_taxonomy,
    by_wordnet,
)
from benchmarks.quality.similarity import similarity, threshold
from benchmarks.quality.tags import tags
from benchmarks.quality.words import words
from benchmarks.quality.zero_shot import zero_shot
from pictograph.encode.protocol import Encoder
from pictograph.encode.registry import load_encoder
from pictograph.errors import ConfigurationError
from pictograph.tagging.calibration import Calibration, stretch_of
from pictograph.tagging.registry import tagger_for
from pictograph.tagging.taxonomy import Taxonomy, load_taxonomy

DEFAULT_QUESTIONS = ("similarity", "zero-shot", "tags", "threshold")
ON_REQUEST = ("copies", "words", "attributes", "calibration")
ALL_QUESTIONS = (*DEFAULT_QUESTIONS, *ON_REQUEST)


@dataclass(frozen=True)
class Run:
    """Everything a question may need, made once."""

    folder: Folder
    encoder: Encoder
    calibration: Calibration | None
    """Of its space; None if the encoder needs none."""
    seen: Seen
    reader: ClassReader
    taxonomy: Taxonomy
    classes: Sequence[PhotoClass]
    """One for each photograph that could be read."""
    related_by: Definition
    wordnet: Path

    @classmethod
    def start(cls, folder: Path, encoder_name: str, *, related_by: str, wordnet: Path) -> Run:
        """Reads, encodes and tags the folder. Raises PictographError if folder or encoder cannot be used."""
        found = read_folder(folder)
        encoder, taxonomy = load_encoder(encoder_name), load_taxonomy()
        calibration = calibration_of(encoder, taxonomy)
        seen = see(encoder, tagger_for(encoder.spec, taxonomy, calibration), found.photos)
        reader = ClassReader(taxonomy)
        by_name = reader.read_all(seen.class_names)
        classes = [by_name[name] for name in seen.class_names]
        chosen: Any = best_definition(classes, wordnet) if related_by == "auto" else related_by
        return cls(found, encoder, calibration, seen, reader, taxonomy, classes, chosen, wordnet)

    def facts(self) -> dict[str, Any]:
        """What every answer is about."""
        return {
            "encoder": self.encoder.spec.name,
            "revision": self.encoder.spec.revision,
            "photos": len(self.seen.photos),
            "classes": len({entry.name for entry in self.classes}),
            "skipped": [photo.path.name for photo, _ in self.seen.skipped],
            "without_class": len(self.folder.without_class),
        }

    def answer(self, question: str, ks: Sequence[int]) -> dict[str, Any]:
        """The answer to one of `ALL_QUESTIONS`; `{"skipped_because": ...}` if it cannot be asked here."""
        answers: Mapping[str, Callable[[], dict[str, Any]]] = {
            "similarity": lambda: similarity(self.seen.vectors, self.relation, ks),
            "zero-shot": self._zero_shot,
            "tags": self._tags,
            "threshold": lambda: threshold(self.seen.vectors, self.relation, self.stretch),
            "copies": lambda: copies(self.encoder, self.seen),
            "words": self._words,
            "calibration": self._calibration,
            "attributes": lambda: attributes(self.seen.photos, self.taxonomy, self.encoder.spec.input_px),
        }
        return answers[question]()

    @cached_property
    def relation(self) -> Relation:
        """Which photographs belong together."""
        if self.related_by == "class":
            return by_class(self.classes)
        if self.related_by == "taxonomy":
            return by_taxonomy(self.classes, self.taxonomy)
        return by_wordnet(self.classes, self._tree)

    @property
    def stretch(self) -> float:
        """How the cosines of the space become similarities: `Space.stretch`."""
        return stretch_of(self.calibration.background) if self.calibration else 1.0

    @cached_property
    def _tree(self) -> WordnetTree:
        return WordnetTree.read(self.wordnet, [entry.wnid for entry in self.reader.image_classes])

    def _zero_shot(self) -> dict[str, Any]:
        if not self.encoder.spec.has_text:
            return {"skipped_because": f"the encoder {self.encoder.spec.name} reads no words"}
        names = [entry.name for entry in self.reader.image_classes]
        return zero_shot(self.encoder, self.seen.vectors, self.classes, names)

    def _tags(self) -> dict[str, Any]:
        if self.seen.tagged is None:
            return {"skipped_because": f"the encoder {self.encoder.spec.name} brings no tagger"}
        return {"tagger": self.seen.tagger_version, **tags(self.seen.tagged, self.classes, self.taxonomy)}

    def _calibration(self) -> dict[str, Any]:
        return judged_by_prompts(self.encoder, self.calibration, self.seen.vectors, self.classes, self.taxonomy)

    def _words(self) -> dict[str, Any]:
        if not self.encoder.spec.has_text:
            return {"skipped_because": f"the encoder {self.encoder.spec.name} reads no words"}
        truth = [entry.image_class.index for entry in self.classes if entry.image_class]
        if len(truth) < len(self.classes):
            raise ConfigurationError("The question words needs a folder of ImageNet classes only, named by WordNet id.")
        return words(self.encoder, self.seen.vectors, truth, self._tree, self.reader.image_classes)
