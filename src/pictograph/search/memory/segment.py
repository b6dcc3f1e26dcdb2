"""One immutable part of the index: some ten thousand images in files that every serving process maps.

Rows are sorted by dataset, folder and time. All columns share that numbering: facts, tags, and for each space the codes
and the float16 vectors. Nothing in a segment changes; what is deleted or written again later is a tombstone beside it.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeAlias

import faiss
import numpy as np
import numpy.typing as npt

from pictograph.search.memory.quantiser import COARSE_BYTES, FINE_BYTES, Bytes, Quantiser
from pictograph.types import DIMENSION, SpaceId

VERSION: Final = 1
"""Of the files' layout; a segment of another version is made anew."""
ABOUT: Final = "about.json"
ID_BYTES: Final = 16
Mask: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = npt.NDArray[np.int64]
NO_ROWS: Final[Rows] = np.zeros(0, np.int64)
Label: TypeAlias = tuple[str, str]
"""(category, name)."""


class Doubtful(Exception):
    """A file of the index is not what it should be; the index is made anew."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of N images beside vectors and tags; row i of each array is image i."""

    ids: Bytes
    """uint8 (N, 16)."""
    dataset: Bytes
    """uint8 (N, 16): the id of its dataset."""
    folder: npt.NDArray[np.int64]
    created: npt.NDArray[np.int64]
    """Microseconds since 1970."""
    width: npt.NDArray[np.int32]
    height: npt.NDArray[np.int32]
    file_size: npt.NDArray[np.int64]
    format: npt.NDArray[np.uint8]
    """Its place in `FORMATS`; the last one is any other."""
    state: npt.NDArray[np.uint8]
    """Its place in `STATES`."""
    archived: Mask

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: npt.NDArray[Any]) -> Facts:
        """Those rows, by number or by mask."""
        return Facts(*(getattr(self, column.name)[rows] for column in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Facts]) -> Facts:
        """All of them, in the order given; at least one."""
        return cls(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls)))


@dataclass(frozen=True, slots=True)
class TagLists:
    """Which rows carry which tag, by tag and by row."""

    labels: Sequence[Label]
    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.uint32]
    """Rising rows of label t: `rows[starts[t]:starts[t + 1]]`."""
    row_starts: npt.NDArray[np.int64]
    row_labels: npt.NDArray[np.uint16]
    """Labels of row r, by number, rising: `row_labels[row_starts[r]:row_starts[r + 1]]`."""

    @classmethod
    def of(cls, carried: Sequence[Sequence[Label]]) -> TagLists:
        """carried: the labels of each row; one that comes twice counts once."""
        labels = sorted({label for row in carried for label in row})
        number = {label: place for place, label in enumerate(labels)}
        by_row = [sorted({number[label] for label in row}) for row in carried]
        row_starts = np.cumsum([0, *map(len, by_row)], dtype=np.int64)
        row_labels = np.fromiter((label for row in by_row for label in row), np.uint16, int(row_starts[-1]))
        rows = np.repeat(np.arange(len(by_row), dtype=np.uint32), np.diff(row_starts))
        order = np.argsort(row_labels, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(row_labels, minlength=len(labels)))]).astype(np.int64)
        return cls(labels, starts, rows[order], row_starts, row_labels)


@dataclass(frozen=True, slots=True)
class Vectors:
    """One space's vectors of a segment's rows; those without one have zeros."""

    has: Mask
    coarse: Bytes
    """uint8 (N, 152)."""
    fine: Bytes
    """uint8 (N, 576)."""
    float16: npt.NDArray[np.float16]
    """float16 (N, 1152)."""


