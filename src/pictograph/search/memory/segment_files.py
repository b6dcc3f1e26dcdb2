"""The files of a segment: written once, whole and flushed; opened by mapping them.

about.json          version, rows, labels, formats, cameras; of each file its size and checksum; where each array lies
columns.bin         facts, filenames, tags and orders, one array after the other
space-7.bin         of space 7: which rows have a vector, fine codes, inverse norms
coarse-7.faiss      coarse codes, as faiss writes them
float16-7.bin       float16 vectors, nothing else: a row is 2304 bytes
"""

from __future__ import annotations

import json
import mmap
import os
import zlib
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO, Final

import faiss
import numpy as np
import numpy.typing as npt

from pictograph.search.memory.arrays import COARSE_BYTES, FINE_BYTES, Array, Bytes, halves
from pictograph.search.memory.quantiser import Quantiser
from pictograph.search.memory.segment import (
    Block,
    Facts,
    Label,
    MappedVectors,
    Numbers,
    Ragged,
    Segment,
    TagLists,
    Vectors,
    newest_first,
    renumbered,
    run_starts,
)
from pictograph.types import DIMENSION, SpaceId

VERSION: Final = 2
"""Of the files' layout; a segment of another version is made anew."""
ABOUT: Final = "about.json"
COLUMNS: Final = "columns.bin"
ALIGNED: Final = 64
"""Arrays begin at a multiple of it."""
PART: Final = 1 << 20
FREQUENT: Final = 256
"""A label that more than one row in so many carries is frequent: bits are faster than its list then."""


class Doubtful(Exception):
    """A file of the index is not what it should be; the index is made anew."""


class SegmentWriter:
    """Writes a segment block by block; what it holds in memory is all but the float16 vectors, 1 kB a row.

    Blocks come in the order that rows have. Spaces that a block does not have: its rows have no vectors there.
    """

    def __init__(self, folder: Path, quantisers: Mapping[SpaceId, Quantiser]) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._quantisers = quantisers
        self._formats, self._cameras = Numbers[str](), Numbers[str]()
        self._labels = Numbers[Label]()
        self._facts: list[Facts] = []
        self._filenames: list[Ragged] = []
        self._tags: list[Ragged] = []
        self._vectors: dict[SpaceId, list[tuple[npt.NDArray[np.bool_], Bytes, Bytes, npt.NDArray[np.float32]]]] = {}
        self._float16: dict[SpaceId, BinaryIO] = {}
        for space in quantisers:
            self._vectors[space] = []
            self._float16[space] = (folder / f"float16-{space}.bin").open("wb")
        self.rows = 0

    def add(self, block: Block) -> None:
        """Appends rows."""
        self.rows += len(block)
        numbers = self._formats.of(block.formats), self._cameras.of(block.cameras)
        self._facts.append(renumbered(block.facts, *numbers))
        self._filenames.append(block.filenames)
        self._tags.append(Ragged(block.tags.starts, self._labels.of(block.labels)[block.tags.values]))
        for space, parts in self._vectors.items():
            one = block.vectors.get(space) or Vectors.none(len(block))
            parts.append((one.has, one.coarse, one.fine, inverse_norms(one.float16)))
            self._float16[space].write(np.ascontiguousarray(one.float16).data)

    def finish(self) -> None:
        """Writes the rest, and flushes everything. There must be rows."""
        self.close()
        facts = Facts.joined(self._facts)
        filenames = Ragged.joined(self._filenames)
        tags = tag_lists(Ragged.joined(self._tags), self._labels.names)
        where = {COLUMNS: write_arrays(self._folder / COLUMNS, columns_of(facts, filenames, tags))}
        for space, parts in self._vectors.items():
            has, coarse, fine, norm = (np.concatenate(column) for column in zip(*parts, strict=True))
            name = space_file(space)
            where[name] = write_arrays(self._folder / name, {"has": has, "fine": fine, "norm": norm})
            write_coarse(self._folder, space, self._quantisers[space], coarse)
        about = {
            "version": VERSION,
            "rows": len(facts),
            "labels": [list(label) for label in tags.labels],
            "formats": self._formats.names,
            "cameras": self._cameras.names,
            "spaces": [int(space) for space in self._vectors],
            "arrays": where,
        }
        write_about(self._folder, about)

    def close(self) -> None:
        """Closes the files."""
        for file in self._float16.values():
            file.close()


def write_segment(folder: Path, block: Block, quantisers: Mapping[SpaceId, Quantiser]) -> None:
    """Writes one block, whose rows may be in any order."""
    writer = SegmentWriter(folder, quantisers)
    writer.add(block.in_order())
    writer.finish()


