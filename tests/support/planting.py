"""Puts images with chosen vectors and tags into a database, through the code that the pipeline uses."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256 as digest
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from pictograph.db.pool import Database
from pictograph.encode.noop import SPEC
from pictograph.jobs.queue import enqueue
from pictograph.spaces.encodings import Encoding, fail_images, finish_images, save_encodings
from pictograph.spaces.registry import Spaces, lock_rules
from pictograph.store.datasets import Dataset, Datasets
from pictograph.store.images import Images, Place, Upload, insert_image
from pictograph.store.keys import Keys
from pictograph.types import DIMENSION, ImageId, OrganizationId, Sha256, SpaceId, Tags, empty_tags
from pictograph.upload.picture import PictureFacts

FACTS = PictureFacts("JPEG", "image/jpeg", 640, 480)


def direction(cosine: float, axis: int = 1) -> npt.NDArray[np.float32]:
    """A unit vector with this cosine to `direction(1.0)`; another axis gives another one."""
    vector = np.zeros(DIMENSION, np.float32)
    vector[0], vector[axis] = cosine, np.sqrt(max(0.0, 1 - cosine**2))
    return vector


@dataclass
class Garden:
    """A database with one organization, to plant images in."""

    database: Database
    organization: OrganizationId
    space: SpaceId

    @classmethod
    async def open(cls, database: Database, organization: str = "default") -> Garden:
        space = await Spaces(database).open(SPEC, SPEC.name)
        return cls(database, await Keys(database).ensure_organization(organization), space.id)

    async def dataset(self, name: str = "street") -> Dataset:
        return await Datasets(self.database).create(self.organization, name)

    async def receive(
        self, dataset: Dataset, filename: str, *, folder: str = "/", content: bytes | None = None
    ) -> ImageId:
        """An image row with its job, as `Intake` leaves it; no blob is written."""
        sha256 = Sha256(digest(content if content is not None else uuid4().bytes).digest())
        async with Images(self.database).holding(sha256, 1), self.database.transaction() as connection:
            image = await insert_image(connection, Upload(Place(dataset.id, folder, filename), sha256, 1, FACTS))
            await enqueue(connection, image)
        return image

    async def plant(
        self,
        dataset: Dataset,
        filename: str,
        vector: npt.NDArray[np.float32] | None = None,
        *,
        folder: str = "/",
        tags: Tags | None = None,
        content: bytes | None = None,
    ) -> ImageId:
        """An image that is found: embedded with this vector and tagged."""
        image = await self.receive(dataset, filename, folder=folder, content=content)
        await self.finish(image, direction(1.0) if vector is None else vector, tags)
        return image

    async def finish(self, image: ImageId, vector: npt.NDArray[np.float32], tags: Tags | None = None) -> None:
        """What a worker does with an image that waits."""
        stored = await Images(self.database).get(self.organization, image)
        encoding = Encoding(stored.sha256, vector, "planted", (empty_tags() | tags) if tags else empty_tags(), {})
        async with self.database.transaction() as connection:
            await save_encodings(connection, self.space, [encoding])
            await finish_images(connection, await lock_rules(connection, self.space), uuid4(), [stored.sha256])

    async def fail(self, image: ImageId, reason: str) -> None:
        """What a worker does with an image that it cannot take."""
        stored = await Images(self.database).get(self.organization, image)
        async with self.database.transaction() as connection:
            await fail_images(connection, await lock_rules(connection, self.space), uuid4(), stored.sha256, reason)
