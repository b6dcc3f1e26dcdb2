"""Through which proxy and with which certificates a request goes, as the environment says."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from pictograph import Client, ConfigurationError
from pictograph.network import RoutedTransport, is_loopback, is_this_machine, route_to, tls_context, without_credentials

ELSEWHERE = "http://photos.example.com:8000"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.1", "127.200.3.4", "::1", "[::1]", "0.0.0.0", "::",
     "::ffff:127.0.0.1"],
)  # fmt: skip
def test_this_machine_is_told_by_name_and_address(host: str) -> None:
    assert is_this_machine(host)
    assert is_loopback(host) == (host not in ("0.0.0.0", "::"))


@pytest.mark.parametrize("host", ["example.com", "localhost.example.com", "10.0.0.1", "128.0.0.1", "::2", "", "a\0b"])
def test_nothing_else_is_this_machine(host: str) -> None:
    assert not is_this_machine(host)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("value", ["http://127.0.0.1:9", "socks://127.0.0.1:9", "nonsense://", "http://h:99999999"])
def test_loopback_never_goes_through_a_proxy_whatever_the_variable_holds(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    for address in ("http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"):
        assert route_to(address).proxy is None


@pytest.mark.parametrize(
    ("name", "url", "goes_through"),
    [
        ("HTTP_PROXY", "http://example.com", True),
        ("http_proxy", "http://example.com", True),
        ("HTTP_PROXY", "https://example.com", False),
        ("HTTPS_PROXY", "https://example.com", True),
        ("ALL_PROXY", "https://example.com", True),
    ],
)
def test_other_addresses_go_through_the_proxy_of_their_scheme(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str, goes_through: bool
) -> None:
    monkeypatch.setenv(name, "proxy.example.com:3128")
    proxy = route_to(url).proxy
    assert (proxy is not None) is goes_through
    if proxy:
        assert str(proxy) == f"proxy.example.com:3128 ({name})"


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("*", ELSEWHERE),
        ("example.com", ELSEWHERE),
        (".example.com", ELSEWHERE),
        ("*.example.com", ELSEWHERE),
        ("photos.example.com:8000", ELSEWHERE),
        ("a.org , photos.example.com", ELSEWHERE),
        ("a.org photos.example.com", ELSEWHERE),
        ("http://photos.example.com", ELSEWHERE),
        ("10.1.2.3", "http://10.1.2.3:8000"),
        ("10.0.0.0/8", "http://10.1.2.3:8000"),
        ("10.1.2.3/8", "http://10.1.2.3:8000"),
        ("fd07:b51a:cc66:f0::/64", "http://[fd07:b51a:cc66:f0::1]:8000"),
        ("[fd07::]/16", "http://[fd07::1]:8000"),
        ("[fd07::1]", "http://[fd07::1]:8000"),
        ("[fd07::1]:8000", "http://[fd07::1]:8000"),
        ("fd07::1", "http://[fd07:0::1]:8000"),
    ],
)
def test_what_no_proxy_names_is_reached_directly(monkeypatch: pytest.MonkeyPatch, entry: str, url: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", entry)
    assert route_to(url).proxy is None


@pytest.mark.parametrize(
    "entry",
    ["", ",", "xample.com", "photos.example.com:8001", "https://photos.example.com", "10.0.0.0/8", "[::1],127.0.0.1"],
)
def test_what_no_proxy_does_not_name_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", entry)
    assert route_to(ELSEWHERE).proxy is not None


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("socks://u:pa55@h:9", "kind that is not known"),
        ("ftp://u:pa55@h:9", "kind that is not known"),
        ("http://u:pa55@h:port", "is no address"),
        ("http://u:pa55@", "names no host"),
        ("http://u:pa55@h:1\x01", "is no address"),
    ],
)
def test_a_proxy_that_cannot_be_read_is_one_line_with_its_variable_and_without_the_password(
    monkeypatch: pytest.MonkeyPatch, value: str, why: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", value)
    with pytest.raises(ConfigurationError, match=why) as caught:
        Client("k", base_url=ELSEWHERE)
    message = str(caught.value)
    assert "HTTP_PROXY" in message
    assert "NO_PROXY" in message
    assert "pa55" not in message
    assert message.isprintable()


def test_a_socks_proxy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pictograph.network.find_spec", lambda name: None)
    monkeypatch.setenv("ALL_PROXY", "socks5://h:9")
    with pytest.raises(ConfigurationError, match=r"ALL_PROXY.*pip install socksio(?!.*socks5://HOST)"):
        Client("k", base_url=ELSEWHERE)


def test_a_network_in_no_proxy_that_is_none_is_said_because_it_was_meant_to_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/99")
    route_to(ELSEWHERE)  # without a proxy it does not matter
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    with pytest.raises(ConfigurationError, match=r"NO_PROXY holds '10\.0\.0\.0/99'"):
        route_to(ELSEWHERE)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"])
def test_certificates_that_are_gone_are_one_line_with_the_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv(name, str(tmp_path / "gone" / "file"))
    with pytest.raises(ConfigurationError, match=f"^{name} names .*gone.*No such file"):
        Client("k", base_url="https://example.com")
    Client("k", base_url="http://127.0.0.1:1").close()  # no certificates are asked for there


def test_a_certificate_file_without_certificates_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    with pytest.raises(ConfigurationError, match=r"SSL_CERT_FILE names .*empty\.pem"):
        Client("k", base_url="https://example.com")


def test_certificates_are_checked_where_there_is_tls_and_nothing_passes_where_there_is_none() -> None:
    assert tls_context(needed=True).get_ca_certs()
    unused = tls_context(needed=False)
    assert unused.get_ca_certs() == []
    assert unused.check_hostname


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("http://u:p@h:1", "http://***@h:1"),
        ("u:p@h:1", "***@h:1"),
        ("http://u:p@q@h", "http://***@h"),
        ("http://h:1", "http://h:1"),
    ],
)
def test_credentials_are_never_shown(value: str, shown: str) -> None:
    assert without_credentials(value) == shown


def test_a_redirect_to_another_host_goes_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks://nowhere")
    with httpx.Client(transport=RoutedTransport(httpx.Limits()), trust_env=False) as http:
        with pytest.raises(httpx.ConnectError):
            http.get("http://127.0.0.1:1")
        with pytest.raises(ConfigurationError, match="HTTP_PROXY"):
            http.get(ELSEWHERE)
