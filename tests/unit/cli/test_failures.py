"""How a run ends that goes wrong: one line, an exit code, and never a traceback on the screen."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from pictograph import NotFoundError
from pictograph.cli import service
from pictograph.cli.failures import EXIT_HELP, EXIT_UNEXPECTED, carried_out, without_keys
from pictograph.cli.output import plain, print_json, print_table, visible
from pictograph.cli.streams import OutputLost
from pictograph.settings import Settings


class PanicException(BaseException):
    """As pyo3 raises where a library in Rust panics: no Exception."""


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PICTOGRAPH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr("sys.argv", ["pictograph", "datasets", "list"])
    return tmp_path


@pytest.mark.parametrize(
    "error",
    [KeyError("x"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), RecursionError("deep"), PanicException("rust"),
     MemoryError()],
)  # fmt: skip
def test_what_nobody_expected_is_one_line_and_its_traceback_is_in_a_file(
    error: BaseException, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["pictograph", "--api-key", "pk_live_secret", "datasets", "list"])
    assert carried_out(raising(error), debug=False) == EXIT_UNEXPECTED
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert type(error).__name__ in err
    (log,) = (place / "home" / "logs").iterdir()
    assert str(log) in err
    text = log.read_text()
    assert "Traceback (most recent call last)" in text
    assert "secret" not in text
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_debug_raises_it() -> None:
    with pytest.raises(KeyError):
        carried_out(raising(KeyError("x")), debug=True)


def test_without_a_home_that_can_be_written_the_file_is_elsewhere_or_debug_is_named(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "home").write_text("a file where a folder should be")
    monkeypatch.setattr("tempfile.tempdir", str(place / "tmp"))
    carried_out(raising(KeyError("x")), debug=False)
    assert str(place / "tmp") in capsys.readouterr().err
    monkeypatch.setattr("tempfile.tempdir", str(place / "home" / "tmp"))
    carried_out(raising(KeyError("x")), debug=False)
    assert "--debug" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (NotFoundError("no such dataset"), 4, "(not_found) no such dataset"),
        (PermissionError(13, "Permission denied", "/a/b"), 1, "(os_error) /a/b: Permission denied."),
        (OSError(28, "No space left on device"), 1, "(os_error) No space left on device."),
        (OutputLost(OSError(28, "No space left on device")), 1, "Standard output cannot be written: No space left"),
        (OutputLost(BrokenPipeError(32, "Broken pipe")), 141, ""),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(3), 3, ""),
        (SystemExit(), 0, ""),
        (SystemExit("stop"), 1, "stop"),
    ],
)
def test_each_end_has_its_exit_code_and_at_most_one_line(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert carried_out(raising(error), debug=False) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == (1 if said else 0)
    assert str(code) in EXIT_HELP


def test_a_script_gets_json_whatever_went_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["pictograph", "datasets", "list", "--json"])
    for error, code in (
        (KeyError("x"), "unexpected"),
        (OSError(28, "full"), "os_error"),
        (NotFoundError("x"), "not_found"),
    ):
        exit_code = carried_out(raising(error), debug=False)
        body = json.loads(capsys.readouterr().err)["error"]
        assert (body["code"], body["exit_code"]) == (code, exit_code)
        assert body.keys() == {"code", "message", "exit_code", "retryable", "request_id"}


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--api-key", "k", "x"], ["--api-key", "***", "x"]),
        (["--api-key=k"], ["--api-key=***"]),
        (["--database-url", "postgresql://u:p@h/d"], ["--database-url", "postgresql://***@h/d"]),
    ],
)
def test_keys_and_passwords_are_not_written_down(arguments: list[str], shown: list[str]) -> None:
    assert [
        item if item != "--api-key=***" or "=" in arguments[0] else "--api-key" for item in without_keys(arguments)
    ] == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("été 🚗 \u0646\u200c\u0645", "été 🚗 \u0646\u200c\u0645"),
        ("a\u202egpj.exe", "a\\u202egpj.exe"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("a\udce9", "a\\udce9"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_is_shown_as_an_escape(
    text: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert visible(text) == shown
    print_table(text, (), [])
    assert capsys.readouterr().out.count("\\") == shown.count("\\")
    print_json({"name": text})
    assert json.loads(capsys.readouterr().out) == plain({"name": text})


def test_a_name_with_line_ends_and_tabs_stays_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("x", ("file",), [("new\nline\tand a tab\x1b[31m",)])
    assert capsys.readouterr().out.splitlines()[-1].rstrip() == r"new\nline\tand a tab\x1b[31m"


def test_without_standard_output_the_command_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    print_table("x", ("a",), [("b",)])
    assert os.getpid()


def test_a_service_whose_standard_output_is_lost_runs_on_and_says_so_in_its_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def announce(*_: object) -> None:
        raise OutputLost(OSError(28, "No space left on device"))

    monkeypatch.setattr(service, "announce", announce)
    start = SimpleNamespace(address="http://127.0.0.1:8000")
    service.announce_if_heard(start, Settings())  # type: ignore[arg-type]
    (said,) = caplog.messages
    assert "Ready at http://127.0.0.1:8000" in said
    assert "No space left on device" in said
