"""`search similar`, `search image`, `search text`, `search tags`, `search explain`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.markup import escape

from pictograph.cli.connection import connected
from pictograph.cli.filters import NO_FILTERS, Dataset, takes_filters
from pictograph.cli.output import Json, console, errors, print_json, print_table
from pictograph.cli.pages import Cursor, part_of, tell_rest
from pictograph.client import SearchResults
from pictograph.client.filters import Filters
from pictograph.errors import wrong_value
from pictograph.types import DEFAULT_LIMIT, DEFAULT_TEXT_THRESHOLD, DEFAULT_THRESHOLD, MAX_LIMIT
from pictograph.wire import OfTags, SearchExplanation, SearchRow, SimilarImage

app = typer.Typer(no_args_is_help=True, help="Find images by likeness, by words or by tag.")

Limit = Annotated[int, typer.Option("--limit", "-n", help=f"Most rows to print, 1 to {MAX_LIMIT}.")]
Exact = Annotated[bool, typer.Option("--exact", help="Compare every vector of the scope, however long that takes.")]

BoxText = Annotated[
    str | None,
    typer.Option(
        "--box", metavar="X,Y,W,H", help="Only this part counts: pixels from the top left of the upright picture."
    ),
]
BoxFractions = Annotated[bool, typer.Option("--fraction", help="The numbers of --box are fractions of the sides.")]

MORE = f"a larger --limit (to {MAX_LIMIT}) shows more at once"


@app.command()
@takes_filters(folder="Default: the reference's own; `/` is its whole dataset.")
def similar(
    context: typer.Context,
    image_id: Annotated[str, typer.Argument(help="UUID of the reference image, as every table and --json row has it.")],
    threshold: Annotated[
        float, typer.Option("--threshold", "-t", help="Least cosine similarity, 0 to 1; 0.6 is about visually related.")
    ] = DEFAULT_THRESHOLD,
    box: BoxText = None,
    fraction: BoxFractions = False,
    limit: Limit = DEFAULT_LIMIT,
    filters: Filters = NO_FILTERS,
    exact: Exact = False,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Find images that look like a reference image, the most similar first; with tags, only those that carry them.

    Example: pictograph search similar 0198c0de-... --threshold 0.7 --folder / --object car
    """
    with connected(context) as client:
        rows = client.search.by_similarity(
            image_id,
            box=box_of(box, fraction),
            threshold=threshold,
            limit=limit,
            **filters,
            exact=exact,
            cursor=cursor,
        )
    warn_of_tags(rows.answer)
    if as_json:
        print_json(rows.answer)
    else:
        print_similar(f"{len(rows)} images like {image_id} ({how(rows)})", rows)
        tell_rest(len(rows), rows.answer.pagination, MORE)


