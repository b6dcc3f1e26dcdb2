"""The index without a database: masks, orders, counts and nearest rows are what looking at every image gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import faiss
import numpy as np
import pytest

from pictograph.search.filter import Conditions, Filter, Place, TagFilter
from pictograph.search.memory import newest
from pictograph.search.memory.arrays import (
    COARSE_BYTES,
    EPOCH,
    FINE_BYTES,
    Bytes,
    FloatArray,
    bytes_of,
    cosine_distances,
)
from pictograph.search.memory.masks import count_of
from pictograph.search.memory.quantiser import Quantiser
from pictograph.search.memory.segment import Block, Facts, Label, Ragged, Segment, Vectors, sorted_rows
from pictograph.search.memory.segment_files import open_segment, write_segment
from pictograph.search.memory.view import View
from pictograph.store.pages import After, Beyond
from pictograph.types import DIMENSION, DatasetId, SpaceId
from support.index import nothing_known

SPACE = SpaceId(1)
DATASETS = [DatasetId(UUID(int=number << 64)) for number in (1, 2)]
LABELS: list[Label] = [("objects", "car"), ("objects", "dog"), ("scenes", "street"), ("attributes", "dark")]
RARE: Label = ("attributes", "rare")


@dataclass
class Library:
    """Images as plain arrays, and the view that was made of them."""

    view: View
    facts: Facts
    tags: list[list[Label]]
    vectors: np.ndarray[Any, np.dtype[np.float16]]
    dead: np.ndarray[Any, np.dtype[np.bool_]]

    def brute(self, place: Place, folders: Sequence[int] | None, wanted: TagFilter) -> list[int]:
        """Rows of the images that are meant, by looking at each."""
        datasets = {dataset.bytes for dataset in place.datasets}
        found = []
        for row in range(len(self.facts)):
            carried: dict[Any, list[str]] = {"objects": [], "scenes": [], "attributes": []}
            for category, label in self.tags[row]:
                carried[category].append(label)
            if (
                not self.dead[row]
                and not self.facts.archived[row]
                and self.facts.dataset[row].tobytes() in datasets
                and (folders is None or self.facts.folder[row] in folders)
                and wanted.accepts(carried)
            ):
                found.append(row)
        return found

    def ids(self, rows: Sequence[int]) -> list[bytes]:
        return [self.facts.ids[row].tobytes() for row in rows]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """900 images in three segments: two datasets, five folders, ties in time and in likeness, some archived or gone."""
    faiss.omp_set_num_threads(1)  # as in every thread that searches
    random = np.random.default_rng(3)
    folder = tmp_path_factory.mktemp("index")
    centres = random.standard_normal((6, DIMENSION))
    count = 900
    vectors = centres[random.integers(0, 6, count)] + 0.8 * random.standard_normal((count, DIMENSION))
    vectors[700:740] = vectors[0]
    stored = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    folders = random.integers(1, 6, count)
    facts = Facts(
        ids=random.integers(0, 256, (count, 16), dtype=np.uint8),
        dataset=np.stack([np.frombuffer(DATASETS[number // 4].bytes, np.uint8) for number in folders]),
        folder=folders.astype(np.int64),
        created=random.integers(0, 200, count).astype(np.int64) * 1_000_000,
        width=np.full(count, 640, np.int32),
        height=np.full(count, 480, np.int32),
        file_size=np.full(count, 1000, np.int64),
        format=np.zeros(count, np.uint16),
        state=np.zeros(count, np.uint8),
        archived=random.random(count) < 0.05,
        **nothing_known(count),
    )
    facts.ids[:50, :8] = facts.ids[0, :8]  # ids that begin alike
    tags = [[label for label in LABELS if random.random() < 0.4] for _ in range(count)]
    for row in (7, 450, 898):
        tags[row].append(RARE)  # one image of each segment
    quantiser = Quantiser.fitted(stored.astype(np.float32))
    segments: list[Segment] = []
    kept: list[np.ndarray[Any, Any]] = []
    for number, start in enumerate(range(0, count, 300)):
        rows = np.arange(start, start + 300)
        rows = rows[sorted_rows(facts.take(rows))]
        coarse, fine = quantiser.codes(stored[rows].astype(np.float32))
        assert (coarse.shape, fine.shape) == ((300, COARSE_BYTES), (300, FINE_BYTES))
        carried = [[[*LABELS, RARE].index(label) for label in tags[row]] for row in rows]
        block = Block(
            facts.take(rows),
            ["image/jpeg"],
            [""],
            Ragged.of([1] * 300, np.full(300, ord("a"), np.uint8)),
            [*LABELS, RARE],
            Ragged.of([len(one) for one in carried], np.array([label for one in carried for label in one], np.int64)),
            {SPACE: Vectors(np.ones(300, bool), coarse, fine, stored[rows])},
        )
        write_segment(folder / str(number), block, {SPACE: quantiser})
        segments.append(open_segment(folder / str(number), [SPACE], verify=True))
        kept.append(rows)
    dead = random.random(count) < 0.1
    order = np.concatenate(kept)
    view = View.of(segments, [dead[rows] for rows in kept], {SPACE: quantiser}, 7, "era")
    in_order = Facts(*(getattr(facts, column.name)[order] for column in fields(Facts)))
    return Library(view, in_order, [tags[row] for row in order], stored[order], dead[order])


PLACES = [
    (Place(DATASETS), None),
    (Place(DATASETS[:1]), None),
    (Place(DATASETS), [2]),
    (Place(DATASETS), [1, 3, 5]),
    (Place(DATASETS[1:]), [1]),
    (Place(DATASETS), []),
]
FILTERS = [
    TagFilter(),
    TagFilter({"objects": ["car"]}),
    TagFilter({"attributes": ["rare"]}),
    TagFilter({"objects": ["car"], "attributes": ["rare", "dark"]}),
    TagFilter({"objects": ["car", "dog"], "scenes": ["street"]}),
    TagFilter({"objects": ["car", "dog"]}, "all"),
    TagFilter({"objects": []}),
    TagFilter({"objects": ["unicorn"]}),
    TagFilter({"objects": ["unicorn", "car"], "attributes": ["dark"]}),
]
CASES = pytest.mark.parametrize(("place", "folders"), PLACES)
WANTED = pytest.mark.parametrize("wanted", FILTERS)


@CASES
@WANTED
def test_a_mask_means_what_looking_at_every_image_gives(
    library: Library, place: Place, folders: list[int] | None, wanted: TagFilter
) -> None:
    view, rows = library.view, library.brute(place, folders, wanted)
    mask = view.meant(view.place(place, folders), Filter(place, Conditions(wanted)))
    ids = [view.kept[part.number].segment.facts.ids[row].tobytes() for part in mask for row in part.rows]
    assert sorted(ids) == sorted(library.ids(rows))
    assert count_of(mask) == len(rows)
    counted = Counter(label for row in rows for label in library.tags[row])
    assert view.facets(mask) == dict(counted)


def test_images_that_are_left_out_are_not_meant(library: Library) -> None:
    place = Place(DATASETS)
    rows = library.brute(place, None, TagFilter())
    gone = rows[::3]
    without = library.facts.ids[np.array([*gone, 0])]
    mask = library.view.place(place, None, without)
    assert count_of(mask) == len(set(rows) - set(gone) - {0})
    unknown = np.zeros((2, 16), np.uint8)
    assert count_of(library.view.place(place, None, unknown)) == len(rows)


@CASES
@WANTED
@pytest.mark.parametrize("limit", [7, 50])
def test_pages_of_the_newest_join_to_the_whole_across_ties(
    library: Library, place: Place, folders: list[int] | None, wanted: TagFilter, limit: int
) -> None:
    view, rows = library.view, library.brute(place, folders, wanted)
    rows.sort(key=lambda row: (-library.facts.created[row], library.facts.ids[row].tobytes()))
    mask = view.meant(view.place(place, folders), Filter(place, Conditions(wanted)))
    found: list[bytes] = []
    after: After | None = None
    while True:
        ids, created = view.newest(mask, limit, after)
        found += [one.tobytes() for one in ids]
        if len(ids) < limit:
            break
        after = After(EPOCH + timedelta(microseconds=int(created[-1])), UUID(bytes=ids[-1].tobytes()))
    assert found == library.ids(rows)


@CASES
@WANTED
@pytest.mark.parametrize(("few", "block"), [(newest.FEW, newest.BLOCK), (0, 16)], ids=["one by one", "in their order"])
def test_a_deep_page_of_the_newest_is_a_part_of_the_whole(
    library: Library, place: Place, folders: list[int] | None, wanted: TagFilter, few: int, block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(newest, "FEW", few)
    monkeypatch.setattr(newest, "BLOCK", block)
    view, rows = library.view, library.brute(place, folders, wanted)
    rows.sort(key=lambda row: (-library.facts.created[row], library.facts.ids[row].tobytes()))
    whole = library.ids(rows)
    mask = view.meant(view.place(place, folders), Filter(place, Conditions(wanted)))
    tenth: After | None = None
    if len(rows) > 9:
        tenth = After(EPOCH + timedelta(microseconds=int(library.facts.created[rows[9]])), UUID(bytes=whole[9]))
    for skip, count in [(0, 1), (0, 50), (1, 7), (40, 20), (350, 100), (899, 3), (len(rows) - 1, 5), (len(rows), 5)]:
        page = view.newest(mask, count, None, max(0, skip))[0]
        assert [one.tobytes() for one in page] == whole[max(0, skip) :][:count]
        if tenth is not None:
            page = view.newest(mask, count, tenth, max(0, skip))[0]
            assert [one.tobytes() for one in page] == whole[10:][max(0, skip) :][:count]


def brute_nearest(library: Library, rows: list[int], vector: FloatArray) -> list[tuple[float, bytes]]:
    distances = cosine_distances(library.vectors[np.array(rows, np.int64)], vector).tolist()
    return sorted(zip(distances, library.ids(rows), strict=True))


@CASES
@WANTED
@pytest.mark.parametrize("limit", [23, 90])
def test_exact_pages_of_the_nearest_join_to_the_whole_to_the_last_bit(
    library: Library, place: Place, folders: list[int] | None, wanted: TagFilter, limit: int
) -> None:
    view, vector = library.view, library.vectors[0].astype(np.float32)  # that of forty others
    truth = brute_nearest(library, library.brute(place, folders, wanted), vector)
    mask = view.meant(view.place(place, folders), Filter(place, Conditions(wanted)))
    found: list[tuple[float, bytes]] = []
    beyond: Beyond | None = None
    while True:
        page = view.nearest(mask, SPACE, vector, limit, plan="exact", beyond=beyond)
        rows = list(zip(page.distances.tolist(), (one.tobytes() for one in page.ids), strict=True))
        found += rows
        if len(rows) < limit:
            break
        beyond = Beyond(rows[-1][0], UUID(bytes=rows[-1][1]))
    assert found == truth


@pytest.mark.parametrize("kind", ["image", "text"])
@WANTED
def test_the_quantized_index_finds_the_nearest(library: Library, wanted: TagFilter, kind: Any) -> None:
    view, place = library.view, Place(DATASETS)
    random = np.random.default_rng(9)
    rows = library.brute(place, None, wanted)
    mask = view.meant(view.place(place, None), Filter(place, Conditions(wanted)))
    for row in random.integers(0, 900, 10):
        vector = library.vectors[row].astype(np.float32) + (kind == "text") * 0.1 * random.standard_normal(DIMENSION)
        truth = brute_nearest(library, rows, vector.astype(np.float32))[:20]
        page = view.nearest(mask, SPACE, vector.astype(np.float32), 20, plan="quantized", kind=kind)
        found = {one.tobytes() for one in page.ids}
        assert sum(image in found for _, image in truth) >= 0.98 * len(truth)
        assert all(first <= second for first, second in pairwise(page.distances.tolist()))


def test_a_distance_does_not_depend_on_what_is_compared_beside_it(library: Library) -> None:
    query = library.vectors[5].astype(np.float32)
    together = cosine_distances(library.vectors, query)
    assert together[5] == 0
    for start, stop in [(0, 1), (3, 5), (100, 117), (899, 900), (0, 333)]:
        assert cosine_distances(library.vectors[start:stop], query).tolist() == together[start:stop].tolist()


def test_rows_are_found_by_their_ids(library: Library) -> None:
    for kept in library.view.kept:
        ids: Bytes = np.asarray(kept.segment.facts.ids)
        rows = np.random.default_rng(1).permutation(len(ids))[:100]
        found = kept.segment.rows_of(np.concatenate([ids[rows], bytes_of(bytes(16))]))
        assert sorted(found.tolist()) == sorted(rows.tolist())
