"""A library to measure searches in: images without pictures, whose vectors lie about as those of encoders do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pictograph.db.pool import Database
from pictograph.db.scratch import refresh_statistics
from pictograph.encode.noop import SPEC
from pictograph.encode.protocol import FloatArray
from pictograph.index.bulk import bulk_load, make_folders
from pictograph.index.bulk_images import BulkImages, Integers, new_ids
from pictograph.index.spaces import Spaces
from pictograph.store.datasets import Datasets
from pictograph.store.keys import Keys
from pictograph.types import DIMENSION, DatasetId, SpaceId, empty_tags

Report = Callable[[float], None]
"""Told the share of the work that is done."""

SHARES: Final = (40, 10, 2.5)
"""Each folder holds one in so many images; the dataset holds all: 20,000 -> 500, 2,000, 8,000, 20,000."""
CLUSTERS: Final = 100
QUESTIONS: Final = 16
SPREAD: Final = 0.8
TAG: Final = "dog"
CARRIED_BY_ONE_IN: Final = 10
AT_A_TIME: Final = 4000
SEED: Final = 11


@dataclass(frozen=True, slots=True)
class TrialScope:
    """A folder of known size."""

    folder_path: str
    size: int


@dataclass(frozen=True, slots=True)
class TrialLibrary:
    """One dataset."""

    space_id: SpaceId
    dataset: DatasetId
    scopes: Sequence[TrialScope]
    """By size, the whole dataset last."""
    questions: FloatArray
    """float32 (N, 1152), of length 1, none of them an image's."""


async def make_library(database: Database, images: int, report: Report) -> TrialLibrary:
    """Fills an empty database. images: 40 at least."""
    space = await Spaces(database).open(SPEC, SPEC.name)
    organization = await Keys(database).ensure_organization()
    dataset = (await Datasets(database).create(organization, "trial")).id
    draw = Draw()
    paths = paths_of(images)
    for at in range(0, images, AT_A_TIME):
        part = paths[at : at + AT_A_TIME]
        async with database.connection() as connection:
            folder_ids = await make_folders(connection, dataset, part)
            await bulk_load(connection, space.id, dataset, draw.images(folder_ids, first=at))
        report((at + len(part)) / images)
    await refresh_statistics(database)
    scopes = [TrialScope(path, paths.count(path)) for path in dict.fromkeys(paths) if path != "/"]
    return TrialLibrary(space.id, dataset, [*scopes, TrialScope("/", images)], draw.vectors(QUESTIONS))


def paths_of(images: int) -> list[str]:
    """The folder of each image; what no folder has lies in the root."""
    counts = [int(images / share) for share in SHARES]
    paths = [f"/part-{number}" for number, count in enumerate(counts) for _ in range(count)]
    return paths + ["/"] * (images - len(paths))


class Draw:
    """Images by chance, the same ones in every run."""

    def __init__(self) -> None:
        self._chance = np.random.default_rng(SEED)
        self._centres = unit(self._chance.standard_normal((CLUSTERS, DIMENSION), np.float32))

    def vectors(self, count: int) -> FloatArray:
        """Unit vectors in clusters: float32 (count, 1152)."""
        noise = unit(self._chance.standard_normal((count, DIMENSION), np.float32))
        return unit(self._centres[self._chance.integers(0, CLUSTERS, count)] + np.float32(SPREAD) * noise)

    def images(self, folder_ids: Integers, *, first: int) -> BulkImages:
        """One in each of these folders, numbered from `first` on; every tenth carries `TAG`."""
        count = len(folder_ids)
        numbers, ones = range(first, first + count), np.ones(count, np.int64)
        return BulkImages(
            ids=new_ids(count),
            folder_ids=folder_ids,
            filenames=[f"{number}.jpg" for number in numbers],
            sha256s=self._chance.integers(0, 256, (count, 32), np.uint8),
            sizes_bytes=ones,
            widths_px=ones,
            heights_px=ones,
            vectors=self.vectors(count).astype(np.float16),
            tags=[{**empty_tags(), "objects": [TAG] * (number % CARRIED_BY_ONE_IN == 0)} for number in numbers],
        )


def unit(vectors: FloatArray) -> FloatArray:
    scaled: FloatArray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled
