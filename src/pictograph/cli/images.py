"""`images list | get | upload | download | delete | restore`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Final, TypedDict

import typer
from rich.markup import escape

from pictograph.cli.connection import connected
from pictograph.cli.output import Json, Yes, console, print_json, print_table
from pictograph.cli.pages import All, Cursor, Limit, page_or_all, show_page
from pictograph.errors import ConflictError
from pictograph.types import TAG_CATEGORIES, ImageState
from pictograph.wire import Image

app = typer.Typer(no_args_is_help=True, help="Pictures in datasets.")

ImageId = Annotated[str, typer.Argument(help="UUID of the image.")]
COLUMNS: Final = ("image", "file", "state", "size", "why it failed")


class Filters(TypedDict):
    """Which images of a dataset to list."""

    folder_path: str | None
    state: ImageState | None
    include_archived: bool


@app.command("list")
def list_images(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Name or UUID.")],
    folder: Annotated[str | None, typer.Option("--folder", "-f", help="Exactly this folder.")] = None,
    state: Annotated[ImageState | None, typer.Option("--state", "-s", help="`failed` says what went wrong.")] = None,
    archived: Annotated[bool, typer.Option("--archived", help="Include archived images.")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
    all_rows: All = False,
    offset: Annotated[
        int, typer.Option("--offset", min=0, help="Rows to skip; not stable while images are added or removed.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """List the images of a dataset, newest first."""
    with connected(context) as client:
        wanted: Filters = {"folder_path": folder, "state": state, "include_archived": archived}
        page = page_or_all(
            lambda: client.images.list(dataset, **wanted, limit=limit, cursor=cursor, offset=offset),
            lambda: client.images.iterate(dataset, **wanted),
            all_rows=all_rows,
            placed=bool(cursor or offset),
        )
    show_page(page, "images", COLUMNS, cells_of(page), as_json=as_json)


@app.command()
def get(context: typer.Context, image_id: ImageId, as_json: Json = False) -> None:
    """Show everything about one image, including the scores of its tags."""
    with connected(context) as client:
        image = client.images.get(image_id)
    if as_json:
        print_json(image)
        return
    facts = image.model_dump(
        include={"filename", "folder_path", "state", "reason", "content_type", "width", "height", "tagger"}
    )
    print_table(image.id, ("", ""), facts.items())
    scores = sorted((image.tag_scores or {}).items(), key=lambda item: -item[1])
    tagged = {f"{category}/{label}" for category in TAG_CATEGORIES for label in image.image_auto_tags.get(category, [])}
    print_table("Tags", ("label", "score", "given"), ((n, f"{s:.3f}", "yes" if n in tagged else "") for n, s in scores))


@app.command()
def upload(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Name or UUID.")],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The picture.")],
    folder: Annotated[str, typer.Option("--folder", "-f")] = "/",
    name: Annotated[str | None, typer.Option("--name", help="Default: the file's own.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="An image of that name keeps its id and gets these bytes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Upload one picture. For a directory there is `pictograph upload`."""
    with connected(context) as client:
        show([client.images.upload(dataset, file, folder_path=folder, filename=name, replace=replace)], as_json=as_json)


@app.command()
def download(
    context: typer.Context,
    image_id: ImageId,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Default: the file's own name, in this folder.")
    ] = None,
    thumbnail: Annotated[bool, typer.Option("--thumbnail", help="A small JPEG instead of the file.")] = False,
) -> None:
    """Save the file, exactly as it was uploaded. Another file of its name here stays; one that --out names is replaced.

    Example: pictograph images download 0198c0de-... --out car.jpg
    """
    with connected(context) as client:
        image = client.images.get(image_id)
        data = client.images.thumbnail(image_id) if thumbnail else client.images.download(image_id)
    own = Path(Path(image.filename).name)
    own = own.with_suffix(".thumbnail.jpg") if thumbnail else own
    if out is None and own.exists() and own.read_bytes() != data:
        raise ConflictError(f"{own} is here already and is another file. Name one with --out.")
    target = out or own
    save(target, data)
    console.print(f"{len(data)} bytes written to [bold]{escape(str(target))}[/]")


@app.command()
def delete(
    context: typer.Context,
    image_id: ImageId,
    permanent: Annotated[bool, typer.Option("--permanent", help="Delete it for good instead of archiving it.")] = False,
    yes: Yes = False,
) -> None:
    """Archive an image: no search finds it, and `restore` brings it back."""
    if permanent and not yes:
        typer.confirm(f"Remove {image_id} for good?", abort=True, err=True)
    with connected(context) as client:
        client.images.delete(image_id, permanent=permanent)
    console.print(f"{'Removed' if permanent else 'Archived'} {image_id}.")


@app.command()
def restore(context: typer.Context, image_id: ImageId, as_json: Json = False) -> None:
    """Bring an archived image back into every search."""
    with connected(context) as client:
        show([client.images.restore(image_id)], as_json=as_json)


@app.command()
def retry(
    context: typer.Context, dataset: Annotated[str, typer.Argument(help="Name or UUID.")], as_json: Json = False
) -> None:
    """Process again the images of a dataset that failed.

    `pictograph images list DATASET --state failed` says why they failed.
    """
    with connected(context) as client:
        count = client.datasets.retry_failed(dataset)
    if as_json:
        print_json({"images": count})
    else:
        console.print(f"{count} images will be processed again.", highlight=False)


def save(target: Path, data: bytes) -> None:
    """Writes the file. Raises OSError that names it: the system's own does not where a disk is full."""
    try:
        target.write_bytes(data)
    except OSError as error:
        error.filename = error.filename or str(target)
        raise


def show(rows: list[Image], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    print_table(f"{len(rows)} images", COLUMNS, cells_of(rows))


def cells_of(rows: Sequence[Image]) -> Iterable[Sequence[object]]:
    return (
        (
            r.id,
            f"{r.folder_path.rstrip('/')}/{r.filename}",
            r.state,
            f"{r.width}x{r.height}" if r.width else "",
            r.reason or "",
        )
        for r in rows
    )
