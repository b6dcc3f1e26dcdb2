"""Made-up images with vectors, for benchmarks that look at parts of the writing itself."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

import numpy as np

from pictograph.bulk.images import BulkImages, new_ids, tag_documents
from pictograph.types import DIMENSION, Tags

FOLDERS: Final = 100
TAGS: Final[list[Tags]] = [
    {"objects": ["car", "truck"], "scenes": ["street"], "attributes": ["sharp"]},
    {"objects": [], "scenes": ["indoor", "kitchen", "room"], "attributes": []},
]


def random_images(folder_ids: np.ndarray, random: np.random.Generator) -> BulkImages:
    """One in each of these folders."""
    count = len(folder_ids)
    vectors = random.standard_normal((count, DIMENSION), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return BulkImages(
        ids=new_ids(count),
        folder_ids=folder_ids,
        filenames=[f"{uuid4().hex}.jpg" for _ in range(count)],
        sha256s=random.integers(0, 256, (count, 32), np.uint8),
        sizes_bytes=np.full(count, 200_000),
        widths_px=np.full(count, 1024),
        heights_px=np.full(count, 768),
        vectors=vectors.astype(np.float16),
        tags=tag_documents([TAGS[number % len(TAGS)] for number in range(count)]),
    )
