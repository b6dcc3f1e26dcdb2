"""`import`: vectors that were made elsewhere."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markup import escape

from pictograph.cli.connection import connected
from pictograph.cli.output import EXIT_FAILED, Json, console, errors, print_json, print_table, progress_bar
from pictograph.client.results import ImportReport
from pictograph.client.walk import given_path

MOST_ROWS: Final = 20


def import_vectors(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Parquet or Arrow files.", parser=given_path)],
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Made if it does not exist.")],
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder", help="Fingerprint of the encoder, as GET /ready shows it. Default: what the files say."
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Import rows that changed too: their images get the new vectors, tags and facts."
        ),
    ] = False,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, max=16, help="Requests at a time.")] = 2,
    as_json: Json = False,
) -> None:
    """Import vectors that the service's encoder made elsewhere. Run it again after an interruption: it goes on.

    Columns: `filename` and `folder_path` (or `path`, or `id`), `vector`; if they are there also objects, scenes,
    attributes, width, height, file_size, content_type, created_at. Images that come so are found at once; their
    pictures are not here. A row that is other than the image of its folder and name is told, and not stored. Exit code
    1: some differ, or something was refused.

    Example: pictograph import vectors.parquet --dataset street
    """
    report = ImportReport(dataset)
    with connected(context) as client:
        try:
            with progress_bar("Importing") as bar:
                client.datasets.import_vectors(
                    dataset,
                    list(files),
                    encoder=encoder,
                    replace=replace,
                    workers=workers,
                    progress=lambda so_far: bar(so_far.done, so_far.rows, note=f"{so_far.skipped} there already"),
                    report=report,
                )
        except BaseException:
            print_unfinished(report, as_json=as_json)
            raise
    if as_json:
        print_json(asdict(report) | {"finished": True})
    else:
        print_report(report)
    if not report.success:
        raise typer.Exit(EXIT_FAILED)


def print_unfinished(report: ImportReport, *, as_json: bool) -> None:
    """What has arrived when the command ends early; nothing if it ended before the first row."""
    if not report.done:
        return
    if as_json:
        print_json(asdict(report) | {"finished": False})
        return
    errors.print(
        f"Not finished: {report.done} of {report.rows or 'all'} rows are settled, {report.imported} of them are new in "
        f"dataset {report.dataset_name!r}. To go on, run the same command again: what is there is skipped.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def print_report(report: ImportReport) -> None:
    console.print(
        f"[bold]{report.imported}[/] imported, [bold]{report.skipped}[/] there already, in dataset "
        f"[bold]{escape(report.dataset_name)}[/]."
    )
    if report.restored:
        console.print(f"[bold]{report.restored}[/] were there already but archived; searches find them again.")
    if report.replaced:
        console.print(f"[bold]{report.replaced}[/] images got the vectors, tags and facts of their rows.")
    for name, columns in report.ignored_columns.items():
        listed = ", ".join(columns)
        console.print(f"These columns of {name} were ignored: {listed}.", markup=False, soft_wrap=True)
    if report.different:
        console.print(f"[bold]{len(report.different)}[/] differ from the images of their names and were not stored.")
        rows = [
            (it.source, it.row, f"{it.folder_path.rstrip('/')}/{it.filename}", it.reason) for it in report.different
        ]
        print_table("Different", ("file", "row", "image", "why"), rows[:MOST_ROWS])
        if len(rows) > MOST_ROWS:
            console.print(f"  and {len(rows) - MOST_ROWS} more: --json lists all", highlight=False)
