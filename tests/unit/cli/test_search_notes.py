"""What the command says of the tags that were asked for."""

from __future__ import annotations

import pytest

from pictograph.cli.search import warn_of_tags
from pictograph.wire import OfTags


def test_unknown_and_unjudged_tags_are_told_apart_and_near_ones_are_named_as_they_are_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    warn_of_tags(
        OfTags(
            unknown_tags=["[unicorn]"],
            unjudged_tags=["nighttime", "man"],
            nearest_tags={"nighttime": ["attributes/dark", "scenes/street at dusk"], "man": ["objects/person"]},
        )
    )
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "Not in the taxonomy, so no image has them: [unicorn]",
        "The running encoder cannot judge these, so no image gets them: nighttime, man",
        "  near 'nighttime' and judged: --attribute dark, --scene 'street at dusk'",
        "  near 'man' and judged: --object person",
    ]


def test_where_every_tag_is_judged_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    warn_of_tags(OfTags())
    assert capsys.readouterr() == ("", "")
