"""What a query finds as files, each format read back by a reader that is not ours."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from pictograph import (
    AsyncClient,
    Client,
    ConflictError,
    ConnectionFailed,
    NotFoundError,
    RateLimitError,
    ValidationError,
)
from pictograph.bulk import zipped
from pictograph.bulk.export import Export
from pictograph.client.exporting import job as jobs
from pictograph.client.results import ExportReport
from pictograph.localconfig import LocalConfig, write_config
from pictograph.server.routes import exports
from pictograph.types import OrganizationId
from support.commands import runner
from support.pictures import picture_bytes
from support.raw import Raw
from support.services import Service
from support.vectors import vector_table

PICTURES = {
    ("/", "a.jpg"): picture_bytes(901),
    ("/day", "A.jpg"): picture_bytes(902),
    ("/day", "a.jpg"): picture_bytes(903),
    ("/day/rain", "con.jpg"): picture_bytes(904),
    ("/day/rain", "=1+1.jpg"): picture_bytes(905),
}
TAGS = {"objects": ["car", "person"], "scenes": ["street"], "attributes": []}


@pytest.fixture
def pages_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROWS_AT_ONCE", "VECTORS_AT_ONCE", "FILES_AT_ONCE"):
        monkeypatch.setattr(jobs, name, 2)


@pytest.fixture(scope="module")
def owner(service: Service) -> OrganizationId:
    """Of the library that all tests here read."""
    return service.organization()


@pytest.fixture(scope="module")
def library(service: Service, owner: OrganizationId) -> Client:
    """Five pictures in `street`, all with tags, and a sixth image that has no file. To be read only."""
    return filled(service, service.client(owner))


@pytest.fixture
def own_library(service: Service, client: Client) -> Client:
    """The same, for one test."""
    return filled(service, client)


@pytest.fixture
def raw(service: Service, owner: OrganizationId, http: httpx.Client) -> Raw:
    return Raw(service, service.key(owner), http)


def filled(service: Service, client: Client) -> Client:
    client.datasets.create("street")
    for (folder, name), data in PICTURES.items():
        client.images.upload("street", data, filename=name, folder_path=folder)
    client.datasets.wait_until_processed("street", timeout=60)
    dataset = client.datasets.get("street").id
    service.run(tag(service, dataset, TAGS))
    client.datasets.import_vectors("street", vector_table([0.9], filename=["vector.jpg"], objects=[["dog"]]))
    return client


async def tag(service: Service, dataset: str, tags: dict[str, list[str]]) -> None:
    async with service.services.database.connection() as connection:
        statement = b"UPDATE image SET image_auto_tags = %s::jsonb WHERE dataset_id = %s"
        await connection.execute(statement, [json.dumps(tags), dataset])


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(it.relative_to(folder)): it.read_bytes() for it in sorted(folder.rglob("*")) if it.is_file()}


SAFE = {
    "street/a.jpg": ("/", "a.jpg"),
    "street/day/rain/_con.jpg": ("/day/rain", "con.jpg"),
    "street/day/rain/=1+1.jpg": ("/day/rain", "=1+1.jpg"),
}


def require_pictures(found: dict[str, bytes]) -> None:
    """Whatever the order of the two that differ by a capital letter, each has its own bytes, and a name of its own."""
    assert {name: found[name] for name in SAFE} == {name: PICTURES[place] for name, place in SAFE.items()}
    two = {name.lower(): data for name, data in found.items() if name.startswith("street/day/") and "rain" not in name}
    assert set(two) == {"street/day/a.jpg", "street/day/a (2).jpg"}
    assert set(two.values()) == {PICTURES["/day", "A.jpg"], PICTURES["/day", "a.jpg"]}


# --- tables


def test_csv_has_a_line_for_each_image_and_nothing_that_a_spreadsheet_would_run(
    library: Client, tmp_path: Path, pages_of_two: None
) -> None:
    seen: list[tuple[int, int | None]] = []
    report = library.search.export(tmp_path / "all.csv", dataset_names=["street"], progress=lambda *it: seen.append(it))
    assert (report.rows, report.total, report.vanished, report.guarded_cells, report.success) == (6, 6, 0, 1, True)
    assert seen == [(2, 6), (4, 6), (6, 6)]
    with (tmp_path / "all.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    by_name = {(row["folder_path"], row["filename"]): row for row in rows}
    assert by_name.keys() == {*PICTURES, ("/", "vector.jpg")} - {("/day/rain", "=1+1.jpg")} | {
        ("/day/rain", "'=1+1.jpg")
    }
    car = by_name["/", "a.jpg"]
    assert (car["path"], car["objects"], car["scenes"], car["attributes"]) == (
        "street/a.jpg",
        "car|person",
        "street",
        "",
    )
    assert (car["width"], car["height"], car["sha256"]) == ("64", "48", sha256(PICTURES["/", "a.jpg"]))
    assert (by_name["/", "vector.jpg"]["has_bytes"], by_name["/", "vector.jpg"]["sha256"]) == ("False", "")
    verbatim = library.search.export(
        tmp_path / "verbatim.csv", dataset_names=["street"], spreadsheet_safe=False, objects=["car"]
    )
    assert (verbatim.rows, verbatim.guarded_cells) == (5, 0)
    assert "\r\n" in (tmp_path / "verbatim.csv").read_bytes().decode()
    with (tmp_path / "verbatim.csv").open(newline="", encoding="utf-8") as file:
        assert {(row["folder_path"], row["filename"]) for row in csv.DictReader(file)} == set(PICTURES)
    assert sorted(it.name for it in tmp_path.iterdir()) == ["all.csv", "verbatim.csv"]


def test_json_lines_and_lists_say_the_same(library: Client, tmp_path: Path, pages_of_two: None) -> None:
    library.search.export(tmp_path / "all.jsonl", folder_path="/day", dataset_names=["street"])
    records = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {(it["folder_path"], it["filename"]) for it in records} == {place for place in PICTURES if place[0] != "/"}
    assert all(it["tags"] == TAGS and it["dataset_name"] == "street" for it in records)
    newest_first = [it["created_at"] for it in records]
    assert newest_first == sorted(newest_first, reverse=True)
    library.search.export(tmp_path / "all.txt", folder_path="/day", dataset_names=["street"])
    assert (tmp_path / "all.txt").read_text(encoding="utf-8").splitlines() == [it["path"] for it in records]
    library.search.export(tmp_path / "one.txt", folder_path="/day", recursive=False, dataset_names=["street"])
    assert len((tmp_path / "one.txt").read_text(encoding="utf-8").splitlines()) == 2


def test_parquet_has_vectors_and_facts_and_is_taken_again(
    library: Client, service: Service, tmp_path: Path, pages_of_two: None
) -> None:
    report = library.search.export(tmp_path / "v.parquet")
    assert (report.rows, report.left_out, report.format) == (6, 0, "parquet")
    table = pq.read_table(tmp_path / "v.parquet")
    assert {"id", "path", "vector", "objects", "width", "sha256", "dataset_name", "camera"} <= set(table.column_names)
    by_path = {row["path"]: row for row in table.to_pylist()}
    assert by_path["street/a.jpg"]["objects"] == ["car", "person"]
    assert by_path["street/a.jpg"]["sha256"] == sha256(PICTURES["/", "a.jpg"])
    assert by_path["street/vector.jpg"]["sha256"] is None
    library.search.export(tmp_path / "v.arrow", objects=["dog"])
    (dog,) = pyarrow.ipc.open_file(str(tmp_path / "v.arrow")).read_all().to_pylist()
    assert dog["vector"] == by_path["street/vector.jpg"]["vector"]
    elsewhere = service.client()
    imported = elsewhere.datasets.import_vectors("copy", tmp_path / "v.parquet")
    assert (imported.imported, imported.ignored_columns) == (6, {})
    elsewhere.search.export(tmp_path / "again.parquet")
    again = {row["filename"] + row["folder_path"]: row for row in pq.read_table(tmp_path / "again.parquet").to_pylist()}
    for row in by_path.values():
        other = again[row["filename"] + row["folder_path"]]
        assert {name: other[name] for name in ("vector", "objects", "scenes", "width", "created_at")} == {
            name: row[name] for name in ("vector", "objects", "scenes", "width", "created_at")
        }


@pytest.mark.parametrize("name", ["o.jsonl", "o.parquet"])
@pytest.mark.parametrize(
    "asked",
    [
        {"examples": True, "threshold": -1.0},
        {"examples": True, "top": 3},
        {"examples": True, "top": 4, "order_by": "file_size", "descending": False},
        {"order_by": "file_size"},
        {"objects": ["car"], "order_by": "width", "descending": False},
    ],
)
def test_an_export_has_what_the_query_finds_in_its_order(
    library: Client, tmp_path: Path, pages_of_two: None, name: str, asked: dict[str, Any]
) -> None:
    (first,) = library.images.list("street", filename="a.jpg", folder_path="/")
    question = asked | {"dataset_names": ["street"]} | ({"examples": [first.id]} if asked.get("examples") else {})
    rows = library.search.query(limit=100, **question)
    report = library.search.export(tmp_path / name, **question)
    if name == "o.jsonl":
        found = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
    else:
        found = [it | {"image_id": it["id"]} for it in pq.read_table(tmp_path / name).to_pylist()]
    assert [it["image_id"] for it in found] == [row.image_id for row in rows]
    assert [it["score"] for it in found] == [row.score for row in rows]
    assert report.rows == len(rows) > 2
    assert (first.id in {row.image_id for row in rows}) is not bool(asked.get("examples"))


def test_a_saved_query_is_exported_by_its_name(library: Client, tmp_path: Path) -> None:
    library.queries.save("largest", objects=["car"], order_by="file_size", limit=2)
    assert library.search.export(tmp_path / "o.txt", saved="largest").rows == 5
    library.search.export(tmp_path / "same.txt", objects=["car"], order_by="file_size")
    assert (tmp_path / "o.txt").read_text() == (tmp_path / "same.txt").read_text()
    with pytest.raises(ValidationError, match="leave out filter"):
        library.search.export(tmp_path / "p.txt", saved="largest", objects=["car"])
    with pytest.raises(NotFoundError):
        library.search.export(tmp_path / "p.txt", saved="no such query")


def test_a_question_that_nothing_could_answer_is_refused(library: Client, raw: Raw, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="'cra'"):
        library.search.export(tmp_path / "o.csv", objects=["cra"])
    for query in ({"limit": 5}, {"cursor": "x"}, {"count_only": True}):
        answer = raw.api("POST", "/search/export", json={"query": query})
        assert answer.status_code == 422
        assert "does not belong" in answer.json()["error"]["message"]


# --- with files


def test_a_folder_has_every_file_under_a_name_of_its_own_and_says_what_it_has_not(
    library: Client, tmp_path: Path, pages_of_two: None
) -> None:
    out = tmp_path / "out"
    report = library.search.export(out, format="folder", dataset_names=["street"])
    assert (report.rows, report.downloaded, report.skipped, report.renamed) == (5, 5, {"no_bytes": 1}, 2)
    (example,) = report.examples
    assert (example.path, example.why) == ("street/vector.jpg", "no_bytes")
    found = files_below(out)
    require_pictures(found)
    assert set(found) - {name for name in found if name.startswith("street/")} == {"manifest.jsonl", "export.json"}
    lines = [json.loads(line) for line in found["manifest.jsonl"].splitlines()]
    assert {(it["folder_path"], it["filename"]) for it in lines} == {*PICTURES, ("/", "vector.jpg")}
    for line in lines:
        assert line["file"] is None or sha256(found[line["file"]]) == line["sha256"]
    assert json.loads(found["export.json"])["rows"] == 5
    again = library.search.export(out, format="folder", dataset_names=["street"])
    assert (again.rows, again.already_there, again.downloaded, again.renamed) == (5, 5, 0, 2)
    assert files_below(out).keys() == found.keys()
    fewer = library.search.export(out, format="folder", dataset_names=["street"], folder_path="/day/rain")
    assert (fewer.rows, fewer.already_there, fewer.left_over) == (2, 2, 3)
    assert library.search.export(out, format="folder", dataset_names=["street"]).already_there == 5


def test_files_of_others_stay_unless_they_may_be_overwritten(library: Client, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "street").mkdir(parents=True)
    (out / "street" / "a.jpg").write_bytes(b"mine")
    (tmp_path / "elsewhere").mkdir()
    (out / "street" / "day").symlink_to(tmp_path / "elsewhere")
    report = library.search.export(out, format="folder", dataset_names=["street"])
    assert (report.rows, report.skipped, report.success) == (0, {"no_bytes": 1, "taken": 5}, False)
    assert (out / "street" / "a.jpg").read_bytes() == b"mine"
    assert list((tmp_path / "elsewhere").iterdir()) == []
    report = library.search.export(out, format="folder", dataset_names=["street"], overwrite=True)
    assert (report.rows, report.skipped["taken"]) == (1, 4)
    assert (out / "street" / "a.jpg").read_bytes() == PICTURES["/", "a.jpg"]
    assert list((tmp_path / "elsewhere").iterdir()) == []
    (out / "street" / "a.jpg").write_bytes(b"mine again")
    assert library.search.export(out, format="folder", dataset_names=["street"]).skipped["taken"] == 5


@pytest.mark.parametrize("name", ["o.csv", "o.jsonl", "o.txt", "o.parquet", "o.zip", "o.json"])
def test_a_file_of_somebody_else_stays(library: Client, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(ConflictError, match="overwrite"):
        library.search.export(tmp_path / name)
    assert (tmp_path / name).read_bytes() == b"mine"
    library.search.export(tmp_path / name, overwrite=True)
    assert (tmp_path / name).read_bytes() != b"mine"
    assert [it.name for it in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["manifest.jsonl", "export.json"])
def test_a_folder_with_such_a_file_of_somebody_else_is_refused(library: Client, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConflictError, match="not of an export"):
        library.search.export(tmp_path, format="folder")
    assert files_below(tmp_path) == {name: b"mine"}


def test_a_folder_holds_exports_of_one_kind(library: Client, tmp_path: Path) -> None:
    library.search.export(tmp_path / "out", format="webdataset", objects=["car"])
    with pytest.raises(ConflictError, match="webdataset"):
        library.search.export(tmp_path / "out", format="folder")


def test_where_the_blob_store_is_at_hand_files_are_linked_and_cannot_be_written_into(
    library: Client, service: Service, tmp_path: Path
) -> None:
    blobs = service.services.blobs.root
    assert blobs is not None
    report = library.search.export(tmp_path / "out", format="folder", blob_folder=blobs, dataset_names=["street"])
    assert (report.rows, report.linked + report.copied, report.downloaded) == (5, 5, 0)
    require_pictures(files_below(tmp_path / "out"))
    for path in (tmp_path / "out" / "street").rglob("*.jpg"):
        state = path.stat()
        assert state.st_nlink == 1 or not state.st_mode & 0o222
    copies = library.search.export(
        tmp_path / "copies", format="folder", blob_folder=blobs, link=False, dataset_names=["street"]
    )
    assert (copies.rows, copies.copied) == (5, 5)
    assert all(path.stat().st_nlink == 1 for path in (tmp_path / "copies").rglob("*.jpg"))
    (tmp_path / "no store").mkdir()
    with pytest.raises(ValidationError, match="is not the blob store"):
        library.search.export(tmp_path / "other", format="folder", blob_folder=tmp_path / "no store")


def test_coco_is_what_its_description_says(library: Client, tmp_path: Path, pages_of_two: None) -> None:
    report = library.search.export(tmp_path / "coco", format="coco", dataset_names=["street"])
    assert (report.rows, report.skipped) == (5, {"no_bytes": 1})
    labels = json.loads((tmp_path / "coco" / "labels.json").read_bytes())
    assert {"info", "licenses", "images", "annotations", "categories"} == set(labels)
    names = {it["id"]: (it["supercategory"], it["name"]) for it in labels["categories"]}
    assert len(names) == len(labels["categories"]) == len(set(names.values()))
    assert len({it["id"] for it in labels["images"]}) == 5
    for image in labels["images"]:
        data = (tmp_path / "coco" / "data" / image["file_name"]).read_bytes()
        assert data == PICTURES[image["folder_path"], image["filename"]]
        assert (image["width"], image["height"]) == (64, 48)
        assert {names[number] for number in image["category_ids"]} == {
            ("objects", "car"), ("objects", "person"), ("scenes", "street"),
        }  # fmt: skip
    assert labels["annotations"] == []
    library.search.export(tmp_path / "labels.json", dataset_names=["street"])
    alone = json.loads((tmp_path / "labels.json").read_bytes())
    assert alone["categories"] == labels["categories"]
    assert {it["file_name"] for it in alone["images"]} == {
        *(f"street{folder.rstrip('/')}/{name}" for folder, name in PICTURES), "street/vector.jpg",
    }  # fmt: skip


def samples_in(shards: list[Path]) -> dict[str, dict[str, bytes]]:
    """As WebDataset reads them: a sample's key is what stands before the first dot, and its files are neighbours."""
    samples: dict[str, dict[str, bytes]] = {}
    for shard in shards:
        last = None
        with tarfile.open(shard) as tar:
            for member in tar:
                key, _, suffix = member.name.partition(".")
                assert key == last or key not in samples
                file = tar.extractfile(member)
                assert file is not None
                samples.setdefault(key, {})[suffix] = file.read()
                last = key
    return samples


