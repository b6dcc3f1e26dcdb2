"""What an export has of each image, and what each of its pages says."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Final, Literal

from pictograph.types import ImageState
from pictograph.wire.base import TagObject, Wire

CHANGED: Final = "Pictograph-Changed"
"""Header of a page of vectors: `ExportPage.changed`."""
CUT_OFF: Final = "Pictograph-Cut-Off"
"""Header of a page of vectors, if it is so: `ExportPage.cut_off`."""
VANISHED: Final = "Pictograph-Vanished"
"""Header of a page of vectors: `ExportPage.vanished`."""
STARTED: Final = "Pictograph-Started-At"
"""Header of a page of vectors: `ExportPage.started_at`."""
MAX_ZIPPED: Final = 20_000
"""Images of one zip: its directory, which comes last, is in the server's memory until then."""


class ExportedImage(Wire):
    """Everything about one image but its bytes and its vector."""

    brief: ClassVar[tuple[str, ...]] = ("image_id", "dataset_name", "folder_path", "filename")

    image_id: str
    """UUID of the image."""
    dataset_id: str
    """UUID of the dataset it is in."""
    dataset_name: str
    """Name of the dataset it is in."""
    folder_path: str
    """`/`, or `/a/b`."""
    filename: str
    """Its name within its folder."""
    original_filename: str | None = None
    """How the name was written before it was brought to NFC, the one spelling of names; null if it is as it was."""
    original_folder_path: str | None = None
    """The same of its folder."""
    state: ImageState
    """`received`, `embedded`, `tagged` or `failed`."""
    content_type: str
    """By content, not by name: `image/jpeg`."""
    width: int | None = None
    """Pixels across, upright; null if it was imported as a vector without it."""
    height: int | None = None
    """Pixels down, upright; null as `width`."""
    file_size: int
    """Bytes of the file."""
    has_bytes: bool
    """False for one that was imported as a vector: there is no file."""
    sha256: str | None = None
    """Of the file's bytes, 64 hexadecimal digits; null without bytes."""
    tags: TagObject
    """Its automatic tags, best first."""
    taken_at: datetime | None = None
    """When it was taken, by its EXIF; local time counts as UTC where the file names no offset. Null: not said."""
    camera: str | None = None
    """Make and model, by its EXIF. Null: not said."""
    sharpness: float | None = None
    """About 0 blurred to 1 crisp, may lie beyond; a logarithmic measure of its pixels. Null below 48 pixels."""
    brightness: float | None = None
    """Mean luminance, 0 black to 1 white."""
    contrast: float | None = None
    """Standard deviation of the luminance, 0 to 0.5."""
    average_color: str | None = None
    """Mean of its pixels: `#8a7f6c`."""
    perceptual_hash: str | None = None
    """64 bits, 16 hexadecimal digits: pictures that look alike differ in few bits."""
    facts_known: bool = False
    """False while nobody has looked at the picture for what stands between `taken_at` and here: then those are null."""
    created_at: datetime
    """When it was accepted, UTC."""
    updated_at: datetime
    """When its state last changed, UTC."""
    score: float | None = None
    """How well it answers the question; null without examples."""
    similarity: float | None = None
    """To the nearest of the examples that are wanted; null without examples."""


class ExportPage(Wire):
    """Answer of `POST /search/export`: some rows of a walk through everything that a query finds."""

    rows: list[ExportedImage]
    """In the query's order."""
    next_cursor: str | None = None
    """Where the next page begins: send it with the same query. Null on the last page."""
    started_at: datetime
    """When the walk began, UTC: images that were uploaded later are not in it."""
    total: int | None = None
    """How many images the query finds, when this page was asked for; null where that is not counted."""
    total_is: Literal["exact", "estimate"] | None = None
    """Whether `total` is exact or an estimate; null where there is no total."""
    left_out: int | None = None
    """On the first page: images of the query's place and filter that no search finds yet: they wait, or failed."""
    changed: int
    """Rows of this page that changed after the walk began: they are here as they are now."""
    vanished: int
    """Images that this page would have had, but that were deleted while it was made."""
    cut_off: bool = False
    """Whether more images pass the threshold than can be put in the order of a fact: then it is of the best 10,000."""
    blob_store: str | None = None
    """Which blob store the library has, as the file `pictograph-blob-store.json` in it says."""
