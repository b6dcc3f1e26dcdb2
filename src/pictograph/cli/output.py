"""How the command speaks: tables for people, JSON for scripts, exit codes that mean something."""

from __future__ import annotations

import json
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

from pictograph.cli.streams import is_unicode
from pictograph.shown import shown

PIPE_WIDTH: Final = 120
"""Columns where nobody says how wide the terminal is: in a pipe or a log."""


class SafeConsole(Console):
    """A console on which no text can move the cursor, hide or turn round what stands beside it."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich's own."""
        super().print(*(visible(item) if isinstance(item, str) else item for item in objects), **options)


console = SafeConsole(width=None if sys.stdout and sys.stdout.isatty() else PIPE_WIDTH)
errors = SafeConsole(stderr=True)

EXIT_FAILED: Final = 1
ID_COLUMNS: Final = frozenset({"image", "id"})
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of a table.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def print_json(value: Any) -> None:
    """One JSON document on standard output: in its own letters where they can be written, else as `\\u00e9`."""
    text = json.dumps(plain(value), ensure_ascii=not is_unicode(sys.stdout), indent=2)
    sys.stdout.write(visible(text, json_escapes=True) + "\n")


def visible(text: str, *, json_escapes: bool = False) -> str:
    """The text with everything that a terminal would obey or hide written as an escape: `\\x1b`, `\\u202e`.

    Line ends and tabs stay. json_escapes: as JSON writes them.
    """
    return shown(text, keep="\n\t", as_json=json_escapes)


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
        table.add_row(*(Text(shown(str(cell))) for cell in row))  # Text: a name in brackets is no markup
        count += 1
    console.print(visible(title), style="bold", markup=False, highlight=False)
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
        self._bar, self._what = bar, what
        self._task = bar.add_task(what, total=total)

    def __call__(self, done: int, total: int | None, *, note: str = "") -> None:
        """note: stands behind the bar's own words."""
        what = f"{self._what} ({note})" if note else self._what
        self._bar.update(self._task, completed=done, total=total, description=what)