def write(
    folder: Path, facts: Facts, tags: TagLists, vectors: Mapping[SpaceId, tuple[Quantiser, Vectors]]
) -> dict[str, int]:
    """Writes a segment, whole and flushed, and returns its files' checksums. facts: sorted as rows are."""
    folder.mkdir()
    files: dict[str, npt.NDArray[Any]] = {column.name: getattr(facts, column.name) for column in fields(Facts)}
    files |= {"tag_starts": tags.starts, "tag_rows": tags.rows}
    files |= {"tag_row_starts": tags.row_starts, "tag_row_labels": tags.row_labels}
    heads, tails = halves(facts.ids)
    by_id = np.lexsort((tails, heads)).astype(np.uint32)
    files |= {"newest": newest_first(facts), "by_id": by_id, "id_heads": heads[by_id]}
    for space, (_, one) in vectors.items():
        files |= {f"has-{space}": one.has, f"fine-{space}": one.fine, f"norm-{space}": inverse_norms(one.float16)}
    for name, array in files.items():
        with (folder / f"{name}.npy").open("wb") as file:
            np.save(file, np.ascontiguousarray(array))
    for space, (quantiser, one) in vectors.items():
        coarse = quantiser.empty_coarse()
        coarse.add_sa_codes(np.ascontiguousarray(one.coarse))
        faiss.write_index(coarse, str(folder / f"coarse-{space}.faiss"))
        exact = faiss.IndexScalarQuantizer(DIMENSION, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        exact.is_trained = True
        exact.add_sa_codes(np.ascontiguousarray(one.float16).view(np.uint8).reshape(len(one.float16), -1))
        faiss.write_index(exact, str(folder / f"float16-{space}.faiss"))
    checksums = {path.name: checksum(path) for path in sorted(folder.iterdir())}
    about = {
        "version": VERSION,
        "rows": len(facts),
        "labels": [list(label) for label in tags.labels],
        "spaces": [int(space) for space in vectors],
        "files": {name: [(folder / name).stat().st_size, crc] for name, crc in checksums.items()},
    }
    (folder / ABOUT).write_text(json.dumps(about), encoding="utf-8")
    for path in [*folder.iterdir(), folder, folder.parent]:
        flush(path)
    return checksums


def checksum(path: Path) -> int:
    """CRC-32 of a file."""
    crc = 0
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            crc = zlib.crc32(part, crc)
    return crc


def flush(path: Path) -> None:
    """Makes sure that a file, or a folder's list of files, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def inverse_norms(vectors: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
    """1 / length of each row, float32 (N,): float16 keeps unit length only to about 1e-4. 0 where a row is zeros."""
    lengths = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), 8192):
        part = vectors[start : start + 8192].astype(np.float32)
        lengths[start : start + 8192] = np.sqrt(np.einsum("ij,ij->i", part, part))
    return np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)


@dataclass(frozen=True)
class MappedVectors:
    """As `Vectors`, mapped."""

    has: Mask
    coarse: Any
    fine: Bytes
    exact: Any
    """faiss's index of the float16 vectors, by inner product."""
    norm: npt.NDArray[np.float32]
    float16: npt.NDArray[np.float16]


@dataclass(frozen=True)
class Segment:
    """A segment as it lies on the disk, mapped; made by `open_segment`."""

    folder: Path
    facts: Facts
    tags: TagLists
    vectors: Mapping[SpaceId, MappedVectors]
    newest: npt.NDArray[np.uint32] = field(repr=False)
    """Rows, the newest first, ties by id."""
    by_id: npt.NDArray[np.uint32] = field(repr=False)
    """Rows by rising id."""
    id_heads: npt.NDArray[np.uint64] = field(repr=False)
    """The first eight bytes of each id as a number, in that order."""
    run_starts: npt.NDArray[np.int64] = field(repr=False)
    """Where each run of rows of one dataset and folder begins."""
    run_lengths: npt.NDArray[np.int64] = field(repr=False)
    number: Mapping[Label, int] = field(repr=False)
    """The place of each label in `tags.labels`."""

    def __len__(self) -> int:
        return len(self.facts)

    def carrying(self, label: Label) -> npt.NDArray[np.uint32]:
        """The rising rows that carry this tag."""
        number = self.number.get(label)
        if number is None:
            return np.zeros(0, np.uint32)
        return self.tags.rows[self.tags.starts[number] : self.tags.starts[number + 1]]

    def rows_of(self, ids: Bytes) -> Rows:
        """Rows of these ids, uint8 (M, 16); those that are not here are left out."""
        asked, _ = halves(ids)
        first = np.searchsorted(self.id_heads, asked, "left")
        last = np.searchsorted(self.id_heads, asked, "right")
        found = [NO_ROWS]
        while len(here := np.flatnonzero(first < last)):  # a second time only for ids that begin alike
            rows = self.by_id[first[here]].astype(np.int64)
            found.append(rows[(self.facts.ids[rows] == ids[here]).all(axis=1)])
            first = first + 1
        return np.concatenate(found)


def as_void(ids: Bytes) -> npt.NDArray[Any]:
    """uint8 (N, 16) as N comparable values: bytes strings, all of which end in a byte that is not zero."""
    wide = np.empty((len(ids), ID_BYTES + 1), np.uint8)
    wide[:, :ID_BYTES], wide[:, ID_BYTES] = ids, 1
    return wide.view(f"S{ID_BYTES + 1}").reshape(len(ids))


def open_segment(folder: Path, *, verify: bool = False) -> Segment:
    """Maps a segment. verify: also compares every file with its checksum. Raises Doubtful."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if about["version"] != VERSION:
            raise Doubtful(f"{folder} is of another version")
        for name, (size, crc) in about["files"].items():
            path = folder / name
            if path.stat().st_size != size or (verify and checksum(path) != crc):
                raise Doubtful(f"{path} is not as it was written")
        facts = Facts(*(mapped(folder, column.name) for column in fields(Facts)))
        labels = [(str(category), str(name)) for category, name in about["labels"]]
        columns = ("tag_starts", "tag_rows", "tag_row_starts", "tag_row_labels")
        tags = TagLists(labels, *(mapped(folder, column) for column in columns))
        vectors = {SpaceId(space): mapped_vectors(folder, space, about["rows"]) for space in about["spaces"]}
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise Doubtful(f"{folder} cannot be read: {error}") from error
    starts = run_starts(facts)
    return Segment(
        folder,
        facts,
        tags,
        vectors,
        mapped(folder, "newest"),
        mapped(folder, "by_id"),
        mapped(folder, "id_heads"),
        starts,
        np.diff(np.append(starts, len(facts))),
        {label: number for number, label in enumerate(labels)},
    )


def mapped(folder: Path, name: str) -> npt.NDArray[Any]:
    """A column; pages are read when they are looked at, and shared by all processes."""
    path = folder / f"{name}.npy"
    array: npt.NDArray[Any] = np.load(path, mmap_mode="r" if path.stat().st_size > EMPTY_NPY else None)
    return array.view(np.ndarray)


EMPTY_NPY: Final = 128
"""Bytes of a file that holds no rows; nothing of it can be mapped."""


def mapped_vectors(folder: Path, space: int, rows: int) -> MappedVectors:
    path = folder / f"float16-{space}.faiss"
    exact = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    coarse = faiss.read_index(str(folder / f"coarse-{space}.faiss"), faiss.IO_FLAG_MMAP_IFC)
    if exact.ntotal != rows or coarse.ntotal != rows:
        raise Doubtful(f"{path} has {exact.ntotal} rows, not {rows}")
    size = rows * DIMENSION * 2
    codes = faiss.rev_swig_ptr(exact.codes.data(), size) if rows else np.zeros(0, np.uint8)
    return MappedVectors(
        mapped(folder, f"has-{space}"),
        coarse,
        mapped(folder, f"fine-{space}").reshape(rows, FINE_BYTES),
        exact,
        mapped(folder, f"norm-{space}"),
        codes.view(np.float16).reshape(rows, DIMENSION),
    )


def coarse_codes(vectors: MappedVectors, rows: int) -> Bytes:
    """uint8 (N, 152), as they lie in the file."""
    size = rows * COARSE_BYTES
    codes = faiss.rev_swig_ptr(vectors.coarse.codes.data(), size) if size else np.zeros(0, np.uint8)
    return codes.reshape(rows, COARSE_BYTES)


def sorted_rows(facts: Facts) -> Rows:
    """The order of a segment's rows: by dataset, folder, time."""
    _, dataset = np.unique(as_void(facts.dataset), return_inverse=True)
    return np.lexsort((facts.created, facts.folder, dataset))


def run_starts(facts: Facts) -> npt.NDArray[np.int64]:
    if not len(facts):
        return np.zeros(0, np.int64)
    other = (np.diff(facts.folder) != 0) | (facts.dataset[1:] != facts.dataset[:-1]).any(axis=1)
    return np.concatenate([[0], np.flatnonzero(other) + 1]).astype(np.int64)


def newest_first(facts: Facts) -> npt.NDArray[np.uint32]:
    high, low = halves(facts.ids)
    return np.lexsort((low, high, -facts.created)).astype(np.uint32)


def halves(ids: Bytes) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Ids, uint8 (N, 16), as two numbers that sort as they do."""
    words = np.ascontiguousarray(ids).view(">u8").reshape(len(ids), 2).astype(np.uint64)
    return words[:, 0].copy(), words[:, 1].copy()
