"""Vectors that come in through HTTP are images without bytes: searched, and honest about what is not there."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from pictograph import Client
from pictograph.errors import NoBytes
from pictograph.wire import Dataset
from support.pictures import picture_bytes
from support.raw import Raw
from support.vectors import sent, stream_of, vector_table

PICTURE = picture_bytes(4711)
PATH = "/datasets/street/vectors"
CAR = {"objects": [["car"], [], ["car", "person"]], "scenes": [["street"], None, []]}


def imported(raw: Raw, table: Any, **parameters: Any) -> dict[str, Any]:
    answer = raw.api("POST", PATH, **sent(table, **parameters))
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def refused(raw: Raw, table: Any, **parameters: Any) -> dict[str, Any]:
    answer = raw.api("POST", PATH, **sent(table, **parameters))
    assert answer.status_code == 422, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


def names(client: Client) -> dict[str, str]:
    return {f"{image.folder_path}:{image.filename}": image.id for image in client.images.iterate("street")}


def test_imported_vectors_are_found_at_once_and_have_no_bytes(raw: Raw, client: Client, street: Dataset) -> None:
    table = vector_table([1.0, 0.9, 0.8], folder_path=["/a", "a//b/", None], width=[640, None, 640], **CAR)
    assert imported(raw, table) == {"imported": 3, "skipped": 0, "restored": 0, "replaced": 0, "different": []}
    ids = names(client)
    assert set(ids) == {"/a:1.0.jpg", "/a/b:0.9.jpg", "/:0.8.jpg"}
    rows = client.search.by_similarity(ids["/a:1.0.jpg"], folder_path="/", threshold=0)
    assert [row.filename for row in rows] == ["0.9.jpg", "0.8.jpg"]
    assert {row.filename for row in client.search.by_tag(objects=["car"])} == {"1.0.jpg", "0.8.jpg"}
    image = client.images.get(ids["/a/b:0.9.jpg"])
    assert (image.state, image.has_bytes, image.sha256, image.width) == ("tagged", False, None, None)
    for call in (client.images.download, client.images.thumbnail):
        with pytest.raises(NoBytes):
            call(image.id)
    assert raw.api("GET", "/images/street/a/b/0.9.jpg").json()["error"]["code"] == "no_bytes"
    assert [write.action for write in client.images.history(image.id)] == ["imported"]
    assert client.datasets.progress("street").tagged == 3


def test_rows_that_are_there_are_skipped_restored_named_or_replaced(raw: Raw, client: Client, street: Dataset) -> None:
    imported(raw, vector_table([1.0, 0.9, 0.8]))
    ids = names(client)
    client.images.delete(ids["/:0.9.jpg"])
    changed = vector_table([1.0, 0.9, 0.5], filename=["1.0.jpg", "0.9.jpg", "0.8.jpg"])
    answer = imported(raw, changed)
    assert (answer["imported"], answer["skipped"], answer["restored"]) == (0, 1, 1)
    (different,) = answer["different"]
    assert (different["row"], different["image_id"], different["filename"]) == (2, ids["/:0.8.jpg"], "0.8.jpg")
    assert imported(raw, changed, replace=True)["replaced"] == 1
    assert names(client) == ids
    rows = client.search.by_similarity(ids["/:1.0.jpg"], threshold=0)
    assert [(row.filename, round(row.similarity, 2)) for row in rows] == [("0.9.jpg", 0.9), ("0.8.jpg", 0.5)]
    assert imported(raw, changed)["skipped"] == 3


def test_a_picture_that_was_uploaded_is_never_replaced_by_a_vector(raw: Raw, client: Client, street: Dataset) -> None:
    image = client.images.upload("street", PICTURE, filename="1.0.jpg")
    answer = imported(raw, vector_table([1.0]), replace=True)
    assert (answer["replaced"], answer["different"][0]["image_id"]) == (0, image.id)
    assert client.images.download(image.id) == PICTURE


def test_an_upload_gives_an_imported_image_its_picture(raw: Raw, client: Client, street: Dataset) -> None:
    imported(raw, vector_table([1.0]))
    (known,) = client.images.which_exist("street", [("/", "1.0.jpg")])
    assert known.sha256 is None
    client.images.upload("street", PICTURE, filename="1.0.jpg", replace=True)
    client.datasets.wait_until_processed("street", timeout=30)
    image = client.images.get(known.id)
    assert (image.has_bytes, image.width, client.images.download(known.id)) == (True, 64, PICTURE)


def test_a_place_that_comes_twice_in_one_request_is_named(raw: Raw, client: Client, street: Dataset) -> None:
    table = vector_table([1.0, 1.0, 0.5], filename=["a", "a", "a"])
    answer = imported(raw, table)
    assert (answer["imported"], answer["skipped"]) == (1, 1)
    (image,) = client.images.list("street")
    assert [(one["row"], one["image_id"]) for one in answer["different"]] == [(2, image.id)]


def test_an_id_is_kept_if_nobody_has_it(raw: Raw, client: Client, street: Dataset) -> None:
    wanted = "01890a5d-ac96-774b-bcce-b302099a8057"
    imported(raw, vector_table([1.0], id=[wanted]))
    assert [image.id for image in client.images.list("street")] == [wanted]
    imported(raw, vector_table([0.9], id=[wanted]))
    assert len({image.id for image in client.images.list("street")}) == 2


@pytest.mark.parametrize(
    ("change", "row", "column"),
    [
        ({"filename": ["a", "b/c"]}, 1, "filename"),
        ({"filename": ["a", None]}, 1, "filename"),
        ({"folder_path": ["/", "/../x"]}, 1, "folder_path"),
        ({"objects": [["car"], ["carr"]]}, 1, "objects"),
        ({"objects": [["car", "Car "], []]}, 0, "objects"),
        ({"id": ["x", None]}, 0, "id"),
        ({"width": [1, -1]}, 1, "width"),
        ({"content_type": ["image/jpeg", "x\n"]}, 1, "content_type"),
        ({"vector": pa.FixedSizeListArray.from_arrays(pa.array([0.5] * 2304, pa.float32()), 1152)}, 0, "vector"),
        ({"vector": pa.FixedSizeListArray.from_arrays(pa.array([1.0] * 8, pa.float32()), 4)}, None, "vector"),
        ({"vector": pa.array([[1.0], [1.0]])}, None, "vector"),
        ({"colour": ["red", "blue"]}, None, "colour"),
        ({"vector": None}, None, "vector"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_is_wrong_is_named_with_its_row_and_nothing_is_stored(
    raw: Raw, client: Client, street: Dataset, change: dict[str, Any], row: int | None, column: str
) -> None:
    error = refused(raw, vector_table([1.0, 0.9], **change))
    assert error["details"]["errors"][0]["loc"] == [column]
    assert error["details"].get("row") == row
    assert client.images.list("street").total == 0


def test_vectors_of_another_encoder_are_refused_and_the_right_one_is_named(raw: Raw, street: Dataset) -> None:
    error = refused(raw, vector_table([1.0]), encoder="other@1")
    assert raw("GET", "/ready").json()["fingerprint"] in error["message"]


@pytest.mark.parametrize("body", [b"", b"PAR1", stream_of(vector_table([1.0]), compression="zstd")])
def test_a_body_that_is_no_plain_arrow_stream_is_refused(raw: Raw, street: Dataset, body: bytes) -> None:
    options = sent(vector_table([1.0])) | {"content": body}
    answer = raw.api("POST", PATH, **options)
    assert (answer.status_code, answer.json()["error"]["details"]["errors"][0]["loc"]) == (422, ["body"])


def test_another_content_type_is_refused_before_the_body_is_read(raw: Raw, street: Dataset) -> None:
    options = sent(vector_table([1.0])) | {"headers": {"Content-Type": "application/vnd.apache.parquet"}}
    assert raw.api("POST", PATH, **options).status_code == 415


def test_a_request_that_is_sent_again_gets_the_first_answer(raw: Raw, street: Dataset) -> None:
    options = sent(vector_table([1.0]))
    options["headers"]["Idempotency-Key"] = "once"
    first, second = raw.api("POST", PATH, **options), raw.api("POST", PATH, **options)
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replayed"] == "true"
    other = sent(vector_table([0.9]))
    other["headers"]["Idempotency-Key"] = "once"
    assert raw.api("POST", PATH, **other).json()["error"]["code"] == "idempotency_conflict"


def test_who_may_only_read_and_who_is_elsewhere_import_nothing(raw_as: Any, service: Any, street: Dataset) -> None:
    assert raw_as("viewer").api("POST", PATH, **sent(vector_table([1.0]))).status_code == 403
    assert raw_as(None).api("POST", PATH, **sent(vector_table([1.0]))).status_code == 401
    stranger = Raw(service, service.key(service.organization()), raw_as(None).http)
    answer = stranger.api("POST", f"/datasets/{street.id}/vectors", **sent(vector_table([1.0])))
    assert answer.json()["error"]["code"] == "not_found"
