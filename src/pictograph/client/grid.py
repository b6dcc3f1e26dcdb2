"""Rows, images and datasets as a grid of thumbnails, for notebooks: one piece of HTML that asks nobody for anything."""

from __future__ import annotations

import base64
import inspect
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final, TypeAlias

from pictograph.client import calls
from pictograph.client.origin import ORIGINS, Origin
from pictograph.client.patience import Patience
from pictograph.client.results import DuplicateGroups, Rows
from pictograph.client.threads import side_by_side
from pictograph.errors import ConfigurationError, PictographError, ValidationError
from pictograph.shown import shown
from pictograph.sniff import SNIFF_BYTES, content_type_of, sniff_format
from pictograph.types import TAG_CATEGORIES
from pictograph.wire import Collection, Dataset, DuplicateGroup, Image, SearchRow
from pictograph.wire.base import Pictured

MOST_CELLS: Final = 24
"""Cells of one grid."""
MOST_BYTES: Final = 2_000_000
"""Of all thumbnails in it: the notebook's file holds them."""
MOST_BYTES_OF_ONE: Final = 200_000
AT_ONCE: Final = 8
LONGEST_S: Final = 10.0
"""How long a notebook waits for all thumbnails together."""
TOO_SLOW: Final = "not here in time"
MOST_TAGS: Final = 4
MOST_WORDS: Final = 40
"""Characters of a reason that fits where a thumbnail would be; the line below the grid has all of it."""
MOST_NAME: Final = 60
"""Characters of a name below its thumbnail; all of it shows when the pointer rests there."""
EMBEDDED: Final = ("JPEG", "PNG", "WEBP")

LINE: Final = "border:1px solid rgba(128,128,128,.35);border-radius:4px"
CELL: Final = f"width:168px;{LINE};padding:4px;box-sizing:border-box;overflow:hidden;font-size:12px;line-height:1.35"
FRAME: Final = "height:120px;display:flex;align-items:center;justify-content:center;background:rgba(128,128,128,.12)"
PICTURE: Final = "max-width:100%;max-height:100%;object-fit:contain;margin:0"
ONE_LINE: Final = "white-space:nowrap;overflow:hidden;text-overflow:ellipsis"
FAINT: Final = "opacity:.7"
"""Colours are those of the page, so that the grid is read on a dark one as on a light one."""

SetOfImages: TypeAlias = Dataset | Collection
Thumbnail: TypeAlias = bytes | str
"""A picture, or why there is none."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture and what is said of it."""

    name: str
    whole_name: str
    facts: str
    """In front of the name: a score, a number of images."""
    tags: Sequence[str]
    picture_of: str | SetOfImages
    """UUID of an image, or a dataset or collection, for which its newest image stands."""


def html_of(thing: Pictured) -> str | None:
    """What a notebook shows of rows, an image or a dataset; None for what has no pictures: then it shows the text."""
    if isinstance(thing, SetOfImages):
        return grid_of_set(thing)
    if isinstance(thing, DuplicateGroups | DuplicateGroup):
        return grid_of_duplicates(thing)
    things: Sequence[Any] = thing if isinstance(thing, Rows) else [thing]
    if not things or not all(isinstance(item, SearchRow | Image | SetOfImages) for item in things):
        return None
    said = f"{type(thing).__name__}: {thing.said}" if isinstance(thing, Rows) else type(thing).__name__
    return grid(said, list(map(cell_of, things[:MOST_CELLS])), len(things), origin_of(thing, things))


