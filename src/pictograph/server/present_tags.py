"""What the index says of tags -> models of the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pictograph import wire
from pictograph.tagging.assign import lowest_threshold
from pictograph.tagging.labels import is_judged, rivals_of
from pictograph.tagging.library.retag import Step, cursor_of
from pictograph.tagging.library.thresholds import Applied, Preview, ShownImage
from pictograph.tagging.protocol import Tagger
from pictograph.tagging.taxonomy import Taxonomy

CANNOT_UPDATE: Final = (
    "They were encoded before Pictograph stored pixel measures. `pictograph reindex` encodes them again"
)


def taxonomy(known: Taxonomy, thresholds: Mapping[str, float], tagger: Tagger | None) -> wire.Taxonomy:
    return wire.Taxonomy(
        version=known.version,
        tagger=tagger.version if tagger else None,
        labels=[
            wire.Label(
                category=label.category,
                name=label.name,
                group=label.group,
                parents=list(label.parents),
                exclusive_with=rivals_of(known, label),
                prompts=list(label.prompts),
                threshold=thresholds.get(label.key, label.threshold),
                default_threshold=label.threshold,
                lowest_threshold=round(lowest_threshold(label), 6),
                is_judged=is_judged(label, tagger),
            )
            for label in known.labels
        ],
    )


def threshold_preview(preview: Preview, tagger: Tagger | None) -> wire.ThresholdPreview:
    changes = preview.changes
    return wire.ThresholdPreview(
        category=preview.label.category,
        label=preview.label.name,
        threshold=preview.after,
        current_threshold=preview.before,
        gained=changes.gained,
        lost=changes.lost,
        images=changes.images,
        others=[tag_change(key, gained, lost) for key, gained, lost in changes.others()],
        gained_examples=examples(preview.gained),
        lost_examples=examples(preview.lost),
        is_judged=is_judged(preview.label, tagger),
    )


def tag_change(key: str, gained: int, lost: int) -> wire.TagChange:
    category, _, label = key.partition("/")
    return wire.TagChange.model_validate({"category": category, "label": label, "gained": gained, "lost": lost})


def examples(rows: Sequence[tuple[ShownImage, float]]) -> list[wire.TagExample]:
    return [
        wire.TagExample(
            image_id=str(image.id),
            dataset_id=str(image.dataset_id),
            filename=image.filename,
            folder_path=image.folder_path,
            score=score,
        )
        for image, score in rows
    ]


def threshold_change(applied: Applied, tagger: Tagger | None) -> wire.ThresholdChange:
    return wire.ThresholdChange(
        category=applied.label.category,
        label=applied.label.name,
        threshold=applied.after,
        previous_threshold=applied.before,
        images=applied.images,
        is_judged=is_judged(applied.label, tagger),
    )


def tag_update(step: Step) -> wire.TagUpdate:
    return wire.TagUpdate(
        tagger=step.tagger,
        updated=step.updated,
        remaining=step.remaining,
        cannot_update=step.cannot_update,
        reason=CANNOT_UPDATE if step.cannot_update else None,
        next_cursor=cursor_of(step.next) if step.next else None,
    )
