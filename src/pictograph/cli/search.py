"""`search similar`, `search text`, `search tags`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.markup import escape

from pictograph.cli.connection import connected
from pictograph.cli.output import Json, errors, print_json, print_table
from pictograph.types import DEFAULT_LIMIT, DEFAULT_TEXT_THRESHOLD, DEFAULT_THRESHOLD, MAX_LIMIT
from pictograph.wire import SearchRow, SimilarImage

app = typer.Typer(no_args_is_help=True, help="Find images by likeness, by words or by tag.")

Limit = Annotated[int, typer.Option("--limit", "-n", help=f"Most rows to print, 1 to {MAX_LIMIT}.")]


@app.command()
def similar(
    context: typer.Context,
    image_id: Annotated[str, typer.Argument(help="UUID of the reference image, as every table and --json row has it.")],
    threshold: Annotated[
        float, typer.Option("--threshold", "-t", help="Least cosine similarity, 0 to 1; 0.6 is about visually related.")
    ] = DEFAULT_THRESHOLD,
    limit: Limit = DEFAULT_LIMIT,
    folder: Annotated[
        str | None, typer.Option("--folder", "-f", help="Default: the reference's own; `/` is its whole dataset.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Images that look like a reference image, the most alike first.

    Example: pictograph search similar 0198c0de-... --threshold 0.7 --folder /
    """
    with connected(context) as client:
        rows = client.search.by_similarity(image_id, threshold=threshold, limit=limit, folder_path=folder)
    if as_json:
        print_json(rows)
    else:
        print_similar(f"{len(rows)} images like {image_id}", rows)


@app.command()
def text(
    context: typer.Context,
    words: Annotated[str, typer.Argument(help="What the images show: 'a red truck at night'.")],
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Default: all your datasets.")] = None,
    folder: Annotated[str | None, typer.Option("--folder", "-f", help="Only this folder, with all below it.")] = None,
    threshold: Annotated[
        float, typer.Option("--threshold", "-t", help="Least cosine, 0 to 1; between words and pictures it is low.")
    ] = DEFAULT_TEXT_THRESHOLD,
    limit: Limit = 10,
    as_json: Json = False,
) -> None:
    """Images that show what the words say, the best first.

    Example: pictograph search text 'a dog on a beach' --dataset holidays
    """
    with connected(context) as client:
        rows = client.search.by_text(words, dataset_name=dataset, folder_path=folder, threshold=threshold, limit=limit)
    if as_json:
        print_json(rows)
    else:
        print_similar(f"{len(rows)} images for {words!r}", rows)


@app.command()
def tags(
    context: typer.Context,
    objects: Annotated[
        list[str] | None, typer.Option("--object", "-o", help="Repeat for several: any of them.")
    ] = None,
    scenes: Annotated[list[str] | None, typer.Option("--scene", "-s", help="Repeat for several: any of them.")] = None,
    attributes: Annotated[
        list[str] | None, typer.Option("--attribute", "-a", help="Repeat for several: any of them.")
    ] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Default: all your datasets.")] = None,
    match_all: Annotated[bool, typer.Option("--all", help="All tags of a category, not any of them.")] = False,
    limit: Limit = DEFAULT_LIMIT,
    offset: Annotated[int, typer.Option("--offset", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Images by their automatic tags, newest first: any tag inside a category, all categories together.

    Example: pictograph search tags -o car -o truck -a blurry   finds (car or truck) and blurry
    """
    with connected(context) as client:
        page = client.search.by_tag_page(
            objects=objects or None,
            scenes=scenes or None,
            attributes=attributes or None,
            dataset_name=dataset,
            match="all" if match_all else "any",
            limit=limit,
            offset=offset,
        )
    if page.unknown_tags:
        errors.print(f"[yellow]Not in the taxonomy, so no image has them:[/] {escape(', '.join(page.unknown_tags))}")
    if as_json:
        print_json(page.results)
        return
    columns = ("image", "file", "objects", "scenes", "attributes")
    cells = ((row.image_id, path_of(row), *(labels(row, name) for name in columns[2:])) for row in page.results)
    print_table(f"{len(page.results)} images by tag", columns, cells)
    if page.pagination.has_more:
        errors.print(f"[dim]There are more: --offset {offset + limit}, or a larger --limit.[/]")


def print_similar(title: str, rows: Sequence[SimilarImage]) -> None:
    cells = ((f"{row.similarity:.3f}", row.image_id, path_of(row), labels(row, "objects")) for row in rows)
    print_table(title, ("similarity", "image", "file", "objects"), cells)


def path_of(row: SearchRow) -> str:
    return f"{row.folder_path.rstrip('/')}/{row.filename}"


def labels(row: SearchRow, category: str, most: int = 4) -> str:
    found: Sequence[str] = dict(row.tags).get(category, [])  # type: ignore[call-overload]
    return ", ".join(found[:most]) + (" ..." if len(found) > most else "")
