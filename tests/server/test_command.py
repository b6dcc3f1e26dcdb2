"""The command against a service: exit codes, tables for people, JSON for scripts, errors on standard error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pictograph import Client
from pictograph.localconfig import LocalConfig, write_config
from pictograph.types import OrganizationId
from pictograph.wire import Dataset
from support.commands import Command, runner
from support.pictures import picture_bytes
from support.services import Service


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `pictograph ...` in this process: (exit code, standard output, standard error)."""
    return runner(monkeypatch, capsys)


@pytest.fixture(autouse=True)
def configured(service: Service, organization: OrganizationId, home: Path) -> None:
    write_config(LocalConfig(service.address, service.key(organization), "elsewhere"))


def parsed(result: tuple[int, str, str]) -> Any:
    code, out, err = result
    assert (code, err) == (0, ""), err
    return json.loads(out)


def test_a_dataset_is_made_listed_renamed_and_removed(command: Command) -> None:
    assert command("datasets", "create", "street", "--description", "cars")[0] == 0
    (made,) = parsed(command("datasets", "list", "--json"))["data"]
    assert (made["name"], made["description"]) == ("street", "cars")
    assert "street" in command("datasets", "list")[1]
    assert command("datasets", "rename", "street", "avenue")[0] == 0
    assert parsed(command("datasets", "get", "avenue", "--json"))[0]["id"] == made["id"]
    assert parsed(command("datasets", "progress", "avenue", "--json"))["total"] == 0
    assert command("datasets", "delete", "avenue", "--yes")[0] == 0
    assert parsed(command("datasets", "list", "--json"))["data"] == []


def test_a_query_is_saved_by_its_search_listed_run_and_forgotten(
    command: Command, client: Client, street: Dataset
) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    client.datasets.wait_until_processed("street")
    assert command("search", "query", "-d", "street", "--order-by", "width", "--save", "widest")[0] == 0
    assert [row["name"] for row in parsed(command("saved", "list", "--json"))["data"]] == ["widest"]
    assert "widest" in command("saved", "list", "--all")[1]
    assert json.loads(command("saved", "show", "widest")[1])["order_by"] == "width"
    assert [row["image_id"] for row in parsed(command("saved", "run", "widest", "--json"))["results"]] == [image.id]
    assert "a.jpg" in command("saved", "run", "widest", "-n", "1")[1]
    assert command("saved", "delete", "widest")[1] == "Forgot the query 'widest'.\n"
    assert command("saved", "run", "widest")[0] != 0


