"""How the command speaks: tables for people, JSON for scripts, exit codes that mean something."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

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

PIPE_WIDTH: Final = 120
"""Columns where nobody says how wide the terminal is: in a pipe or a log."""
console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
errors = Console(stderr=True)

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
ID_COLUMNS: Final = frozenset({"image", "id"})
EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
EXIT_HELP: Final = (
    "Exit codes: 0 done, 1 partly failed, 2 no or wrong key or setting, 3 forbidden, 4 not found, 5 name taken, "
    "6 a value is wrong, 7 a model is damaged, 8 too much at once, 9 server or network, 130 interrupted."
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of a table.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def exit_code_of(error: PictographError) -> int:
    """The number a script tests for."""
    return next((code for error_class, code in EXIT_CODES if isinstance(error, error_class)), EXIT_FAILED)


def wants_json() -> bool:
    """True if this run was asked for JSON, so that its failure is JSON too."""
    return "--json" in sys.argv or os.environ.get("PICTOGRAPH_OUTPUT") == "json"


def print_error(error: PictographError) -> None:
    """One line on standard error."""
    if wants_json():
        body = {
            "code": error.code,
            "message": error.message,
            "exit_code": exit_code_of(error),
            "retryable": error.retryable,
        }
        sys.stderr.write(json.dumps({"error": body | {"request_id": getattr(error, "request_id", None)}}) + "\n")
    else:
        errors.print(f"[bold red]Error[/] [dim]({error.code})[/] ", end="")
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=2) + "\n")


def plain(value: Any) -> Any:
    """Models and lists of models as JSON values."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table, or `none` where there are no rows."""
    table = Table(header_style="bold", box=None, pad_edge=False)
    for column in columns:
        # ids are there to be copied: they are never cut, however narrow the terminal
        table.add_column(
            column, overflow="fold", no_wrap=column in ID_COLUMNS, min_width=36 if column in ID_COLUMNS else None
        )
    count = 0
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))  # Text: a name in brackets is no markup
        count += 1
    console.print(title, style="bold", markup=False, highlight=False)
    console.print(table if count else "  none", highlight=False)


@contextmanager
def progress_bar(what: str, total: int | None = None) -> Iterator[BarUpdate]:
    """A bar on standard error; nothing where standard error is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as bar:
        yield BarUpdate(bar, what, total)


@contextmanager
def byte_bar(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar of bytes on standard error; call it with the file's name, bytes done and bytes of all.

    Nothing where standard error is no terminal.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda name, done, total: bar.update(task, description=f"{what} {name}", completed=done, total=total)


class BarUpdate:
    """Moves one bar."""

    def __init__(self, bar: Progress, what: str, total: int | None) -> None:
        self._bar = bar
        self._task = bar.add_task(what, total=total)

    def __call__(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)
