"""Where the SDK finds address and key: keyword beats environment beats file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pictograph import Client, ConfigurationError
from pictograph.client.config import ClientConfig, resolve_config
from pictograph.localconfig import LocalConfig, config_path, write_config


def resolve(
    api_key: str | None = None, base_url: str | None = None, timeout: Any = None, max_retries: Any = None, **env: str
) -> ClientConfig:
    environment = {f"PICTOGRAPH_{name.upper()}": value for name, value in env.items()}
    return resolve_config(api_key, base_url, timeout, max_retries, environment)


@pytest.fixture
def file() -> None:
    write_config(LocalConfig("http://file:1", "file-key", "/data"))


def test_the_file_alone_is_enough(file: None) -> None:
    assert resolve() == ClientConfig("http://file:1", "file-key", 30.0, 3)


def test_the_environment_beats_the_file(file: None) -> None:
    assert resolve(api_key=None, base_url=None, base_url_="x") == resolve()
    config = resolve_config(
        None, None, None, None, {"PICTOGRAPH_API_KEY": "env-key", "PICTOGRAPH_BASE_URL": "http://env:2"}
    )
    assert (config.base_url, config.api_key) == ("http://env:2", "env-key")


def test_the_keyword_beats_both(file: None) -> None:
    environment = {
        "PICTOGRAPH_API_KEY": "env-key", "PICTOGRAPH_BASE_URL": "http://env:2", "PICTOGRAPH_TIMEOUT": "7",
        "PICTOGRAPH_MAX_RETRIES": "7",
    }  # fmt: skip
    config = resolve_config("word-key", "http://word:3", 5, 0, environment)
    assert config == ClientConfig("http://word:3", "word-key", 5.0, 0)
    assert resolve_config(None, None, None, None, environment) == ClientConfig("http://env:2", "env-key", 7.0, 7)


def test_the_real_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICTOGRAPH_API_KEY", "env-key")
    monkeypatch.setenv("PICTOGRAPH_BASE_URL", "http://env:2")
    assert Client().base_url == "http://env:2"


def test_key_and_address_may_come_from_two_places(file: None) -> None:
    assert resolve("word-key").base_url == "http://file:1"
    assert resolve(base_url="http://file:1/").api_key == "file-key"


def test_the_files_key_is_sent_to_the_files_address_alone(file: None) -> None:
    with pytest.raises(ConfigurationError, match="no API key is set"):
        resolve(base_url="http://word:3")


def test_blanks_around_a_key_and_slashes_behind_an_address_are_dropped() -> None:
    config = resolve("  key \n", "http://host:1///")
    assert (config.api_key, config.base_url) == ("key", "http://host:1")


def test_an_empty_variable_counts_as_absent(file: None) -> None:
    environment = dict.fromkeys(
        ("PICTOGRAPH_API_KEY", "PICTOGRAPH_BASE_URL", "PICTOGRAPH_TIMEOUT", "PICTOGRAPH_MAX_RETRIES"), ""
    )
    assert resolve_config(None, None, None, None, environment) == ClientConfig("http://file:1", "file-key", 30.0, 3)


def test_without_anything_the_way_out_is_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Client()
    for word in ("pictograph serve", "base_url=", "PICTOGRAPH_BASE_URL", str(config_path())):
        assert word in caught.value.message
    with pytest.raises(ConfigurationError, match=r"API key.*api_key=.*PICTOGRAPH_API_KEY"):
        Client(base_url="http://host")


@pytest.mark.parametrize(
    "url",
    ["host:8765", "ftp://host", "http//host", "localhost", " ", "http://", "http://[::1", "http://host:port",
     "http://ho st", "https:///path", "http://host?x=1", "http://host#x"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_before_any_request(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Client("key", base_url=url)


@pytest.mark.parametrize("key", ["schlüssel", "a\nb", "a\x00b", "🔑", "\udcff", "   "])
def test_a_key_that_no_header_can_carry_is_refused_before_any_request(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Client(key, base_url="http://host")
    assert "key" in caught.value.message
    assert not key.strip() or key not in caught.value.message


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "abc"])
def test_a_timeout_must_be_a_number_above_0(timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        resolve("k", "http://host", timeout)
    with pytest.raises(ConfigurationError, match=r"timeout.*PICTOGRAPH_TIMEOUT"):
        resolve_config("k", "http://host", None, None, {"PICTOGRAPH_TIMEOUT": str(timeout)})


@pytest.mark.parametrize("retries", [-1, "abc", float("nan")])
def test_max_retries_must_not_be_negative(retries: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_retries"):
        resolve("k", "http://host", None, retries)


@pytest.mark.parametrize("text", ["not = toml = at all", "base_url = ", "\xff\xfe"])
def test_a_broken_file_is_named(text: str, home: Path) -> None:
    home.mkdir()
    config_path().write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"config\.toml.*Repair or remove"):
        Client()


def test_a_broken_file_does_not_matter_when_everything_is_given(home: Path) -> None:
    home.mkdir()
    config_path().write_text("not toml")
    assert Client("k", base_url="http://host").base_url == "http://host"


def test_a_client_of_ones_own_is_not_closed() -> None:
    import httpx  # noqa: PLC0415

    with httpx.Client() as http:
        with Client("k", base_url="http://host", http_client=http):
            pass
        assert not http.is_closed