def recoded(source: Segment, folder: Path, space: SpaceId, quantiser: Quantiser) -> None:
    """The same segment with codes by another quantiser; everything else is linked, not copied."""
    about = read_json(source.folder / ABOUT)
    folder.mkdir(parents=True)
    made = {ABOUT, space_file(space), f"coarse-{space}.faiss"}
    for name in about["files"]:
        if name not in made and (source.folder / name).exists():
            os.link(source.folder / name, folder / name)
    vectors = source.vectors[space]
    coarse, fine = np.empty_like(vectors.coarse_codes), np.empty_like(vectors.fine)
    for start in range(0, len(source), 4096):
        part = slice(start, start + 4096)
        coarse[part], fine[part] = quantiser.codes(vectors.float16[part].astype(np.float32))
    arrays = {"has": vectors.has, "fine": fine, "norm": vectors.norm}
    about["arrays"][space_file(space)] = write_arrays(folder / space_file(space), arrays)
    write_coarse(folder, space, quantiser, coarse)
    about.pop("files")
    write_about(folder, about)


def open_segment(folder: Path, spaces: Collection[SpaceId], *, verify: bool = False) -> Segment:
    """Maps a segment, with the vectors of these spaces. verify: also compares its files with their checksums.

    Raises Doubtful.
    """
    try:
        about = read_json(folder / ABOUT)
        if about["version"] != VERSION:
            raise Doubtful(f"{folder} is of another version")
        ours = [space for space in spaces if space in about["spaces"]]
        check_files(folder, about["files"], {COLUMNS, *(name for space in ours for name in files_of(space))}, verify)
        rows = int(about["rows"])
        arrays = mapped(folder / COLUMNS, about["arrays"][COLUMNS])
        labels = [(str(category), str(name)) for category, name in about["labels"]]
        vectors = {
            space: mapped_vectors(folder, space, rows, about["arrays"][space_file(space)])
            if space in ours
            else no_vectors(rows)
            for space in sorted(spaces)
        }
        return Segment(
            folder=folder,
            facts=Facts(*(arrays[column.name] for column in fields(Facts))),
            formats=[str(name) for name in about["formats"]],
            cameras=[str(name) for name in about["cameras"]],
            tags=TagLists(labels, *(arrays[f"tag_{column.name}"] for column in fields(TagLists)[1:])),
            filenames=Ragged(arrays["filename_starts"], arrays["filenames"]),
            vectors=vectors,
            newest=arrays["newest"],
            by_id=arrays["by_id"],
            id_heads=arrays["id_heads"],
            run_starts=arrays["run_starts"],
            run_lengths=arrays["run_lengths"],
            number={label: number for number, label in enumerate(labels)},
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise Doubtful(f"{folder} cannot be read: {error}") from error


def space_file(space: SpaceId) -> str:
    return f"space-{space}.bin"


def files_of(space: SpaceId) -> tuple[str, str, str]:
    """Names of the files that hold one space's vectors."""
    return space_file(space), f"coarse-{space}.faiss", f"float16-{space}.bin"


def check_files(folder: Path, known: Mapping[str, tuple[int, int]], names: Collection[str], verify: bool) -> None:
    for name in names:
        size, crc = known[name]
        path = folder / name
        if path.stat().st_size != size or (verify and checksum(path) != crc):
            raise Doubtful(f"{path} is not as it was written")


def columns_of(facts: Facts, filenames: Ragged, tags: TagLists) -> dict[str, Array]:
    """What `columns.bin` holds."""
    high, low = halves(facts.ids)
    by_id = np.lexsort((low, high))
    starts = run_starts(facts)
    return {column.name: getattr(facts, column.name) for column in fields(Facts)} | {
        "filename_starts": filenames.starts,
        "filenames": filenames.values,
        "tag_starts": tags.starts,
        "tag_rows": tags.rows,
        "tag_row_starts": tags.row_starts,
        "tag_row_labels": tags.row_labels,
        "tag_bits": tags.bits,
        "newest": newest_first(facts),
        "by_id": by_id.astype(np.uint32),
        "id_heads": high[by_id],
        "run_starts": starts,
        "run_lengths": np.diff(np.append(starts, len(facts))),
    }


def tag_lists(tags: Ragged, labels: list[Label]) -> TagLists:
    """From what each row carries; labels that none carries are left out."""
    rows = len(tags.starts) - 1
    counts = np.bincount(tags.values, minlength=len(labels)) if len(labels) else np.zeros(0, np.int64)
    kept = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    places = np.zeros(len(labels), np.int64)
    places[kept] = np.arange(len(kept))
    numbers = places[tags.values] if len(labels) else np.zeros(0, np.int64)
    carriers = np.repeat(np.arange(rows, dtype=np.uint32), np.diff(tags.starts))
    lists = Ragged.of(counts[kept], carriers[np.argsort(numbers, kind="stable")])
    narrow = np.uint16 if len(kept) <= np.iinfo(np.uint16).max else np.uint32
    frequent = int(np.count_nonzero(counts > rows // FREQUENT))
    bits = np.zeros((frequent, -(-rows // 64)), np.uint64)
    for number in range(frequent):
        mask = np.zeros(bits.shape[1] * 64, bool)
        mask[lists.values[lists.starts[number] : lists.starts[number + 1]]] = True
        bits[number] = np.packbits(mask, bitorder="little").view(np.uint64)
    return TagLists(
        [labels[number] for number in kept], lists.starts, lists.values, tags.starts, numbers.astype(narrow), bits
    )


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> dict[str, tuple[str, list[int], int]]:
    """Writes them one after the other; returns of each its type, its shape and where it begins."""
    where: dict[str, tuple[str, list[int], int]] = {}
    with path.open("wb") as file:
        for name, array in arrays.items():
            file.write(bytes(-file.tell() % ALIGNED))
            where[name] = (array.dtype.str, list(array.shape), file.tell())
            file.write(np.ascontiguousarray(array).data if array.size else b"")
        file.write(b"\n")  # nothing empty can be mapped
    return where


def write_coarse(folder: Path, space: SpaceId, quantiser: Quantiser, codes: Bytes) -> None:
    index = quantiser.empty_coarse()
    index.add_sa_codes(np.ascontiguousarray(codes))
    faiss.write_index(index, str(folder / f"coarse-{space}.faiss"))


def write_about(folder: Path, about: dict[str, Any]) -> None:
    """Says what there is, and flushes all of it."""
    files = {path.name: (path.stat().st_size, checksum(path)) for path in sorted(folder.iterdir())}
    write_json(folder / ABOUT, about | {"files": files})
    for path in [*folder.iterdir(), folder, folder.parent]:
        flush(path)


def write_json(path: Path, body: dict[str, Any]) -> None:
    """Writes it with a checksum of its own."""
    text = json.dumps({"checksum": checksum_of(body), "body": body})
    path.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """What `write_json` wrote. Raises Doubtful, ValueError, KeyError or TypeError if it is damaged."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    body: dict[str, Any] = kept["body"]
    if kept["checksum"] != checksum_of(body):
        raise Doubtful(f"{path} is not as it was written")
    return body


def checksum_of(body: dict[str, Any]) -> int:
    """CRC-32 of an object that JSON can hold."""
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())


def checksum(path: Path) -> int:
    """CRC-32 of a file."""
    crc = 0
    with path.open("rb") as file:
        while part := file.read(PART):
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


def mapped(path: Path, where: Mapping[str, tuple[str, list[int], int]]) -> dict[str, Array]:
    """The arrays of a file; pages are read when they are looked at, and shared by all processes."""
    whole = mapped_file(path)
    arrays: dict[str, Array] = {}
    for name, (kind, shape, start) in where.items():
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(whole, np.dtype(kind), count, start).reshape(shape)
    return arrays


def mapped_file(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def mapped_vectors(
    folder: Path, space: SpaceId, rows: int, where: Mapping[str, tuple[str, list[int], int]]
) -> MappedVectors:
    """One space's vectors."""
    _, coarse_file, float16_file = files_of(space)
    arrays = mapped(folder / space_file(space), where)
    coarse = faiss.read_index(str(folder / coarse_file), faiss.IO_FLAG_MMAP_IFC)
    raw = np.frombuffer(mapped_file(folder / float16_file), np.uint8)
    if coarse.ntotal != rows or len(raw) != rows * DIMENSION * 2:
        raise Doubtful(f"{folder} has {coarse.ntotal} codes and {len(raw)} bytes of vectors for {rows} rows")
    codes = faiss.rev_swig_ptr(coarse.codes.data(), rows * COARSE_BYTES).reshape(rows, COARSE_BYTES)
    float16 = raw.view(np.float16).reshape(rows, DIMENSION)
    return MappedVectors(
        arrays["has"], coarse, arrays["fine"], exact_index(float16, coarse), arrays["norm"], float16, codes
    )


def exact_index(vectors: npt.NDArray[np.float16], coarse: Any) -> Any:
    """A faiss index of mapped vectors, which stay where they are; the caller keeps them while it is used.

    faiss makes views only of memory with an owner of its own; that of the coarse index stands in for it.
    """
    raw = vectors.reshape(-1).view(np.uint8)
    index = faiss.IndexScalarQuantizer(DIMENSION, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.is_trained = True
    index.codes = faiss.MaybeOwnedVectorUInt8.create_view(faiss.swig_ptr(raw), raw.nbytes, coarse.codes.owner)
    index.ntotal = len(vectors)
    return index


def no_vectors(rows: int) -> MappedVectors:
    """Of a space in which no row of a segment has a vector; takes no memory."""

    def zeros(kind: npt.DTypeLike, *width: int) -> Array:
        return np.broadcast_to(np.zeros(1, kind).reshape((1,) * (1 + len(width))), (rows, *width))

    return MappedVectors(
        zeros(bool),
        None,
        zeros(np.uint8, FINE_BYTES),
        None,
        zeros(np.float32),
        zeros(np.float16, DIMENSION),
        zeros(np.uint8, COARSE_BYTES),
    )
