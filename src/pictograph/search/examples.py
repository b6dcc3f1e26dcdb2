"""Examples -> vectors, and several of them -> one vector and what its distances are worth.

The formula, for positive examples p with weights w and n negative ones q with weights v, all similarities s as they are
shown:

    score(x) = mean of s(p, x), weighted by w, + LEAD * mean over q of v * (that mean - s(q, x))

So it is on the scale of similarities: an image as like the positive examples as the negative ones has just that
likeness as its score; a lead over the negative ones raises it, and where they are nearer it sinks. It is linear in x,
and so the cosine to one vector, stretched: the index answers it as it answers one example. This is Rocchio's formula
(Manning, Raghavan, Schuetze: Introduction to Information Retrieval, 2008, section 9.1.1) with unit vectors and
gamma / beta = LEAD / (1 + LEAD).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from pgvector import HalfVector

from pictograph.db.pool import Database
from pictograph.db.rows import fetch_all
from pictograph.encode.protocol import FloatArray
from pictograph.errors import EmbeddingFailed, EmbeddingPending, NotFoundError, wrong_value
from pictograph.jobs.queue import Backlog
from pictograph.search.found import Kind, Positive
from pictograph.search.pictures import PictureVectors
from pictograph.search.query import Example
from pictograph.search.sql import statement
from pictograph.search.words import WordReaders
from pictograph.spaces.registry import Space, Spaces, fingerprint_of, other_fingerprint
from pictograph.store.images import fetch_image, require_bytes
from pictograph.types import DIMENSION, ImageId, ImageState, OrganizationId, SpaceId
from pictograph.upload.box import Box

Found = TypeVar("Found")

LEAD: Final = 0.5
"""What a lead over the negative examples counts, beside the likeness to the positive ones."""
PENDING_WAIT_S: Final = 10.0
"""How long a search waits for its examples to be embedded."""
PENDING_POLL_S: Final = 0.05
NOTHING_LEFT: Final = 1e-3
"""Positive and negative examples whose difference is shorter than that say nothing."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """An example with its vector."""

    vector: FloatArray
    """float32 (1152,), unit length, rounded as the tables hold it."""
    kind: Kind
    """What the vector was made of; given ones count as pictures."""
    weight: float = 1.0
    negative: bool = False
    image: ImageId | None = None
    """The indexed image, which is never a row."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What examples come down to: score = best - stretch * cosine distance to the vector."""

    vector: FloatArray
    """float32 (1152,)."""
    kind: Kind
    best: float
    stretch: float
    positives: Sequence[Positive] = ()
    """Where there are several examples: those that rows should be like."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the vectors of examples come from."""

    database: Database
    backlog: Backlog
    spaces: Spaces
    words: WordReaders
    pictures: PictureVectors


@dataclass(frozen=True, slots=True)
class Stored:
    """What examples.sql gives."""

    id: ImageId
    state: str
    reason: str | None
    vector: HalfVector | None


def formula_of(examples: Sequence[Example]) -> str | None:
    """What a score is, for people; None without examples."""
    if len(examples) < 2:
        return "similarity" if examples else None
    if not any(example.negative for example in examples):
        return "mean similarity to the examples, weighted"
    return (
        f"mean similarity to the positive examples, plus {LEAD} times its lead over the similarity to the negative ones"
    )


async def resolve(
    sources: Sources, organization: OrganizationId, examples: Sequence[Example]
) -> tuple[Space, list[Resolved]]:
    """The active space, and the vector of each example in it, in the order given.

    Raises NotFoundError for an image that is not there, EmbeddingFailed for one that never will have a vector,
    EmbeddingPending after ten seconds of waiting for one, ValidationError for words that the encoder cannot read and
    for vectors of another encoder.
    """
    space = await sources.spaces.active()
    if space is None:
        raise NotFoundError("There is no library here yet.")
    images = list(dict.fromkeys(example.image_id for example in examples if example.image_id is not None))
    stored = await stored_vectors(sources, organization, space, images) if images else {}
    return space, [await resolved(sources, organization, space, stored, example) for example in examples]


async def resolved(
    sources: Sources, organization: OrganizationId, space: Space, stored: dict[ImageId, FloatArray], example: Example
) -> Resolved:
    """stored: the vectors of the indexed images among the examples."""
    kind: Kind = "image"
    if example.image_id is not None:
        vector = stored[example.image_id]
        if example.box is not None:
            vector = await vector_of_part(sources, organization, space.id, example.image_id, example.box)
    elif example.picture is not None:
        vector = as_stored(await sources.pictures.vector_of(space, example.picture, example.box))
    elif example.text is not None:
        kind, vector = "text", as_stored(await sources.words.of(space).vector_of(example.text))
    else:
        vector = given_vector(space, example.vector or (), example.encoder or "")
    return Resolved(vector, kind, example.weight, example.negative, example.image_id)


