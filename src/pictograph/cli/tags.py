"""`tags list | show | preview | apply | reset | update`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.markup import escape

from pictograph.cli.connection import connected
from pictograph.cli.filters import NO_FILTERS, Dataset, takes_filters
from pictograph.cli.output import Json, Yes, console, errors, print_json, print_table, progress_bar
from pictograph.cli.search import warn_of_tags
from pictograph.client.filters import Filters
from pictograph.errors import NotFoundError
from pictograph.naming import similar_names
from pictograph.types import TAG_CATEGORIES, TagCategory
from pictograph.wire import Label, TagCounts, TagExample, TagUpdate, Taxonomy, ThresholdChange, ThresholdPreview

app = typer.Typer(
    no_args_is_help=True, help="List tags and their counts, and change the scores from which images get them."
)

MOST_NEAR = 5
Name = Annotated[str, typer.Option("--label", "-l", help="The label's name, such as dog.")]
Category = Annotated[
    TagCategory | None, typer.Option("--category", "-c", help="Needed if several categories have the label.")
]
Threshold = Annotated[
    float, typer.Option("--threshold", "-t", help="The lowest score, up to 1, that gives an image the label.")
]


@app.command("list")
@takes_filters()
def list_tags(
    context: typer.Context,
    dataset: Dataset = None,
    filters: Filters = NO_FILTERS,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Most rows of each category.")] = 20,
    as_json: Json = False,
) -> None:
    """Count the tags of your images, the most frequent first; with tags, only of the images that carry them.

    Example: pictograph tags list --dataset street --folder /night --object car
    """
    with connected(context) as client:
        counts = client.search.tags(dataset_name=dataset, **filters)
    warn_of_tags(counts)
    if as_json:
        print_json(counts)
        return
    print_table(f"Tags of {counts.images} images", ("category", "tag", "images"), count_rows(counts, limit))


def count_rows(counts: TagCounts, limit: int) -> Iterator[Sequence[object]]:
    for category in TAG_CATEGORIES:
        rows = getattr(counts, category)
        yield from ((category, row.label, row.count) for row in rows[:limit])
        if len(rows) > limit:
            yield category, f"... {len(rows) - limit} more: --limit {len(rows)}", ""


@app.command()
def show(
    context: typer.Context,
    label: Annotated[str | None, typer.Argument(help="The label's name; without one, all labels are listed.")] = None,
    category: Annotated[TagCategory | None, typer.Option("--category", "-c", help="Only this category.")] = None,
    as_json: Json = False,
) -> None:
    """Show the taxonomy, or one label: its threshold, parents, rivals and prompts.

    Example: pictograph tags show dog
    """
    with connected(context) as client:
        taxonomy = client.tags.taxonomy()
    wanted = [row for row in taxonomy.labels if category in (None, row.category)]
    if label is not None:
        wanted = named(wanted, label)
        if not as_json:
            for row in wanted:
                print_label(row)
            return
    if as_json:
        print_json(taxonomy.model_copy(update={"labels": wanted}))
    else:
        print_taxonomy(taxonomy, wanted)


def named(labels: Sequence[Label], text: str) -> list[Label]:
    """The labels with this name, one for each category that has it. Raises NotFoundError that names similar ones."""
    wanted = text.strip().lower()
    found = [row for row in labels if wanted in (row.name, f"{row.category}/{row.name}")]
    if not found:
        near = similar_names(wanted, [row.name for row in labels], MOST_NEAR)
        advice = f"Did you mean {', '.join(near)}?" if near else "`pictograph tags show` lists them all."
        raise NotFoundError(f"There is no label {wanted!r} in the taxonomy. {advice}")
    return found


def print_taxonomy(taxonomy: Taxonomy, labels: Sequence[Label]) -> None:
    title = f"{len(labels)} labels of taxonomy {taxonomy.version}, judged by {taxonomy.tagger or 'no tagger'}"
    columns = ("category", "label", "group", "implies", "threshold", "judged")
    print_table(title, columns, ((*names(row), row.group, ", ".join(row.parents), *state(row)) for row in labels))


def names(label: Label) -> tuple[str, str]:
    return label.category, label.name


def state(label: Label) -> tuple[str, str]:
    chosen = "" if label.threshold == label.default_threshold else f" (default {label.default_threshold:g})"
    return f"{label.threshold:g}{chosen}", "yes" if label.is_judged else "no"


def print_label(label: Label) -> None:
    score, judged = state(label)
    rows = [
        ("group", label.group),
        ("threshold", f"{score}, can be set from {label.lowest_threshold:g} to 1"),
        ("judged", f"{judged}, by the running tagger"),
        ("implies", ", ".join(label.parents) or "-"),
        ("never beside", ", ".join(label.exclusive_with) or "-"),
        ("prompts", "; ".join(label.prompts)),
    ]
    print_table(f"{label.category}/{label.name}", ("", ""), rows)


@app.command()
def preview(
    context: typer.Context,
    label: Name,
    threshold: Threshold,
    category: Category = None,
    dataset: Dataset = None,
    as_json: Json = False,
) -> None:
    """Show how many of your images would gain or lose a tag with another threshold; nothing is changed.

    Example: pictograph tags preview --label dog --threshold 0.31
    """
    with connected(context) as client:
        found = client.tags.preview(label, threshold=threshold, category=category, dataset_name=dataset)
    warn_of_unjudged(found)
    if as_json:
        print_json(found)
    else:
        print_preview(found)


@app.command()
def apply(
    context: typer.Context,
    label: Name,
    threshold: Threshold,
    category: Category = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Set a label's threshold and change all tags that depend on it, in the whole installation; needs role
    installation.

    Example: pictograph tags apply --label dog --threshold 0.31
    """
    with connected(context) as client:
        if not yes:
            confirm(client.tags.preview(label, threshold=threshold, category=category))
        print_change(client.tags.apply(label, threshold=threshold, category=category), as_json=as_json)


