"""Images that come with their vectors, as columns that are ready to be written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from uuid_utils import uuid7

from pictograph.types import Tags

Bytes: TypeAlias = npt.NDArray[np.uint8]
Integers: TypeAlias = npt.NDArray[np.int64]
Halves: TypeAlias = npt.NDArray[np.float16]

TAGGER = "imported"
"""What is said to have given the tags of imported images."""


@dataclass(frozen=True, slots=True)
class BulkImages:
    """Images of one dataset, in each field one entry per image. Whoever makes it has checked what is in it."""

    ids: Bytes
    """uint8 (N, 16): UUIDs; `new_ids` makes them."""
    folder_ids: Integers
    """int64 (N,): folders of the dataset; `make_folders` finds them."""
    filenames: Sequence[str]
    """In NFC."""
    sha256s: Bytes
    """uint8 (N, 32): what the images have in place of the SHA-256 of their bytes: bulk/addresses.py."""
    sizes_bytes: Integers
    """int64 (N,): length of each file, wherever it is; 0 where nobody said."""
    widths_px: Integers
    heights_px: Integers
    """0 where nobody said."""
    vectors: Halves
    """float16 (N, 1152), of length 1; zero-padded if the encoder's are narrower."""
    tags: Sequence[bytes] | None = None
    """JSON of each image's tags; `tag_documents` makes it. None: they are found by likeness alone."""
    content_types: Sequence[str] | str = "image/jpeg"
    """Text: all of them have it."""
    created_us: Integers | None = None
    """int64 (N,): microseconds since 1970, UTC; None is now."""

    def rows(self, chosen: npt.NDArray[np.intp] | slice) -> BulkImages:
        """These rows, in this order; the arrays are copied only where that changes anything."""
        if not isinstance(chosen, slice) and np.array_equal(chosen, np.arange(len(self.filenames))):
            return self
        return BulkImages(**{item.name: of_rows(getattr(self, item.name), chosen) for item in fields(self)})


def of_rows(value: Any, chosen: npt.NDArray[np.intp] | slice) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, np.ndarray) or isinstance(chosen, slice):
        return value[chosen]
    return [value[row] for row in chosen]


def new_ids(count: int) -> Bytes:
    """uint8 (count, 16): UUIDs as uploads get them, rising."""
    return np.frombuffer(b"".join(uuid7().bytes for _ in range(count)), np.uint8).reshape(count, 16)


def tag_documents(tags: Sequence[Tags]) -> list[bytes]:
    """The tags of each image as the database keeps them."""
    return [json.dumps(given).encode() for given in tags]
