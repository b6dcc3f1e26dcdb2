"""`export`: what a query finds, as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pictograph.cli.connection import connected
from pictograph.cli.filters import NO_FILTERS, takes_filters
from pictograph.cli.output import EXIT_FAILED, Json, console, errors, print_json, print_table, progress_bar
from pictograph.cli.relevance import threshold_of
from pictograph.cli.search import (
    Ascending,
    Exact,
    LeastScore,
    Like,
    OrderBy,
    Top,
    Unlike,
    UnwantedWords,
    WantedWords,
    examples_of,
)
from pictograph.client.exporting.options import SHARD_BYTES, SHARD_IMAGES
from pictograph.client.filters import Filters
from pictograph.client.results import SKIPPED_WORDS, ExportReport
from pictograph.client.walk import given_path

MOST_ROWS: Final = 20


class Format(StrEnum):
    """What an export writes."""

    CSV = "csv"
    JSONL = "jsonl"
    LIST = "list"
    PARQUET = "parquet"
    ARROW = "arrow"
    FOLDER = "folder"
    COCO = "coco"
    WEBDATASET = "webdataset"
    ZIP = "zip"


@takes_filters()
def export(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(metavar="[DATASET] OUT", help="The dataset, else all; and the file or folder to write."),
    ],
    file_format: Annotated[
        Format | None,
        typer.Option("--format", help="Default: by the name: `.csv`, `.jsonl`, `.txt`, `.zip` ..., else Parquet."),
    ] = None,
    datasets: Annotated[
        list[str] | None, typer.Option("--dataset", "-d", help="Only this dataset; repeat it for several.")
    ] = None,
    saved: Annotated[str | None, typer.Option("--saved", help="A saved query, in place of a question.")] = None,
    like: Like = None,
    unlike: Unlike = None,
    words: WantedWords = None,
    unwanted: UnwantedWords = None,
    filters: Filters = NO_FILTERS,
    only_this_folder: Annotated[bool, typer.Option("--only-this-folder", help="Not the folders below it.")] = False,
    order_by: OrderBy = None,
    ascending: Ascending = False,
    threshold: LeastScore = None,
    top: Top = None,
    exact: Exact = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files at the export's paths that are not of an export.")
    ] = False,
    resume: Annotated[
        bool, typer.Option(help="Go on with an export of the same question that was interrupted.")
    ] = True,
    link: Annotated[
        bool,
        typer.Option(
            "--link/--copy",
            help="Share files with the library's own, where its blob store is on this disk: as clones, else as hard "
            "links, which are made read-only, there too.",
        ),
    ] = True,
    blobs: Annotated[
        Path | None,
        typer.Option(
            "--blobs", help="The library's blob store. Default: that of this machine's service.", parser=given_path
        ),
    ] = None,
    original_names: Annotated[
        bool, typer.Option("--original-names", help="Write names as they were before they were brought to NFC.")
    ] = False,
    spreadsheet_safe: Annotated[
        bool,
        typer.Option(
            "--spreadsheet-safe/--verbatim",
            help="In CSV, put an apostrophe before cells that a spreadsheet would run as formulas.",
        ),
    ] = True,
    shard_images: Annotated[int, typer.Option(min=1, help="Most images of a WebDataset shard.")] = SHARD_IMAGES,
    shard_bytes: Annotated[int, typer.Option(min=1, help="A shard ends at this size.")] = SHARD_BYTES,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, max=64, help="Files at a time.")] = 8,
    as_json: Json = False,
) -> None:
    """Export everything that a query finds: tables, lists, vectors, or the pictures themselves.

    csv, jsonl, list (of paths): a line for each image. parquet, arrow: with vectors, which `pictograph import` takes
    again. folder: the files, as dataset/folder/filename. coco: the files and labels.json (OUT.json: the labels alone).
    webdataset: shards. zip: one file, made by the service. Run it again after an interruption: it goes on. Files of
    others are never replaced without --overwrite. Exit code 1: something could not be written.

    Example: pictograph export street cars --format folder --object car --text 'a car at night' --top 200
    """
    dataset, out = names_of(names)
    report = ExportReport(Path(out))
    with connected(context) as client:
        try:
            with progress_bar("Exporting") as bar:
                client.search.export(
                    given_path(out),
                    format=file_format.value if file_format else None,
                    dataset_names=[*([dataset] if dataset is not None else []), *(datasets or [])] or None,
                    recursive=not only_this_folder,
                    saved=saved,
                    examples=examples_of(like, words, unlike, unwanted),
                    order_by=order_by,
                    descending=not ascending,
                    threshold=None if threshold is None else threshold_of(threshold),
                    top=top,
                    exact=exact,
                    overwrite=overwrite,
                    resume=resume,
                    link=link,
                    blob_folder=blobs,
                    original_names=original_names,
                    spreadsheet_safe=spreadsheet_safe,
                    shard_images=shard_images,
                    shard_bytes=shard_bytes,
                    workers=workers,
                    progress=bar,
                    report=report,
                    **filters,
                )
        except BaseException:
            print_unfinished(report)
            raise
    if as_json:
        print_json(as_record(report))
    else:
        print_report(report)
    if not report.success:
        raise typer.Exit(EXIT_FAILED)


def names_of(names: Sequence[str]) -> tuple[str | None, str]:
    """The dataset, if it is named, and where to write. Raises typer.BadParameter."""
    if len(names) > 2:
        raise typer.BadParameter(f"Name a dataset and a path to write, or the path alone, not {len(names)} things.")
    return (None, names[0]) if len(names) == 1 else (names[0], names[1])


def as_record(report: ExportReport) -> dict[str, Any]:
    """As JSON has it."""
    record = asdict(report) | {"success": report.success, "path": str(report.path)}
    record["files"] = [str(file) for file in report.files]
    record["started_at"] = report.started_at.isoformat() if report.started_at else None
    return record


def print_unfinished(report: ExportReport) -> None:
    """How far it came when the command ends early; nothing if it ended before the first image."""
    if report.done:
        tell(
            f"Not finished: {report.done} of {report.total or 'all'} images are done. To go on, run the same command "
            "again.",
            as_error=True,
        )


def print_report(report: ExportReport) -> None:
    """What was written, what was not, and why."""
    tell(f"{report.rows} images are in {report.path} ({report.format}).")
    ways = ("already_there", "linked", "copied", "downloaded")
    if report.format in ("folder", "coco", "webdataset") and (told := [f"{n} {w}" for w, n in counts(report, ways)]):
        tell(f"Files: {', '.join(told).replace('_', ' ')}.")
    for why, words in SKIPPED_WORDS.items():
        if number := report.skipped.get(why):
            tell(f"{number} {words}.")
    notes = {
        "left_out": "are not found by searches yet and are not in it: pictograph datasets progress says why.",
        "renamed": "have another path than their names make, which file systems do not take (manifest.jsonl).",
        "left_over": "are here from an earlier run and no longer found; their files stay.",
        "changed": "changed after the export began, and are in it as they were when it came to them.",
        "vanished": "were deleted or changed after the export began, so that it has not got them.",
        "guarded_cells": "cells begin with an apostrophe, because a spreadsheet would run them: docs/export.md.",
    }
    for name, number in counts(report, notes):
        tell(f"{number} {notes[name]}")
    if report.cut_off:
        tell("More images pass the threshold than can be put in order: these are of the best 10,000.", as_error=True)
    if not report.complete:
        tell("The zip is full: the query finds more images than one zip holds.", as_error=True)
    if report.examples:
        rows = [(it.image_id, it.path, it.reason) for it in report.examples]
        print_table("Without a file", ("image", "file", "why"), rows[:MOST_ROWS])


def counts(report: ExportReport, names: Any) -> list[tuple[str, int]]:
    """(name, number) of those that are not 0."""
    return [(name, getattr(report, name)) for name in names if getattr(report, name)]


def tell(text: str, *, as_error: bool = False) -> None:
    (errors if as_error else console).print(text, markup=False, highlight=False, soft_wrap=True)
