"""`keys list | create | revoke | end-signed-urls`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape

from pictograph.cli.connection import connected
from pictograph.cli.output import Json, console, print_json
from pictograph.cli.pages import All, Cursor, Limit, page_or_all, show_page
from pictograph.types import Role
from pictograph.wire import ApiKey, CreatedApiKey

app = typer.Typer(no_args_is_help=True, help="API keys of your organization; needs an admin key.")


@app.command("list")
def list_keys(
    context: typer.Context, limit: Limit = 1000, cursor: Cursor = None, all_rows: All = False, as_json: Json = False
) -> None:
    """List all keys, oldest first, including revoked ones, without their secrets."""
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
            role_of(r),
            "yes" if r.is_active else "revoked" if r.revoked_by or not is_over(r) else "expired",
            f"{r.expires_at:%Y-%m-%d %H:%M}" if r.expires_at else "never",
            f"{r.last_used_at:%Y-%m-%d %H:%M}" if r.last_used_at else "never",
            r.id,
        )
        for r in rows
    )
    show_page(rows, "API keys", ("name", "key", "role", "works", "ends", "last used", "id"), cells, as_json=as_json)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    role: Annotated[
        Role,
        typer.Option(
            "--role",
            "-r",
            help="viewer reads, member uploads, admin deletes datasets and makes keys, admins cannot change "
            "an owner, installation also changes encoder and thresholds. It cannot be above your own role.",
        ),
    ] = "member",
    expires: Annotated[
        datetime | None,
        typer.Option(
            "--expires", help="When it stops working, in UTC. Default: never.", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"]
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key. Its secret is shown only once."""
    with connected(context) as client:
        made = client.keys.create(name, role=role, expires_at=expires.replace(tzinfo=UTC) if expires else None)
    if as_json:
        print_json(made)
        return
    console.print(f"[bold]{made.api_key}[/]", soft_wrap=True)
    console.print(
        f"Store it now: it is not shown again. Name {escape(repr(made.name))}, role {role_of(made)}, "
        f"{f'works until {made.expires_at:%Y-%m-%d %H:%M} UTC' if made.expires_at else 'works until it is revoked'}, "
        f"id {made.key_id}."
    )


@app.command()
def revoke(context: typer.Context, key_id: Annotated[str, typer.Argument(help="Id from `keys list`.")]) -> None:
    """Revoke a key: it stops working at once."""
    with connected(context) as client:
        client.keys.revoke(key_id)
    console.print(f"Revoked {key_id}.")


@app.command("end-signed-urls")
def end_signed_urls(context: typer.Context) -> None:
    """End every URL of a picture that was given out: a new secret signs later ones; needs role installation."""
    with connected(context) as client:
        client.keys.end_signed_urls()
    console.print("Every signed URL of a picture has ended. Later answers carry new ones.")


def role_of(key: ApiKey | CreatedApiKey) -> str:
    """The role as it was asked for; on the wire, `installation` is an owner with one thing more."""
    return "installation" if key.installation else key.role


def is_over(key: ApiKey) -> bool:
    return key.expires_at is not None and key.expires_at <= datetime.now(UTC)