async def vector_of_part(
    sources: Sources, organization: OrganizationId, space: SpaceId, image: ImageId, box: Box
) -> FloatArray:
    """float32 (1152,), as the tables would hold it. Raises NoBytes for an image that was imported as a vector."""
    async with sources.database.connection() as connection:
        stored = require_bytes(await fetch_image(connection, organization, image))
    of = await sources.spaces.get(space)
    if of is None:
        raise EmbeddingPending("The library has just moved to another encoder. Ask again.", retry_after_s=1)
    return as_stored(await sources.pictures.vector_of_stored(of, stored.sha256, box))


def given_vector(space: Space, values: Sequence[float], encoder: str) -> FloatArray:
    """Unit length, padded with zeros. Raises ValidationError for another width, other numbers, another encoder."""
    if fingerprint_of(space) != encoder:
        raise other_fingerprint(encoder, space)
    if len(values) not in (space.dimension, DIMENSION):
        raise wrong_value(
            "vector",
            f"A vector of {encoder} has {space.dimension} numbers, or {DIMENSION}; this one has {len(values)}.",
        )
    vector = np.zeros(DIMENSION)
    vector[: len(values)] = values
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length < 1e-12:
        raise wrong_value("vector", "A vector has finite numbers, and at least one of them is not 0.")
    return as_stored((vector / length).astype(np.float32))


async def stored_vectors(
    sources: Sources, organization: OrganizationId, space: Space, images: Sequence[ImageId]
) -> dict[ImageId, FloatArray]:
    """The vectors of indexed images; those that wait to be embedded are moved to the front and waited for."""
    waiting = list(images)
    vectors: dict[ImageId, FloatArray] = {}

    async def look() -> dict[ImageId, FloatArray] | None:
        values = {"organization": organization, "space": space.id, "images": list(waiting)}
        async with sources.database.connection("generic") as connection:
            rows = await fetch_all(connection, Stored, statement("examples"), values, binary=True)
        found = {row.id: row for row in rows}
        for image in waiting:
            if image not in found:
                raise NotFoundError(f"There is no image {image}.")
            if found[image].vector is None and found[image].state == ImageState.FAILED:
                raise EmbeddingFailed(f"Image {image} could not be embedded: {found[image].reason}")
        vectors.update({row.id: row.vector.to_numpy().astype(np.float32) for row in rows if row.vector is not None})
        waiting[:] = [image for image in waiting if image not in vectors]
        return None if waiting else vectors

    return await when_embedded(look, sources.backlog, waiting)


async def when_embedded(
    look: Callable[[], Awaitable[Found | None]], backlog: Backlog, images: Sequence[ImageId]
) -> Found:
    """What `look` gives once it gives something. images: which it waits for; `look` may shorten the list.

    Raises EmbeddingPending after ten seconds.
    """
    found = await look()
    if found is None:
        for image in images:
            await backlog.hurry(image)
    deadline = asyncio.get_running_loop().time() + PENDING_WAIT_S
    while found is None and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(PENDING_POLL_S)
        found = await look()
    if found is None:
        raise EmbeddingPending(
            f"Image {images[0]} is still waiting to be embedded. Ask again in a moment.", retry_after_s=2
        )
    return found


def as_stored(vector: FloatArray) -> FloatArray:
    """A vector that comes from outside the tables, float32 (1152,), rounded as the tables hold it."""
    return vector.astype(np.float16).astype(np.float32)


def aim_of(examples: Sequence[Resolved], stretch: float) -> Aim:
    """One vector for all of them. stretch: the space's, of similarities between pictures.

    Raises ValidationError for examples that cancel each other out.
    """
    if len(examples) == 1:
        return Aim(examples[0].vector, examples[0].kind, 1.0, stretch_of(examples[0], stretch))
    positives = [one for one in examples if not one.negative]
    negatives = [one for one in examples if one.negative]
    parts = np.array([LEAD * one.weight / len(negatives) for one in negatives])
    whole = sum(one.weight for one in positives)
    shares = np.array([(1 + parts.sum()) * one.weight / whole for one in positives])
    stretches = np.array([stretch_of(one, stretch) for one in [*positives, *negatives]])
    factors = np.concatenate([shares, -parts])
    vectors = np.stack([one.vector for one in [*positives, *negatives]]).astype(np.float64)
    vector = (factors * stretches) @ (vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    length = float(np.linalg.norm(vector))
    if length < NOTHING_LEFT:
        raise wrong_value("examples", "The examples cancel each other out: what is to be found is to be avoided, too.")
    best = float(factors @ (1 - stretches)) + length
    near = [Positive(one.vector, stretch_of(one, stretch)) for one in positives]
    kind: Kind = "image" if any(one.kind == "image" for one in positives) else "text"
    return Aim((vector / length).astype(np.float32), kind, best, length, near)


def stretch_of(example: Resolved, stretch: float) -> float:
    """How the cosine distance of an example becomes a similarity."""
    return stretch if example.kind == "image" else 1.0
