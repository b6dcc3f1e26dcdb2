"""`upload`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markup import escape

from pictograph.cli.connection import connected
from pictograph.cli.output import EXIT_FAILED, Json, console, errors, print_json, print_table, progress_bar
from pictograph.client import Client
from pictograph.client.results import LEFT_ASIDE_WORDS, UploadReport, counted
from pictograph.client.walk import given_path
from pictograph.wire import Progress

MOST_ROWS: Final = 20


def upload(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(help="Every picture below it is uploaded.", parser=given_path)],
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Made if it does not exist.")],
    folder: Annotated[str, typer.Option("--folder", "-f", help="Where in the dataset.")] = "/",
    flat: Annotated[bool, typer.Option("--flat", help="Do not keep sub-directories as folders.")] = False,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Send files that changed too: their images get the new bytes."),
    ] = False,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, max=64, help="Uploads at a time.")] = 8,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until every image can be found.")] = True,
    as_json: Json = False,
) -> None:
    """Upload a directory of pictures. After an interruption, run it again: it skips what is there already.

    It recognizes pictures by their first bytes, whatever their names, and follows links to folders. It counts and
    names what it leaves aside; --json lists every file. It reports a file that changed since and does not send it.
    Exit code 1: a file was refused, differs, or could not be read.

    Example: pictograph upload ~/photos/street --dataset street
    """
    with connected(context) as client:
        report = UploadReport(dataset)
        try:
            send(client, directory, report, folder, flat=flat, replace=replace, workers=workers)
            counts = wait_until_processed(client, dataset) if wait else None
        except BaseException:
            print_unfinished(report, as_json=as_json)
            raise
    if as_json:
        print_json(summary(report, counts))
    else:
        print_report(report, counts)
    if not report.success or (counts and (counts.failed or counts.replacing_failed)):
        raise typer.Exit(EXIT_FAILED)


def send(
    client: Client, directory: Path, report: UploadReport, folder: str, *, flat: bool, replace: bool, workers: int
) -> None:
    with progress_bar("Uploading") as bar:
        client.images.upload_from_directory(
            report.dataset_name,
            directory,
            folder_path=folder,
            preserve_structure=not flat,
            replace=replace,
            workers=workers,
            progress=lambda done, total, _: bar(done, total),
            report=report,
        )


def wait_until_processed(client: Client, dataset: str) -> Progress:
    """Shows how many images of the dataset are embedded and tagged until all are."""
    with progress_bar("Embedding and tagging") as bar:
        return client.datasets.wait_until_processed(
            dataset, progress=lambda counts: bar(counts.total - counts.received - counts.replacing, counts.total)
        )


def print_unfinished(report: UploadReport, *, as_json: bool) -> None:
    """What has arrived when the command ends early, and how to go on; nothing if it ended before the first file."""
    if report.attempted == 0:
        return
    if as_json:
        print_json(summary(report, None) | {"finished": False})
        return
    before = len(report.skipped) + len(report.restored) + len(report.replaced)
    arrived = len(report.uploaded) + before
    line = f"Not finished: {arrived} of {report.attempted} files are in dataset {report.dataset_name!r}"
    line += f" ({before} were there before)" if before else ""
    line += f", {len(report.failures)} were refused" if report.failures else ""
    line += f", {len(report.different)} differ from the images of their names" if report.different else ""
    if report.done < report.attempted:
        line += (
            "; those under way may have arrived too.\nTo go on, run the same command again: what is there is skipped."
        )
    else:
        line += f".\nThe service goes on by itself: pictograph datasets progress {shlex.quote(report.dataset_name)}"
    errors.print(line, markup=False, highlight=False, soft_wrap=True)


def summary(report: UploadReport, counts: Progress | None) -> dict[str, object]:
    return {
        "finished": True,
        "dataset": report.dataset_name,
        "attempted": report.attempted,
        "uploaded": len(report.uploaded),
        "skipped": len(report.skipped),
        "restored": len(report.restored),
        "replaced": len(report.replaced),
        "different": [{"path": str(d.path), "image_id": d.image_id, "reason": d.reason} for d in report.different],
        "failures": [{"path": str(f.path), "code": f.code, "reason": f.reason} for f in report.failures],
        "left_aside": [{"path": str(it.path), "kind": it.kind, "reason": it.reason} for it in report.left_aside],
        "progress": counts.model_dump(mode="json") if counts else None,
    }


def print_report(report: UploadReport, counts: Progress | None) -> None:
    console.print(
        f"[bold]{len(report.uploaded)}[/] uploaded, [bold]{len(report.skipped)}[/] there already, "
        f"[bold]{len(report.failures)}[/] refused, in dataset [bold]{escape(report.dataset_name)}[/]."
    )
    if report.restored:
        console.print(f"[bold]{len(report.restored)}[/] were there already but archived; searches find them again.")
    if report.replaced:
        console.print(f"[bold]{len(report.replaced)}[/] images get the bytes of files that changed.")
    if report.different:
        console.print(
            f"[bold]{len(report.different)}[/] differ from the images of their names and were not sent: "
            "--replace sends them."
        )
        print_some("Different", [(d.path, d.reason) for d in report.different])
    if report.failures:
        print_some("Refused", [(f.path, f.reason) for f in report.failures])
    if report.left_aside:
        console.print(f"Left aside: {counted(report.left_aside)}.", markup=False, highlight=False, soft_wrap=True)
        order = list(LEFT_ASIDE_WORDS)
        left_aside = sorted(report.left_aside, key=lambda item: order.index(item.kind))
        print_some("Left aside", [(it.path, f"{it.kind.replace('_', ' ')}: {it.reason}") for it in left_aside])
    if counts:
        console.print(
            f"In the dataset: {counts.tagged} tagged, {counts.embedded} embedded only, {counts.failed} failed."
        )
    if counts and counts.replacing_failed:
        console.print(
            f"{counts.replacing_failed} images keep their old bytes, because the new ones failed: "
            "`pictograph images get IMAGE` says why."
        )
    if counts and counts.failed:
        console.print(f"[dim]pictograph images list {escape(report.dataset_name)} --state failed  says why[/]")


def print_some(title: str, rows: Sequence[tuple[Path, str]]) -> None:
    """A table of files that is cut where it would be too long to read, and says so."""
    print_table(title, ("file", "why"), rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        console.print(f"  and {len(rows) - MOST_ROWS} more: --json lists all", highlight=False)
