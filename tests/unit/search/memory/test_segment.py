"""A segment gives back what was written, from files that are mapped; what is in doubt is refused."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from pictograph.search.memory.quantiser import Quantiser
from pictograph.search.memory.segment import Block, Facts, Label, Ragged, Segment, Vectors, sorted_rows
from pictograph.search.memory.segment_files import (
    Doubtful,
    SegmentWriter,
    open_segment,
    read_json,
    recoded,
    write_json,
    write_segment,
)
from pictograph.types import DIMENSION, SpaceId
from support.index import nothing_known

SPACE = SpaceId(1)
LABELS: list[Label] = [("objects", "car"), ("objects", "dog"), ("scenes", "street"), ("attributes", "rare")]


@pytest.fixture(scope="module")
def quantiser() -> Quantiser:
    return Quantiser.fitted(np.zeros((0, DIMENSION), np.float32))


def images(count: int, quantiser: Quantiser, seed: int = 1) -> Block:
    """Some images in no order, a fifth of them without a vector."""
    chance = np.random.default_rng(seed)
    vectors = chance.standard_normal((count, DIMENSION), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    coarse, fine = quantiser.codes(vectors)
    has = chance.random(count) < 0.8
    for column in (vectors, coarse, fine):
        column[~has] = 0
    facts = Facts(
        ids=chance.integers(0, 256, (count, 16), np.uint8),
        dataset=np.repeat(chance.integers(0, 256, (2, 16), np.uint8), -(-count // 2), axis=0)[:count],
        folder=chance.integers(1, 5, count),
        created=chance.integers(0, 50, count),
        width=np.full(count, 640, np.int32),
        height=np.full(count, 480, np.int32),
        file_size=np.arange(count),
        format=(np.arange(count) % 2).astype(np.uint16),
        state=np.full(count, 2, np.uint8),
        archived=np.arange(count) % 7 == 0,
        **nothing_known(count) | {"camera": (np.arange(count) % 3).astype(np.uint32), "taken": np.arange(count)},
    )
    names = [f"bild-ü{number}.jpg".encode() for number in range(count)]
    tags = [sorted(chance.choice(3, chance.integers(0, 4), replace=False)) for _ in range(count)]
    tags[count // 2].append(3)  # one image alone has the rare label
    return Block(
        facts,
        ["image/png", "image/jpeg"],
        ["", "Canon", "Apple iPhone"],
        Ragged.of([len(name) for name in names], np.frombuffer(b"".join(names), np.uint8)),
        LABELS,
        Ragged.of([len(one) for one in tags], np.array([n for one in tags for n in one], np.int64)),
        {SPACE: Vectors(has, coarse, fine, vectors.astype(np.float16))},
    )


def labels_of(segment: Segment, row: int) -> list[Label]:
    tags = segment.tags
    return [tags.labels[number] for number in tags.row_labels[tags.row_starts[row] : tags.row_starts[row + 1]]]


def test_everything_that_was_written_is_read(tmp_path: Path, quantiser: Quantiser) -> None:
    block = images(300, quantiser)
    write_segment(tmp_path / "a", block, {SPACE: quantiser})
    segment = open_segment(tmp_path / "a", [SPACE], verify=True)
    order = sorted_rows(block.facts)
    assert np.array_equal(segment.facts.ids, block.facts.ids[order])
    assert np.array_equal(segment.vectors[SPACE].float16, block.vectors[SPACE].float16[order])
    assert np.array_equal(segment.vectors[SPACE].coarse_codes, block.vectors[SPACE].coarse[order])
    for row, before in enumerate(order):
        names = block.filenames
        assert segment.filename(row).encode() == bytes(names.values[names.starts[before] : names.starts[before + 1]])
        carried = block.tags.values[block.tags.starts[before] : block.tags.starts[before + 1]]
        assert set(labels_of(segment, row)) == {LABELS[number] for number in carried}
        assert segment.formats[segment.facts.format[row]] == block.formats[block.facts.format[before]]
        assert segment.cameras[segment.facts.camera[row]] == block.cameras[block.facts.camera[before]]
    assert np.array_equal(segment.facts.taken, block.facts.taken[order])
    keys = list(zip(-segment.facts.created, map(bytes, segment.facts.ids), strict=True))
    assert [keys[row] for row in segment.newest] == sorted(keys)
    assert np.array_equal(np.sort(segment.rows_of(block.facts.ids[:20])), np.sort(np.argsort(order)[:20]))
    assert len(segment.rows_of(np.zeros((3, 16), np.uint8))) == 0
    assert not segment.vectors[SPACE].norm[~segment.vectors[SPACE].has].any()


def test_frequent_and_rare_tags_are_found_in_any_range_of_rows(tmp_path: Path, quantiser: Quantiser) -> None:
    write_segment(tmp_path / "a", images(300, quantiser), {})
    segment = open_segment(tmp_path / "a", [])
    assert len(segment.tags.bits) == 3  # those that more than one image in 256 carries
    truth = {
        label: np.array([label in labels_of(segment, row) for row in range(300)])
        for label in [*LABELS, ("objects", "unknown")]
    }
    car, dog, _, rare, unknown = truth
    asked: list[list[Label]] = [
        [],
        *([label] for label in truth),
        [car, dog],
        [car, rare],
        [rare, unknown],
        list(truth),
    ]
    for labels, every in product(asked, (False, True)):
        combine = np.logical_and if every else np.logical_or
        expected = combine.reduce([truth[label] for label in labels]) if labels else np.zeros(300, bool)
        for start, stop in [(0, 300), (3, 77), (64, 128), (65, 299), (299, 300), (7, 7), (0, 0)]:
            assert np.array_equal(segment.carrying(labels, start, stop, every=every), expected[start:stop])


def test_faiss_scans_the_mapped_vectors(tmp_path: Path, quantiser: Quantiser) -> None:
    write_segment(tmp_path / "a", images(300, quantiser), {SPACE: quantiser})
    vectors = open_segment(tmp_path / "a", [SPACE]).vectors[SPACE]
    query = vectors.float16[np.flatnonzero(vectors.has)[5]].astype(np.float32)
    truth = np.argsort(-(vectors.float16.astype(np.float32) @ query))[:10]
    assert np.array_equal(vectors.exact.search(query[None], 10)[1][0], truth)
    assert vectors.coarse.search(quantiser.query(query, "image").coarse, 1)[1][0][0] == truth[0]


def test_ids_that_begin_alike_are_told_apart(tmp_path: Path, quantiser: Quantiser) -> None:
    block = images(60, quantiser)
    block.facts.ids[:, :8] = np.arange(60)[:, None] // 20
    write_segment(tmp_path / "a", block, {})
    segment = open_segment(tmp_path / "a", [])
    rows, places = segment.places_of(block.facts.ids[10:30])
    assert sorted(places) == list(range(20))
    assert np.array_equal(segment.facts.ids[rows], block.facts.ids[10:30][places])


def test_a_segment_made_of_others_rows_is_as_one_made_at_once(tmp_path: Path, quantiser: Quantiser) -> None:
    block = images(200, quantiser)
    write_segment(tmp_path / "whole", block, {SPACE: quantiser})
    for name, rows in (("a", np.arange(0, 120)), ("b", np.arange(120, 200))):
        write_segment(tmp_path / name, block.take(rows), {SPACE: quantiser})
    parts = [open_segment(tmp_path / name, [SPACE]) for name in ("a", "b")]
    joined = Block.joined([part.block(np.arange(len(part))) for part in parts]).in_order()
    writer = SegmentWriter(tmp_path / "merged", {SPACE: quantiser})
    for start in range(0, 200, 64):
        writer.add(joined.take(np.arange(start, min(start + 64, 200))))
    writer.finish()
    whole, merged = (open_segment(tmp_path / name, [SPACE]) for name in ("whole", "merged"))
    assert np.array_equal(whole.facts.ids, merged.facts.ids)
    assert np.array_equal(whole.vectors[SPACE].fine, merged.vectors[SPACE].fine)
    assert np.array_equal(whole.vectors[SPACE].float16, merged.vectors[SPACE].float16)
    for row in range(200):
        assert sorted(labels_of(whole, row)) == sorted(labels_of(merged, row))
        assert whole.filename(row) == merged.filename(row)


def test_a_space_that_is_not_there_has_no_vectors(tmp_path: Path, quantiser: Quantiser) -> None:
    write_segment(tmp_path / "a", images(20, quantiser), {SPACE: quantiser})
    segment = open_segment(tmp_path / "a", [SPACE, SpaceId(2)])
    assert not segment.vectors[SpaceId(2)].has.any()
    assert segment.block(np.arange(5)).vectors[SpaceId(2)].fine.shape == (5, 576)


def test_other_codes_leave_everything_else_as_it_is(tmp_path: Path, quantiser: Quantiser) -> None:
    block = images(200, quantiser)
    write_segment(tmp_path / "a", block, {SPACE: quantiser})
    before = open_segment(tmp_path / "a", [SPACE])
    other = Quantiser.fitted(before.vectors[SPACE].float16[:150].astype(np.float32))
    recoded(before, tmp_path / "b", SPACE, other)
    after = open_segment(tmp_path / "b", [SPACE], verify=True)
    assert np.array_equal(before.facts.ids, after.facts.ids)
    codes = other.codes(after.vectors[SPACE].float16.astype(np.float32))
    has = after.vectors[SPACE].has
    assert np.array_equal(after.vectors[SPACE].coarse_codes[has], codes[0][has])
    assert not np.array_equal(before.vectors[SPACE].fine, after.vectors[SPACE].fine)
    assert (tmp_path / "a" / "columns.bin").stat().st_nlink == 2


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


FILES = ("columns.bin", "space-1.bin", "coarse-1.faiss", "float16-1.bin")
DAMAGES = [
    *((name, damage, False) for name in (*FILES, "about.json") for damage in (Path.unlink, shorten)),
    *((name, spoil, True) for name in FILES),
    ("about.json", spoil, False),
]


@pytest.mark.parametrize(("name", "damage", "verify"), DAMAGES)
def test_damaged_files_are_refused(
    tmp_path: Path, quantiser: Quantiser, name: str, damage: Callable[[Path], None], verify: bool
) -> None:
    write_segment(tmp_path / "a", images(20, quantiser), {SPACE: quantiser})
    damage(tmp_path / "a" / name)
    with pytest.raises(Doubtful):
        open_segment(tmp_path / "a", [SPACE], verify=verify)


def test_another_version_is_refused(tmp_path: Path, quantiser: Quantiser) -> None:
    write_segment(tmp_path / "a", images(20, quantiser), {})
    path = tmp_path / "a" / "about.json"
    write_json(path, read_json(path) | {"version": 0})
    with pytest.raises(Doubtful):
        open_segment(tmp_path / "a", [])
