"""What the command says of scores, and how it reads a threshold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import typer

from pictograph.cli.relevance import tell_relevance, threshold_of
from pictograph.client import SearchResults
from pictograph.wire import Pagination, Relevance, ScoreScale, SimilarImage, TextAnswer

SAID: dict[str, Any] = {
    "best": 0.55, "just_below": 0, "just_below_is": "exact", "just_below_from": 0.55, "auto": None, "fits_from": None,
    "nothing_fits": None, "nothing_fits_because": None,
}  # fmt: skip


def told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, **said: Any) -> list[str]:
    """The lines for an answer without rows at the threshold 0.6."""
    monkeypatch.setenv("COLUMNS", "300")
    pagination = Pagination(limit=50, total=0, total_is="exact", has_more=False)
    answer = TextAnswer(
        results=[], count=0, text="x", threshold=0.6, relevance=Relevance(**SAID | said), plan="exact", plan_reason="",
        scope_size=9, scanned=9, exact=True, complete=True, took_ms=1, pagination=pagination,
    )  # fmt: skip
    rows: SearchResults[SimilarImage] = SearchResults([], answer)
    tell_relevance(rows)
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def test_the_best_score_and_near_misses_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(capsys, monkeypatch, just_below=3, just_below_is="at_least") == [
        "No image reaches 0.600: the best has 0.550.",
        "At least 3 more just below: --threshold 0.550",
    ]


def test_words_that_nothing_fits_are_told_with_the_reason(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = told(capsys, monkeypatch, nothing_fits=True, nothing_fits_because="unknown_words")
    assert first == "Nothing here fits these words: the encoder knows nothing that they name."


def test_what_the_threshold_lets_through_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scale = ScoreScale(
        pictures=500, scope_size=2191, pairs=124_750, sampled_at=datetime.now(UTC), median=0.5, rare=0.7,
        threshold_percentile=80.5, auto_threshold=0.714,
    )  # fmt: skip
    assert told(capsys, monkeypatch, best=None, scale=scale) == [
        "Of 100 random pairs here 19.5 reach 0.600 (500 of 2,191 images sampled); --threshold auto is 0.714."
    ]
    assert told(capsys, monkeypatch, best=None, auto="gap", scale=scale) == [
        "The threshold is 0.600: between pairs of one group and pairs of two."
    ]


def test_a_threshold_is_a_number_or_auto() -> None:
    assert (threshold_of("0.7"), threshold_of("auto")) == (0.7, "auto")
    with pytest.raises(typer.BadParameter, match="'some' is no threshold"):
        threshold_of("some")
