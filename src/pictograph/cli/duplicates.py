"""`duplicates`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from pictograph.cli.connection import connected
from pictograph.cli.output import Json, console, errors, print_json, print_table, progress_bar
from pictograph.cli.pages import Cursor, tell_rest
from pictograph.client import Client
from pictograph.client.results import DuplicateGroups
from pictograph.errors import ConfigurationError
from pictograph.wire import DuplicateGroup, DuplicateImage


def duplicates(
    context: typer.Context,
    dataset: Annotated[str | None, typer.Argument(help="Name or UUID of the dataset.")] = None,
    folder: Annotated[str | None, typer.Option("--folder", "-f", help="Only this folder and those below it.")] = None,
    against: Annotated[
        str | None, typer.Option("--against", help="Another dataset: only near-duplicates of its images.")
    ] = None,
    against_folder: Annotated[
        str | None, typer.Option("--against-folder", help="With --against: this folder of it, and those below.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", "-t", help="Similarity of vectors that suffices alone, 0.5 to 1. Default: 0.96."),
    ] = None,
    hash_distance: Annotated[
        int | None, typer.Option("--hash-distance", help="Bits in which hashes may differ, 0 to 16. Default: 10.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="Most groups at once.")] = 50,
    cursor: Cursor = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Show the progress of a first run until it ends.")
    ] = True,
    keep: Annotated[list[str] | None, typer.Option("--keep", help="Remember to keep this image; repeat it.")] = None,
    apart: Annotated[
        list[str] | None,
        typer.Option("--not-duplicates", help="Remember that no two of these images are duplicates; give two or more."),
    ] = None,
    take_back: Annotated[bool, typer.Option("--take-back", help="Take --keep or --not-duplicates back.")] = False,
    as_json: Json = False,
) -> None:
    """Find near-duplicates: copies, saved again, smaller, mirrored, cropped. The first image of each group is to keep.

    Examples: pictograph duplicates street     pictograph duplicates test --against train
    """
    if dataset is None and not keep and not apart:
        raise typer.BadParameter("name a dataset, or give --keep or --not-duplicates.")
    if take_back and not keep and not apart:
        raise ConfigurationError("--take-back goes with --keep or --not-duplicates.")
    with connected(context) as client:
        decided = remember(client, keep, apart, take_back=take_back)
        if dataset is None:
            if as_json:
                print_json(decided)
            return
        with progress_bar("Comparing") as bar:
            found = client.datasets.near_duplicates(
                dataset,
                folder_path=folder,
                against=against,
                against_folder=against_folder,
                threshold=threshold,
                hash_distance=hash_distance,
                limit=limit,
                cursor=cursor,
                wait=wait,
                progress=bar,
            )
    if as_json:
        print_json(found.answer)
    else:
        show(found)


def remember(client: Client, keep: list[str] | None, apart: list[str] | None, *, take_back: bool) -> list[object]:
    decided: list[object] = []
    if keep:
        decided.append(client.datasets.decide_duplicates(keep, "keep", take_back=take_back))
    if apart:
        decided.append(client.datasets.decide_duplicates(apart, "not_duplicates", take_back=take_back))
    if decided:
        errors.print("Taken back." if take_back else "Remembered.")
    return decided


def show(found: DuplicateGroups) -> None:
    if found.state == "running":
        done = f"{found.answer.done:,} of {found.answer.total:,} images compared"
        console.print(f"The first run is not finished: {done}. Ask again in a while.", highlight=False)
        return
    columns = ("group", "file", "size", "found by", "image")
    rows = (row for number, group in enumerate(found, start=1) for row in rows_of(number, group))
    print_table(f"{found.total:,} groups with {found.duplicates:,} near-duplicates", columns, rows)
    moment = f"{found.found_at:%Y-%m-%d %H:%M:%S} UTC" if found.found_at else "never"
    console.print(
        f"Of the {found.images:,} images at {moment}; {found.not_hashed:,} of them have no hash yet, "
        f"{found.not_embedded:,} no vector.",
        highlight=False,
    )
    if not found.answer.threshold_is_measured:
        console.print(
            "The default threshold was measured with another encoder: look at some groups, and give --threshold."
        )
    tell_rest(len(found), found.answer.pagination, "a larger --limit (to 200) shows more at once")


def rows_of(number: int, group: DuplicateGroup) -> Iterator[tuple[object, ...]]:
    yield (number, path_of(group.representative), size_of(group.representative), f"keep: {group.because}",
           group.representative.image_id)  # fmt: skip
    for image in group.others:
        yield "", path_of(image), size_of(image), how(image), image.image_id
    if group.left_out:
        yield "", f"and {group.left_out:,} more", "", "", ""


def how(image: DuplicateImage) -> str:
    """`hash (3 bits), mirrored`."""
    measured = {
        "bytes": "same bytes",
        "hash": f"hash ({image.hash_distance} bits)",
        "vector": f"vector ({image.similarity or 0:.3f})",
        "both": f"hash and vector ({image.hash_distance} bits, {image.similarity or 0:.3f})",
    }
    words = [measured.get(image.found_by, image.found_by)]
    words += ["mirrored"] if image.mirrored and image.found_by in ("hash", "both") else []
    words += ["keep"] if image.keep else []
    return ", ".join(words)


def size_of(image: DuplicateImage) -> str:
    return f"{image.width} x {image.height}" if image.width else ""


def path_of(image: DuplicateImage) -> str:
    return f"{image.folder_path.rstrip('/')}/{image.filename}"
