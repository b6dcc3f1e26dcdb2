"""The command's root."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from pictograph.cli import (
    collections,
    datasets,
    duplicates,
    export,
    history,
    images,
    keys,
    mcp,
    models,
    reindex,
    saved,
    search,
    service,
    tags,
    tune,
    upload,
    vectors,
)
from pictograph.cli.connection import Connection
from pictograph.cli.failures import EXIT_HELP, carried_out, wants_json
from pictograph.cli.streams import set_up_streams
from pictograph.version import __version__

app = typer.Typer(
    name="pictograph",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Find the images of a vision dataset by likeness, by words, by tag.\n\n"
    "First: [bold]pictograph serve[/] in one terminal, then "
    "[bold]pictograph upload DIR --dataset NAME[/] and [bold]pictograph search tags --object car[/] in another.",
    epilog=EXIT_HELP,
)
app.command()(service.serve)
app.command(hidden=True)(service.serve_http)
app.command(hidden=True)(service.encode_pictures)
app.command()(service.worker)
app.command()(service.index)
app.command("find-duplicates", hidden=True)(service.find_duplicates)
app.command()(service.status)
app.command()(upload.upload)
app.command("import")(vectors.import_vectors)
app.command()(export.export)
app.command()(history.history)
app.command()(mcp.mcp)
app.command()(duplicates.duplicates)
app.command()(reindex.reindex)
app.command(hidden=True)(tune.tune)
app.add_typer(search.app, name="search")
app.add_typer(tags.app, name="tags")
app.add_typer(datasets.app, name="datasets")
app.add_typer(collections.app, name="collections")
app.add_typer(saved.app, name="saved")
app.add_typer(images.app, name="images")
app.add_typer(keys.app, name="keys")
app.add_typer(models.app, name="model")


def print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pictograph {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    api_key: Annotated[
        str | None, typer.Option("--api-key", help="Else PICTOGRAPH_API_KEY, else ~/.pictograph/config.toml.")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Else PICTOGRAPH_BASE_URL, else ~/.pictograph/config.toml.")
    ] = None,
    _debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of a fault of this program, not one line.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    context.obj = Connection(api_key, base_url)


def run() -> None:
    """Entry point: whatever goes wrong becomes one line and an exit code."""
    set_up_streams()
    # Typer's own text of a wrong command line is a box for people; scripts that asked for JSON get their one line.
    command = partial(app, standalone_mode=False) if wants_json() else app
    sys.exit(carried_out(command, debug="--debug" in sys.argv))