@app.command()
@takes_filters()
def image(
    context: typer.Context,
    picture: Annotated[str, typer.Argument(metavar="FILE", help="A picture on this machine, or its URL.")],
    dataset: Dataset = None,
    box: BoxText = None,
    fraction: BoxFractions = False,
    threshold: Annotated[
        float, typer.Option("--threshold", "-t", help="Least cosine similarity, 0 to 1; 0.6 is about visually related.")
    ] = DEFAULT_THRESHOLD,
    limit: Limit = DEFAULT_LIMIT,
    filters: Filters = NO_FILTERS,
    exact: Exact = False,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Find images that look like a picture that is not stored, and of which nothing is kept; the most similar first.

    Example: pictograph search image photo.jpg --dataset holidays --box 120,40,300,200
    """
    with connected(context) as client:
        rows = client.search.by_image(
            picture,
            box=box_of(box, fraction),
            dataset_name=dataset,
            threshold=threshold,
            limit=limit,
            **filters,
            exact=exact,
            cursor=cursor,
        )
    warn_of_tags(rows.answer)
    if as_json:
        print_json(rows.answer)
    else:
        print_similar(f"{len(rows)} images like {picture} ({how(rows)})", rows)
        tell_rest(len(rows), rows.answer.pagination, MORE)


@app.command()
@takes_filters()
def text(
    context: typer.Context,
    words: Annotated[str, typer.Argument(help="What the images show: 'a red truck at night'.")],
    dataset: Dataset = None,
    threshold: Annotated[
        float, typer.Option("--threshold", "-t", help="Least cosine, 0 to 1; between words and pictures it is low.")
    ] = DEFAULT_TEXT_THRESHOLD,
    limit: Limit = 10,
    filters: Filters = NO_FILTERS,
    exact: Exact = False,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Find images that show what the words say, the best first; with tags, only those that carry them.

    Example: pictograph search text 'a dog on a beach' --dataset holidays --attribute sharp
    """
    with connected(context) as client:
        rows = client.search.by_text(
            words,
            dataset_name=dataset,
            threshold=threshold,
            limit=limit,
            **filters,
            exact=exact,
            cursor=cursor,
        )
    warn_of_tags(rows.answer)
    if as_json:
        print_json(rows.answer)
    else:
        print_similar(f"{len(rows)} images for {words!r} ({how(rows)})", rows)
        tell_rest(len(rows), rows.answer.pagination, MORE)


@app.command()
@takes_filters(folder="As in the search itself.")
def explain(
    context: typer.Context,
    image_id: Annotated[str | None, typer.Argument(help="UUID of a reference image, or else --text.")] = None,
    words: Annotated[str | None, typer.Option("--text", help="Words, or else an image id.")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="With --text. Default: all.")] = None,
    threshold: Annotated[float | None, typer.Option("--threshold", "-t", help="Default: the search's own.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    filters: Filters = NO_FILTERS,
    exact: Exact = False,
    as_json: Json = False,
) -> None:
    """Show how a search is answered and why, and how long every other way takes and what it finds. It runs all of them.

    Example: pictograph search explain --text 'a dog on a beach' --dataset holidays
    """
    with connected(context) as client:
        found = client.search.explain(
            image_id=image_id,
            text=words,
            dataset_name=dataset,
            threshold=threshold,
            limit=limit,
            **filters,
            exact=exact,
        )
    warn_of_tags(found)
    if as_json:
        print_json(found)
    else:
        print_explanation(found)


@app.command()
@takes_filters()
def tags(
    context: typer.Context,
    filters: Filters = NO_FILTERS,
    dataset: Dataset = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    offset: Annotated[
        int, typer.Option("--offset", min=0, help="Rows to skip; not stable while images are added or removed.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Find images by their automatic tags, newest first: any tag inside a category, all categories together.

    Example: pictograph search tags -o car -o truck -a blurry   finds (car or truck) and blurry
    """
    with connected(context) as client:
        page = client.search.by_tag_page(
            dataset_name=dataset,
            **filters,
            limit=limit,
            offset=offset,
            cursor=cursor,
        )
    warn_of_tags(page)
    if as_json:
        print_json(page)
        return
    columns = ("image", "file", "objects", "scenes", "attributes")
    cells = ((row.image_id, path_of(row), *(labels(row, name) for name in columns[2:])) for row in page.results)
    print_table(f"{part_of(len(page.results), page.pagination.total)} images by tag", columns, cells)
    tell_rest(len(page.results), page.pagination, MORE)


def box_of(text: str | None, fraction: bool) -> dict[str, Any] | None:
    """What the client takes for `--box` and `--fraction`. Raises ValidationError for what is no box."""
    if text is None:
        if fraction:
            raise wrong_value("box", "--fraction says what the numbers of --box mean: give --box too.")
        return None
    numbers = text.split(",")
    if len(numbers) != 4:
        raise wrong_value("box", f"--box takes four numbers, X,Y,W,H, such as 10,20,300,200, not {text!r}.")
    unit = "fraction" if fraction else "px"
    return dict(zip(("x", "y", "width", "height"), numbers, strict=True)) | {"unit": unit}


def warn_of_tags(answer: OfTags) -> None:
    """Says on standard error which of the tags asked for no image can carry, and what is near them."""
    for said, tags in (
        ("Not in the taxonomy, so no image has them:", answer.unknown_tags),
        ("The running encoder cannot judge these, so no image gets them:", answer.unjudged_tags),
    ):
        if tags:
            errors.print(f"[yellow]{said}[/] {escape(', '.join(tags))}", soft_wrap=True)
    for tag, near in answer.nearest_tags.items():
        errors.print(f"  near {tag!r} and judged: {', '.join(map(as_option, near))}", markup=False, highlight=False)


def as_option(key: str) -> str:
    """`attributes/dark` as a person types it: `--attribute dark`."""
    category, _, label = key.partition("/")
    return f"--{category.removesuffix('s')} {shlex.quote(label)}"


def how(rows: SearchResults[SimilarImage]) -> str:
    """`exact, 1000 images, 2.1 ms`."""
    return f"{rows.plan}, {rows.scope_size} images{'' if rows.complete else ', not all seen'}, {rows.took_ms:.1f} ms"


def print_explanation(found: SearchExplanation) -> None:
    before = ", ".join(f"{name} {ms:.2f} ms" for name, ms in found.preparation.items())
    console.print(f"{found.plan}: {found.plan_reason}", style="bold", markup=False, highlight=False)
    console.print(f"{found.scope_size} images in {found.folder_path}; before: {before}", markup=False, highlight=False)
    columns = ("plan", "took", "steps", "compared", "rows", "recall", "")
    cells = (
        (
            way.plan,
            f"{way.took_ms:.1f} ms",
            ", ".join(f"{name} {ms:.2f}" for name, ms in way.steps.items()),
            way.scanned,
            way.rows,
            f"{way.recall:.3f}",
            way.fell_back or "",
        )
        for way in found.tried
    )
    print_table("Every way to answer", columns, cells)


def print_similar(title: str, rows: Sequence[SimilarImage]) -> None:
    cells = ((f"{row.similarity:.3f}", row.image_id, path_of(row), labels(row, "objects")) for row in rows)
    print_table(title, ("similarity", "image", "file", "objects"), cells)


def path_of(row: SearchRow) -> str:
    return f"{row.folder_path.rstrip('/')}/{row.filename}"


def labels(row: SearchRow, category: str, most: int = 4) -> str:
    found: Sequence[str] = dict(row.tags).get(category, [])  # type: ignore[call-overload]
    return ", ".join(found[:most]) + (" ..." if len(found) > most else "")
