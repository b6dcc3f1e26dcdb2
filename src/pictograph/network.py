"""How a request leaves this machine: through which proxy, with which certificates, as the environment says.

httpx reads the same variables, but sends loopback through a proxy, and stops with an error of its own where it cannot
read a variable that is meant for other hosts. Here a variable counts only where it applies to the address.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import urllib.request
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Final

import httpx

from pictograph.errors import ConfigurationError

PROXY_SCHEMES: Final = ("http", "https", "socks5", "socks5h")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class ProxySetting:
    """A proxy, and who named it."""

    variable: str
    """`HTTPS_PROXY`, say; "the system's settings" where no variable names it."""
    value: str = field(repr=False)

    def __str__(self) -> str:
        return f"{without_credentials(self.value)} ({self.variable})"


@dataclass(frozen=True, slots=True)
class Route:
    """The way to one address."""

    proxy: ProxySetting | None
    """None: the address is reached directly."""
    tls: bool
    """True if certificates are checked on the way: https, to the address or to the proxy."""

    def check(self) -> None:
        """Raises ConfigurationError if a variable names no certificates."""
        tls_context(self.tls)

    def transport(self, limits: httpx.Limits) -> httpx.HTTPTransport:
        """A pool of connections. Raises ConfigurationError if a variable names no certificates."""
        context = tls_context(self.tls)
        return httpx.HTTPTransport(verify=context, trust_env=False, limits=limits, proxy=self._httpx_proxy(context))

    def async_transport(self, limits: httpx.Limits) -> httpx.AsyncHTTPTransport:
        """As `transport`."""
        context = tls_context(self.tls)
        return httpx.AsyncHTTPTransport(
            verify=context, trust_env=False, limits=limits, proxy=self._httpx_proxy(context)
        )

    def _httpx_proxy(self, context: ssl.SSLContext) -> httpx.Proxy | None:
        if self.proxy is None:
            return None
        url = proxy_url(self.proxy)
        return httpx.Proxy(url, ssl_context=context if url.scheme == "https" else None)


DIRECTLY: Final = Route(None, tls=False)


def route_to(url: httpx.URL | str) -> Route:
    """The way to this address. Raises ConfigurationError if a variable that applies to it cannot be read.

    Loopback (`localhost`, `*.localhost`, 127.0.0.0/8, ::1, 0.0.0.0, ::) is always reached directly; names are not
    looked up for that.
    """
    url = httpx.URL(url)
    proxy = None if is_this_machine(url.host) else proxy_setting(url.scheme)
    if proxy and is_excepted(url):
        proxy = None
    return Route(proxy, tls=url.scheme == "https" or (proxy is not None and proxy_url(proxy).scheme == "https"))


class RoutedTransport(httpx.BaseTransport):
    """Sends each request by the way to its own address; for clients that follow redirects to other hosts."""

    def __init__(self, limits: httpx.Limits) -> None:
        self._limits = limits
        self._transports: dict[Route, httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As httpx asks for it."""
        route = route_to(request.url)
        if route not in self._transports:
            self._transports[route] = route.transport(self._limits)
        return self._transports[route].handle_request(request)

    def close(self) -> None:
        """Closes every connection."""
        for transport in self._transports.values():
            transport.close()


def is_loopback(host: str) -> bool:
    """True for the names and addresses that lead nowhere but to the machine that uses them."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = address_of(name)
    return address is not None and address.is_loopback


def is_this_machine(host: str) -> bool:
    """True for loopback, and for 0.0.0.0 and ::, which connect to it too."""
    address = address_of(host)
    return is_loopback(host) or (address is not None and address.is_unspecified)


def address_of(host: str) -> Address | None:
    """The IP address that the text is, brackets and short forms (`127.1`) included; None for a name."""
    try:
        address: Address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        try:
            address = ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError):  # ValueError: a null character, or no ASCII
            return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def proxy_setting(scheme: str) -> ProxySetting | None:
    """What `http_proxy`, `https_proxy` or `all_proxy` says, in either case; else the system's settings."""
    known = urllib.request.getproxies()
    for name in (scheme, "all"):
        value = known.get(name, "").strip()
        if value:
            setting = ProxySetting(variable_named(f"{name}_proxy"), value)
            proxy_url(setting)
            return setting
    return None


def variable_named(name: str) -> str:
    """The variable as it is spelt in the environment; the lower-case one counts, as everywhere."""
    spelt = sorted((given for given in os.environ if given.lower() == name and os.environ[given]), reverse=True)
    return spelt[0] if spelt else "the system's settings"