def test_a_collection_is_made_filled_listed_and_removed(
    command: Command, client: Client, street: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    made = parsed(command("collections", "create", "dogs", "--json"))
    assert (made["name"], made["image_count"]) == ("dogs", 0)
    assert command("collections", "add", "dogs", image.id)[1] == "1 images added, 0 were in it.\n"
    monkeypatch.setattr("sys.stdin", [image.id + "\n", "\n"])
    assert parsed(command("collections", "add", "dogs", "-", "--json")) == {"changed": 0, "unchanged": 1}
    assert [row["id"] for row in parsed(command("collections", "images", "dogs", "--json"))["data"]] == [image.id]
    assert "a.jpg" in command("collections", "images", "dogs")[1]
    assert "cats" in command("collections", "rename", "dogs", "cats")[1]
    assert parsed(command("collections", "get", "cats", "--json"))["image_count"] == 1
    assert parsed(command("collections", "remove", "cats", image.id, "--json")) == {"changed": 1, "unchanged": 0}
    assert "cats" in command("collections", "list", "--all")[1]
    assert command("collections", "delete", "cats")[1] == "Removed collection 'cats'; its 0 images stay.\n"


def test_pictures_are_uploaded_found_fetched_and_deleted(command: Command, client: Client, photos: Path) -> None:
    for name, seed in (("a.jpg", 1), ("b.jpg", 1), ("c.jpg", 2)):
        (photos / name).write_bytes(picture_bytes(seed))
    report = parsed(command("upload", photos, "--dataset", "street", "--json"))
    assert (report["uploaded"], report["skipped"], report["failures"]) == (3, 0, [])
    assert report["progress"]["embedded"] == 3
    images = {row["filename"]: row["id"] for row in parsed(command("images", "list", "street", "--json"))["data"]}
    answer = parsed(command("search", "similar", images["a.jpg"], "--json"))
    assert [(row["image_id"], row["similarity"]) for row in answer["results"]] == [(images["b.jpg"], 1.0)]
    assert (answer["plan"], answer["exact"], answer["scope_size"], answer["folder_path"]) == ("exact", True, 3, "/")
    assert images["b.jpg"] in command("search", "similar", images["a.jpg"])[1]
    how = command("search", "similar", images["a.jpg"], "--exact")[1].splitlines()[0]
    assert "(exact, 3 images, " in how
    none = command("search", "similar", images["a.jpg"], "--object", "unicorn", "--json")
    assert (none[0], json.loads(none[1])["results"], "unicorn" in none[2]) == (0, [], True)
    assert json.loads(none[1])["unknown_tags"] == ["unicorn"]
    shown = parsed(command("search", "explain", images["a.jpg"], "--json"))
    assert (shown["plan"], shown["scope_size"], shown["tried"][0]["recall"]) == ("exact", 3, 1.0)
    table = command("search", "explain", images["a.jpg"])[1]
    assert table.startswith("exact: there is no index yet")
    assert "1.000" in table
    assert command("search", "explain")[0] == 6
    target = photos / "saved"
    assert command("images", "download", images["a.jpg"], "--out", target)[0] == 0
    assert target.read_bytes() == picture_bytes(1)
    assert command("images", "delete", images["b.jpg"])[0] == 0
    assert parsed(command("search", "similar", images["a.jpg"], "--json"))["results"] == []
    assert command("images", "restore", images["b.jpg"])[0] == 0
    assert "a.jpg" in command("images", "get", images["a.jpg"])[1]


def test_one_picture_may_be_uploaded_too(command: Command, client: Client, street: Dataset, photos: Path) -> None:
    (photos / "a.jpg").write_bytes(picture_bytes(1))
    (image,) = parsed(command("images", "upload", "street", photos / "a.jpg", "--folder", "/x", "--json"))
    assert (image["filename"], image["folder_path"]) == ("a.jpg", "/x")


def test_a_partly_failed_upload_is_exit_code_1_and_says_why(command: Command, photos: Path) -> None:
    (photos / "good.jpg").write_bytes(picture_bytes(1))
    (photos / "bad.jpg").write_bytes(b"not a picture")
    code, out, err = command("upload", photos, "--dataset", "street", "--json")
    assert (code, err) == (1, "")
    assert [failure["code"] for failure in json.loads(out)["failures"]] == ["unsupported_format"]
    code, out, _ = command("upload", photos, "--dataset", "street")
    assert code == 1
    assert "bad.jpg" in out


def test_files_left_aside_are_counted_and_named_and_what_cannot_be_read_is_exit_code_1(
    command: Command, photos: Path
) -> None:
    photos = photos / "photos"  # beside the home of this test
    photos.mkdir()
    (photos / "0001").write_bytes(picture_bytes(1))
    for number in range(30):
        (photos / f"notes-{number:02}.txt").write_text("a note")
    (photos / "f.jp2").write_bytes(b"\0\0\0\x0cjP  \r\n\x87\n")
    report = parsed(command("upload", photos, "--dataset", "street", "--json"))
    assert (report["attempted"], report["uploaded"]) == (1, 1)
    assert len(report["left_aside"]) == 31
    assert {"path": str(photos / "f.jp2"), "kind": "unsupported", "reason": "JPEG 2000"} in report["left_aside"]
    code, out, _ = command("upload", photos, "--dataset", "street")
    assert code == 0
    assert "1 are pictures of a kind that is not supported, 30 are not pictures" in out
    assert "JPEG 2000" in out
    assert "and 11 more: --json lists all" in out
    (photos / "gone.jpg").symlink_to(photos / "nowhere.jpg")
    code, out, _ = command("upload", photos, "--dataset", "street")
    assert code == 1
    assert "1 are links to nothing" in out
    assert "gone.jpg" in out


def test_unknown_tags_are_named_beside_the_answer(command: Command, street: Dataset) -> None:
    code, out, err = command("search", "tags", "--object", "unicorn", "--json")
    assert (code, json.loads(out)["results"], json.loads(out)["pagination"]["total"]) == (0, [], 0)
    assert json.loads(out)["unknown_tags"] == ["unicorn"]
    assert "unicorn" in err


def test_a_download_replaces_no_other_file_unless_it_is_named(
    command: Command, client: Client, street: Dataset, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    for _ in range(2):  # the same bytes once more change nothing
        assert command("images", "download", image.id)[0] == 0
    (photos / "a.jpg").write_bytes(b"mine")
    code, _, err = command("images", "download", image.id)
    assert code == 5
    assert "--out" in err
    assert (photos / "a.jpg").read_bytes() == b"mine"
    assert command("images", "download", image.id, "--out", "a.jpg")[0] == 0
    assert (photos / "a.jpg").read_bytes() == picture_bytes(1)
    code, _, err = command("images", "download", image.id, "--out", photos / "no" / "a.jpg")
    assert code == 1
    assert "a.jpg: No such file or directory" in err


@pytest.mark.parametrize("line", [("search", "tags"), ("tags", "list")])
def test_tags_that_the_encoder_cannot_judge_are_named_beside_the_answer(
    command: Command, street: Dataset, line: tuple[str, ...]
) -> None:
    code, out, err = command(*line, "--object", "car", "--json")  # this service's encoder brings no tagger
    assert (code, json.loads(out)["unjudged_tags"]) == (0, ["car"])
    assert "cannot judge these, so no image gets them: car" in err


@pytest.mark.parametrize("group", ["images", "datasets", "keys"])
def test_a_list_that_was_cut_says_so_and_how_to_see_the_rest(
    command: Command, client: Client, street: Dataset, group: str
) -> None:
    for n in range(4):
        client.images.upload("street", picture_bytes(1), filename=f"{n}.jpg")
        client.datasets.create(f"empty-{n}")
        client.keys.create(f"key-{n}")
    what = (group, "list", *(["street"] if group == "images" else []))
    whole = parsed(command(*what, "--json"))
    total = len(whole["data"])
    assert total >= 4
    assert (whole["pagination"]["total"], whole["pagination"]["total_is"]) == (total, "exact")
    assert not whole["pagination"]["has_more"]
    code, out, err = command(*what, "--limit", "3")
    assert code == 0
    assert out.startswith(f"3 of {total} ")
    assert f"3 of {total} shown, there are more" in err
    assert "--all" in err
    cursor = err.split("--cursor ")[-1].strip()
    rest = parsed(command(*what, "--limit", "3", "--cursor", cursor, "--json"))
    assert rest["data"] == whole["data"][3:6]
    code, out, err = command(*what, "--all", "--limit", "1")
    assert (code, err) == (0, "")
    assert out.startswith(f"{total} ")
    assert parsed(command(*what, "--all", "--json"))["data"] == whole["data"]
    assert command(*what, "--all", "--cursor", cursor)[0] == 2
    assert command(*what, "--cursor", "nonsense")[0] == 6


def test_a_tag_search_that_was_cut_says_so(command: Command, service: Service, client: Client, street: Dataset) -> None:
    code, _, err = command("search", "tags", "-o", "car", "--cursor", "nonsense")
    assert (code, "cursor" in err) == (6, True)


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("--api-key", "wrong", "datasets", "list"), 2, "unauthorized"),
        (("datasets", "get", "nowhere"), 4, "not_found"),
        (("search", "similar", str(uuid4())), 4, "not_found"),
        (("search", "similar", "not-an-id"), 4, "not_found"),
        (("images", "get", "not-an-id"), 6, "validation_error"),
        (("datasets", "create", "street"), 5, "conflict"),
        (("datasets", "create", "a/b"), 6, "validation_error"),
        (("search", "tags"), 6, "validation_error"),
        (("search", "tags", "-o", "car", "--limit", "501"), 6, "validation_error"),
        (("search", "similar", str(uuid4()), "--threshold", "1.5"), 6, "validation_error"),
        (("upload", "/no/such/folder", "--dataset", "x"), 6, "validation_error"),
        (("--api-key", "k", "--base-url", "http://127.0.0.1:1", "datasets", "list"), 9, "connection_failed"),
        (("--base-url", "nonsense", "datasets", "list"), 2, "configuration"),
        (("keys", "revoke", str(uuid4())), 4, "not_found"),
    ],
)
def test_each_failure_has_its_exit_code_and_one_line_on_standard_error(
    command: Command, client: Client, street: Dataset, arguments: tuple[str, ...], code: int, error: str
) -> None:
    status, out, err = command(*arguments)
    assert (status, out) == (code, "")
    assert f"({error})" in err
    assert "Traceback" not in err
    if arguments[:2] != ("keys", "revoke"):
        status, out, err = command(*arguments, "--json")
        assert (status, out, err.count("\n")) == (code, "", 1)
        body = json.loads(err)["error"]
        assert (body["code"], body["exit_code"]) == (error, code)
        assert body["message"]