def test_webdataset_has_a_sample_for_each_image_and_a_second_run_adds_what_is_new(
    own_library: Client, tmp_path: Path, pages_of_two: None
) -> None:
    out = tmp_path / "shards"
    report = own_library.search.export(out, format="webdataset", dataset_names=["street"], shard_images=2)
    assert (report.rows, report.skipped, len(report.files)) == (5, {"no_bytes": 1}, 3)
    samples = samples_in(report.files)
    assert len(samples) == 5
    for key, sample in samples.items():
        record = json.loads(sample["json"])
        assert (record["image_id"], record["dataset_name"], record["tags"]) == (key, "street", TAGS)
        assert sample["jpg"] == PICTURES[record["folder_path"], record["filename"]]
    own_library.images.upload("street", picture_bytes(906), filename="new.jpg")
    own_library.datasets.wait_until_processed("street", timeout=60)
    again = own_library.search.export(out, format="webdataset", dataset_names=["street"], shard_images=2)
    assert (again.rows, again.already_there, again.downloaded, len(again.files)) == (6, 5, 1, 4)
    assert len(samples_in(again.files)) == 6


def test_a_zip_is_made_by_the_service(library: Client, raw: Raw, tmp_path: Path) -> None:
    report = library.search.export(tmp_path / "out.zip", dataset_names=["street"])
    assert (report.rows, report.total, report.skipped, report.renamed) == (5, 6, {"no_bytes": 1}, 2)
    assert report.examples[0].path == "street/vector.jpg"
    with zipfile.ZipFile(tmp_path / "out.zip") as zipped:
        assert zipped.testzip() is None
        require_pictures({name: zipped.read(name) for name in zipped.namelist()})
        assert zipped.namelist()[-2:] == ["manifest.jsonl", "export.json"]
        lines = [json.loads(line) for line in zipped.read("manifest.jsonl").splitlines()]
        assert {(it["folder_path"], it["filename"]) for it in lines} == {*PICTURES, ("/", "vector.jpg")}
    answer = raw.api("POST", "/search/export/zip", json={"query": {"filter": {"objects": ["dog"]}}})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert zipfile.ZipFile(io.BytesIO(answer.content)).namelist() == ["manifest.jsonl", "export.json"]
    for asked, status in (({"filter": {"dataset_names": ["no"]}}, 404), ({"filtre": {}}, 422)):
        answer = raw.api("POST", "/search/export/zip", json={"query": asked})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")


