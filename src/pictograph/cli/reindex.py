"""`reindex`."""

from __future__ import annotations

import time
from typing import Annotated, Final

import typer

from pictograph.cli.connection import connected
from pictograph.cli.output import EXIT_FAILED, Json, Yes, console, print_json, print_table, progress_bar
from pictograph.client import Client
from pictograph.errors import ConfigurationError
from pictograph.wire import Reindex

POLL_S: Final = 1.0


def reindex(
    context: typer.Context,
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", "-e", help="Move to this one: `siglip2`, `offline`, another name, or a folder."),
    ] = None,
    back: Annotated[bool, typer.Option("--back", help="Move to the encoder that the library had before.")] = False,
    pace: Annotated[
        float, typer.Option("--pace", min=0.01, max=1.0, help="Share of the time that its workers work.")
    ] = 1.0,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Show the progress until it is done.")] = True,
    accept_failures: Annotated[
        bool, typer.Option("--accept-failures", help="Finish although searches will no longer find some images.")
    ] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel it; the library stays as it is.")] = False,
    forget_previous: Annotated[
        bool,
        typer.Option(
            "--forget-previous", help="Delete what encoders not in use have made, to free disk; there is no way back."
        ),
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Move the library to another encoder while searches go on; without options, show how far that is.

    The old encoder answers searches until the new one has embedded every image; then the new one does, from one moment
    to the next. Uploads go into both. Ctrl-C stops watching; the reindex goes on, also after a crash.

    Examples: pictograph reindex --encoder siglip2 --pace 0.5     pictograph reindex --back
    """
    if sum([encoder is not None, back, accept_failures, cancel, forget_previous]) > 1:
        raise ConfigurationError("Give one of --encoder, --back, --accept-failures, --cancel, --forget-previous.")
    with connected(context) as client:
        if forget_previous:
            forget(client, yes=yes, as_json=as_json)
            return
        if encoder is not None or back:
            client.reindex.start(encoder or previous_encoder(client), pace=pace)
        elif cancel:
            client.reindex.cancel()
        elif accept_failures:
            client.reindex.accept_failures()
        watching = wait and (encoder is not None or back or accept_failures)
        status = watched(client) if watching else client.reindex.status()
    show(status, as_json=as_json)
    if watching and status.state == "needs_decision":
        raise typer.Exit(EXIT_FAILED)


def previous_encoder(client: Client) -> str:
    previous = client.reindex.status().previous
    if previous is None:
        raise ConfigurationError("The library had no other encoder, or what it made was deleted. Use --encoder.")
    return previous.source


def watched(client: Client) -> Reindex:
    """Shows a bar until it is done, or needs somebody to decide."""
    with progress_bar("Embedding") as bar:
        while True:
            status = client.reindex.status()
            bar(status.done + status.failed, status.images)
            if status.state != "running":
                return status
            time.sleep(POLL_S)


def forget(client: Client, *, yes: bool, as_json: bool) -> None:
    if not yes:
        typer.confirm("Delete what encoders not in use have made of the library? There is no way back.", abort=True)
    count = client.reindex.forget_previous()
    if as_json:
        print_json({"spaces": count})
    else:
        console.print(f"Deleted {count}.")


def show(status: Reindex, *, as_json: bool) -> None:
    if as_json:
        print_json(status)
        return
    rows = [("searches ask", f"{status.active.encoder} (revision {status.active.revision})")]
    if status.building:
        rows += [
            ("on the way to", f"{status.building.encoder} (revision {status.building.revision})"),
            ("embedded", f"{status.done} of {status.images}, {status.failed} failed"),
            ("workers", f"{status.workers}, at pace {status.pace:g}"),
        ]
    if status.previous:
        rows.append(("to go back", f"pictograph reindex --back   ({status.previous.encoder})"))
    print_table("Reindex", ("", ""), rows)
    if status.new_failures:
        print_table(
            f"{status.new_failures} images that the new encoder could not take",
            ("image", "file", "why"),
            ((row.image_id, row.filename, row.reason) for row in status.examples),
        )
    if status.left_behind:
        console.print(
            f"{status.left_behind} of them were imported as vectors, so there is no picture to encode again: import "
            "vectors of the new encoder for them (pictograph import --replace) once the library has it."
        )
    if status.state == "needs_decision":
        console.print(
            "Searches would no longer find them, so the reindex waits for your decision:\n"
            "  pictograph reindex --encoder ...        try them once more\n"
            "  pictograph reindex --accept-failures    go on without them\n"
            "  pictograph reindex --cancel             stay with the old encoder",
            highlight=False,
        )
