"""What an answer says of its scores -> models of the wire."""

from __future__ import annotations

from collections.abc import Sequence

from pictograph import wire
from pictograph.search.relevance import Relevance, Scale


def percentiles(said: Relevance | None, similarities: Sequence[float]) -> list[float | None]:
    """The place of each similarity among random pairs, 0 to 100; None where there is no scale."""
    scale = said.scale if said is not None else None
    return [round(scale.percentile(one), 3) if scale is not None else None for one in similarities]


def relevance(row: Relevance | None, threshold: float | None) -> wire.Relevance | None:
    """threshold: as the answer has it; None cuts nothing."""
    if row is None:
        return None
    return wire.Relevance(
        best=row.best,
        just_below=row.below,
        just_below_is=row.below_is,
        just_below_from=row.below_from,
        auto=row.cut.because if row.cut else None,
        fits_from=row.fit.score if row.fit else None,
        nothing_fits=row.nothing_fits,
        nothing_fits_because=row.verdict,
        scale=score_scale(row.scale, threshold or 0.0) if row.scale else None,
    )


def score_scale(scale: Scale, threshold: float) -> wire.ScoreScale:
    return wire.ScoreScale(
        pictures=scale.pictures,
        scope_size=scale.of,
        pairs=len(scale.scores),
        sampled_at=scale.sampled_at,
        median=scale.at(50),
        rare=scale.at(99),
        threshold_percentile=round(scale.percentile(threshold), 3),
        auto_threshold=scale.cut.score if scale.cut and scale.kind == "image" else None,
    )