def test_a_zip_holds_only_so_many_and_few_are_made_at_once(
    library: Client, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipped, "MAX_ZIPPED", 3)
    with pytest.raises(ValidationError, match=r"finds 5 images; one zip holds at most 3"):
        library.search.export(tmp_path / "o.zip", objects=["car"])
    (first,) = library.images.list("street", filename="a.jpg", folder_path="/")
    monkeypatch.setattr(exports, "PAGE_OF_ZIP", 2)
    page = Export.page

    async def uncounted(self: Export, *given: Any, **named: Any) -> Any:
        return replace(await page(self, *given, **named), total=None, total_is=None)

    monkeypatch.setattr(Export, "page", uncounted)
    report = library.search.export(tmp_path / "o.zip", examples=[first.id], threshold=-0.9, dataset_names=["street"])
    assert (report.total, report.done, report.complete, report.success) == (None, 3, False, False)
    monkeypatch.setattr(zipped, "MOST_AT_ONCE", 0)
    with pytest.raises(RateLimitError, match="Ask again"):
        library.search.export(tmp_path / "p.zip", top=1, examples=[first.id])
    assert [it.name for it in tmp_path.iterdir()] == ["o.zip"]
    assert service.services.zips.under_way == 0


def test_a_file_that_the_library_has_lost_is_named_and_stops_nothing(
    own_library: Client, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pictograph.client.asynchronous.LONGEST_FOR_FILE_S", 0.1)
    monkeypatch.setattr("pictograph.client.synchronous.LONGEST_FOR_FILE_S", 0.1)
    own_library.images.upload("street", picture_bytes(908), filename="lost.jpg")
    own_library.datasets.wait_until_processed("street", timeout=60)
    (lost,) = own_library.images.list("street", filename="lost.jpg")
    service.run(service.services.blobs.delete(bytes.fromhex(lost.sha256 or "")))
    for name in ("o.zip", "out"):
        report = own_library.search.export(tmp_path / name, format="zip" if name == "o.zip" else "folder")
        assert (report.rows, report.skipped, report.success) == (5, {"failed": 1, "no_bytes": 1}, False)
        assert "lost.jpg" in {it.path.rpartition("/")[2] for it in report.examples}


# --- interruptions


class Interruption(Exception):
    """Something went wrong just now."""


def interrupt_after(images: int) -> Callable[[int, int | None], None]:
    def progress(done: int, _total: int | None) -> None:
        if done >= images:
            raise Interruption

    return progress


@pytest.mark.parametrize("name", ["o.csv", "o.jsonl", "o.txt"])
def test_an_interrupted_table_goes_on_where_it_stopped(
    library: Client, tmp_path: Path, pages_of_two: None, name: str
) -> None:
    library.search.export(tmp_path / f"whole{name}", dataset_names=["street"])
    for images in (4, 6):
        with pytest.raises(Interruption):
            library.search.export(tmp_path / name, dataset_names=["street"], progress=interrupt_after(images))
    assert not (tmp_path / name).exists()
    with (tmp_path / f"{name}.part").open("ab") as torn:
        torn.write(b"half a li")
    seen: list[int] = []
    report = library.search.export(
        tmp_path / name, dataset_names=["street"], progress=lambda done, _total: seen.append(done)
    )
    assert (report.resumed, report.rows, report.total, seen) == (True, 6, 6, [6])
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole{name}").read_bytes()
    assert not [it for it in tmp_path.iterdir() if ".part" in it.name]


def test_an_interrupted_table_of_another_question_begins_anew(
    library: Client, tmp_path: Path, pages_of_two: None
) -> None:
    file = tmp_path / "o.txt"
    for asked in ({"objects": ["car"]}, {}):
        with pytest.raises(Interruption):
            library.search.export(file, dataset_names=["street"], progress=interrupt_after(2), **asked)
    report = library.search.export(file, dataset_names=["street"], objects=["car"])
    assert (report.resumed, report.rows, len(file.read_text().splitlines())) == (False, 5, 5)


def test_a_cursor_that_the_service_no_longer_takes_begins_anew(
    library: Client, tmp_path: Path, pages_of_two: None
) -> None:
    file = tmp_path / "o.txt"
    with pytest.raises(Interruption):
        library.search.export(file, dataset_names=["street"], progress=interrupt_after(4))
    state = json.loads((tmp_path / "o.txt.part.json").read_text())
    (tmp_path / "o.txt.part.json").write_text(json.dumps(state | {"cursor": "1.1.old"}))
    report = library.search.export(file, dataset_names=["street"])
    assert (report.resumed, report.rows, len(set(file.read_text().splitlines()))) == (False, 6, 6)


def test_an_interrupted_folder_fetches_only_what_is_not_there(
    library: Client, tmp_path: Path, pages_of_two: None
) -> None:
    out, report = tmp_path / "out", ExportReport(tmp_path)
    with pytest.raises(Interruption):
        library.search.export(
            out, format="folder", dataset_names=["street"], progress=interrupt_after(4), report=report, workers=1
        )
    fetched = report.downloaded
    assert 0 < fetched < 5
    again = library.search.export(out, format="folder", dataset_names=["street"])
    assert (again.resumed, again.rows, again.already_there + again.downloaded) == (True, 5, 5)
    assert again.already_there >= fetched - 1
    found = files_below(out)
    require_pictures(found)
    assert not [name for name in found if ".part" in name or ".db" in name]


def test_interrupted_shards_are_whole_and_go_on(library: Client, tmp_path: Path, pages_of_two: None) -> None:
    out = tmp_path / "shards"
    with pytest.raises(Interruption):
        library.search.export(
            out, format="webdataset", dataset_names=["street"], shard_images=2, progress=interrupt_after(4), workers=1
        )
    kept = samples_in(sorted(out.glob("*.tar")))
    assert 0 < len(kept) < 5
    report = library.search.export(out, format="webdataset", dataset_names=["street"], shard_images=2)
    assert (report.rows, report.already_there) == (5, len(kept))
    assert len(samples_in(report.files)) == 5


def test_a_shard_that_was_cut_off_is_written_anew(library: Client, tmp_path: Path, pages_of_two: None) -> None:
    out = tmp_path / "shards"
    with pytest.raises(Interruption):
        library.search.export(out, format="webdataset", dataset_names=["street"], progress=interrupt_after(4))
    (shard,) = out.glob("*.tar")
    shard.rename(shard.with_name(shard.name + ".part"))  # as after kill -9: the books know of it, its name is missing
    report = library.search.export(out, format="webdataset", dataset_names=["street"])
    assert (report.rows, report.already_there, len(report.files)) == (5, 0, 1)
    assert len(samples_in(report.files)) == 5
    assert not list(out.glob("*.part"))


def test_an_export_that_cannot_be_leaves_nothing(library: Client, tmp_path: Path) -> None:
    for name in ("o.csv", "o.parquet", "o.zip"):
        with pytest.raises(NotFoundError):
            library.search.export(tmp_path / name, dataset_names=["nowhere"])
    with pytest.raises(ConflictError, match="no folder"):
        library.search.export(tmp_path / "no" / "o.csv")
    with pytest.raises(ValidationError, match="format must be one of"):
        library.search.export(tmp_path / "o", format="xml")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


# --- what changes on the way


def test_what_changes_on_the_way_is_said(
    own_library: Client, service: Service, tmp_path: Path, pages_of_two: None
) -> None:
    rows = own_library.images.list("street")
    oldest, next_oldest = rows[-1], rows[-2]
    done: list[int] = []

    def change(images: int, _total: int | None) -> None:
        done.append(images)
        if len(done) == 1:
            own_library.images.delete(oldest.id, permanent=True)
            own_library.images.upload("street", picture_bytes(907), filename="later.jpg")
            own_library.datasets.wait_until_processed("street", timeout=60)
            service.run(touch(service, next_oldest.id))

    report = own_library.search.export(tmp_path / "o.txt", dataset_names=["street"], progress=change)
    names = (tmp_path / "o.txt").read_text().splitlines()
    assert (report.total, report.rows, report.vanished, report.changed) == (6, 5, 1, 1)
    assert "street/later.jpg" not in names
    assert len(set(names)) == 5


async def touch(service: Service, image: str) -> None:
    async with service.services.database.connection() as connection:
        await connection.execute("UPDATE image SET updated_at = clock_timestamp() WHERE id = %s", [image])


def test_a_page_says_what_it_has(library: Client, raw: Raw) -> None:
    asked = {"query": {"filter": {"dataset_names": ["street"]}}, "limit": 4}
    first = raw.api("POST", "/search/export", json=asked).json()
    assert (len(first["rows"]), first["total"], first["total_is"], first["left_out"]) == (4, 6, "exact", 0)
    second = raw.api("POST", "/search/export", json=asked | {"cursor": first["next_cursor"]}).json()
    assert (len(second["rows"]), second["next_cursor"], second["left_out"]) == (2, None, None)
    assert second["started_at"] == first["started_at"]
    other = {"query": {"filter": {"objects": ["car"]}}, "cursor": first["next_cursor"]}
    assert raw.api("POST", "/search/export", json=other).status_code == 422
    assert raw.api("POST", "/search/export", json={"cursor": "nonsense"}).status_code == 422


def test_a_walk_holds_no_more_than_a_page(
    library: Client, service: Service, tmp_path: Path, pages_of_two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    page = service.services.export.page

    async def counted(*given: Any, **named: Any) -> Any:
        found = await page(*given, **named)
        held.append(len(found.rows))
        return found

    monkeypatch.setattr(type(service.services.export), "page", lambda _self, *given, **named: counted(*given, **named))
    for name, most in (("o.csv", 2), ("o.parquet", 2)):
        held.clear()
        assert library.search.export(tmp_path / name, dataset_names=["street"]).rows == 6
        assert (max(held), len(held)) == (most, 3)


# --- the original spelling


def test_names_are_offered_in_their_original_spelling(own_library: Client, service: Service, tmp_path: Path) -> None:
    (image,) = own_library.images.list("street", filename="a.jpg", folder_path="/")
    service.run(rename(service, image))
    own_library.search.export(tmp_path / "o.jsonl", folder_path="/", recursive=False, objects=["car"])
    (record,) = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert record["original_filename"] == "a\u0301.jpg"
    own_library.search.export(tmp_path / "out", format="folder", objects=["car"], original_names=True)
    assert (tmp_path / "out" / "street" / "a\u0301.jpg").exists()
    assert "a\u0301.jpg" in os.listdir(tmp_path / "out" / "street")


async def rename(service: Service, image: Any) -> None:
    async with service.services.database.connection() as connection:
        await connection.execute(
            b"INSERT INTO name_change (organization_id, kind, dataset_id, object_id, original, becomes) "
            b"SELECT organization_id, 'image', id, %s, %s, 'a.jpg' FROM dataset WHERE id = %s",
            [image.id, "a\u0301.jpg", image.dataset_id],
        )


# --- doors


async def test_the_async_client_does_the_same(
    library: Client, service: Service, owner: OrganizationId, tmp_path: Path, pages_of_two: None
) -> None:
    async with AsyncClient(service.key(owner), base_url=service.address) as other:
        assert (await other.search.export(tmp_path / "o.csv")).rows == 6
        assert (await other.search.export(tmp_path / "out", format="folder")).rows == 5
        assert (await other.search.export(tmp_path / "o.zip")).rows == 5
    require_pictures(files_below(tmp_path / "out"))


def test_the_command_exports_and_says_what_it_did(
    library: Client,
    service: Service,
    owner: OrganizationId,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_config(LocalConfig(service.address, service.key(owner), "elsewhere"))
    command = runner(monkeypatch, capsys)
    code, out, _ = command("export", "street", tmp_path / "out", "--format", "folder", "--object", "car")
    assert code == 0
    assert "5 images are in" in out
    assert "2 have another path" in out
    code, out, err = command("export", tmp_path / "all.csv", "--dataset", "street", "--json")
    assert (code, err) == (0, "")
    assert (json.loads(out)["rows"], json.loads(out)["guarded_cells"]) == (6, 1)
    (first,) = library.images.list("street", filename="a.jpg", folder_path="/")
    code, out, err = command("export", "street", tmp_path / "best.txt", "--like", first.id, "--top", "2")
    assert (code, err, len((tmp_path / "best.txt").read_text().splitlines())) == (0, "", 2)
    code, out, err = command("export", tmp_path / "all.csv")
    assert (code, "--overwrite" in err) == (5, True)
    (tmp_path / "out" / "street" / "a.jpg").write_bytes(b"mine")
    code, out, _ = command("export", "street", tmp_path / "out", "--format", "folder")
    assert (code, "1 found another file at their path" in out) == (1, True)
    assert command("export", "a", "b", "c")[0] == 2


def test_no_service_is_said_at_once(tmp_path: Path) -> None:
    with (
        Client("k", base_url="http://127.0.0.1:9", max_retries=0) as nobody,
        pytest.raises(ConnectionFailed),
    ):
        nobody.search.export(tmp_path / "o.csv")
    assert list(tmp_path.iterdir()) == []


def test_the_examples_in_the_docs_run(library: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 5
    (first,) = library.images.list("street", filename="a.jpg", folder_path="/")
    try:
        for example in examples:
            exec(example, {"client": library, "image_id": first.id})
    finally:
        with contextlib.suppress(NotFoundError):
            library.datasets.delete("copy")
    made = {it.name for it in tmp_path.iterdir()}
    assert made == {
        "cars.csv",
        "cars",
        "street.parquet",
        "coco",
        "shards",
        "street.zip",
        "like it.jsonl",
        "largest.txt",
    }
