"""`progress=True` shows one line for every long call, whatever that call tells."""

from __future__ import annotations

import io
from typing import Any

import pytest

from pictograph import ImportReport, wire
from pictograph.client.progress import Bar, drawn, measured, told


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def counts(received: int) -> wire.Progress:
    return wire.Progress(dataset_id="d", total=10, received=received, embedded=0, tagged=10 - received, failed=0)


def test_every_kind_of_report_says_how_many_are_done_and_of_how_many() -> None:
    update = wire.TagUpdate(tagger="t", updated=3, remaining=7, cannot_update=0)
    report = ImportReport("street", rows=10, imported=2, skipped=1)
    for said in ((3, 10, "a.jpg"), (3, 10), (counts(7),), (update,), (report,)):
        assert measured(*said) == (3, 10)
    assert measured(3, None) == (3, None)


def test_a_terminal_sees_one_line_that_moves_and_ends() -> None:
    stream = Terminal()
    bar = Bar("Uploading", stream)
    for done in range(1, 1001):
        bar(done, 1000, "a.jpg")
    lines = stream.getvalue().split("\r")
    assert lines[0] == ""
    assert 2 <= len(lines) < 200  # ten times a second, not for every file
    assert lines[-1].startswith("Uploading 1,000/1,000 100% ########################")
    assert stream.getvalue().endswith("\n")


def test_a_file_gets_the_end_alone() -> None:
    stream = io.StringIO()
    bar = Bar("Processing", stream)
    for received in (9, 5, 0):
        bar(counts(received))
    bar(counts(0))  # once more at the end, as some calls do
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().startswith("Processing 10/10 100%")


def test_how_it_is_drawn() -> None:
    assert drawn(250, 1000, 5.0) == "250/1,000  25% ######------------------ 50/s, 15 s left"
    assert drawn(1200, None, 2.0) == "1,200 600/s"
    assert drawn(0, 0, 0.0) == "0 0/s"


@pytest.mark.parametrize("nobody", [None, False])
def test_nobody_is_told_unless_asked(nobody: Any) -> None:
    assert told(nobody, "Uploading") is None


def test_a_function_of_yours_is_told_as_it_is() -> None:
    seen: list[Any] = []
    assert told(seen.append, "Uploading") == seen.append
    assert isinstance(told(True, "Uploading"), Bar)