def grid_of_set(things: SetOfImages) -> str:
    """The dataset or collection, with its newest images."""
    said = f"{type(things).__name__} {things.name!r}: {things.image_count:,} images"
    origin = ORIGINS.of(things)
    try:
        images = newest(things, MOST_CELLS // 2, origin)
    except PictographError as error:
        return grid(said, [], 0, None, note=error.message)
    note = "" if images is not None else why_nothing(origin)
    cells = list(map(cell_of, images or []))
    return grid(said, cells, things.image_count if cells else 0, origin, note=note)


def grid_of_duplicates(thing: DuplicateGroups | DuplicateGroup) -> str:
    """Group after group, the image to keep first."""
    groups = [thing] if isinstance(thing, DuplicateGroup) else list(thing)
    said = (
        f"DuplicateGroups: {thing.said}"
        if isinstance(thing, DuplicateGroups)
        else f"DuplicateGroup: {thing.size} images"
    )
    cells = [cell for number, group in enumerate(groups, start=1) for cell in cells_of_group(number, group)]
    return grid(
        f"{type(thing).__name__}: {said}",
        cells[:MOST_CELLS],
        sum(group.size for group in groups),
        origin_of(thing, groups),
    )


def cells_of_group(number: int, group: DuplicateGroup) -> Iterator[Cell]:
    """The images that are listed of one group."""
    for image in (group.representative, *group.others):
        place = f"{image.folder_path.rstrip('/')}/{image.filename}"
        why = f"keep: {group.because}" if image is group.representative else image.found_by
        yield Cell(image.filename, place, str(number), [why], image.image_id)


def newest(things: SetOfImages, most: int, origin: Origin | None) -> Sequence[Image] | None:
    """The newest images of a dataset or collection; None if nobody can be asked from here."""
    if origin is None or why_nothing(origin):
        return None
    call = (
        calls.list_images(things.id, None, None, None, False, most)
        if isinstance(things, Dataset)
        else calls.collection_images(things.id, most, None)
    )
    images: Sequence[Image] = origin.send(call, patience=Patience(0.0))
    return images


def origin_of(thing: Pictured, things: Sequence[Any]) -> Origin | None:
    """Where a list came from, or its first row: somebody may have sorted or filtered the rows."""
    return ORIGINS.of(thing) or (ORIGINS.of(things[0]) if things else None)


def cell_of(thing: SearchRow | Image | SetOfImages) -> Cell:
    """What is shown of one row."""
    if isinstance(thing, SetOfImages):
        return Cell(thing.name, thing.name, f"{thing.image_count:,} images", (), thing)
    place = f"{thing.folder_path.rstrip('/')}/{thing.filename}"
    by_category = thing.image_auto_tags
    tags = [label for category in TAG_CATEGORIES for label in by_category.get(category, ())]
    return Cell(thing.filename, place, score_of(thing), tags, thing.image_id)


def score_of(row: SearchRow | Image) -> str:
    """`0.83`, by whatever name the row has it; an image that is not ready says so."""
    if isinstance(row, Image):
        return "" if row.state == "tagged" else str(row.state)
    scores = (getattr(row, name, None) for name in ("score", "similarity"))
    return next((f"{score:.2f}" for score in scores if isinstance(score, float)), "")


def grid(said: str, cells: Sequence[Cell], total: int, origin: Origin | None, *, note: str = "") -> str:
    """The HTML. total: of what the cells are the first."""
    why = why_nothing(origin)
    fetched = thumbnails_of(cells, origin) if cells and origin and not why else {}
    pictures = within(MOST_BYTES, [fetched.get(number, why or TOO_SLOW) for number in range(len(cells))])
    parts = [html_of_cell(cell, picture) for cell, picture in zip(cells, pictures, strict=True)]
    missing = [picture for picture in pictures if isinstance(picture, str)]
    notes = [
        note,
        f"The first {len(cells)} of {total:,} are shown." if len(cells) < total else "",
        f"{len(missing)} without a thumbnail: {', '.join(dict.fromkeys(missing))}" if missing else "",
    ]
    rows = f'<div style="display:flex;flex-wrap:wrap;gap:6px;margin:6px 0">{"".join(parts)}</div>' if parts else ""
    below = text(" ".join(filter(None, notes)))
    return f'<div style="font-family:sans-serif"><div>{text(said)}</div>{rows}<div style="{FAINT}">{below}</div></div>'


def within(most_bytes: int, pictures: Sequence[Thumbnail]) -> list[Thumbnail]:
    """The pictures, as long as they are no more bytes than that together."""
    kept: list[Thumbnail] = []
    for picture in pictures:
        most_bytes -= len(picture) if isinstance(picture, bytes) else 0
        kept.append(picture if isinstance(picture, str) or most_bytes >= 0 else "left out: a grid has no more bytes")
    return kept


def html_of_cell(cell: Cell, picture: Thumbnail) -> str:
    """One cell."""
    if isinstance(picture, bytes):
        data = base64.b64encode(picture).decode("ascii")
        kind = content_type_of(sniff_format(picture[:SNIFF_BYTES]), picture[:SNIFF_BYTES])
        inside = f'<img style="{PICTURE}" alt="{text(cell.name)}" src="data:{kind};base64,{data}">'
    else:
        few = picture if len(picture) <= MOST_WORDS else "no thumbnail"
        inside = f'<span style="{FAINT};text-align:center">{text(few)}</span>'
    name = cell.name if len(cell.name) <= MOST_NAME else f"{cell.name[:MOST_NAME]}..."
    facts = f"<b>{text(cell.facts)}</b> " if cell.facts else ""
    tags = ", ".join(cell.tags[:MOST_TAGS]) + (", ..." if len(cell.tags) > MOST_TAGS else "")
    return (
        f'<div style="{CELL}" title="{text(cell.whole_name)}"><div style="{FRAME}">{inside}</div>'
        f'<div style="{ONE_LINE}">{facts}<bdi>{text(name)}</bdi></div>'
        f'<div style="{ONE_LINE};{FAINT}">{text(tags) or "&nbsp;"}</div></div>'
    )


def text(words: str) -> str:
    """Words of others as HTML shows them: never as tags, nothing invisible, nothing that turns what follows."""
    return escape(shown(words), quote=True)


def why_nothing(origin: Origin | None) -> str:
    """Why no thumbnail can be fetched here; nothing if they can."""
    if origin is None:
        return "These did not come from a client in this process."
    if inspect.iscoroutinefunction(origin.send):
        return "An AsyncClient found these, and a notebook cannot wait for it here: Client shows thumbnails."
    return ""


def thumbnails_of(cells: Sequence[Cell], origin: Origin) -> Mapping[int, Thumbnail]:
    """Thumbnails by the cells' numbers, several at once; what has not come in time is absent."""
    found: dict[int, Thumbnail] = {}
    patience, complete = Patience(0.0), threading.Event()

    def thumbnail(numbered: tuple[int, Cell]) -> Thumbnail:
        wanted = numbered[1].picture_of
        if not isinstance(wanted, str):
            images = newest(wanted, 1, origin)
            if not images:
                return "no images"
            wanted = images[0].id
        data: bytes = origin.send(calls.thumbnail_of_image(wanted), patience=patience)
        return checked(data)

    def collect() -> None:
        for (number, _), outcome in side_by_side(thumbnail, enumerate(cells), AT_ONCE, patience.stopped):
            found[number] = reason_of(outcome) if isinstance(outcome, Exception) else outcome
            if len(found) == len(cells):
                complete.set()

    threading.Thread(target=collect, name="thumbnails", daemon=True).start()
    complete.wait(LONGEST_S)
    patience.stopped.set()
    return dict(found)


def checked(data: bytes) -> Thumbnail:
    """The picture, if a notebook may hold it."""
    try:
        is_shown = sniff_format(data[:SNIFF_BYTES]) in EMBEDDED
    except ValidationError:
        is_shown = False
    if not is_shown:
        return "not a picture"
    return data if len(data) <= MOST_BYTES_OF_ONE else "too large"


def reason_of(error: Exception) -> str:
    """`no bytes`, `not found`; a closed client says what to do."""
    if isinstance(error, ConfigurationError):
        return error.message
    return error.code.replace("_", " ") if isinstance(error, PictographError) else type(error).__name__


Pictured.drawn = staticmethod(html_of)
