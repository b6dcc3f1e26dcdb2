"""The words every part shares: ids, states, tags, limits. Imports nothing heavy: the SDK reads this too."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal, NewType, TypeAlias
from uuid import UUID

OrganizationId = NewType("OrganizationId", UUID)
DatasetId = NewType("DatasetId", UUID)
ImageId = NewType("ImageId", UUID)
SpaceId = NewType("SpaceId", int)
Sha256 = NewType("Sha256", bytes)
"""32 bytes: the SHA-256 of an uploaded file, which names its blob and its encoding."""

DIMENSION: Final = 1152
"""Width of every stored vector; narrower encoders are zero-padded, which keeps every cosine."""

DEFAULT_THRESHOLD: Final = 0.6
DEFAULT_TEXT_THRESHOLD: Final = 0.0
"""Words against pictures have a scale of their own, another for each encoder: by default nothing is cut off."""
DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 500
MAX_EXAMPLES: Final = 32
"""Of one question."""
MAX_WEIGHT: Final = 100
"""Of one example."""
MAX_TOP: Final = 10_000
"""Images that relevance keeps, at most, where a fact orders them."""
MAX_TEXT: Final = 1000
"""Characters of a text to search by; encoders read only the first 64 or 128 tokens of it."""
MAX_QUERY_BYTES: Final = 16_000_000
"""Of the JSON of a query, which may carry pictures; larger ones go to `/search/by-image` as they are."""
MAX_CURSOR: Final = 1000
"""Characters of a cursor; ours have far fewer."""
MAX_BOX: Final = 200
"""Characters of a box in a query: four numbers."""
MAX_ID_SENT: Final = 10_000
"""Characters of what is sent as an id; ours are UUIDs, and what is none names nothing."""
MAX_LABEL: Final = 200
"""Characters of a tag in a question; the taxonomy's have far fewer."""
MAX_NAMED: Final = 1020
"""Characters of a name as it is sent: 255 once it is normalised, and each may come in several parts."""
MAX_FOLDER_SENT: Final = 4096
"""The same of a folder path, which has 1024 once it is normalised."""
MAX_DESCRIPTION: Final = 10_000
"""Characters of a dataset's description."""
MAX_README: Final = 100_000
"""Characters of a readme, which published clients send and which means nothing here."""
MAX_ENCODER: Final = 1024
"""Characters of what names an encoder: a name, or a folder on the server."""
MAX_OFFSET: Final = 1_000_000
MAX_LIST_OFFSET: Final = 2**62
"""Listing a dataset has no end of its own; this is what the database can count to."""

AUTO: Final = "auto"
Threshold: TypeAlias = float | Literal["auto"]
"""A lowest score; `auto` takes the one that the scope gives, or the words."""

TagCategory: TypeAlias = Literal["objects", "scenes", "attributes"]
TAG_CATEGORIES: Final[tuple[TagCategory, ...]] = ("objects", "scenes", "attributes")
Tags: TypeAlias = dict[TagCategory, list[str]]
"""Labels of one image, best first: `{"objects": ["car"], "scenes": ["street"], "attributes": []}`."""

TagMatch: TypeAlias = Literal["any", "all"]
"""How the tags inside one category combine; across categories they are always AND'd."""

Role: TypeAlias = Literal["viewer", "member", "admin", "owner", "installation"]
ROLES: Final[tuple[Role, ...]] = ("viewer", "member", "admin", "owner", "installation")
"""Rising: each may do what those before it may. Viewers read, members upload, admins delete datasets and make keys,
owners are out of the admins' reach; `installation` acts on what all organizations share: encoder, thresholds."""
OrganizationRole: TypeAlias = Literal["viewer", "member", "admin", "owner"]
"""The roles that the published clients know: in their answers a key with role `installation` is an `owner`."""


class ImageState(StrEnum):
    """How far an image has come on its way to being found."""

    RECEIVED = "received"
    """Stored, and its job is queued: nothing can be lost from here on."""
    EMBEDDED = "embedded"
    """Found by likeness; its encoder brings no tagger, or its tags are still to come."""
    TAGGED = "tagged"
    """Found by likeness and by tag."""
    FAILED = "failed"
    """Could not be processed; `reason` says why. Its bytes are kept."""


def empty_tags() -> Tags:
    """The tags of an image that has none."""
    return {"objects": [], "scenes": [], "attributes": []}
