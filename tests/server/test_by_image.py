"""A picture as the question: by SDK, HTTP and command line; nothing of it is kept, and a box means a part of it."""

from __future__ import annotations

import base64
import os
import signal
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from pictograph import (
    AsyncClient,
    BadImage,
    Client,
    ConnectionFailed,
    Example,
    NoBytes,
    NotFoundError,
    TooLarge,
    UnsupportedFormat,
    ValidationError,
)
from pictograph.client.pictures import picture_bytes as file_of
from pictograph.db.pool import Connection
from pictograph.types import MAX_QUERY_BYTES
from pictograph.wire import Dataset, QueryAnswer
from support.pictures import noise_bytes, picture_bytes
from support.raw import Raw
from support.services import Service

SIZE = (256, 192)
BOX = {"x": 64, "y": 48, "width": 128, "height": 96}


def png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def lying_down(image: Image.Image) -> Image.Image:
    """As a camera held upright keeps it: turned, with a note to turn it back."""
    exif, file = Image.Exif(), BytesIO()
    exif[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(file, "WEBP", lossless=True, exif=exif)
    return Image.open(BytesIO(file.getvalue()))


WHOLE = Image.open(BytesIO(picture_bytes(5, size=SIZE, format="PNG")))
PART = png(WHOLE.crop((64, 48, 192, 144)))


@pytest.fixture
def stored(client: Client, street: Dataset) -> dict[str, str]:
    """Filename to id: a picture, and the middle of it as a file of its own."""
    files = {"whole.png": png(WHOLE), "part.png": PART, "other.png": picture_bytes(6, size=SIZE, format="PNG")}
    ids = {name: client.images.upload("street", data, filename=name).image_id for name, data in files.items()}
    client.datasets.wait_until_processed("street")
    return ids


def found(rows: Any) -> dict[str, float]:
    return {row.filename: round(row.similarity, 4) for row in rows}


def kept(service: Service) -> tuple[int, int, list[str]]:
    """Rows of bytes and of images, and every file in the blob store."""

    async def counted() -> tuple[int, int]:
        async with service.services.database.connection() as connection:
            cursor = await connection.execute("SELECT (SELECT count(*) FROM blob), (SELECT count(*) FROM image)")
            row = await cursor.fetchone()
            assert row is not None
            return row[0], row[1]

    folder = Path(service.services.settings.blob_location)
    return *service.run(counted()), sorted(str(path) for path in folder.rglob("*"))


def test_a_picture_finds_itself_however_it_is_given_and_nothing_is_kept(
    service: Service, client: Client, stored: dict[str, str], tmp_path: Path
) -> None:
    before = kept(service)
    path = tmp_path / "question.png"
    path.write_bytes(png(WHOLE))
    pixels = np.asarray(WHOLE)
    for picture in (path, str(path), png(WHOLE), BytesIO(png(WHOLE)), WHOLE, pixels, lying_down(WHOLE)):
        assert found(client.search.by_image(picture, dataset_name="street")) == {"whole.png": 1.0}
    rows = client.search.by_image(path, dataset_name="street", threshold=0, limit=1)
    assert rows.next_cursor is not None
    rest = client.search.by_image(path, dataset_name="street", threshold=0, limit=5, cursor=rows.next_cursor)
    every = list(client.search.iterate_by_image(path, dataset_name="street", threshold=0, page_size=2))
    assert [row.image_id for row in every] == [row.image_id for row in (*rows, *rest)]
    assert {row.image_id for row in every} == set(stored.values())
    assert rows.scope_size == 3
    assert kept(service) == before


def test_a_box_is_the_picture_of_that_part(client: Client, stored: dict[str, str]) -> None:
    for box in (BOX, (64, 48, 128, 96), {"x": 0.25, "y": 0.25, "width": 0.5, "height": 0.5, "unit": "fraction"}):
        assert found(client.search.by_image(WHOLE, box=box, dataset_name="street")) == {"part.png": 1.0}
        assert found(client.search.by_similarity(stored["whole.png"], box=box)) == {"part.png": 1.0}
    for bad in ({**BOX, "x": 200}, (0, 0, 2, 2, 2), {"x": 1}, (-1, 0, 5, 5), {**BOX, "unit": "cm"}):
        for ask in (
            lambda box: client.search.by_image(WHOLE, box=box),
            lambda box: client.search.by_similarity(stored["whole.png"], box=box),
        ):
            with pytest.raises(ValidationError) as refusal:
                ask(bad)
            assert any("box" in error["loc"] or "box_unit" in error["loc"] for error in refusal.value.field_errors)


def test_hostile_pictures_are_refused_as_uploads_are_and_leave_nothing(
    service: Service, client: Client, stored: dict[str, str]
) -> None:
    assert stored
    before = kept(service)
    cut = picture_bytes(1, size=SIZE)
    for data, error in (
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", UnsupportedFormat),
        (b"", BadImage),
        (cut[: len(cut) // 2], BadImage),
        (picture_bytes(1, size=(2000, 1000)), TooLarge),
        (noise_bytes(1, 300_000), TooLarge),
        (noise_bytes(1, 2_000_000), TooLarge),
    ):
        with pytest.raises(error) as asked:
            client.search.by_image(data)
        if data:
            with pytest.raises(error) as uploaded:
                client.images.upload("street", data, filename="x.png")
            assert asked.value.code == uploaded.value.code
    assert found(client.search.by_image(WHOLE, dataset_name="street")) == {"whole.png": 1.0}
    assert kept(service) == before


def test_a_question_has_the_bounds_and_filters_of_every_search(client: Client, stored: dict[str, str]) -> None:
    assert len(client.search.by_image(WHOLE, dataset_name="street", threshold=0, limit=2)) == 2
    assert client.search.by_image(WHOLE, dataset_name="street", objects=["car"]) == []
    assert client.search.by_image(WHOLE, dataset_name="street", uploaded_before="2020-01-01") == []
    assert len(client.search.by_image(WHOLE, threshold=0, exact=True)) == 3
    with pytest.raises(NotFoundError):
        client.search.by_image(WHOLE, dataset_name="nowhere")
    with pytest.raises(NotFoundError):
        client.search.by_image(WHOLE, dataset_name="street", folder_path="/nowhere")
    with pytest.raises(ValidationError):
        client.search.by_image(WHOLE, threshold=2)
    with pytest.raises(ValidationError, match="NumPy"):
        client.search.by_image(42)  # type: ignore[arg-type]
    assert stored


def test_a_box_needs_the_bytes_of_an_image(service: Service, client: Client, street: Dataset) -> None:
    assert street
    image = client.images.upload("street", picture_bytes(77, size=SIZE), filename="imported.jpg")
    client.datasets.wait_until_processed("street")

    async def forget(connection: Connection) -> None:
        await connection.execute(
            "UPDATE blob SET has_bytes = false WHERE sha256 = (SELECT sha256 FROM image WHERE id = %s)",
            [image.image_id],
        )

    service.run(service.services.database.write(forget))
    with pytest.raises(NoBytes):
        client.search.by_similarity(image.image_id, box=BOX)
    with pytest.raises(NoBytes):
        client.search.query(examples=[Example(image_id=image.image_id, box=BOX)])


def test_the_next_question_is_answered_after_the_process_was_killed(service: Service, client: Client) -> None:
    client.datasets.create("street")
    assert client.search.by_image(WHOLE, dataset_name="street") == []
    (process,) = encoders_of(os.getpid())
    os.kill(process, signal.SIGKILL)
    assert client.search.by_image(WHOLE, dataset_name="street") == []
    assert encoders_of(os.getpid()) not in ([], [process])
    assert service.services.database is not None


def encoders_of(parent: int) -> list[int]:
    """Processes that encode pictures, started by this one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments, state = (folder / "cmdline").read_bytes(), (folder / "stat").read_text()
        except OSError:
            continue
        if b"encode-pictures" in arguments and int(state.rpartition(")")[2].split()[1]) == parent:
            found.append(int(folder.name))
    return found


def test_over_http_the_picture_is_the_body(raw: Raw, raw_as: Callable[[Any], Raw], stored: dict[str, str]) -> None:
    assert stored
    viewer = raw_as("viewer")
    answer = viewer.api(
        "POST", "/search/by-image", params={"dataset_name": "street", "box": "64,48,128,96"}, content=png(WHOLE)
    )
    assert answer.status_code == 200, answer.text
    assert [row["filename"] for row in answer.json()["results"]] == ["part.png"]
    for params in ({"box": "1,2,3"}, {"box": "a,b,c,d"}, {"box": "0,0,nan,1"}, {"limit": 0}, {"bocks": "1"}):
        assert raw.api("POST", "/search/by-image", params=params, content=png(WHOLE)).status_code == 422
    assert raw_as(None).api("POST", "/search/by-image", content=b"x").status_code == 401


async def test_the_asyncio_client_asks_the_same(service: Service, client: Client, stored: dict[str, str]) -> None:
    assert stored
    async with AsyncClient(client._transport.config.api_key, base_url=service.address) as asynchronous:
        assert found(await asynchronous.search.by_image(WHOLE, dataset_name="street")) == {"whole.png": 1.0}
        rows = [row async for row in asynchronous.search.iterate_by_image(png(WHOLE), dataset_name="street")]
        assert found(rows) == {"whole.png": 1.0}


def test_arrays_and_images_become_files_of_the_same_pixels() -> None:
    random = np.random.default_rng(1)
    for shape, mode in (((5, 7), "L"), ((5, 7, 1), "L"), ((5, 7, 2), "LA"), ((5, 7, 3), "RGB"), ((5, 7, 4), "RGBA")):
        array = random.integers(0, 256, shape, dtype=np.uint8)
        read = Image.open(BytesIO(file_of(array)))
        assert read.mode == mode
        assert np.array_equal(np.asarray(read).reshape(shape), array)
    flipped = random.integers(0, 256, (5, 7, 3), dtype=np.uint8)[:, ::-1]
    assert np.array_equal(np.asarray(Image.open(BytesIO(file_of(flipped)))), flipped)
    assert Image.open(BytesIO(file_of(Image.new("CMYK", (3, 3))))).mode == "RGB"
    for bad in (np.zeros((5, 7)), np.zeros((5, 7, 5), np.uint8), np.zeros((0, 7), np.uint8), np.zeros(5, np.uint8)):
        with pytest.raises(ValidationError, match="array"):
            file_of(bad)


def test_the_client_fetches_urls_itself(raw: Raw, service: Service, client: Client, stored: dict[str, str]) -> None:
    served = httpx.get(f"{service.address}/health")
    assert served.is_success
    with pytest.raises(UnsupportedFormat):  # what came is no picture; it was fetched from here
        client.search.by_image(f"{service.address}/health")
    with pytest.raises(ConnectionFailed, match="401"):
        client.search.by_image(f"{service.address}/api/v1/developer/images/{stored['whole.png']}")
    with pytest.raises(ConnectionFailed, match="could not be fetched"):
        client.search.by_image("http://127.0.0.1:1/x.jpg")
    assert raw.key


def test_a_picture_and_a_box_go_with_other_examples_in_a_query(
    service: Service, client: Client, stored: dict[str, str], tmp_path: Path
) -> None:
    before = kept(service)
    path = tmp_path / "question.png"
    path.write_bytes(png(WHOLE))
    for picture in (path, WHOLE, png(WHOLE)):
        (best, *_) = client.search.query(examples=[Example(picture=picture)], dataset_names=["street"])
        assert (best.filename, round(best.score or 0, 3)) == ("whole.png", 1.0)
    for example in (Example(picture=path, box=BOX), Example(image_id=stored["whole.png"], box=BOX)):
        rows = client.search.query(examples=[example], dataset_names=["street"])
        assert (rows[0].filename, round(rows[0].score or 0, 3)) == ("part.png", 1.0)
    both = client.search.query(
        examples=[Example(picture=path), Example(picture=PART), Example(image_id=stored["other.png"], negative=True)],
        dataset_names=["street"],
    )
    assert {row.filename for row in both} == {"whole.png", "part.png"}
    assert isinstance(both.answer, QueryAnswer)
    assert [one.kind for one in both.answer.examples] == ["picture", "picture", "image"]
    every = client.search.iterate_query(examples=[Example(picture=path)], dataset_names=["street"], page_size=2)
    assert next(row.filename for row in every) == "whole.png"
    assert kept(service) == before


def test_base64_in_json_is_read_within_bounds(service: Service, raw: Raw, stored: dict[str, str]) -> None:
    assert stored

    def ask(image: str, **more: Any) -> httpx.Response:
        answer: httpx.Response = raw.api("POST", "/search/query", json={"examples": [{"image": image, **more}]})
        return answer

    text = base64.b64encode(png(WHOLE)).decode()
    for written in (text, f"data:image/png;base64,{text}"):
        assert ask(written).json()["results"][0]["filename"] == "whole.png"
    assert ask(text, box={"x": 64, "y": 48, "width": 128, "height": 96}).json()["results"][0]["filename"] == "part.png"
    for bad, more in (("no base64!", {}), (text, {"text": "a dog"}), (text, {"box": {"x": 1}})):
        assert ask(bad, **more).status_code == 422
    assert ask(text, box={"x": 0, "y": 0, "width": 1000, "height": 1}).status_code == 422
    large = base64.b64encode(noise_bytes(1, 1_200_000)).decode()  # above what JSON may have elsewhere
    assert (ask(large).status_code, ask(large).json()["error"]["code"]) == (413, "too_large")
    assert "max_bytes" in ask(large).json()["error"]["message"]
    assert ask("A" * (MAX_QUERY_BYTES + 1)).status_code == 413
    until_free(service)


def until_free(service: Service) -> None:
    """Every place is given back."""
    for _ in range(200):
        if not service.admission.inside:
            return
        time.sleep(0.01)
    raise AssertionError(f"{service.admission.inside} places are still held")
