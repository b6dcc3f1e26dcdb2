"""Runs `pictograph ...` in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pictograph.cli.main import run

Command = Callable[..., tuple[int, str, str]]


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """A function that runs the command: (exit code, standard output, standard error)."""
    monkeypatch.setenv("PICTOGRAPH_MAX_RETRIES", "0")
    monkeypatch.setenv("COLUMNS", "200")

    def execute(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["pictograph", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            run()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        return code, *capsys.readouterr()

    return execute
