"""What codes propose for an answer: light, so that whoever re-ranks it need not load the library behind the codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from uuid import UUID

QueryKind: TypeAlias = Literal["image", "text"]
ID_BYTES: Final = 16
IMAGE_FACTOR, IMAGE_EXTRA = 3, 50
TEXT_FACTOR, TEXT_EXTRA = 7, 750


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

    @property
    def array_literal(self) -> str:
        """The images as PostgreSQL reads a `uuid[]`."""
        digits = self.packed_ids.hex()
        return "{" + ",".join(digits[at : at + 32] for at in range(0, len(digits), 32)) + "}"


def over_fetch(limit: int, kind: QueryKind) -> int:
    """How many candidates hold the `limit` nearest images: recall of 0.99 and more; 0.98 for most words.

    Words lie far from every picture, so their neighbours are nearly equally far, and codes tell them apart less well.
    50 -> 200 (image), 1100 (text); 500 -> 1550, 4250. Ranking one costs as much as the exact scan of about eight rows:
    in scopes of fewer than ten times as many rows, that scan is as fast. Source: `python -m benchmarks codes`.
    """
    if kind == "text":
        return TEXT_FACTOR * limit + TEXT_EXTRA
    return IMAGE_FACTOR * limit + IMAGE_EXTRA
