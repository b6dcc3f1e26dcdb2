"""`datasets list | create | get | rename | delete | progress`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from rich.markup import escape

from pictograph.cli.connection import connected
from pictograph.cli.output import Json, Yes, console, print_json, print_table
from pictograph.cli.pages import All, Cursor, Limit, page_or_all, show_page
from pictograph.wire import Dataset

app = typer.Typer(no_args_is_help=True, help="Named sets of images.")

Name = Annotated[str, typer.Argument(help="Name or UUID.")]
COLUMNS = ("name", "images", "MB", "created", "id")


@app.command("list")
def list_datasets(
    context: typer.Context,
    limit: Limit = 100,
    cursor: Cursor = None,
    all_rows: All = False,
    as_json: Json = False,
) -> None:
    """List your datasets, newest first."""
    with connected(context) as client:
        page = page_or_all(
            lambda: client.datasets.list(limit=limit, cursor=cursor),
            client.datasets.iterate,
            all_rows=all_rows,
            placed=bool(cursor),
        )
    show_page(page, "datasets", COLUMNS, cells_of(page), as_json=as_json)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Any name without a slash.")],
    description: Annotated[str | None, typer.Option("--description")] = None,
    as_json: Json = False,
) -> None:
    """Make an empty dataset. (`pictograph upload` makes one by itself.)"""
    with connected(context) as client:
        show([client.datasets.create(name, description=description)], as_json=as_json)


@app.command()
def get(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Show one dataset."""
    with connected(context) as client:
        show([client.datasets.get(name)], as_json=as_json)


@app.command()
def rename(
    context: typer.Context,
    name: Name,
    new_name: Annotated[str, typer.Argument(help="Any name without a slash.")],
    as_json: Json = False,
) -> None:
    """Give a dataset another name."""
    with connected(context) as client:
        show([client.datasets.rename(name, new_name)], as_json=as_json)


@app.command()
def delete(context: typer.Context, name: Name, yes: Yes = False, as_json: Json = False) -> None:
    """Remove a dataset with all its images, for good."""
    with connected(context) as client:
        dataset = client.datasets.get(name)
        if not yes:
            typer.confirm(
                f"Remove {dataset.name!r} and its {dataset.image_count} images for good?", abort=True, err=True
            )
        deleted = client.datasets.delete(dataset.id)
    if as_json:
        print_json(deleted)
    else:
        console.print(f"Removed [bold]{escape(deleted.name)}[/] with {deleted.images_deleted} images.")


@app.command()
def progress(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Show how many images wait, can be found, or failed."""
    with connected(context) as client:
        counts = client.datasets.progress(name)
    if as_json:
        print_json(counts)
    else:
        print_table(name, ("state", "images"), [(state, getattr(counts, state)) for state in STATES])


@app.command("name-changes")
def name_changes(context: typer.Context, limit: Limit = 100, cursor: Cursor = None, as_json: Json = False) -> None:
    """Names that an upgrade changed to one spelling, and the old names; of two that became one, the newer got (2)."""
    with connected(context) as client:
        page = client.datasets.name_changes(limit=limit, cursor=cursor)
    cells = ((r.kind, r.original, r.becomes, r.object_id) for r in page)
    show_page(
        page,
        "changed names",
        ("kind", "was", "is", "id"),
        cells,
        as_json=as_json,
        ways="a larger --limit shows more at once",
    )


STATES = ("received", "embedded", "tagged", "failed", "total")


def show(rows: list[Dataset], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    print_table(f"{len(rows)} datasets", COLUMNS, cells_of(rows))


def cells_of(rows: Sequence[Dataset]) -> Iterable[Sequence[object]]:
    return ((r.name, r.image_count, f"{r.total_size / 1e6:.1f}", f"{r.created_at:%Y-%m-%d %H:%M}", r.id) for r in rows)