def test_a_viewer_is_told_what_is_forbidden(command: Command, service: Service, organization: OrganizationId) -> None:
    key = service.key(organization, "viewer")
    code, _, err = command("--api-key", key, "datasets", "create", "x")
    assert code == 3
    assert "member" in err
    assert key not in err


def test_a_usage_error_is_exit_code_2(command: Command) -> None:
    for arguments in (("nonsense",), ("search", "similar"), ("datasets", "list", "--limit", "0")):
        code, out, err = command(*arguments)
        assert (code, out) == (2, "")
        assert "Usage" in err


def test_a_usage_error_is_one_line_of_json_where_json_was_asked_for(command: Command) -> None:
    for arguments in (
        ("nonsense", "--json"),
        ("search", "similar", "--json"),
        ("datasets", "list", "--limit=0", "--json"),
    ):
        code, out, err = command(*arguments)
        error = json.loads(err)["error"]
        assert (code, out, error["code"], error["exit_code"]) == (2, "", "usage", 2)
    assert "limit" in error["message"]


def test_names_are_shown_as_they_are_and_never_read_as_markup(command: Command, client: Client) -> None:
    name = "[bold]x[red]"
    client.datasets.create(name)
    image = client.images.upload(name, picture_bytes(1), filename="photo[copy].jpg", folder_path="/[/b]/[link=x]")
    assert name in command("datasets", "list")[1]
    assert "/[/b]/[link=x]/photo[copy].jpg" in command("images", "list", name)[1]
    twin = client.images.upload(name, picture_bytes(1), filename="twin[1].jpg", folder_path="/[/b]/[link=x]")
    client.datasets.wait_until_processed(name, timeout=60)
    assert "/[/b]/[link=x]/twin[1].jpg" in command("search", "similar", image.id)[1]
    assert "photo[copy].jpg" in command("images", "get", image.id)[1]
    for arguments in (
        ("datasets", "get", "[/nowhere]"),
        ("search", "tags", "-o", "[/unicorn]"),
        ("images", "delete", twin.id),
        ("keys", "create", "[bold]key"),
    ):
        code, out, err = command(*arguments)
        assert code in (0, 4, 6), err
        assert "Traceback" not in err
        shown = arguments[-1]
        assert shown in out + err
    assert name in command("datasets", "delete", name, "--yes")[1]


