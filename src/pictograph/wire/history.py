"""Who changed what, and which names an upgrade changed."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pictograph.wire.base import Wire


class Write(Wire):
    """One write of an image, a dataset or the installation: who, what and when."""

    at: datetime
    """When, UTC."""
    action: str
    """Of an image `uploaded`, `imported` (it came as a vector), `archived`, `restored`, `replacing` (other bytes were
    sent), `replaced` (they are its own now), `moved` or `retried`; of a dataset `created`, `renamed` or `described`; of
    the installation `threshold changed`, `reindex started`, `reindex cancelled`, `failures accepted`,
    `encoder changed` or `encoder forgotten`."""
    detail: str | None = None
    """Of an act on the installation: the encoder, or `objects/dog: default -> 0.4`."""
    key_id: str | None = None
    """The API key of the request; None where the service itself wrote, or before keys were noted."""
    key_name: str | None = None
    """The name of that key."""


class NameChange(Wire):
    """A name that differed from its NFC spelling, and what it became."""

    kind: Literal["dataset", "folder", "image", "api_key"]
    """What has the name."""
    object_id: str
    """UUID, or the number of a folder."""
    dataset_id: str | None = None
    """UUID of the dataset it is in, or is."""
    original: str
    """What it was."""
    becomes: str
    """What it is: NFC, with ` (2)` where an older one had that name."""
    created_at: datetime
    """When it was changed, UTC."""
