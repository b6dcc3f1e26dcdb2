"""`tune`, which no longer measures anything; it stays for one release so that scripts that call it go on."""

from __future__ import annotations

from typing import Annotated

import typer

from pictograph.cli.output import Json, print_json
from pictograph.cli.service import DatabaseUrl, DataDir

GONE = (
    "pictograph tune no longer does anything and goes with the next version: on machines three times slower or faster, "
    "what it measured saved a search at most 1 ms on average (docs/decisions/0008-planner-costs.md). Remove the call."
)


def tune(
    _data_dir: DataDir = None,
    _database_url: DatabaseUrl = None,
    _dry_run: Annotated[bool, typer.Option("--dry-run", help="Ignored.")] = False,
    _show: Annotated[bool, typer.Option("--show", help="Ignored.")] = False,
    _reset: Annotated[bool, typer.Option("--reset", help="Ignored.")] = False,
    _images: Annotated[int | None, typer.Option("--images", help="Ignored.", hidden=True)] = None,
    _seconds: Annotated[float | None, typer.Option("--seconds", help="Ignored.", hidden=True)] = None,
    as_json: Json = False,
) -> None:
    """Deprecated: does nothing. The planner's costs are fixed, because fitting them to a machine gained nothing."""
    typer.echo(GONE, err=True)
    if as_json:
        print_json({"stored": False, "warning": GONE})