def test_status_says_what_runs(command: Command, service: Service) -> None:
    status = parsed(command("status", "--json"))
    assert (status["encoder"], status["workers"], status["base_url"]) == ("noop", 1, service.address)
    assert "noop" in command("status")[1]


def test_keys_are_made_shown_once_and_revoked(command: Command) -> None:
    made = parsed(command("keys", "create", "ci", "--role", "viewer", "--json"))
    code, out, _ = command("keys", "list")
    assert code == 0
    assert made["api_key"] not in out
    assert command("--api-key", made["api_key"], "datasets", "list")[0] == 0
    assert command("keys", "revoke", made["key_id"])[0] == 0
    assert command("--api-key", made["api_key"], "datasets", "list")[0] == 2


def test_without_a_service_the_way_to_start_one_is_named(command: Command, home: Path) -> None:
    (home / "config.toml").unlink()
    code, _, err = command("datasets", "list")
    assert code == 2
    assert "pictograph serve" in err
    code, _, err = command("--api-key", "k", "--base-url", "http://127.0.0.1:1", "status")
    assert code == 9
    assert "pictograph serve" in err


def test_settings_are_shown_without_secrets(command: Command) -> None:
    code, out, _ = command("serve", "--show-settings", "--database-url", "postgresql://u:pa55word@h/d")
    assert code == 0
    assert "pa55word" not in out
    assert "worker_batch" in out


def test_a_setting_that_cannot_work_is_exit_code_2(command: Command) -> None:
    code, _, err = command("serve", "--encoder", "noop", "--workers", "-1")
    assert code == 2
    assert "workers" in err


def test_tune_says_that_it_does_nothing_any_more(command: Command) -> None:
    code, out, err = command("tune", "--dry-run", "--images", "20000", "--json")
    assert (code, json.loads(out)["stored"]) == (0, False)
    assert "no longer does anything" in err


def test_a_file_that_changed_is_named_and_is_exit_code_1(command: Command, photos: Path) -> None:
    for n in range(3):
        (photos / f"{n}.jpg").write_bytes(picture_bytes(n))
    assert command("upload", photos, "--dataset", "street")[0] == 0
    image = parsed(command("images", "list", "street", "--json"))["data"][0]
    assert command("images", "delete", image["id"])[0] == 0
    changed = next(path for path in sorted(photos.glob("*.jpg")) if path.name != image["filename"])
    changed.write_bytes(picture_bytes(9))
    code, out, _ = command("upload", photos, "--dataset", "street")
    assert code == 1
    assert "1 were there already but archived" in out
    assert "1 differ from the images of their names" in out
    again = command("upload", photos, "--dataset", "street", "--json")  # tables may fold a long path
    assert changed.name in again[1]
    code, out, _ = command("upload", photos, "--dataset", "street", "--json")
    report = json.loads(out)
    assert (code, report["skipped"], report["restored"]) == (1, 2, 0)
    assert [item["path"] for item in report["different"]] == [str(changed)]
    assert "--replace sends them" in command("upload", photos, "--dataset", "street")[1]
    code, out, _ = command("upload", photos, "--dataset", "street", "--replace")
    assert code == 0
    assert "1 images get the bytes of files that changed" in out
    assert parsed(command("upload", photos, "--dataset", "street", "--replace", "--json"))["skipped"] == 3
    assert command("images", "upload", "street", changed, "--replace")[0] == 0


def test_changed_names_are_listed_by_the_command(command: Command) -> None:
    assert parsed(command("datasets", "name-changes", "--json"))["data"] == []
    assert command("datasets", "name-changes")[1].startswith("0 changed names")
