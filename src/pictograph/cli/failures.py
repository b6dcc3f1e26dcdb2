"""How a run ends that goes wrong: one line for people, JSON for scripts, never a traceback."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import typer

from pictograph.cli.output import EXIT_FAILED, errors
from pictograph.cli.streams import EXIT_OUTPUT_CLOSED, OutputLost
from pictograph.errors import (
    AuthError,
    ConfigurationError,
    ConflictError,
    ConnectionFailed,
    ForbiddenError,
    ModelDamaged,
    NotFoundError,
    PictographError,
    RateLimitError,
    ServerError,
    ValidationError,
)
from pictograph.localconfig import home
from pictograph.version import __version__

EXIT_CODES: Final[Sequence[tuple[type[PictographError], int]]] = (
    (AuthError, 2),
    (ConfigurationError, 2),
    (ForbiddenError, 3),
    (NotFoundError, 4),
    (ConflictError, 5),
    (ValidationError, 6),
    (ModelDamaged, 7),
    (RateLimitError, 8),
    (ServerError, 9),
    (ConnectionFailed, 9),
)
EXIT_UNEXPECTED: Final = 10
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
USAGE_ERROR: Final[type[BaseException]] = typer.BadParameter.__bases__[0]
"""Of a command line that cannot be read. Typer has its own copy of click, and does not name this class."""
EXIT_HELP: Final = (
    "Exit codes: 0 done, 1 partly failed or a file cannot be read or written, 2 no or wrong key or setting, "
    "3 forbidden, 4 not found, 5 name taken, 6 a value is wrong, 7 a model is damaged, 8 too much at once, "
    "9 server or network, 10 a fault of this program, 130 interrupted, 141 the reader went away."
)


def exit_code_of(error: PictographError) -> int:
    """The number a script tests for."""
    return next((code for error_class, code in EXIT_CODES if isinstance(error, error_class)), EXIT_FAILED)


def wants_json() -> bool:
    """True if this run was asked for JSON, so that its failure is JSON too."""
    return "--json" in sys.argv or os.environ.get("PICTOGRAPH_OUTPUT") == "json"


def carried_out(command: Callable[[], object], *, debug: bool) -> int:
    """Runs the command; its exit code. debug: what nobody expected is raised, traceback and all."""
    try:
        return told(command, debug=debug)
    except OutputLost as lost:
        return told_lost(lost)
    except KeyboardInterrupt:  # once more, while the first one was dealt with
        return EXIT_INTERRUPTED


def told(command: Callable[[], object], *, debug: bool) -> int:
    try:
        code = exit_code_after(command)
        sys.stdout.flush()
        return code
    except PictographError as error:
        print_error(error)
        return exit_code_of(error)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OutputLost:
        raise
    except OSError as error:
        print_failure("os_error", os_error_text(error), EXIT_FAILED)
        return EXIT_FAILED
    except (typer.Abort, USAGE_ERROR) as error:
        return told_usage(error)
    except BaseException as error:
        if debug:
            raise
        print_failure("unexpected", unexpected_text(error), EXIT_UNEXPECTED)
        return EXIT_UNEXPECTED


def told_usage(error: BaseException) -> int:
    """Of a command line that cannot be read, or of a question that got no yes."""
    if isinstance(error, typer.Abort):
        print_failure("aborted", "Nothing was changed: you did not confirm.", EXIT_FAILED)
        return EXIT_FAILED
    said = getattr(error, "format_message", error.__str__)
    print_failure("usage", f"{str(said()).strip().rstrip('.')}. --help lists what there is.", EXIT_USAGE)
    return EXIT_USAGE


def exit_code_after(command: Callable[[], object]) -> int:
    """0, or what the command said; Typer gives an exit code back where it does not end the program itself."""
    try:
        ended = command()
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return ended if isinstance(ended, int) else 0


def told_lost(lost: OutputLost) -> int:
    if lost.closed:
        return EXIT_OUTPUT_CLOSED
    print_failure("os_error", f"Standard output cannot be written: {lost}.", EXIT_FAILED)
    return EXIT_FAILED


def os_error_text(error: OSError) -> str:
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return f"{', '.join(names)}: {error.strerror or error}." if names else f"{error.strerror or error}."


def unexpected_text(error: BaseException) -> str:
    what = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    path = written_down(error)
    more = f"The details are in {path}." if path else "Run it again with --debug before the command's name."
    return f"This is a fault of the program: {what[:300]}. {more} Please report it."


def written_down(error: BaseException) -> Path | None:
    """The file that holds the traceback; None if none can be written."""
    text = f"pictograph {__version__}, Python {sys.version}\n{' '.join(without_keys(sys.argv))}\n\n"
    text += "".join(traceback.format_exception(error))
    name = f"error-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.log"
    return written(home_logs, name, text) or written(temporary, name, text)


def written(folder: Callable[[], Path], name: str, text: str) -> Path | None:
    try:
        path = folder() / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(path, "x", encoding="utf-8", errors="backslashreplace", opener=private) as file:
            file.write(text)
    except (OSError, ConfigurationError):
        return None
    return path


def home_logs() -> Path:
    return home() / "logs"


def temporary() -> Path:
    return Path(tempfile.gettempdir())


def private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def without_keys(arguments: Sequence[str]) -> list[str]:
    """The command line without API keys and passwords in addresses."""
    shown = list(arguments)
    for at, argument in enumerate(arguments):
        if argument.startswith("--api-key"):
            shown[at] = "--api-key=***"
        elif at and arguments[at - 1] == "--api-key":
            shown[at] = "***"
        elif "://" in argument and "@" in argument:
            shown[at] = argument.partition("://")[0] + "://***@" + argument.rpartition("@")[2]
    return shown


def print_error(error: PictographError) -> None:
    """One line on standard error."""
    more = {"retryable": error.retryable, "request_id": getattr(error, "request_id", None)}
    message = error.message if wants_json() else str(error)
    print_failure(error.code, message, exit_code_of(error), more)


def print_failure(code: str, message: str, exit_code: int, more: dict[str, object] | None = None) -> None:
    """One line on standard error; JSON if this run was asked for it."""
    if wants_json():
        body = {"code": code, "message": message, "exit_code": exit_code, "retryable": False, "request_id": None}
        sys.stderr.write(json.dumps({"error": body | (more or {})}) + "\n")
    else:
        errors.print(f"[bold red]Error[/] [dim]({code})[/] ", end="")
        errors.print(message, markup=False, highlight=False, soft_wrap=True)
