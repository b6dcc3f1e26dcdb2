"""`search similar`, `search image`, `search text`, `search query`, `search tags`, `search explain`."""

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
from pictograph.cli.relevance import Percentiles, tell_relevance, threshold_of
from pictograph.client import Example, SearchResults
from pictograph.client.filters import Filters
from pictograph.errors import wrong_value
from pictograph.types import DEFAULT_LIMIT, DEFAULT_TEXT_THRESHOLD, DEFAULT_THRESHOLD, MAX_LIMIT
from pictograph.wire import OfTags, QueryAnswer, QueryRow, SearchExplanation, SearchRow, SimilarImage

app = typer.Typer(no_args_is_help=True, help="Find images by likeness, by words or by tag.")

Limit = Annotated[int, typer.Option("--limit", "-n", help=f"Most rows to print, 1 to {MAX_LIMIT}.")]
LeastLikeness = Annotated[
    str,
    typer.Option(
        "--threshold",
        "-t",
        help="Least cosine similarity, 0 to 1; 0.6 is about visually related. `auto`: what the scope gives.",
    ),
]
Exact = Annotated[bool, typer.Option("--exact", help="Compare every vector of the scope, however long that takes.")]

BoxText = Annotated[
    str | None,
    typer.Option(
        "--box", metavar="X,Y,W,H", help="Only this part counts: pixels from the top left of the upright picture."
    ),
]
OnlyThisFolder = Annotated[bool, typer.Option("--only-this-folder", help="Not the folders below it.")]
BoxFractions = Annotated[bool, typer.Option("--fraction", help="The numbers of --box are fractions of the sides.")]

Like = Annotated[list[str] | None, typer.Option("--like", help="UUID of an image to be like; repeat it for several.")]
Unlike = Annotated[list[str] | None, typer.Option("--unlike", help="UUID of an image to be unlike.")]
LikeFiles = Annotated[
    list[str] | None, typer.Option("--like-file", help="A picture on this machine, or its URL, to be like.")
]
UnlikeFiles = Annotated[
    list[str] | None, typer.Option("--unlike-file", help="A picture on this machine, or its URL, to be unlike.")
]
WantedWords = Annotated[list[str] | None, typer.Option("--text", help="Words that say what images show.")]
UnwantedWords = Annotated[list[str] | None, typer.Option("--not-text", help="Words that say what they do not.")]
OrderBy = Annotated[
    str | None,
    typer.Option(
        "--order-by",
        help="relevance, created_at, taken_at, width, height, file_size, aspect, sharpness, brightness, contrast;"
        " with examples a fact needs --threshold or --top, which cut first. Default: relevance with examples, else"
        " created_at.",
    ),
]
Ascending = Annotated[bool, typer.Option("--ascending", help="The oldest, smallest first.")]
LeastScore = Annotated[
    str | None, typer.Option("--threshold", "-t", help="Least score, -1 to 1, or `auto`. Default: nothing is cut.")
]
Top = Annotated[int | None, typer.Option("--top", help="Only the best so many by relevance.")]

MORE = f"a larger --limit (to {MAX_LIMIT}) shows more at once"