def proxy_url(setting: ProxySetting) -> httpx.URL:
    """The proxy's address. Raises ConfigurationError if there is no way to use it."""
    value = setting.value if "://" in setting.value else f"http://{setting.value}"
    try:
        url = httpx.URL(value)
    except (httpx.InvalidURL, ValueError) as error:
        raise unreadable(setting, f"is no address ({error})") from error
    if url.scheme not in PROXY_SCHEMES:
        raise unreadable(setting, f"is of a kind that is not known ({url.scheme}://)")
    if not url.host:
        raise unreadable(setting, "names no host")
    if url.scheme.startswith("socks") and find_spec("socksio") is None:
        raise ConfigurationError(
            f"The proxy in {setting.variable}, {without_credentials(setting.value)!r}, is a SOCKS proxy, which needs "
            "one more package: pip install socksio. Or name an http:// proxy, or name the service's host in NO_PROXY."
        )
    return url


def unreadable(setting: ProxySetting, why: str) -> ConfigurationError:
    shown = without_credentials(setting.value)
    return ConfigurationError(
        f"The proxy in {setting.variable}, {shown!r}, {why}. Write it as http://HOST:PORT, https://HOST:PORT or "
        "socks5://HOST:PORT, unset it, or name the service's host in NO_PROXY."
    )


def without_credentials(value: str) -> str:
    """The address without the user's name and password."""
    scheme, separator, rest = value.rpartition("://")
    return f"{scheme}{separator}***@{rest.rpartition('@')[2]}" if "@" in rest else value


def is_excepted(url: httpx.URL) -> bool:
    """True if `no_proxy` names the host: by name, by a domain above it, by address or network, with a port or without.

    Raises ConfigurationError for a network that is none, because it was meant to keep something from the proxy.
    """
    listed = urllib.request.getproxies().get("no", "")
    return any(covers(entry, url) for entry in listed.replace(",", " ").split())


def covers(entry: str, url: httpx.URL) -> bool:
    if entry == "*":
        return True
    scheme, separator, rest = entry.rpartition("://")
    if separator and scheme not in ("all", url.scheme):
        return False
    if "/" in rest.rstrip("/"):
        return network_covers(entry, rest, url.host)
    host, port = split_port(rest.rstrip("/"))
    if port and int(port) != (url.port or {"http": 80, "https": 443}.get(url.scheme)):
        return False
    address = address_of(host)
    if address is not None:
        return address == address_of(url.host)
    domain = host.lstrip("*").strip(".").lower()
    name = url.host.rstrip(".").lower()
    return bool(domain) and (name == domain or name.endswith(f".{domain}"))


def network_covers(entry: str, network: str, host: str) -> bool:
    address = address_of(host)
    try:
        known = ipaddress.ip_network(network.replace("[", "").replace("]", ""), strict=False)
    except ValueError as error:
        raise ConfigurationError(
            f"{variable_named('no_proxy')} holds {without_credentials(entry)!r}, which is no network: {error}. "
            "Write it as 10.0.0.0/8 or fd00::/8, or remove it."
        ) from error
    return address is not None and address.version == known.version and address in known


def split_port(entry: str) -> tuple[str, str]:
    """`host:80`, `[::1]:80`, `::1` -> host and port, which is empty where there is none."""
    host, _, port = entry.rpartition(":")
    bare_ipv6 = entry.count(":") > 1 and not host.endswith("]")
    return (host, port) if port.isdecimal() and host and not bare_ipv6 else (entry, "")


def tls_context(needed: bool) -> ssl.SSLContext:
    """How certificates are checked. Raises ConfigurationError if what the environment names cannot be read.

    Where none are needed it trusts no certificate: making it costs nothing, and nothing can pass it by mistake.
    """
    if not needed:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    require_certificates(file, folder)
    try:
        if file or folder:
            return ssl.create_default_context(cafile=file or None, capath=None if file else folder)
        return httpx.create_ssl_context(trust_env=False)
    except OSError as error:
        # Python writes TLS keys to this file in every default context; nothing else is left that can fail.
        raise no_certificates("SSLKEYLOGFILE", os.environ.get("SSLKEYLOGFILE", ""), error) from error


def require_certificates(file: str | None, folder: str | None) -> None:
    """Raises ConfigurationError unless the one that counts, the file if there is one, can be read."""
    try:
        if file:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
        elif folder:
            os.listdir(folder)  # OpenSSL itself looks into it only when a server shows its certificate, and says less
    except OSError as error:
        name, value = ("SSL_CERT_FILE", file) if file else ("SSL_CERT_DIR", folder)
        raise no_certificates(name, value or "", error) from error


def no_certificates(variable: str, value: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{variable} names {value!r}, which cannot be used: {error.strerror or error}. Correct it or unset it."
    )
