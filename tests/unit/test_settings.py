"""Settings: option beats environment beats default; wrong ones stop the start with their name."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import pictograph
from pictograph.errors import ConfigurationError
from pictograph.settings import ENV_PREFIX, Settings, available_cores, help_of, unknown_variables

NAMES = [item.name for item in fields(Settings)]


def test_the_defaults_are_safe_and_local() -> None:
    settings = Settings.load({}, {})
    assert (settings.host, settings.port, settings.encoder, settings.workers) == ("127.0.0.1", 8765, "auto", 1)
    assert settings.database_url is None


def test_the_data_folder_is_below_pictographs_home(home: Path) -> None:
    settings = Settings.load({}, {})
    assert settings.data_folder == home.resolve() / "data"
    assert settings.blob_location == settings.data_folder / "blobs"


def test_an_option_beats_the_environment_beats_the_default() -> None:
    environment = {"PICTOGRAPH_PORT": "1234", "PICTOGRAPH_WORKERS": "3"}
    settings = Settings.load({"port": 99, "host": None}, environment)
    assert (settings.port, settings.workers, settings.host) == (99, 3, "127.0.0.1")


def test_an_option_of_0_is_given_and_an_empty_variable_is_not() -> None:
    settings = Settings.load({"port": 0, "workers": 0}, {"PICTOGRAPH_PORT": "1", "PICTOGRAPH_MAX_BYTES": ""})
    assert (settings.port, settings.workers, settings.max_bytes) == (0, 0, 100_000_000)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_has_a_help_and_survives_its_way_through_the_environment(name: str) -> None:
    assert help_of(name)
    given: dict[str, Any] = {"data_dir": Path("/tmp/x"), "database_url": "postgresql://u:p@h/d", "lease_s": 1.5}
    settings = Settings.load(given | {"log_level": "debug", "public_url": "http://p", "blob_url": "s3://b"}, {})
    again = Settings.load({}, settings.environment())
    assert getattr(again, name) == getattr(settings, name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "abc"), ("port", "-1"), ("port", "65536"), ("port", "1e3"), ("port", "80.5"), ("workers", "-1"),
        ("workers", "many"), ("worker_batch", "0"), ("max_bytes", "0"), ("max_bytes", "10MB"), ("max_pixels", "-5"),
        ("lease_s", "0"), ("lease_s", "-1"), ("lease_s", "nan"), ("lease_s", "inf"), ("max_uploads", "0"),
        ("max_connections", "0"), ("log_level", "loud"), ("worker_threads", "-1"),
        ("allowed_hosts", "http://x"), ("allowed_hosts", "x,a b"), ("data_dir", "~nobody-of-this-name/x"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_work_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Settings.load({}, {ENV_PREFIX + name.upper(): value})


def test_secrets_are_hidden_where_settings_are_shown() -> None:
    settings = Settings.load({"database_url": "postgresql://u:pa55word@h/d"}, {})
    assert "pa55word" not in str(settings.shown())
    assert settings.shown()["database_url"] == "(hidden)"
    assert Settings.load({}, {}).shown()["database_url"] == "None"
    assert list(settings.shown()) == NAMES


def test_a_home_in_a_path_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings.load({"data_dir": "~/pictures"}, {}).data_folder == tmp_path.resolve() / "pictures"


def test_threads_default_to_the_cores_this_process_may_use() -> None:
    assert Settings.load({}, {}).threads == available_cores() >= 1
    assert Settings.load({"worker_threads": 3}, {}).threads == 3


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings.load({}, {}).port = 1  # type: ignore[misc]


def test_a_variable_that_is_no_number_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"^port \(PICTOGRAPH_PORT\) must be a number"):
        Settings.load({}, {"PICTOGRAPH_PORT": "abc"})
    with pytest.raises(ConfigurationError, match=r"^port must be a number"):
        Settings.load({"port": "abc"}, {})


def test_names_and_addresses_with_and_without_a_port_are_hosts() -> None:
    names = "images.example.org, box_1:8080, 10.1.2.3, [::1]:80, ::1"
    assert len(Settings.load({"allowed_hosts": names}, {}).allowed_host_names) == 5


def test_a_variable_that_nothing_reads_is_named_with_the_one_that_was_meant() -> None:
    given = {"PICTOGRAPH_PROT": "1", "PICTOGRAPH_PORT": "2", "PICTOGRAPH_HOME": "/h", "PICTOGRAPH_TEST_PHOTOS": "/p"}
    assert unknown_variables(given) == [
        "PICTOGRAPH_PROT is not a variable that Pictograph reads. Did you mean PICTOGRAPH_PORT?"
    ]
    assert unknown_variables({"PICTOGRAPH_ZZZZ": "1"}) == ["PICTOGRAPH_ZZZZ is not a variable that Pictograph reads."]


def test_every_variable_that_the_code_names_is_known() -> None:
    source = Path(pictograph.__file__).parent
    named = {name for path in source.rglob("*.py") for name in re.findall(r"PICTOGRAPH_[A-Z_]+[A-Z]", path.read_text())}
    assert unknown_variables(dict.fromkeys(named, "x")) == []


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_serving_processes_have_together_what_the_limits_say(processes: int) -> None:
    settings = Settings.load({"http_workers": processes, "max_uploads": 16, "max_waiting_uploads": 64}, {})
    shares = [settings.share(number) for number in range(processes)]
    for name in ("max_uploads", "max_waiting_uploads", "max_client_connections", "max_connections"):
        assert sum(getattr(share, name) for share in shares) == getattr(settings, name)


def test_each_serving_process_has_a_database_connection_and_room_for_an_upload() -> None:
    share = Settings.load({"http_workers": 8, "max_connections": 2, "max_uploads": 3, "max_waiting_uploads": 0}, {})
    shares = [share.share(number) for number in range(8)]
    assert {(one.max_connections, one.max_uploads, one.max_waiting_uploads) for one in shares} == {(1, 1, 0)}


@pytest.mark.parametrize("processes", [0, -1, 65])
def test_a_number_of_serving_processes_that_cannot_work_is_refused(processes: int) -> None:
    with pytest.raises(ConfigurationError, match="http_workers must be"):
        Settings.load({"http_workers": processes}, {})


def test_a_variable_by_its_old_name_is_read_for_one_release_and_told() -> None:
    environment = {"PICTOGRAPH_CODE_BYTES": "1000"}
    assert Settings.load({}, environment).index_bytes == 1000
    (told,) = unknown_variables(environment)
    assert "PICTOGRAPH_INDEX_BYTES" in told
    assert Settings.load({}, environment | {"PICTOGRAPH_INDEX_BYTES": "2000"}).index_bytes == 2000


def test_the_index_lies_in_the_data_folder_unless_it_is_sent_elsewhere(tmp_path: Path) -> None:
    assert Settings.load({"data_dir": tmp_path}, {}).index_folder == tmp_path / "index"
    assert Settings.load({"data_dir": tmp_path, "index_dir": tmp_path / "b"}, {}).index_folder == tmp_path / "b"
