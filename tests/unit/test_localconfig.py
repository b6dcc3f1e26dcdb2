"""The file where a service and the SDK of one machine meet."""

from __future__ import annotations

import os
import stat
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
import tomlkit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pictograph.errors import ConfigurationError
from pictograph.localconfig import LocalConfig, config_path, parse_config, read_config, write_config


def test_what_is_written_is_read_back(home: Path) -> None:
    config = LocalConfig("http://127.0.0.1:8765", "pk_live_x", "/data")
    write_config(config)
    assert config_path() == home / "config.toml"
    assert read_config() == config


def test_without_a_file_nothing_is_known() -> None:
    assert read_config() == LocalConfig()


def test_only_the_owner_reads_it_whatever_the_umask(home: Path) -> None:
    before = os.umask(0)
    try:
        write_config(LocalConfig("http://x", "secret"))
    finally:
        os.umask(before)
    assert stat.S_IMODE(config_path().stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_file_that_was_readable_by_all_is_not_after_it_is_written_again(home: Path) -> None:
    home.mkdir()
    config_path().write_text("")
    config_path().chmod(0o644)
    write_config(LocalConfig("http://x", "secret"))
    assert stat.S_IMODE(config_path().stat().st_mode) == 0o600


def test_writing_replaces_in_one_step_and_leaves_nothing_else(home: Path) -> None:
    for n in range(3):
        write_config(LocalConfig(f"http://{n}"))
    assert [path.name for path in home.iterdir()] == ["config.toml"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_survives(text: str) -> None:
    config = LocalConfig(text, text, text)
    write_config(config)
    assert read_config() == config


@pytest.mark.parametrize("text", ["a\x7fb", 'quote"d', "back\\slash", "new\nline", "🚗", "#", "'''", "\x00\x1f\x80"])
def test_odd_characters_survive(text: str) -> None:
    write_config(LocalConfig(api_key=text))
    assert read_config().api_key == text


def test_a_key_from_a_newer_version_is_ignored() -> None:
    assert parse_config('base_url = "http://x"\nfuture = [1, 2]\n[table]\na = 1\n') == LocalConfig("http://x")


def test_a_folder_in_its_place_is_said(home: Path) -> None:
    config_path().mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_config()


THEIRS = """\
# my profiles
[default]  # the office
api_key = "pk_live_theirs"

[research]
api_key = "pk_live_research" # until May
base_url = 'https://api.example.org'
team = { name = "blue", size = 3 }

[[jobs]]
n = 1
[[jobs]]
n = 2
"""
OURS = LocalConfig("http://127.0.0.1:8765", "pk_live_ours", "/data")


def published_profiles() -> dict[str, Any]:
    """What the published command line reads: each table is a profile, and nothing else counts."""
    values = tomllib.loads(config_path().read_text())
    return {name: table for name, table in values.items() if isinstance(table, dict)}


def put(text: str) -> None:
    config_path().parent.mkdir(exist_ok=True)
    config_path().write_text(text)


def test_the_published_command_line_gets_its_default_profile() -> None:
    assert write_config(OURS) == "default"
    assert published_profiles() == {"default": {"base_url": OURS.base_url, "api_key": OURS.api_key}}


def test_every_table_key_and_comment_of_others_stays() -> None:
    put(THEIRS)
    assert write_config(OURS) == "local"

    assert read_config() == OURS
    text = config_path().read_text()
    assert all(line in text for line in THEIRS.splitlines())
    after, before = tomllib.loads(text), tomllib.loads(THEIRS)
    assert {name: after[name] for name in before} == before
    assert published_profiles()["local"] == {"base_url": OURS.base_url, "api_key": OURS.api_key}


def test_our_profile_follows_our_service_and_nothing_is_written_twice() -> None:
    put(THEIRS)
    write_config(OURS)
    moved = LocalConfig("http://127.0.0.1:9000", "pk_live_newer", "/data")
    assert write_config(moved) == "local"
    once = config_path().read_text()
    assert write_config(moved) == "local"
    assert config_path().read_text() == once
    assert published_profiles()["local"] == {"base_url": moved.base_url, "api_key": moved.api_key}
    assert published_profiles()["default"] == {"api_key": "pk_live_theirs"}


def test_a_default_profile_of_ours_follows_too() -> None:
    write_config(OURS)
    moved = LocalConfig("http://127.0.0.1:9000", "pk_live_newer", "/data")
    assert write_config(moved) == "default"
    assert published_profiles() == {"default": {"base_url": moved.base_url, "api_key": moved.api_key}}


def test_with_both_profiles_taken_none_is_changed() -> None:
    put('[default]\napi_key = "a"\n[local]\nbase_url = "http://b"\n')
    assert write_config(OURS) is None
    assert published_profiles() == {"default": {"api_key": "a"}, "local": {"base_url": "http://b"}}
    assert read_config() == OURS


def test_after_the_published_command_line_wrote_its_tables_alone_its_default_profile_is_read() -> None:
    put('[default]\napi_key = "pk_live_ours"\nbase_url = "http://127.0.0.1:8765"\n\n[research]\napi_key = "x"\n')
    known = read_config()
    assert known == LocalConfig("http://127.0.0.1:8765", "pk_live_ours")
    assert not known.names_a_service
    assert write_config(OURS) == "default"
    assert read_config().names_a_service


def test_a_key_without_an_address_is_for_the_published_service_and_not_read() -> None:
    put(THEIRS)
    assert read_config() == LocalConfig()


@pytest.mark.parametrize("text", ["default = 1\n", "default = [1]\nlocal = 'x'\n"])
def test_what_is_no_table_is_no_profile(text: str) -> None:
    put(text)
    write_config(OURS)
    assert read_config() == OURS
    assert config_path().read_text().endswith(text) or text.strip() in config_path().read_text()


names = st.text(st.sampled_from("abc ._-ü\"'#"), min_size=1, max_size=5)
values = st.recursive(
    st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=6) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(theirs=st.dictionaries(names, values, max_size=4))
def test_whatever_others_keep_there_is_there_afterwards(theirs: dict[str, Any]) -> None:
    put(tomlkit.dumps(theirs))
    before = tomllib.loads(config_path().read_text())
    write_config(OURS)
    after = tomllib.loads(config_path().read_text())
    assert {name: after[name] for name in before} == before
    assert read_config() == OURS


@pytest.mark.parametrize("text", ["[default\n", "a = 1\na = 2\n", "\x00"])
def test_a_file_that_is_not_understood_is_named_and_stays(text: str) -> None:
    put(text)
    with pytest.raises(ConfigurationError, match=r"config\.toml cannot be read: .* Repair or remove it"):
        write_config(OURS)
    assert config_path().read_text() == text
    assert [path.name for path in config_path().parent.iterdir()] == ["config.toml"]


def test_a_link_stays_a_link_and_what_it_points_to_is_written(tmp_path: Path, home: Path) -> None:
    target = tmp_path / "dotfiles" / "pictograph.toml"
    target.parent.mkdir()
    target.write_text(THEIRS)
    home.mkdir()
    config_path().symlink_to(target)
    write_config(OURS)
    assert config_path().is_symlink()
    assert "pk_live_research" in target.read_text()
    assert "pk_live_ours" in target.read_text()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_write_that_fails_leaves_the_file_and_nothing_beside_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(THEIRS)
    full = OSError(28, "No space left on device")

    def fail(_: int) -> None:
        raise full

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_config(OURS)
    assert config_path().read_text() == THEIRS
    assert [path.name for path in home.iterdir()] == ["config.toml"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_as_root_the_file_stays_its_owners() -> None:
    put(THEIRS)
    os.chown(config_path(), 65534, 65534)
    write_config(OURS)
    assert (config_path().stat().st_uid, config_path().stat().st_gid) == (65534, 65534)


def test_writers_at_the_same_time_lose_nothing_of_each_other(home: Path) -> None:
    put(THEIRS)
    script = (
        "import sys; from pictograph.localconfig import LocalConfig, write_config\n"
        "for n in range(15): write_config(LocalConfig(f'http://{sys.argv[1]}:{n}', sys.argv[1], '/data'))"
    )
    with ThreadPoolExecutor(3) as pool:
        ran = list(pool.map(lambda name: run([sys.executable, "-c", script, name], check=False), "abc"))
    assert [process.returncode for process in ran] == [0, 0, 0]
    assert read_config().api_key in {"a", "b", "c"}
    assert published_profiles()["local"]["api_key"] == read_config().api_key
    before = tomllib.loads(THEIRS)
    assert {name: tomllib.loads(config_path().read_text())[name] for name in before} == before
    assert [path.name for path in home.iterdir()] == ["config.toml"]


def test_a_fifo_in_the_place_of_the_file_is_refused_at_once(home: Path) -> None:
    home.mkdir(exist_ok=True)
    os.mkfifo(home / "config.toml")
    with pytest.raises(ConfigurationError, match="is not a file"):
        read_config()
