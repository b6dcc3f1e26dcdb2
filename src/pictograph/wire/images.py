"""Images, and what is sent to store and find them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pictograph.types import MAX_FOLDER_SENT, MAX_NAMED, ImageState
from pictograph.wire import compat
from pictograph.wire.base import Body, DatasetReference, FolderPath, Name, Pictured, TagObject, Wire


class Replacement(Wire):
    """New bytes for an image: the old ones answer until these are ready."""

    state: Literal["waiting", "failed"]
    """`failed`: the old bytes stay."""
    sha256: str | None = None
    """Of the new bytes; None once they failed."""
    reason: str | None = None
    """Why they failed."""
    created_at: datetime
    """When they came, UTC."""


class Image(compat.ImageNames, Pictured):
    """One image, with everything but its bytes."""

    brief: ClassVar[tuple[str, ...]] = ("id", "filename", "folder_path", "state", "width", "height", "reason")

    id: str
    """UUID."""
    dataset_id: str
    """UUID of the dataset it is in."""
    filename: str
    """Its name within its folder."""
    folder_path: str
    """`/`, or `/a/b`."""
    state: ImageState
    """`received`, `embedded`, `tagged` or `failed`."""
    reason: str | None = None
    """Why it failed, if it did."""
    content_type: str
    """By content, not by name: `image/jpeg`."""
    width: int | None
    """Pixels across, upright; None if it was imported as a vector without it."""
    height: int | None
    """Pixels down, upright; None as `width`."""
    file_size: int
    """Bytes of the file."""
    has_bytes: bool = True
    """False for one that was imported as a vector: searches find it, but its picture is not here (409 `no_bytes`)."""
    sha256: str | None
    """Of the file's bytes, 64 hexadecimal digits; None without bytes."""
    image_auto_tags: TagObject
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
    tag_scores: dict[str, float] | None = None
    """In an answer about one image: `{"objects/car": 0.93}`, every label near or above its threshold."""
    tagger: str | None = None
    """In an answer about one image: which taxonomy and method gave its tags, `taxonomy-1+offline-2`."""
    replacement: Replacement | None = None
    """In an answer about one image: new bytes that are not ready yet, or that failed; then the old ones stay."""
    image_url: str
    """Address of its file; needs no key, and works for 12 to 24 hours."""
    thumbnail_url: str
    """Address of a picture of it of at most 320 px a side, likewise."""
    is_archived: bool = False
    """True if no search finds it."""
    created_at: datetime
    """When it was accepted, UTC."""
    updated_at: datetime | None = None
    """When its state last changed, UTC."""


class KnownImage(Wire):
    """The image at one of the places in the question."""

    position: int
    """Of the place in the question, from 0."""
    id: str
    """UUID of the image."""
    folder_path: str
    """`/`, or `/a/b`."""
    filename: str
    """Its name within its folder."""
    sha256: str | None
    """Of the file's bytes, 64 hexadecimal digits; null for an image that was imported as a vector."""
    file_size: int
    """Bytes of the file."""
    state: ImageState
    """`received`, `embedded`, `tagged` or `failed`."""
    is_archived: bool
    """True if no search finds it; `restore` brings it back."""
    next_sha256: str | None = None
    """Of the bytes that replace these as soon as a worker has finished them; null if none wait."""
    next_file_size: int | None = None
    """Their number."""


class UploadUrl(Wire):
    """Where to PUT the bytes of one file."""

    upload_url: str
    """Valid for an hour; it needs no key, so treat it as one."""


class UploadUrlRequest(compat.UploadUrlFields):
    """Body of `POST /images/upload-url`."""

    dataset: DatasetReference
    """Name or UUID."""
    filename: Name
    """At most 255 characters."""
    directory_path: FolderPath = "/"
    """At most 1024 characters."""
    replace: bool = False
    """An image that has the place keeps its id, labels and corrections, and gets these bytes."""


class RegisterRequest(UploadUrlRequest, compat.RegisterFields):
    """Body of `POST /images/register`, after the bytes were PUT."""


class PlaceInDataset(Body):
    """A folder and a filename."""

    directory_path: Annotated[str, Field(max_length=MAX_FOLDER_SENT)] = "/"
    """Exactly this folder. A name that no folder can have finds nothing."""
    filename: Annotated[str, Field(max_length=MAX_NAMED)]
    """Exactly this name. A name that no file can have finds nothing."""


class WhichExistRequest(Body):
    """Body of `POST /images/which-exist`."""

    dataset: DatasetReference
    """Name or UUID."""
    files: Annotated[list[PlaceInDataset], Field(max_length=1000)]
    """At most 1000 places."""


class DeletedImage(Wire):
    """What became of an image that was deleted."""

    id: str
    """UUID of the image."""
    deleted: bool
    """True if it was removed for good."""
    archived: bool
    """True if it was archived: no search finds it, and `restore` brings it back."""


class StoredBytes(Wire):
    """Answer of `PUT` to an upload URL."""

    stored: bool = True
    """Always true: register the bytes now."""
