"""Collections: sets of images by name."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from pictograph.wire.base import Body, Name, Pictured, Wire

MAX_MEMBERS_SENT = 1000
"""Images that one request adds or takes out."""


class Collection(Wire, Pictured):
    """A set of images by name, across the datasets of an organization."""

    brief: ClassVar[tuple[str, ...]] = ("name", "image_count", "id")

    id: str
    """UUID."""
    name: str
    """Unique among the collections of the organization."""
    image_count: int
    """Images in it, archived ones not counted."""
    created_at: datetime
    """When it was made, UTC."""
    updated_at: datetime
    """When it was renamed or its images last changed, UTC."""


class CollectionCreate(Body):
    """Body of `POST /collections/`."""

    name: Name
    """At most 255 characters, no slash."""


class CollectionRename(Body):
    """Body of `PATCH /collections/{collection}`."""

    new_name: Name
    """At most 255 characters, no slash."""


class CollectionImages(Body):
    """Which images to add to a collection, or to take out of it."""

    image_ids: Annotated[list[UUID], Field(min_length=1, max_length=MAX_MEMBERS_SENT)]
    """At most 1000."""


class CollectionChange(Wire):
    """What a change of a collection's images did."""

    changed: int
    """Images that were added, or taken out."""
    unchanged: int
    """Images that were in it already, or that were not in it."""
