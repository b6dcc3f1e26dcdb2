"""The images of a collection, a condition of a filter: in SQL its table says who is in it, in the index these ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

import numpy as np
import numpy.typing as npt

MOST_SEGMENTS: Final = 64
"""Whose rows are remembered: more than an index has at any time."""


class Members:
    """The ids of a collection's images as of one version of it; they are read once for all questions.

    Two of one collection are one condition, whatever their versions: a cursor goes on while images are added.
    """

    def __init__(self, collection: UUID, version: UUID, ids: bytes) -> None:
        """ids: 16 bytes each, none twice; images that were deleted since may be among them."""
        self.collection = collection
        self.version = version
        self.ids: npt.NDArray[np.uint8] = np.frombuffer(ids, np.uint8).reshape(-1, 16)
        """uint8 (N, 16)."""
        self._rows: dict[object, npt.NDArray[np.int64]] = {}

    def rows_in(self, segment: object, rows_of: Callable[[], npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
        """Their rows in a segment, rising; a segment never changes, so they are looked for once. segment: its name."""
        if segment not in self._rows:
            if len(self._rows) >= MOST_SEGMENTS:
                self._rows.clear()
            self._rows[segment] = np.sort(rows_of())
        return self._rows[segment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Members) and other.collection == self.collection

    def __hash__(self) -> int:
        return hash(self.collection)

    def __repr__(self) -> str:
        return f"Members({self.collection})"

    def __deepcopy__(self, _: object) -> Members:
        return self  # `asdict` copies: the ids of a million images are 16 MB
