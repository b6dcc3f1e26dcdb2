"""What an image has in place of the SHA-256 of its bytes where only its vector is here.

It is made of the vector, the tags and the facts: the same row that comes again is known by it. And of the organization:
nobody finds out, or changes, what another one has. No picture's bytes begin like what is hashed here, so no upload can
ever meet it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np

from pictograph.bulk.images import Bytes, Halves, Integers
from pictograph.types import OrganizationId

DOMAIN: Final = b"pictograph imported vector 1\0"


def addresses(
    organization: OrganizationId,
    vectors: Halves,
    tags: Sequence[bytes],
    facts: tuple[Integers, Integers, Integers],
    content_types: Sequence[str],
) -> Bytes:
    """uint8 (N, 32). facts: widths, heights, sizes."""
    begun = hashlib.sha256(DOMAIN + organization.bytes)
    numbers = np.stack([array.astype("<i8") for array in facts], axis=1)
    rows = np.ascontiguousarray(vectors).data.cast("B")
    width = vectors.shape[1] * vectors.itemsize
    digests = bytearray()
    for row, (text, kind) in enumerate(zip(tags, content_types, strict=True)):
        digest = begun.copy()
        digest.update(rows[row * width : (row + 1) * width])
        digest.update(numbers[row].tobytes() + len(kind).to_bytes(2, "little") + kind.encode() + text)
        digests += digest.digest()
    return np.frombuffer(bytes(digests), np.uint8).reshape(len(vectors), 32)
