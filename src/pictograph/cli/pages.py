"""How the command shows a page of a list: with how many there are, and, where it was cut, how to see the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel

from pictograph.cli.output import errors, print_json, print_table
from pictograph.client import ListPage
from pictograph.wire import Pagination

Row = TypeVar("Row", bound=BaseModel)

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="Most rows at once.")]
Cursor = Annotated[str | None, typer.Option("--cursor", help="Go on where a page ended: its `next_cursor`.")]
All = Annotated[bool, typer.Option("--all", help="Every row, page by page, whatever --limit says.")]


def page_or_all(
    page: Callable[[], ListPage[Row]], everything: Callable[[], Iterable[Row]], *, all_rows: bool, placed: bool
) -> ListPage[Row]:
    """One page, or (`--all`) every row as if it were one. placed: whether a place to begin was given too."""
    if not all_rows:
        return page()
    if placed:
        raise typer.BadParameter("--all begins at the beginning: leave out --cursor and --offset.")
    rows = list(everything())
    return ListPage(rows, Pagination(limit=len(rows), total=len(rows), total_is="exact", has_more=False))


def show_page(
    page: ListPage[Row],
    what: str,
    columns: Sequence[str],
    cells: Iterable[Sequence[object]],
    *,
    as_json: bool,
    ways: str = "--all shows every one, a larger --limit more at once",
) -> None:
    """`--json`: the rows and where they lie. Else a table, `100 of 120 images`, and how to see the rest."""
    if as_json:
        print_json({"data": [row.model_dump(mode="json") for row in page], "pagination": dumped(page.pagination)})
        return
    print_table(f"{part_of(len(page), page.total)} {what}", columns, cells)
    tell_rest(len(page), page.pagination, ways)


def tell_rest(shown: int, pagination: Pagination, ways: str) -> None:
    """One line on standard error if the page was cut. ways: what else shows more."""
    if pagination.has_more:
        errors.print(
            f"{part_of(shown, pagination.total)} shown, there are more: {ways}, and the next ones come with\n"
            f"--cursor {pagination.next_cursor}",
            style="dim",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def part_of(rows: int, total: int | None) -> str:
    """`50 of 1,234`; where they are all, or their number is not known, `50`."""
    return f"{rows:,}" if total in (None, rows) else f"{rows:,} of {total:,}"


def dumped(pagination: Pagination) -> dict[str, Any]:
    return pagination.model_dump(mode="json")