@app.command()
@takes_filters(folder="Default: the reference's own; `/` is its whole dataset.")
def similar(
    context: typer.Context,
    image_id: Annotated[str, typer.Argument(help="UUID of the reference image, as every table and --json row has it.")],
    threshold: LeastLikeness = str(DEFAULT_THRESHOLD),
    box: BoxText = None,
    fraction: BoxFractions = False,
    limit: Limit = DEFAULT_LIMIT,
    datasets: Annotated[
        list[str] | None,
        typer.Option("--dataset", "-d", help="Repeat it for several. Default: the reference's own."),
    ] = None,
    filters: Filters = NO_FILTERS,
    only_this_folder: OnlyThisFolder = False,
    exact: Exact = False,
    cursor: Cursor = None,
    percentiles: Percentiles = True,
    as_json: Json = False,
) -> None:
    """Find images that look like a reference image, the most similar first; with tags, only those that carry them.

    Example: pictograph search similar 0198c0de-... --threshold 0.7 --folder / --object car
    """
    with connected(context) as client:
        rows = client.search.by_similarity(
            image_id,
            box=box_of(box, fraction),
            threshold=threshold_of(threshold),
            limit=limit,
            dataset_names=datasets,
            recursive=not only_this_folder,
            **filters,
            exact=exact,
            cursor=cursor,
            percentiles=percentiles,
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
    threshold: LeastLikeness = str(DEFAULT_THRESHOLD),
    limit: Limit = DEFAULT_LIMIT,
    filters: Filters = NO_FILTERS,
    exact: Exact = False,
    cursor: Cursor = None,
    percentiles: Percentiles = True,
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
            threshold=threshold_of(threshold),
            limit=limit,
            **filters,
            exact=exact,
            cursor=cursor,
            percentiles=percentiles,
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
        str,
        typer.Option(
            "--threshold",
            "-t",
            help="Least cosine, 0 to 1; between words and pictures it is low. `auto`: what shows what the words say.",
        ),
    ] = str(DEFAULT_TEXT_THRESHOLD),
    limit: Limit = 10,
    filters: Filters = NO_FILTERS,
    exact: Exact = False,
    cursor: Cursor = None,
    percentiles: Percentiles = True,
    as_json: Json = False,
) -> None:
    """Find images that show what the words say, the best first; with tags, only those that carry them.

    Example: pictograph search text 'a dog on a beach' --dataset holidays --attribute sharp
    """
    with connected(context) as client:
        rows = client.search.by_text(
            words,
            dataset_name=dataset,
            threshold=threshold_of(threshold),
            limit=limit,
            **filters,
            exact=exact,
            cursor=cursor,
            percentiles=percentiles,
        )
    warn_of_tags(rows.answer)
    if as_json:
        print_json(rows.answer)
    else:
        print_similar(f"{len(rows)} images for {words!r} ({how(rows)})", rows)
        tell_rest(len(rows), rows.answer.pagination, MORE)


@app.command()
@takes_filters()
def query(
    context: typer.Context,
    like: Like = None,
    unlike: Unlike = None,
    like_files: LikeFiles = None,
    unlike_files: UnlikeFiles = None,
    words: WantedWords = None,
    unwanted: UnwantedWords = None,
    datasets: Annotated[
        list[str] | None, typer.Option("--dataset", "-d", help="Repeat it for several. Default: all your datasets.")
    ] = None,
    filters: Filters = NO_FILTERS,
    only_this_folder: OnlyThisFolder = False,
    order_by: OrderBy = None,
    ascending: Ascending = False,
    threshold: LeastScore = None,
    top: Top = None,
    limit: Limit = DEFAULT_LIMIT,
    exact: Exact = False,
    count: Annotated[bool, typer.Option("--count", help="Print how many there are, and no rows.")] = False,
    save: Annotated[
        str | None, typer.Option("--save", help="Also save this query under a name, for `pictograph saved run NAME`.")
    ] = None,
    cursor: Cursor = None,
    percentiles: Percentiles = True,
    as_json: Json = False,
) -> None:
    """Find images by examples, a filter and an order: like these but not like those, the newest, the largest.

    Example: pictograph search query --like 0198c0de-... --like 0198c0df-... --unlike 0198c0e0-... -d train --top 200
    """
    asked: dict[str, Any] = dict(
        examples=[
            *examples_of(like, words, unlike, unwanted),
            *(Example(picture=file) for file in like_files or ()),
            *(Example(picture=file, negative=True) for file in unlike_files or ()),
        ],
        order_by=order_by,
        descending=not ascending,
        threshold=None if threshold is None else threshold_of(threshold),
        top=top,
        limit=limit,
        exact=exact,
        dataset_names=datasets,
        recursive=not only_this_folder,
        **filters,
    )
    with connected(context) as client:
        rows = client.search.query(
            **asked, cursor=cursor, count_only=count, percentiles=percentiles and bool(asked["examples"]) and not count
        )
        if save is not None:
            client.queries.save(save, **asked)
    warn_of_tags(rows.answer)
    if as_json:
        print_json(rows.answer)
    elif count:
        console.print(f"{rows.total:,}", highlight=False)
    else:
        print_query(rows)


