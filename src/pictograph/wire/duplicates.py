"""Near-duplicates: groups of images, and what people decide about them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal
from uuid import UUID

from pydantic import Field

from pictograph.wire.base import Body, Pagination, Pictured, Wire

MAX_DECIDED: Final = 100


class DuplicateImage(Wire):
    """One image of a group, and how it is a near-duplicate of the representative."""

    brief: ClassVar[tuple[str, ...]] = (
        "image_id",
        "filename",
        "folder_path",
        "found_by",
        "hash_distance",
        "similarity",
    )

    image_id: str
    """UUID of the image."""
    filename: str
    """Its name within its folder."""
    folder_path: str
    """`/`, or `/a/b`."""
    dataset_id: str
    """UUID of the dataset it is in."""
    found_by: Literal["representative", "bytes", "hash", "vector", "both"]
    """What says so: the same bytes, the perceptual hash (and a vector that does not contradict), the vector alone, or
    both together, which each alone would not."""
    hash_distance: int | None = None
    """In how many of 64 bits its perceptual hash differs from the representative's; null where one is not known."""
    mirrored: bool = False
    """Whether its hash is nearer to that of the representative's mirror image."""
    similarity: float | None = None
    """Of its vector and the representative's, as searches have it; null where one is missing."""
    keep: bool = False
    """Whether somebody decided to keep it."""
    width: int | None
    """Pixels across, upright."""
    height: int | None
    """Pixels down, upright."""
    file_size: int
    """Bytes of the file."""
    content_type: str
    """By content, not by name: `image/jpeg`."""
    sharpness: float | None = None
    """About 0 blurred to 1 crisp; null while it is not known."""
    created_at: datetime
    """When it was accepted, UTC."""
    thumbnail_url: str
    """Address of a picture of it of at most 320 px a side; needs no key, and works for 12 to 24 hours."""
    image_url: str
    """Address of its file, likewise."""


class DuplicateGroup(Wire, Pictured):
    """Images, each of which is a near-duplicate of the representative; of each other they need not be."""

    brief: ClassVar[tuple[str, ...]] = ("size", "representative", "because")

    id: str
    """UUID; stays the same while images come and go."""
    size: int
    """Images in it, the representative too."""
    representative: DuplicateImage
    """The image that the group is named after, and the one to keep."""
    because: str
    """Why that one: `chosen` by somebody, `larger`, `sharper`, `older`, `nearest to all` where a better one is not near
    all others, or `in the other place`."""
    others: list[DuplicateImage]
    """The first of the others."""
    left_out: int = 0
    """Others that are not listed, because they are too many: ask for more with `members`."""


class DuplicatesAnswer(Wire):
    """Answer of `GET /datasets/{dataset}/near-duplicates`."""

    data: list[DuplicateGroup]
    """Groups of this page, by the age of their oldest images."""
    pagination: Pagination
    """`total` counts groups; while `state` is `running` it is 0."""
    duplicates: int
    """Images beside the representatives, in the groups of all pages."""
    state: Literal["complete", "refreshing", "running"]
    """`complete`: of the images that were there at `found_at`. `refreshing`: likewise, and being made again. `running`:
    nothing was found yet, because the first run is not finished."""
    done: int = 0
    """Of a run that goes on: images that were compared."""
    total: int = 0
    """Of a run that goes on: images that are to be compared."""
    found_at: datetime | None = None
    """The moment whose images the groups are of, UTC; null before the first run has ended."""
    images: int = 0
    """Images of the place at that moment."""
    not_hashed: int = 0
    """Those of them whose perceptual hash is not known yet: found by their bytes and vectors alone."""
    not_embedded: int = 0
    """Those of them without a vector yet, or for good: found by their bytes and nearly equal hashes alone."""
    threshold: float
    """The similarity of vectors that sufficed alone."""
    hash_distance: int
    """The distance of hashes that sufficed with a vector that does not contradict."""
    threshold_is_measured: bool = True
    """False: the default threshold was measured with another encoder than the one that runs; look at some groups, and
    give a `threshold` of your own."""


class DuplicateDecision(Body):
    """Body of `POST /duplicates/decisions`."""

    image_ids: Annotated[list[UUID], Field(min_length=1, max_length=MAX_DECIDED)]
    """At most 100."""
    decision: Literal["not_duplicates", "keep"]
    """`not_duplicates`: no two of them are. `keep`: each is to be kept, and names its group."""
    take_back: bool = False
    """Takes such a decision back."""


class DuplicateDecided(Wire):
    """What was remembered."""

    image_ids: list[str]
    """Of the images."""
    decision: str
    """What was decided about them."""
    taken_back: bool
    """Whether the decision was taken back."""
