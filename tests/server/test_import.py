"""Files of vectors through the SDK and the command: sent in requests of bounded size, and resumable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pictograph import AsyncClient, Client, ConfigurationError, ImportReport, NotFoundError, ValidationError
from pictograph.client import vectors
from pictograph.localconfig import LocalConfig, write_config
from pictograph.types import OrganizationId
from support.commands import runner
from support.pictures import picture_bytes
from support.raw import Raw
from support.services import Service
from support.vectors import ENCODER, vector_table

COSINES = [round(1 - step / 20, 2) for step in range(12)]


@pytest.fixture
def small_requests(monkeypatch: pytest.MonkeyPatch) -> int:
    """Rows of one request."""
    monkeypatch.setattr(vectors, "ROWS_AT_ONCE", 5)
    return 5


def parquet(path: Path, table: Any) -> Path:
    pq.write_table(table, path)
    return path


def arrow_file(path: Path, table: Any) -> Path:
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    return path


def arrow_stream(path: Path, table: Any) -> Path:
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)
    return path


def stored(client: Client, dataset: str) -> set[str]:
    return {f"{image.folder_path.rstrip('/')}/{image.filename}" for image in client.images.iterate(dataset)}


@pytest.mark.parametrize("write", [parquet, arrow_file, arrow_stream])
def test_every_row_of_a_file_becomes_an_image_and_comes_twice_never(
    client: Client, tmp_path: Path, small_requests: int, write: Any
) -> None:
    file = write(tmp_path / "vectors", vector_table(COSINES))
    told: list[int] = []
    report = client.datasets.import_vectors("street", file, progress=lambda so_far: told.append(so_far.done))
    assert (report.imported, report.done, report.success) == (12, 12, True)
    assert sorted(told) == told
    assert told[-1] == 12
    assert len(told) > 2
    again = client.datasets.import_vectors("street", [file])
    assert (again.imported, again.skipped) == (0, 12)
    assert stored(client, "street") == {f"/{cosine}.jpg" for cosine in COSINES}


async def test_the_async_client_does_the_same(
    service: Service, organization: OrganizationId, client: Client, tmp_path: Path, small_requests: int
) -> None:
    file = parquet(tmp_path / "vectors.parquet", vector_table(COSINES))
    async with AsyncClient(service.key(organization), base_url=service.address) as other:
        report = await other.datasets.import_vectors("street", file)
        assert (report.rows, report.imported) == (12, 12)
        assert (await other.datasets.import_vectors("street", file)).skipped == 12
    assert len(stored(client, "street")) == 12


def test_an_interrupted_import_goes_on_where_it_stopped(client: Client, tmp_path: Path, small_requests: int) -> None:
    file = parquet(tmp_path / "vectors.parquet", vector_table(COSINES))
    report = ImportReport("street")

    def interrupt(_so_far: ImportReport) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.datasets.import_vectors("street", file, progress=interrupt, report=report, workers=1)
    assert 0 < report.done < 12
    again = client.datasets.import_vectors("street", file)
    assert again.skipped >= report.done
    assert again.skipped + again.imported == 12
    assert len(stored(client, "street")) == 12


def test_other_columns_are_taken_where_they_mean_the_same_and_named_where_they_mean_nothing(
    client: Client, tmp_path: Path
) -> None:
    table = vector_table([1.0, 0.9], filename=None, path=["day/rain/a.jpg", "b.jpg"], colour=["red", "blue"])
    floats = pa.array(table["vector"].to_pylist(), pa.list_(pa.float64()))
    table = table.drop_columns(["vector"]).append_column("embedding", floats)
    report = client.datasets.import_vectors("street", parquet(tmp_path / "v.parquet", table))
    assert list(report.ignored_columns.values()) == [("colour",)]
    assert stored(client, "street") == {"/day/rain/a.jpg", "/b.jpg"}


def test_an_id_names_the_image_where_nothing_else_does(client: Client) -> None:
    client.datasets.import_vectors("street", vector_table([1.0, 0.9], filename=None, id=[17, 18]))
    assert stored(client, "street") == {"/17", "/18"}


def test_a_wrong_row_is_named_as_the_file_has_it_and_rows_before_it_stay(
    client: Client, tmp_path: Path, small_requests: int
) -> None:
    objects = [["car"] for _ in COSINES]
    objects[8] = ["cra"]
    file = parquet(tmp_path / "v.parquet", vector_table(COSINES, objects=objects))
    with pytest.raises(ValidationError, match=r"v\.parquet, row 8 .*'objects'.*'cra'.*rows 5 to 9") as raised:
        client.datasets.import_vectors("street", file, workers=1)
    assert (raised.value.details["row"], raised.value.details["unknown_tags"]) == (8, ["cra"])
    assert stored(client, "street") >= {f"/{cosine}.jpg" for cosine in COSINES[:5]}
    assert not stored(client, "street") & {f"/{cosine}.jpg" for cosine in COSINES[5:10]}


def test_rows_that_differ_are_named_as_the_file_has_them(client: Client, tmp_path: Path, small_requests: int) -> None:
    client.datasets.import_vectors("street", vector_table(COSINES))
    changed = vector_table([*COSINES[:7], 0.123, *COSINES[8:]], filename=[f"{cosine}.jpg" for cosine in COSINES])
    file = parquet(tmp_path / "v.parquet", changed)
    report = client.datasets.import_vectors("street", file)
    assert [(one.source, one.row, one.filename) for one in report.different] == [(str(file), 7, f"{COSINES[7]}.jpg")]
    assert not report.success
    assert client.datasets.import_vectors("street", file, replace=True).replaced == 1


def test_a_file_that_does_not_say_its_encoder_needs_one_that_is_named(client: Client) -> None:
    table = vector_table([1.0], encoder=None)
    with pytest.raises(ValidationError, match="does not say which encoder"):
        client.datasets.import_vectors("street", table)
    assert client.ready().fingerprint == ENCODER
    assert client.datasets.import_vectors("street", table, encoder=ENCODER).imported == 1
    with pytest.raises(ValidationError, match=ENCODER):
        client.datasets.import_vectors("street", table, encoder="offline@1")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (vector_table([1.0], filename=None), "nothing to name images by"),
        (vector_table([1.0], vector=None), "no column `vector`"),
        (vector_table([1.0], vector=["no"]), "must hold lists of numbers"),
        (vector_table([1.0], vector=[[]]), "rows from 0 on"),
        (vector_table([1.0], vector=[[1.0]]), "have 1152 numbers"),
        (vector_table([1.0], width=["wide"]), "rows from 0 on"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_with_the_reason(client: Client, table: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        client.datasets.import_vectors("street", table)


def test_what_is_no_file_of_vectors_is_refused(client: Client, tmp_path: Path) -> None:
    for content in (b"", b"PAR1 and nothing else", b"some text"):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(ValidationError, match="cannot be read as Parquet or Arrow"):
            client.datasets.import_vectors("street", tmp_path / "x")


def test_without_pyarrow_the_message_says_how_to_install_it(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r"\[vectors\]"):
        client.datasets.import_vectors("street", tmp_path / "v.parquet")


def test_large_vectors_go_in_smaller_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "BYTES_AT_ONCE", 4 * 1152 * 2)
    (file,) = vectors.open_sources(vector_table(COSINES), None)
    assert [(batch.start, batch.rows) for batch in vectors.batches_of(file)] == [(0, 4), (4, 4), (8, 4)]


def test_vectors_arrive_bit_for_bit(client: Client, service: Service) -> None:
    noise = np.random.default_rng(0).standard_normal((3, 1152)).astype(np.float32)
    halves = (noise / np.linalg.norm(noise, axis=1, keepdims=True)).astype(np.float16)
    column = pa.FixedSizeListArray.from_arrays(pa.array(halves.ravel()), 1152)
    client.datasets.import_vectors("street", vector_table([1, 2, 3], vector=column))
    ids = [image.id for image in client.images.list("street")]

    async def kept() -> list[Any]:
        async with service.services.database.connection() as connection:
            rows = await connection.execute("SELECT vector FROM image_embedding WHERE image_id = ANY(%s)", [ids])
            return [row[0].to_numpy().astype(np.float16).tolist() for row in await rows.fetchall()]

    assert sorted(service.run(kept())) == sorted(halves.tolist())


def test_the_command_imports_and_says_what_differs(
    service: Service,
    organization: OrganizationId,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_config(LocalConfig(service.address, service.key(organization), "elsewhere"))
    command = runner(monkeypatch, capsys)
    file = parquet(tmp_path / "v.parquet", vector_table(COSINES, colour=["red"] * 12))
    code, out, err = command("import", file, "--dataset", "street", "--json")
    assert (code, err) == (0, "")
    assert (json.loads(out)["imported"], json.loads(out)["finished"]) == (12, True)
    code, out, _ = command("import", file, "--dataset", "street")
    assert code == 0
    assert "12 there already" in out
    assert "colour" in out
    other = parquet(tmp_path / "w.parquet", vector_table([0.2], filename=[f"{COSINES[0]}.jpg"]))
    code, out, _ = command("import", other, "--dataset", "street")
    assert code == 1
    assert "another vector" in out
    assert command("import", other, "--dataset", "street", "--replace")[0] == 0
    code, _, err = command("import", other, "--dataset", "street", "--encoder", "offline@1")
    assert (code, "offline@1" in err) == (6, True)


def ranked(client: Client, dataset: str, filename: str) -> list[tuple[str, str, float]]:
    (reference,) = client.images.list(dataset, filename=filename)
    rows = client.search.by_similarity(reference.id, folder_path="/", threshold=0)
    return [(row.folder_path, row.filename, row.similarity) for row in rows]


def tagged(client: Client, dataset: str) -> list[tuple[str, dict[str, list[str]]]]:
    return [(row.filename, dict(row.tags)) for row in client.search.by_tag(objects=["car"], dataset_name=dataset)]


@pytest.mark.parametrize("name", ["v.parquet", "v.arrow"])
def test_what_was_exported_gives_the_same_answers_when_it_is_imported(
    client: Client, service: Service, tmp_path: Path, name: str
) -> None:
    folders = ["/a", "/a/b", "/"] * 4
    objects = [["car", "person"], ["person"], []] * 4
    table = vector_table(COSINES, folder_path=folders, objects=objects, width=[640] * 12, file_size=[7] * 12)
    client.datasets.import_vectors("street", table)
    told: list[tuple[int, int | None]] = []
    report = client.datasets.export_vectors("street", tmp_path / name, progress=lambda *seen: told.append(seen))
    assert (report.rows, report.left_out, told[-1]) == (12, 0, (12, 12))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    elsewhere = service.client()
    assert elsewhere.datasets.import_vectors("copy", tmp_path / name).imported == 12
    assert ranked(elsewhere, "copy", "1.0.jpg") == ranked(client, "street", "1.0.jpg")
    assert tagged(elsewhere, "copy") == tagged(client, "street")
    again = elsewhere.datasets.export_vectors("copy", tmp_path / f"again.{name}")
    assert again.rows == 12
    both = [read(tmp_path / name), read(tmp_path / f"again.{name}")]
    same = [column for column in both[0].column_names if column != "id"]  # those of "street" have their ids already
    assert both[0].select(same).equals(both[1].select(same))
    assert elsewhere.datasets.import_vectors("copy", tmp_path / f"again.{name}").skipped == 12


def read(path: Path) -> Any:
    return pa.ipc.open_file(str(path)).read_all() if path.suffix == ".arrow" else pq.read_table(path)


def test_an_export_goes_page_by_page_and_holds_what_is_asked_for(client: Client, raw: Raw, tmp_path: Path) -> None:
    objects = [["car", "person"], ["person"], []] * 4
    table = vector_table(COSINES, folder_path=["/a", "/a/b", "/c"] * 4, objects=objects)
    client.datasets.import_vectors("street", table)

    def names(**wanted: Any) -> set[str]:
        client.datasets.export_vectors("street", tmp_path / "v.parquet", **wanted)
        return set(read(tmp_path / "v.parquet")["filename"].to_pylist())

    everything = {f"{cosine}.jpg" for cosine in COSINES}
    assert names() == everything
    assert names(folder_path="/a/") == {f"{cosine}.jpg" for number, cosine in enumerate(COSINES) if number % 3 != 2}
    assert names(objects=["car"]) == {f"{cosine}.jpg" for cosine in COSINES[::3]}
    assert names(objects=["car", "person"]) == {f"{c}.jpg" for n, c in enumerate(COSINES) if n % 3 != 2}
    assert names(objects=["car", "person"], match="all") == {f"{cosine}.jpg" for cosine in COSINES[::3]}
    assert names(objects=["dog"]) == set()
    cursor, seen = None, list[str]()
    while True:
        params = {"limit": 5} | ({"cursor": cursor} if cursor else {})
        page = raw.api("GET", "/datasets/street/vectors", params=params)
        seen += pa.ipc.open_stream(page.content).read_all()["filename"].to_pylist()
        assert page.headers.get("Pictograph-Total") == (None if cursor else "12")
        cursor = page.headers.get("Pictograph-Next-Cursor")
        if cursor is None:
            break
    assert sorted(seen) == sorted(everything)
    other = raw.api("GET", "/datasets/street/vectors", params={"cursor": "x", "directory_path": "/a"})
    assert other.status_code == 422


def test_an_export_that_cannot_be_leaves_no_file(client: Client, tmp_path: Path) -> None:
    client.datasets.import_vectors("street", vector_table([1.0]))
    for wanted, error in (({"objects": ["cra"]}, ValidationError), ({"folder_path": "/no"}, NotFoundError)):
        with pytest.raises(error):
            client.datasets.export_vectors("street", tmp_path / "v.parquet", **wanted)
    with pytest.raises(NotFoundError):
        client.datasets.export_vectors("nowhere", tmp_path / "v.parquet")
    assert list(tmp_path.iterdir()) == []


def test_images_without_a_vector_are_left_out_of_an_export_and_counted(
    service: Service, client: Client, tmp_path: Path
) -> None:
    client.datasets.import_vectors("street", vector_table([1.0]))
    client.images.upload("street", picture_bytes(1), filename="a.jpg")
    client.datasets.wait_until_processed("street", timeout=30)
    report = client.datasets.export_vectors("street", tmp_path / "v.parquet")
    assert (report.rows, report.left_out) == (2, 0)
    (image,) = client.images.list("street", filename="a.jpg")
    assert service.run(forget_vector(service, image.id)) == 1
    report = client.datasets.export_vectors("street", tmp_path / "v.parquet")
    assert (report.rows, report.left_out) == (1, 1)


async def forget_vector(service: Service, image: str) -> int:
    async with service.services.database.connection() as connection:
        return (await connection.execute("DELETE FROM image_embedding WHERE image_id = %s", [image])).rowcount


async def test_the_async_client_exports_too(
    service: Service, organization: OrganizationId, client: Client, tmp_path: Path
) -> None:
    client.datasets.import_vectors("street", vector_table(COSINES))
    async with AsyncClient(service.key(organization), base_url=service.address) as other:
        assert (await other.datasets.export_vectors("street", tmp_path / "v.arrow")).rows == 12
    assert read(tmp_path / "v.arrow").num_rows == 12


def test_the_command_exports(
    service: Service,
    organization: OrganizationId,
    client: Client,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_config(LocalConfig(service.address, service.key(organization), "elsewhere"))
    client.datasets.import_vectors("street", vector_table(COSINES))
    command = runner(monkeypatch, capsys)
    code, out, err = command("export", "street", tmp_path / "v", "--format", "arrow", "--json")
    assert (code, err, json.loads(out)["rows"]) == (0, "", 12)
    assert pa.ipc.open_file(str(tmp_path / "v")).read_all().num_rows == 12
    assert "12 images are in" in command("export", "street", tmp_path / "v.parquet")[1]
    assert command("import", tmp_path / "v", tmp_path / "v.parquet", "--dataset", "copy")[0] == 0


def test_an_upload_of_a_directory_names_images_without_bytes_and_gives_them_theirs_if_asked(
    client: Client, tmp_path: Path
) -> None:
    client.datasets.import_vectors("street", vector_table([1.0], filename=["a.jpg"]))
    (tmp_path / "a.jpg").write_bytes(picture_bytes(4712))
    report = client.images.upload_from_directory("street", tmp_path)
    assert ["no bytes" in one.reason for one in report.different] == [True]
    replaced = client.images.upload_from_directory("street", tmp_path, replace=True)
    client.datasets.wait_until_processed("street", timeout=60)
    assert len(replaced.replaced) == 1
    assert [image.has_bytes for image in client.images.list("street")] == [True]
    assert client.images.upload_from_directory("street", tmp_path).skipped == [tmp_path / "a.jpg"]
