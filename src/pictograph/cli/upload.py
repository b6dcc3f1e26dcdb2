"""`upload`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pictograph.cli.connection import connected
from pictograph.cli.output import EXIT_FAILED, Json, console, print_json, print_table, progress_bar
from pictograph.client import Client
from pictograph.client.results import UploadReport
from pictograph.wire import Progress


def upload(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(help="Every picture below it is uploaded.")],
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Made if it does not exist.")],
    folder: Annotated[str, typer.Option("--folder", "-f", help="Where in the dataset.")] = "/",
    flat: Annotated[bool, typer.Option("--flat", help="Do not keep sub-directories as folders.")] = False,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, max=64, help="Uploads at a time.")] = 8,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until every image can be found.")] = True,
    as_json: Json = False,
) -> None:
    """Upload a directory of pictures. Run it again after an interruption: what is there already is skipped."""
    with connected(context) as client:
        report = send(client, directory, dataset, folder, flat=flat, workers=workers)
        counts = wait_until_processed(client, dataset) if wait else None
    if as_json:
        print_json(summary(report, counts))
    else:
        print_report(report, counts)
    if report.failures or (counts and counts.failed):
        raise typer.Exit(EXIT_FAILED)


def send(client: Client, directory: Path, dataset: str, folder: str, *, flat: bool, workers: int) -> UploadReport:
    with progress_bar("Uploading") as bar:
        return client.images.upload_from_directory(
            dataset,
            directory,
            folder_path=folder,
            preserve_structure=not flat,
            workers=workers,
            progress=lambda done, total, _: bar(done, total),
        )


def wait_until_processed(client: Client, dataset: str) -> Progress:
    """Shows how many images of the dataset are embedded and tagged until all are."""
    with progress_bar("Embedding and tagging") as bar:
        return client.datasets.wait_until_processed(
            dataset, progress=lambda counts: bar(counts.total - counts.received, counts.total)
        )


def summary(report: UploadReport, counts: Progress | None) -> dict[str, object]:
    return {
        "dataset": report.dataset_name,
        "attempted": report.attempted,
        "uploaded": len(report.uploaded),
        "skipped": len(report.skipped),
        "failures": [{"path": str(f.path), "code": f.code, "reason": f.reason} for f in report.failures],
        "progress": counts.model_dump(mode="json") if counts else None,
    }


def print_report(report: UploadReport, counts: Progress | None) -> None:
    console.print(
        f"[bold]{len(report.uploaded)}[/] uploaded, [bold]{len(report.skipped)}[/] there already, "
        f"[bold]{len(report.failures)}[/] refused, in dataset [bold]{escape(report.dataset_name)}[/]."
    )
    if report.failures:
        print_table("Refused", ("file", "why"), ((f.path, f.reason) for f in report.failures))
    if counts:
        console.print(
            f"In the dataset: {counts.tagged} tagged, {counts.embedded} embedded only, {counts.failed} failed."
        )
    if counts and counts.failed:
        console.print(f"[dim]pictograph images list {escape(report.dataset_name)} --state failed  says why[/]")
