"""Images with chosen scores, tagged as a worker would tag them; and brute force to compare with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any
from uuid import uuid4

import numpy as np

from pictograph.db.pool import Connection
from pictograph.encode.protocol import FloatArray
from pictograph.ingest.judging import tagged
from pictograph.spaces.encodings import Encoding, finish_images, save_encodings
from pictograph.spaces.registry import lock_rules
from pictograph.store.datasets import Dataset
from pictograph.store.images import Images
from pictograph.tagging.assign import Assigner, lowest_threshold
from pictograph.tagging.offline import METHOD, OfflineTagger
from pictograph.tagging.taxonomy import Taxonomy, load_taxonomy, parse_taxonomy
from pictograph.types import ImageId, Sha256, Tags
from support.planting import Garden, direction

TAXONOMY = load_taxonomy()
RUNNING = OfflineTagger(TAXONOMY).version
"""What a worker with the shipped taxonomy writes."""
EDITED = f"taxonomy-edited+{METHOD}"
"""What one with an `edited` taxonomy writes."""
KIN = [
    "objects/animal", "objects/dog", "objects/cat", "objects/bird", "scenes/indoor", "scenes/outdoor", "scenes/kitchen",
    "scenes/home interior", "scenes/daytime", "scenes/mountain", "attributes/dark", "attributes/bright",
    "attributes/low-light", "attributes/sharp", "attributes/blurry",
]  # fmt: skip
"""Labels with parents, children and rivals among them."""


def edited(edit: Callable[[dict[str, Any]], None], version: str = "edited") -> Taxonomy:
    """The shipped taxonomy with some change, as another version."""
    content = json.loads(resources.files("pictograph.tagging").joinpath("taxonomy.json").read_text(encoding="utf-8"))
    content["version"] = version
    edit(content)
    return parse_taxonomy(json.dumps(content))


def entry(content: dict[str, Any], name: str) -> dict[str, Any]:
    return next(label for label in content["labels"] if label["name"] == name)


def random_scores(random: np.random.Generator) -> dict[str, float]:
    """What a tagger could have kept: scores of kin, and of a few labels more."""
    others = random.choice([label.key for label in TAXONOMY.labels], 5).tolist()
    floors = {label.key: lowest_threshold(label) for label in TAXONOMY.labels}
    chosen = {key: round(float(random.random()), 4) for key in KIN + others if random.random() < 0.6}
    return {key: score for key, score in chosen.items() if score >= floors[key]}


async def receive_scored(
    garden: Garden,
    dataset: Dataset,
    filename: str,
    scores: dict[str, float],
    *,
    folder: str = "/",
    content: bytes | None = None,
    tagger: str = RUNNING,
    measures: FloatArray | None = None,
    evidence: FloatArray | None = None,
) -> tuple[ImageId, Encoding]:
    """An image that waits, and what a worker would write of it."""
    image = await garden.receive(dataset, filename, folder=folder, content=content)
    sha256 = (await Images(garden.database).get(garden.organization, image)).sha256
    return image, Encoding(sha256, direction(1.0), tagger, tag_scores=scores, measures=measures, evidence=evidence)


async def finish(connection: Connection, garden: Garden, encoding: Encoding, taxonomy: Taxonomy = TAXONOMY) -> None:
    """What a worker does inside its transaction."""
    rules = await lock_rules(connection, garden.space)
    await save_encodings(connection, rules.id, [tagged(encoding, Assigner(taxonomy, rules.thresholds))])
    await finish_images(connection, rules, uuid4(), [encoding.sha256])


async def plant_scored(
    garden: Garden,
    dataset: Dataset,
    filename: str,
    scores: dict[str, float],
    *,
    taxonomy: Taxonomy = TAXONOMY,
    **options: Any,
) -> ImageId:
    """An image that is found by the tags that its scores deserve."""
    image, encoding = await receive_scored(garden, dataset, filename, scores, **options)
    async with garden.database.transaction() as connection:
        await finish(connection, garden, encoding, taxonomy)
    return image


async def stored_tags(garden: Garden) -> dict[ImageId, Tags]:
    """Tags of every image, of all organizations."""
    async with garden.database.connection() as connection:
        rows = await (await connection.execute("SELECT id, image_auto_tags FROM image")).fetchall()
    return dict(rows)


async def stored_encodings(garden: Garden) -> dict[Sha256, tuple[str, Tags, dict[str, float]]]:
    """(tagger, tags, scores) of every encoding."""
    async with garden.database.connection() as connection:
        rows = await (await connection.execute("SELECT sha256, tagger, tags, tag_scores FROM encoding")).fetchall()
    return {row[0]: row[1:] for row in rows}


async def require_fresh(garden: Garden, thresholds: Mapping[str, float], taxonomy: Taxonomy = TAXONOMY) -> None:
    """Asserts that every tag, everywhere, is what its scores deserve by these thresholds, and of the taxonomy."""
    assigner = Assigner(taxonomy, thresholds)
    encodings = await stored_encodings(garden)
    assert encodings
    for _, tags, scores in encodings.values():
        assert tags == assigner.tags(scores)
        assert {f"{category}/{name}" for category, names in tags.items() for name in names} <= taxonomy.index_of.keys()
    async with garden.database.connection() as connection:
        shown = await connection.execute("SELECT sha256, image_auto_tags FROM image WHERE state = 'tagged'")
        for sha256, tags in await shown.fetchall():
            assert tags == encodings[sha256][1]
