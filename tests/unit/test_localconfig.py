"""The file where a service and the SDK of one machine meet."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
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
