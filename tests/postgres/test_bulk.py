"""Images loaded with their vectors are found like uploaded ones; a chunk that is wrong leaves nothing behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest

from pictograph.bulk.images import BulkImages, new_ids, tag_documents
from pictograph.bulk.load import bulk_load, make_folders
from pictograph.encode.noop import SPEC
from pictograph.encode.protocol import EncoderSpec
from pictograph.errors import NotFoundError, SpaceMismatch, WriteConflict
from pictograph.search.query import SimilarQuery, TagQuery
from pictograph.spaces.reindex import Reindex
from pictograph.store.datasets import Dataset, Datasets
from pictograph.store.images import Images
from pictograph.types import DatasetId, ImageId, SpaceId, Tags
from support.engines import engine_of
from support.planting import Garden, direction

TABLES = ("blob", "image", "encoding", "image_embedding")
CAR: Tags = {"objects": ["car"], "scenes": ["street"], "attributes": []}
COSINES = (1.0, 0.9, 0.8, 0.7)


def chunk(
    folder_ids: Sequence[int] | np.ndarray,
    cosines: Sequence[float] = COSINES,
    contents: Sequence[bytes] = (),
    **changes: Any,
) -> BulkImages:
    """An image for each cosine, named after it: `0.9.jpg`."""
    count = len(cosines)
    digests = b"".join(sha256(content).digest() for content in contents or [uuid4().bytes for _ in cosines])
    images = BulkImages(
        ids=new_ids(count),
        folder_ids=np.array(folder_ids, np.int64),
        filenames=[f"{cosine}.jpg" for cosine in cosines],
        sha256s=np.frombuffer(digests, np.uint8).reshape(count, 32),
        sizes_bytes=np.arange(1, count + 1),
        widths_px=np.full(count, 640),
        heights_px=np.full(count, 480),
        vectors=np.stack([direction(cosine) for cosine in cosines]).astype(np.float16),
    )
    return replace(images, **changes)


async def load(garden: Garden, dataset: Dataset, images: BulkImages) -> list[ImageId]:
    async with garden.database.connection() as connection:
        await bulk_load(connection, garden.space, dataset.id, images)
    return [ImageId(UUID(bytes=row.tobytes())) for row in images.ids]


async def folder_ids(garden: Garden, dataset: Dataset, *paths: str) -> np.ndarray:
    async with garden.database.connection() as connection:
        return await make_folders(connection, dataset.id, paths)


async def counts(garden: Garden) -> dict[str, int]:
    async with garden.database.connection() as connection:
        cursors = {name: await connection.execute(f"SELECT count(*) FROM {name}".encode()) for name in TABLES}
        return {name: (await cursor.fetchone() or (None,))[0] for name, cursor in cursors.items()}


async def similar(garden: Garden, image: ImageId, **options: Any) -> list[tuple[str, str, float]]:
    query = SimilarQuery(image, **({"threshold": 0.0} | options))
    answer = await engine_of(garden).by_similarity(garden.organization, query)
    return [(row.filename, row.folder_path, round(row.similarity, 6)) for row in answer.rows]


async def test_loaded_images_are_found_exactly_like_uploaded_ones(garden: Garden) -> None:
    loaded, uploaded = await garden.dataset("loaded"), await garden.dataset("uploaded")
    paths = ["/night", "/day/rain", "/day", "/day"]
    images = await load(garden, loaded, chunk(await folder_ids(garden, loaded, *paths)))
    planted = [
        await garden.plant(uploaded, f"{cosine}.jpg", direction(cosine), folder=folder)
        for cosine, folder in zip(COSINES, paths, strict=True)
    ]
    for folder in (None, "/", "/day", "/day/rain", "/night"):
        for one, other in zip(images, planted, strict=True):
            found = await similar(garden, one, folder_path=folder)
            assert found == await similar(garden, other, folder_path=folder)
    assert len(await similar(garden, images[0], folder_path="/")) == 3


async def test_a_loaded_image_has_every_fact_that_was_given(garden: Garden) -> None:
    dataset = await garden.dataset()
    images = chunk(
        await folder_ids(garden, dataset, "/a/b", "/", "/a", "/ü"),
        tags=tag_documents([CAR] * 4),
        content_types="image/png",
    )
    ids = await load(garden, dataset, images)
    stored = await Images(garden.database).get(garden.organization, ids[3])
    assert (stored.folder_path, stored.filename, stored.content_type) == ("/ü", "0.7.jpg", "image/png")
    assert (stored.width, stored.height, stored.file_size, stored.state) == (640, 480, 4, "tagged")
    assert (stored.sha256, stored.tags) == (images.sha256s[3].tobytes(), CAR)
    assert (await Datasets(garden.database).get(garden.organization, "street")).total_size == 1 + 2 + 3 + 4


async def test_the_stored_vectors_are_the_given_ones_bit_for_bit(garden: Garden) -> None:
    dataset = await garden.dataset()
    noise = np.random.default_rng(0).standard_normal((4, 1152)).astype(np.float32)
    images = chunk([0] * 4, vectors=(noise / np.linalg.norm(noise, axis=1, keepdims=True)).astype(np.float16))
    images = replace(images, folder_ids=await folder_ids(garden, dataset, "/", "/", "/", "/"))
    await load(garden, dataset, images)
    async with garden.database.connection() as connection:
        for table in ("image_embedding", "encoding"):
            rows = await connection.execute(f"SELECT vector FROM {table}".encode())
            stored = np.stack([row[0].to_numpy() for row in await rows.fetchall()]).astype(np.float16)
            assert sorted(stored.tolist()) == sorted(images.vectors.tolist())


async def test_tags_of_different_lengths_and_unusual_names_arrive_unharmed(garden: Garden) -> None:
    dataset = await garden.dataset()
    names = ["x", "grüße 🎈.jpg", "n" * 255, 'a "b" \\c.jpg']
    tags: list[Tags] = [
        CAR,
        {"objects": [], "scenes": [], "attributes": []},
        {**CAR, "objects": ["car", "ö" * 90]},
        CAR,
    ]
    images = chunk(await folder_ids(garden, dataset, "/", "/", "/", "/"), filenames=names, tags=tag_documents(tags))
    ids = await load(garden, dataset, images)
    for image, name, given in zip(ids, names, tags, strict=True):
        stored = await Images(garden.database).get(garden.organization, image)
        assert (stored.filename, stored.tags) == (name, given)
    answer = await engine_of(garden).by_tag(garden.organization, TagQuery(objects=["car"], scenes=["street"]))
    assert {row.filename for row in answer.rows} == {names[0], names[2], names[3]}


async def test_rows_are_written_by_folder_so_that_a_scope_is_read_together(garden: Garden) -> None:
    dataset = await garden.dataset()
    await load(garden, dataset, chunk(await folder_ids(garden, dataset, "/b", "/a", "/b", "/a")))
    async with garden.database.connection() as connection:
        rows = await connection.execute("SELECT folder_id FROM image_embedding ORDER BY ctid")
        folders = [row[0] for row in await rows.fetchall()]
    assert folders == sorted(folders)


async def test_the_same_bytes_have_one_blob_and_one_encoding_and_every_image_is_found(garden: Garden) -> None:
    dataset = await garden.dataset()
    uploaded = await garden.plant(dataset, "first.jpg", direction(0.5), tags=CAR, content=b"known")
    contents = [b"known", b"new", b"new", b"other"]
    ids = await load(garden, dataset, chunk(await folder_ids(garden, dataset, *"////"), contents=contents))
    assert await counts(garden) == {"blob": 3, "image": 5, "encoding": 3, "image_embedding": 5}
    found = {name: similarity for name, _, similarity in await similar(garden, uploaded)}
    assert found["1.0.jpg"] == 1.0, "the vector that the space knew"
    assert found["0.9.jpg"] == found["0.8.jpg"], "the vector of the first image with these bytes"
    assert (await Images(garden.database).get(garden.organization, ids[0])).tags == CAR


async def test_an_empty_chunk_loads_nothing(garden: Garden) -> None:
    dataset = await garden.dataset()
    empty = chunk(await folder_ids(garden, dataset, "/", "/", "/", "/")).rows(slice(0, 0))
    await load(garden, dataset, empty)
    assert set((await counts(garden)).values()) == {0}


async def test_a_name_that_is_taken_or_comes_twice_loads_nothing(garden: Garden) -> None:
    dataset = await garden.dataset()
    await garden.plant(dataset, "0.8.jpg")
    before = await counts(garden)
    root = await folder_ids(garden, dataset, "/", "/", "/", "/")
    with pytest.raises(WriteConflict, match=r"0\.8\.jpg"):
        await load(garden, dataset, chunk(root))
    with pytest.raises(WriteConflict, match=r"twice\.jpg"):
        await load(garden, dataset, chunk(root, filenames=["a.jpg", "twice.jpg", "b.jpg", "twice.jpg"]))
    assert await counts(garden) == before


async def test_an_id_that_is_taken_loads_nothing(garden: Garden) -> None:
    dataset = await garden.dataset()
    images = chunk(await folder_ids(garden, dataset, "/", "/", "/", "/"))
    await load(garden, dataset, images)
    with pytest.raises(WriteConflict, match="id"):
        await load(garden, dataset, replace(chunk(images.folder_ids, cosines=(0.1, 0.2, 0.3, 0.4)), ids=images.ids))
    assert set((await counts(garden)).values()) == {4}


async def test_folders_of_another_dataset_and_datasets_that_are_not_there_are_refused(garden: Garden) -> None:
    street, shop = await garden.dataset("street"), await garden.dataset("shop")
    with pytest.raises(NotFoundError, match="not in dataset"):
        await load(garden, street, chunk(await folder_ids(garden, shop, "/", "/", "/", "/")))
    async with garden.database.connection() as connection:
        with pytest.raises(NotFoundError, match="no such dataset"):
            await make_folders(connection, DatasetId(uuid4()), ["/"])
    assert set((await counts(garden)).values()) == {0}


async def test_only_the_active_space_is_loaded_into(garden: Garden) -> None:
    dataset = await garden.dataset()
    images = chunk(await folder_ids(garden, dataset, "/", "/", "/", "/"))
    building = await Reindex(garden.database).start(EncoderSpec("other", "1", 1152, 224, has_text=False), "other")
    async with garden.database.connection() as connection:
        with pytest.raises(SpaceMismatch, match="not the active one"):
            await bulk_load(connection, building.id, dataset.id, images)
        with pytest.raises(SpaceMismatch):
            await bulk_load(connection, SpaceId(999), dataset.id, images)
    assert SPEC.name != "other"
    assert set((await counts(garden)).values()) == {0}


COUNTER = """
CREATE TABLE counted (images bigint);
CREATE FUNCTION count_loaded() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO counted SELECT count(*) FROM added; RETURN NULL; END $$;
CREATE TRIGGER count_loaded AFTER INSERT ON image REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_loaded()"""


async def test_triggers_see_every_loaded_row(garden: Garden) -> None:
    dataset = await garden.dataset()
    async with garden.database.connection() as connection:
        await connection.execute(COUNTER.encode())
        await bulk_load(
            connection, garden.space, dataset.id, chunk(await folder_ids(garden, dataset, "/", "/", "/", "/"))
        )
        row = await (await connection.execute("SELECT sum(images) FROM counted")).fetchone()
    assert row == (4,)


async def test_after_a_load_the_session_plans_as_before(garden: Garden) -> None:
    dataset = await garden.dataset()
    images = chunk(await folder_ids(garden, dataset, "/", "/", "/", "/"))
    async with garden.database.connection() as connection:
        await bulk_load(connection, garden.space, dataset.id, images)
        row = await (await connection.execute("SHOW plan_cache_mode")).fetchone()
    assert row == ("force_custom_plan",)
