"""Datasets, and how far their images have come."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field

from pictograph.types import MAX_DESCRIPTION
from pictograph.wire import compat
from pictograph.wire.base import Name, Pictured, Wire
from pictograph.wire.images import Image


class Dataset(compat.DatasetNames, Pictured):
    """A named set of images."""

    brief: ClassVar[tuple[str, ...]] = ("name", "image_count", "total_size", "id")

    id: str
    """UUID."""
    organization_id: str
    """UUID of its organization."""
    name: str
    """Unique in its organization."""
    description: str | None = None
    """Free text."""
    description_is_cut: bool = False
    """True in a list if only its first 10,000 characters are here; `GET /datasets/{dataset}` has all of it."""
    image_count: int = 0
    """Images in it, archived ones not counted."""
    archived_image_count: int = 0
    """Archived images in it."""
    total_size: int = 0
    """Bytes of all its files."""
    created_at: datetime
    """When it was made, UTC."""
    updated_at: datetime | None = None
    """When its name or description last changed, UTC."""
    images: list[Image] | None = None
    """With `include_images`: the first of its images, newest first."""


class Progress(Wire):
    """How far the images of a dataset have come."""

    dataset_id: str
    """UUID of the dataset."""
    total: int
    """All images, archived ones included."""
    received: int
    """Stored and waiting to be processed."""
    embedded: int
    """Found by likeness; without tags."""
    tagged: int
    """Found by likeness and by tag."""
    failed: int
    """Could not be processed: `images.list(state="failed")` says which and why."""

    replacing: int = 0
    """Of all these, those that answer with their old bytes until the new ones are ready."""
    replacing_failed: int = 0
    """Of all these, those that keep their old bytes because the new ones failed: their `replacement` says why."""

    @property
    def done(self) -> bool:
        """True when nothing waits any more."""
        return self.received == 0 and self.replacing == 0


class DatasetCreate(compat.DatasetCreateFields):
    """Body of `POST /datasets/`."""

    name: Name
    """Unique in its organization; at most 255 characters, no slash."""
    description: Annotated[str, Field(max_length=MAX_DESCRIPTION)] | None = None
    """Free text."""


class DatasetUpdate(compat.DatasetUpdateFields):
    """Body of `PATCH /datasets/{dataset}`: only what changes."""

    new_name: Name | None = None
    """At most 255 characters, no slash."""
    description: Annotated[str, Field(max_length=MAX_DESCRIPTION)] | None = None
    """Free text."""


class DeletedDataset(Wire):
    """What was deleted with a dataset."""

    id: str
    """UUID that it had."""
    name: str
    """Name that it had, which is free again."""
    deleted: bool = True
    """Always true: there is no way back."""
    images_deleted: int
    """Images that were in it. Files that nothing else uses are removed in the hour after."""


class Retried(Wire):
    """How many images will be processed again."""

    images: int
    """Images that wait again."""
