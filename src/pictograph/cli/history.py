"""`history`: who wrote an image, or changed the installation, and when."""

from __future__ import annotations

from typing import Annotated

import typer

from pictograph.cli.connection import connected
from pictograph.cli.output import Json
from pictograph.cli.pages import Cursor, Limit, show_page


def history(
    context: typer.Context,
    image_id: Annotated[
        str | None,
        typer.Argument(
            metavar="IMAGE",
            help="UUID of the image, from `images list`. Without one: who changed encoder and thresholds, which needs "
            "a key with role installation.",
        ),
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Show who wrote an image, and when, newest first: uploaded, archived, restored, replaced, moved, retried."""
    with connected(context) as client:
        if image_id is None:
            page = client.history(limit=limit, cursor=cursor)
        else:
            page = client.images.history(image_id, limit=limit, cursor=cursor)
    cells = (
        (
            f"{row.at:%Y-%m-%d %H:%M:%S}",
            f"{row.action} ({row.detail})" if row.detail else row.action,
            row.key_name or "",
            row.key_id or "",
        )
        for row in page
    )
    show_page(page, "writes", ("when (UTC)", "what", "by the key", "id"), cells, as_json=as_json)
