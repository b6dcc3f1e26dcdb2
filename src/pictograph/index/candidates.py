"""What codes propose for an answer: light, so that whoever re-ranks it need not load the library behind the codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from uuid import UUID

QueryKind: TypeAlias = Literal["image", "text"]
ID_BYTES: Final = 16
IMAGE_FACTOR: Final = 3
"""In halves of the limit."""
TEXT_FACTOR: Final = 2
EXTRA: Final = 50


@dataclass(frozen=True, slots=True)
class Candidates:
    """Images that may be the nearest ones. They are only an answer once `nearest_by_codes` has ranked them."""

    packed_ids: bytes
    """16 bytes an image, best first: some thousand `UUID` objects would cost more than finding them."""
    watermark: int
    """Transaction id: rows changed by it, or later, may be missing here."""
    era: str
    """Names the table's file and the run of the server that the watermark belongs to."""
    scanned: int
    """Codes that were looked at."""
    exhausted: bool
    """True if every code of the scope is here, so that more cannot be had."""

    def __len__(self) -> int:
        return len(self.packed_ids) // ID_BYTES

    @property
    def image_ids(self) -> list[UUID]:
        """The images, best first."""
        return [UUID(bytes=self.packed_ids[at : at + ID_BYTES]) for at in range(0, len(self.packed_ids), ID_BYTES)]


def uuid_array(packed_ids: bytes) -> str:
    """Ids of 16 bytes each as PostgreSQL reads a `uuid[]`: some thousand `UUID` objects cost more than finding them."""
    digits = packed_ids.hex()
    return "{" + ",".join(digits[at : at + 32] for at in range(0, len(digits), 32)) + "}"


def over_fetch(limit: int, kind: QueryKind) -> int:
    """How many candidates, ranked by their vectors, hold the `limit` nearest images: recall of 0.99 and more.

    Words lie far from every picture, so their neighbours are nearly equally far, and codes tell them apart less well.
    50 -> 125 (image), 150 (text); 500 -> 800, 1050. Source: `python -m benchmarks codes`.
    """
    if kind == "text":
        return TEXT_FACTOR * limit + EXTRA
    return IMAGE_FACTOR * limit // 2 + EXTRA


def shortlist(count: int, kind: QueryKind) -> int:
    """How many of the coarse codes are looked at again by their fine codes, so that the best `count` are among them.

    125 -> 800 (image), 150 -> 4000 (text); 800 -> 3500, 1050 -> 13000; the deeper, the fewer are needed for each.
    Source: `python -m benchmarks codes`.
    """
    if kind == "text":
        return min(10 * count + 2500, 3 * count + 9850)
    return min(4 * count + 300, 2 * count + 2000)
