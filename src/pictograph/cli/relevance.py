"""What the command says of scores: their place among random pairs, what is just below, and that nothing fits."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from pictograph.cli.output import errors
from pictograph.client import SearchResults
from pictograph.types import AUTO, Threshold
from pictograph.wire import QueryRow, ScoreScale, SimilarImage

Percentiles = Annotated[
    bool,
    typer.Option(
        "--percentiles/--no-percentiles",
        help="Also show of 100 random pairs of the scope how many score less. It takes a sample, kept for ten minutes.",
    ),
]
WHY: Final = {
    "unknown_words": "the encoder knows nothing that they name",
    "not_here": "no image that was looked at shows it",
}
AUTO_BY: Final = {
    "words": "what these words give",
    "gap": "between pairs of one group and pairs of two",
    "rare": "one random pair in a hundred reaches it",
    "too_few_pictures": "the default: there are too few images to say",
}


def threshold_of(text: str) -> Threshold:
    """A number, or `auto`. Raises BadParameter for anything else."""
    if text == AUTO:
        return AUTO
    try:
        return float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no threshold: give a number from 0 to 1, or auto.") from error


def tell_relevance(rows: SearchResults[SimilarImage] | SearchResults[QueryRow]) -> None:
    """A few lines on standard error; nothing where there is nothing to say."""
    said, threshold = rows.relevance, getattr(rows.answer, "threshold", None) or 0.0
    if said is None:
        return
    if said.nothing_fits_because is not None:
        why = WHY.get(said.nothing_fits_because, said.nothing_fits_because)
        rest = "; these are the least unlike" if rows else ""
        errors.print(f"Nothing here fits these words: {why}{rest}.", style="yellow", highlight=False)
    if not rows and said.best is not None:
        tell(f"No image reaches {threshold:.3f}: the best has {said.best:.3f}.")
    if said.just_below:
        least = "At least " if said.just_below_is == "at_least" else ""
        tell(f"{least}{said.just_below} more just below: --threshold {said.just_below_from:.3f}")
    if said.auto is not None:
        tell(f"The threshold is {threshold:.3f}: {AUTO_BY.get(said.auto, said.auto)}.")
    elif said.scale is not None and threshold > 0:
        tell(scope_of(said.scale, threshold))


def scope_of(scale: ScoreScale, threshold: float) -> str:
    """`Of 100 random pairs here 19.5 reach 0.600 (500 of 2,191 images sampled); --threshold auto is 0.714.`"""
    share = f"Of 100 random pairs here {100 - scale.threshold_percentile:.3g} reach {threshold:.3f}"
    sample = f" ({scale.pictures:,} of {scale.scope_size:,} images sampled)"
    auto = f"; --threshold auto is {scale.auto_threshold:.3f}" if scale.auto_threshold is not None else ""
    return f"{share}{sample}{auto}."


def tell(line: str) -> None:
    errors.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)
