"""`keys list | create | revoke`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from rich.markup import escape

from pictograph.cli.connection import connected
from pictograph.cli.output import Json, console, print_json
from pictograph.cli.pages import All, Cursor, Limit, page_or_all, show_page

app = typer.Typer(no_args_is_help=True, help="API keys of your organization; needs an admin key.")

GivenRole = Literal["viewer", "member", "admin"]


@app.command("list")
def list_keys(
    context: typer.Context, limit: Limit = 1000, cursor: Cursor = None, all_rows: All = False, as_json: Json = False
) -> None:
    """All keys, oldest first, revoked ones included, without their secrets."""
    with connected(context) as client:
        rows = page_or_all(
            lambda: client.keys.list(limit=limit, cursor=cursor),
            client.keys.iterate,
            all_rows=all_rows,
            placed=bool(cursor),
        )
    cells = (
        (
            r.name,
            r.key_prefix + "...",
            r.role,
            "yes" if r.is_active else "revoked",
            f"{r.last_used_at:%Y-%m-%d %H:%M}" if r.last_used_at else "never",
            r.id,
        )
        for r in rows
    )
    show_page(rows, "API keys", ("name", "key", "role", "works", "last used", "id"), cells, as_json=as_json)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What it is for, in words.")],
    role: Annotated[
        GivenRole,
        typer.Option("--role", "-r", help="viewer reads, member uploads, admin deletes datasets and makes keys."),
    ] = "member",
    as_json: Json = False,
) -> None:
    """Make a key. It is shown this once."""
    with connected(context) as client:
        made = client.keys.create(name, role=role)
    if as_json:
        print_json(made)
        return
    console.print(f"[bold]{made.api_key}[/]", soft_wrap=True)
    console.print(
        f"Keep it now: it is not shown again. Name {escape(repr(made.name))}, role {made.role}, id {made.key_id}."
    )


@app.command()
def revoke(context: typer.Context, key_id: Annotated[str, typer.Argument(help="Id from `keys list`.")]) -> None:
    """Stop a key from working, at once."""
    with connected(context) as client:
        client.keys.revoke(key_id)
    console.print(f"Revoked {key_id}.")
