"""`saved list | save | show | run | delete`: queries by name."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pictograph.cli.connection import connected
from pictograph.cli.output import Json, console, print_json
from pictograph.cli.pages import All, Cursor, Limit, page_or_all, show_page
from pictograph.cli.search import print_query, warn_of_tags
from pictograph.types import MAX_LIMIT

app = typer.Typer(no_args_is_help=True, help="Queries by name: `pictograph search query ... --save NAME` saves one.")

Name = Annotated[str, typer.Argument(help="Name or UUID.")]


@app.command("list")
def list_queries(
    context: typer.Context, limit: Limit = 100, cursor: Cursor = None, all_rows: All = False, as_json: Json = False
) -> None:
    """List your saved queries, newest first."""
    with connected(context) as client:
        page = page_or_all(
            lambda: client.queries.list(limit=limit, cursor=cursor),
            client.queries.iterate,
            all_rows=all_rows,
            placed=bool(cursor),
        )
    cells = ((row.name, f"{row.updated_at:%Y-%m-%d %H:%M}", json.dumps(row.query), row.id) for row in page)
    show_page(page, "saved queries", ("name", "saved", "query", "id"), cells, as_json=as_json)


@app.command()
def show(context: typer.Context, name: Name) -> None:
    """Print what a saved query asks, as `POST /search/query` takes it."""
    with connected(context) as client:
        console.print_json(json.dumps(client.queries.get(name).query))


@app.command()
def run(
    context: typer.Context,
    name: Name,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, max=MAX_LIMIT, help="Most rows; default: as saved.")
    ] = None,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Ask a saved query."""
    with connected(context) as client:
        rows = client.queries.run(name, limit=limit, cursor=cursor)
    warn_of_tags(rows.answer)
    if as_json:
        print_json(rows.answer)
    else:
        print_query(rows)


@app.command()
def delete(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Forget a saved query."""
    with connected(context) as client:
        gone = client.queries.delete(name)
    if as_json:
        print_json(gone)
        return
    console.print(f"Forgot the query {gone.name!r}.", markup=False)
