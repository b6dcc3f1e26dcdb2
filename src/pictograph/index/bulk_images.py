"""Images that come with their vectors, as arrays, and what must hold of them before they are loaded."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from uuid_utils.compat import uuid7

from pictograph.errors import wrong_value
from pictograph.store.names import MAX_NAME, checked_filename, one_spelling, storable
from pictograph.types import DIMENSION, TAG_CATEGORIES, Tags

Bytes: TypeAlias = npt.NDArray[np.uint8]
Integers: TypeAlias = npt.NDArray[np.int64]
Halves: TypeAlias = npt.NDArray[np.float16]

LENGTH_TOLERANCE: Final = 0.01
"""Rounding to float16 moves a unit vector's length by less than a tenth of this."""
ROWS_CHECKED_AT_ONCE: Final = 1024


@dataclass(frozen=True, slots=True)
class BulkImages:
    """Images of one dataset, in each field one entry per image; 50,000 make a good chunk (120 MB)."""

    ids: Bytes
    """uint8 (N, 16): UUIDs; `new_ids` makes them."""
    folder_ids: Integers
    """int64 (N,): folders of the dataset; `make_folders` finds them."""
    filenames: Sequence[str]
    sha256s: Bytes
    """uint8 (N, 32): SHA-256 of each file's bytes."""
    sizes_bytes: Integers
    """int64 (N,): length of each file."""
    widths_px: Integers
    heights_px: Integers
    vectors: Halves
    """float16 (N, 1152), of length 1; zero-padded if the encoder's are narrower."""
    tags: Sequence[Tags] | None = None
    """None: the images are found by likeness alone."""
    tagger: str = "imported"
    content_type: str = "image/jpeg"

    def rows(self, chosen: npt.NDArray[np.intp] | slice) -> BulkImages:
        """These rows, in this order; the arrays are copied only where that changes anything."""
        if not isinstance(chosen, slice) and np.array_equal(chosen, np.arange(len(self.filenames))):
            return self
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return BulkImages(**{name: of_rows(value, chosen) for name, value in values.items()})

    def in_one_spelling(self) -> BulkImages:
        """The same with every filename in NFC."""
        if all(unicodedata.is_normalized("NFC", filename) for filename in self.filenames):
            return self
        return replace(self, filenames=[one_spelling(filename) for filename in self.filenames])


def of_rows(value: Any, chosen: npt.NDArray[np.intp] | slice) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, np.ndarray) or isinstance(chosen, slice):
        return value[chosen]
    return [value[row] for row in chosen]


def new_ids(count: int) -> Bytes:
    """uint8 (count, 16): UUIDs as uploads get them, rising."""
    return np.frombuffer(b"".join(uuid7().bytes for _ in range(count)), np.uint8).reshape(count, 16)


def check(images: BulkImages) -> None:
    """Raises ValidationError that names the first thing that is wrong."""
    count = len(images.filenames)
    for name, (dtype, *rest) in {
        "ids": (np.uint8, 16),
        "folder_ids": (np.int64,),
        "sha256s": (np.uint8, 32),
        "sizes_bytes": (np.int64,),
        "widths_px": (np.int64,),
        "heights_px": (np.int64,),
        "vectors": (np.float16, DIMENSION),
    }.items():
        given, shape = getattr(images, name), (count, *rest)
        fits = isinstance(given, np.ndarray) and given.dtype == dtype and given.shape == shape
        wanted = f"a NumPy array, {np.dtype(dtype)} {shape}"  # type: ignore[arg-type]
        require(fits, name, f"{name} must be {wanted}, for {count} filenames, not {described(given)}.")
    for filename in images.filenames:
        if not is_plain(filename):
            checked_filename(filename)
    check_tags(images.tags, count)
    check_lengths(images.vectors)


def is_plain(filename: str) -> bool:
    """True for nearly every name that `checked_filename` allows, found out faster."""
    return (
        0 < len(filename) <= MAX_NAME
        and filename.isprintable()
        and "/" not in filename
        and filename == filename.strip()
        and filename not in (".", "..")
    )


def check_tags(tags: Sequence[Tags] | None, count: int) -> None:
    require(tags is None or len(tags) == count, "tags", f"tags must have {count} entries, one for each filename.")
    categories, fine = set(TAG_CATEGORIES), set[str]()
    for given in tags or ():
        new = {label for labels in given.values() for label in labels if label not in fine}
        fits = given.keys() == categories and all(label == label.lower() and storable(label) for label in new)
        if not fits:
            message = f"tags must be lower-case labels under each of {', '.join(TAG_CATEGORIES)}, not {given!r}."
            require(False, "tags", message)
        fine |= new


def check_lengths(vectors: Halves) -> None:
    for start in range(0, len(vectors), ROWS_CHECKED_AT_ONCE):
        part = vectors[start : start + ROWS_CHECKED_AT_ONCE].astype(np.float32)
        lengths = np.sqrt(np.einsum("ij,ij->i", part, part))
        wrong = np.flatnonzero(~(np.abs(lengths - 1) <= LENGTH_TOLERANCE))  # NaN is wrong too
        if len(wrong):
            row, length = start + wrong[0], lengths[wrong[0]]
            require(False, "vectors", f"vectors must have length 1: row {row} has {length:.3f}. Divide it by that.")


def require(holds: bool, field: str, message: str) -> None:
    if not holds:
        raise wrong_value(field, message)


def described(given: Any) -> str:
    return f"{given.dtype} {given.shape}" if isinstance(given, np.ndarray) else type(given).__name__
