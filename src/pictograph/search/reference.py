"""The image that a question starts from: where it lies, and its vector in the active space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pgvector import HalfVector

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_one
from pictograph.encode.protocol import FloatArray
from pictograph.errors import EmbeddingFailed, NotFoundError
from pictograph.search.ground import Ground, Seen, freshness
from pictograph.search.sql import statement
from pictograph.store.folders import no_folder
from pictograph.types import DatasetId, ImageId, ImageState, OrganizationId, SpaceId

if TYPE_CHECKING:
    from pictograph.search.memory.view import View


@dataclass(frozen=True, slots=True)
class Reference:
    """An image with its vector, and the ground of a question about its place."""

    id: ImageId
    dataset_id: DatasetId
    folder_path: str
    """The scope: the folder that the question names, or else its own."""
    space: SpaceId
    """The active space."""
    stretch: float
    """How the space's cosines become similarities: see `Space.stretch`."""
    vector: FloatArray
    """float32 (1152,)."""
    ground: Ground


@dataclass(frozen=True, slots=True)
class Row:
    """What reference.sql gives."""

    id: ImageId
    dataset_id: DatasetId
    folder_path: str
    state: str
    reason: str | None
    space_id: SpaceId | None
    stretch: float | None
    vector: HalfVector | None
    era: str
    snapshot: str
    kept: bool | None
    fresh: bytes | None
    folders: Sequence[int] | None

    @property
    def seen(self) -> Seen:
        """The columns that place.sql has too."""
        return Seen(self.era, self.snapshot, self.kept, self.fresh, self.folders)


async def find_reference(
    connection: Connection, organization: OrganizationId, image: ImageId, folder_path: str | None, view: View | None
) -> Reference | None:
    """The image, if this organization has it; None as long as it waits to be embedded.

    folder_path: where it is to be compared; None: in its own. Raises NotFoundError for another image or folder,
    EmbeddingFailed if it never will have a vector.
    """
    values = {"organization": organization, "image": image, "folder": folder_path} | freshness(view)
    row = await fetch_one(connection, Row, statement("reference"), values, binary=True)
    if row is None:
        raise NotFoundError(f"There is no image {image}.")
    if row.folders is not None and not row.folders:
        raise no_folder(row.folder_path)
    if row.space_id is None or row.stretch is None or row.vector is None:
        if row.state == ImageState.FAILED:
            raise EmbeddingFailed(f"Image {image} could not be embedded: {row.reason}")
        return None
    vector = row.vector.to_numpy().astype(np.float32)
    ground = row.seen.ground(view)
    return Reference(row.id, row.dataset_id, row.folder_path, row.space_id, row.stretch, vector, ground)