def examples_of(
    like: Sequence[str] | None,
    words: Sequence[str] | None,
    unlike: Sequence[str] | None,
    unwanted: Sequence[str] | None,
) -> list[Example]:
    """What the options `--like`, `--text`, `--unlike` and `--not-text` say."""
    return [
        *(Example(image_id=image) for image in like or ()),
        *(Example(text=text) for text in words or ()),
        *(Example(image_id=image, negative=True) for image in unlike or ()),
        *(Example(text=text, negative=True) for text in unwanted or ()),
    ]


def print_query(rows: SearchResults[QueryRow]) -> None:
    """A table, and in which order; what the answer says of itself stands below."""
    answer = rows.answer
    if not isinstance(answer, QueryAnswer):
        raise AssertionError("a query has this answer")
    columns = [name for name, is_there in (("score", answer.formula), ("similarity", len(answer.examples) > 1),
                                           ("percentile", any(row.percentile is not None for row in rows)),
                                           (answer.order_by, answer.order_by != "relevance")) if is_there]  # fmt: skip
    cells = (
        (*(query_cell(row, name) for name in columns), row.image_id, path_of(row), labels(row, "objects"))
        for row in rows
    )
    print_table(f"{part_of(len(rows), rows.total)} images ({how(rows)})", (*columns, "image", "file", "objects"), cells)
    if answer.unknown_values:
        errors.print(f"Of {answer.unknown_values:,} images {answer.order_by} is not known yet: they come last.")
    if answer.cut_off:
        errors.print("More images pass the threshold than can be put in order: these are of the best 10,000.")
    tell_relevance(rows)
    tell_rest(len(rows), answer.pagination, MORE)


def query_cell(row: QueryRow, column: str) -> str:
    known = {"score": row.score, "similarity": row.similarity, "percentile": row.percentile}
    value = known.get(column, row.order_value)
    return f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value)


@app.command()
@takes_filters(folder="As in the search itself.")
def explain(
    context: typer.Context,
    image_id: Annotated[str | None, typer.Argument(help="UUID of a reference image, or else --text.")] = None,
    words: Annotated[str | None, typer.Option("--text", help="Words, or else an image id.")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="With --text. Default: all.")] = None,
    threshold: Annotated[
        str | None, typer.Option("--threshold", "-t", help="A number, or `auto`. Default: the search's own.")
    ] = None,
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
            threshold=None if threshold is None else threshold_of(threshold),
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
    if answer.undecided:
        waiting = f"; at {answer.undecided_waiting:,} of them nobody has looked yet" if answer.undecided_waiting else ""
        said = f"{answer.undecided:,} more images may be meant, of which a fact asked for is not known{waiting}."
        errors.print(f"[yellow]{said}[/]", soft_wrap=True)
    for tag, near in answer.nearest_tags.items():
        errors.print(f"  near {tag!r} and judged: {', '.join(map(as_option, near))}", markup=False, highlight=False)


def as_option(key: str) -> str:
    """`attributes/dark` as a person types it: `--attribute dark`."""
    category, _, label = key.partition("/")
    return f"--{category.removesuffix('s')} {shlex.quote(label)}"


def how(rows: SearchResults[SimilarImage] | SearchResults[QueryRow]) -> str:
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


def print_similar(title: str, rows: SearchResults[SimilarImage]) -> None:
    """The rows with their scores, and, on standard error, what the scores are worth."""
    placed = any(row.percentile is not None for row in rows)
    cells = (
        (
            f"{row.similarity:.3f}",
            *([f"{row.percentile:.2f}" if row.percentile is not None else ""] if placed else []),
            row.image_id,
            path_of(row),
            labels(row, "objects"),
        )
        for row in rows
    )
    print_table(title, ("similarity", *(["percentile"] if placed else []), "image", "file", "objects"), cells)
    tell_relevance(rows)


def path_of(row: SearchRow) -> str:
    return f"{row.folder_path.rstrip('/')}/{row.filename}"


def labels(row: SearchRow, category: str, most: int = 4) -> str:
    found: Sequence[str] = dict(row.tags).get(category, [])  # type: ignore[call-overload]
    return ", ".join(found[:most]) + (" ..." if len(found) > most else "")
