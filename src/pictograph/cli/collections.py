"""`collections list | create | get | rename | delete | add | remove | images`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from pictograph.cli.connection import connected
from pictograph.cli.output import Json, console, print_json, print_table
from pictograph.cli.pages import All, Cursor, Limit, page_or_all, show_page
from pictograph.wire import Collection, CollectionChange

app = typer.Typer(no_args_is_help=True, help="Sets of images by name, across datasets.")

Name = Annotated[str, typer.Argument(help="Name or UUID.")]
Images = Annotated[list[str], typer.Argument(help="Ids of images; `-` reads them from standard input, one a line.")]
COLUMNS = ("name", "images", "created", "id")


@app.command("list")
def list_collections(
    context: typer.Context, limit: Limit = 100, cursor: Cursor = None, all_rows: All = False, as_json: Json = False
) -> None:
    """List your collections, newest first."""
    with connected(context) as client:
        page = page_or_all(
            lambda: client.collections.list(limit=limit, cursor=cursor),
            client.collections.iterate,
            all_rows=all_rows,
            placed=bool(cursor),
        )
    show_page(page, "collections", COLUMNS, cells_of(page), as_json=as_json)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Any name without a slash.")],
    as_json: Json = False,
) -> None:
    """Make an empty collection."""
    with connected(context) as client:
        show(client.collections.create(name), as_json=as_json)


@app.command()
def get(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Show one collection."""
    with connected(context) as client:
        show(client.collections.get(name), as_json=as_json)


@app.command()
def rename(
    context: typer.Context,
    name: Name,
    new_name: Annotated[str, typer.Argument(help="Any name without a slash.")],
    as_json: Json = False,
) -> None:
    """Give a collection another name."""
    with connected(context) as client:
        show(client.collections.rename(name, new_name), as_json=as_json)


@app.command()
def delete(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Remove a collection; its images stay."""
    with connected(context) as client:
        gone = client.collections.delete(name)
    if as_json:
        print_json(gone)
        return
    console.print(f"Removed collection {gone.name!r}; its {gone.image_count} images stay.", markup=False)


@app.command()
def add(context: typer.Context, name: Name, images: Images, as_json: Json = False) -> None:
    """Add images to a collection.

    With what a search found: pictograph search text "a dog" --json | jq -r '.results[].image_id' | pictograph
    collections add dogs -
    """
    with connected(context) as client:
        told(client.collections.add(name, given(images)), "added", "were in it", as_json=as_json)


@app.command()
def remove(context: typer.Context, name: Name, images: Images, as_json: Json = False) -> None:
    """Take images out of a collection; they stay in their datasets."""
    with connected(context) as client:
        told(client.collections.remove(name, given(images)), "taken out", "were not in it", as_json=as_json)


@app.command("images")
def list_images(
    context: typer.Context,
    name: Name,
    limit: Limit = 100,
    cursor: Cursor = None,
    all_rows: All = False,
    as_json: Json = False,
) -> None:
    """List the images of a collection, the last added first."""
    with connected(context) as client:
        page = page_or_all(
            lambda: client.collections.images(name, limit=limit, cursor=cursor),
            lambda: client.collections.iterate_images(name),
            all_rows=all_rows,
            placed=bool(cursor),
        )
    cells = ((row.filename, row.folder_path, row.state, row.id) for row in page)
    show_page(page, "images", ("filename", "folder", "state", "id"), cells, as_json=as_json)


def given(images: Sequence[str]) -> list[str]:
    """The ids; of standard input for `-`."""
    if list(images) == ["-"]:
        return [line.strip() for line in sys.stdin if line.strip()]
    return list(images)


def told(change: CollectionChange, done: str, before: str, *, as_json: bool) -> None:
    if as_json:
        print_json(change)
        return
    console.print(f"{change.changed} images {done}, {change.unchanged} {before}.")


def show(row: Collection, *, as_json: bool) -> None:
    if as_json:
        print_json(row)
    else:
        print_table("1 collection", COLUMNS, cells_of([row]))


def cells_of(rows: Iterable[Collection]) -> Iterable[Sequence[object]]:
    return ((row.name, row.image_count, f"{row.created_at:%Y-%m-%d %H:%M}", row.id) for row in rows)