@app.command()
def reset(
    context: typer.Context, label: Name, category: Category = None, yes: Yes = False, as_json: Json = False
) -> None:
    """Set a label's threshold back to the taxonomy's own, as `apply` would.

    Example: pictograph tags reset --label dog
    """
    with connected(context) as client:
        if not yes:
            confirm(client.tags.preview(label, category=category))
        print_change(client.tags.reset(label, category=category), as_json=as_json)


def confirm(found: ThresholdPreview) -> None:
    typer.confirm(f"{summary(found)} Apply it to the whole installation?", abort=True, err=True)


def summary(found: ThresholdPreview) -> str:
    key = f"{found.category}/{found.label}"
    return (
        f"{key} with threshold {found.threshold:g} (now {found.current_threshold:g}): "
        f"{counted(found.gained, 'gains', 'gain')} it, {counted(found.lost, 'loses', 'lose')} it."
    )


def counted(images: int, one: str, several: str) -> str:
    return f"1 image {one}" if images == 1 else f"{images} images {several}"


def print_preview(found: ThresholdPreview) -> None:
    console.print(summary(found), markup=False, highlight=False, soft_wrap=True)
    if found.others:
        rows = ((f"{other.category}/{other.label}", other.gained, other.lost) for other in found.others)
        print_table("Other tags that change", ("tag", "gain it", "lose it"), rows)
    if found.gained_examples:
        print_table("Some that gain it", ("score", "image", "file"), example_rows(found.gained_examples))
    if found.lost_examples:
        print_table("Some that lose it", ("score", "image", "file"), example_rows(found.lost_examples))


def example_rows(examples: Sequence[TagExample]) -> Iterator[Sequence[object]]:
    for row in examples:
        yield f"{row.score:.3f}", row.image_id, f"{row.folder_path.rstrip('/')}/{row.filename}"


def warn_of_unjudged(answer: ThresholdPreview | ThresholdChange) -> None:
    """Says on standard error that no threshold gives the label to any image."""
    if not answer.is_judged:
        label = escape(f"{answer.category}/{answer.label}")
        errors.print(
            f"[yellow]The running encoder cannot judge {label}, so no image gets it, whatever the threshold.[/]",
            soft_wrap=True,
        )


def print_change(change: ThresholdChange, *, as_json: bool) -> None:
    warn_of_unjudged(change)
    if as_json:
        print_json(change)
        return
    console.print(
        f"[bold]{escape(change.category)}/{escape(change.label)}[/] has threshold {change.threshold:g} now "
        f"(before: {change.previous_threshold:g}). The tags of {change.images} of your images changed.",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def update(context: typer.Context, as_json: Json = False) -> None:
    """Update tags that an older version gave, without reading a picture again. Needs role installation.

    You may interrupt it and run it again: it goes on where it stopped.
    """
    with connected(context) as client, progress_bar("Updating tags") as bar:
        done = client.tags.update(progress=lambda step: bar(step.updated, step.updated + step.remaining))
    if as_json:
        print_json(done)
    else:
        print_update(done)


def print_update(done: TagUpdate) -> None:
    console.print(
        f"[bold]{done.updated}[/] updated to {escape(done.tagger)}, [bold]{done.remaining}[/] remain.", highlight=False
    )
    if done.cannot_update:
        console.print(f"[yellow]{done.cannot_update} cannot be updated.[/] {escape(done.reason or '')}", soft_wrap=True)
