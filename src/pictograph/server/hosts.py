"""By which names this service is asked, and which of them may stand in the addresses that it gives out.

A page of another site can make a browser ask a service on this machine by a name of that site's (DNS rebinding), and
any client can put any name into `Host`. So on loopback only loopback names are answered; elsewhere only addresses and
names that are known, and addresses that we give out hold a name only if it is certain to be ours.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from pictograph.errors import WrongHost
from pictograph.network import address_of, is_loopback
from pictograph.server.failures import answer
from pictograph.settings import HOST, Settings

EVERY_ADDRESS: Final = ("0.0.0.0", "::", "")
NOT_IN_URLS: Final = (
    "This answer would carry addresses, and it is not certain that the name in this request's Host header leads here. "
    "Start the service with the address that clients use: --public-url http://... (setting public_url)."
)
NOT_OURS: Final = (
    "This service does not answer to the name in this request's Host header. If clients reach it by that name, start "
    "it with --public-url http://... (setting public_url), or list the name in the setting allowed_hosts."
)


@dataclass(frozen=True, slots=True)
class HostNames:
    """What may stand in `Host`."""

    bound: str
    """What the service listens on, as the settings have it."""
    named: frozenset[str]
    """Hosts of the settings public_url and allowed_hosts, lower case, with or without a port."""
    machine: frozenset[str]
    """Names of this machine."""

    @classmethod
    def of(cls, settings: Settings) -> HostNames:
        """Those of these settings, on this machine."""
        public = urlsplit(settings.public_url).netloc.rpartition("@")[2] if settings.public_url else ""
        named = {public, public.rsplit(":", 1)[0], *settings.allowed_host_names}
        machine = socket.gethostname().lower()
        short = machine.split(".")[0]
        own = {machine, short, f"{short}.local"} - {"", ".local"}
        return cls(settings.host.lower().strip("[]"), frozenset(name.lower() for name in named if name), frozenset(own))

    @property
    def is_on_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.bound)

    def answers_to(self, host: str) -> bool:
        """Whether a request with this `Host` is answered at all."""
        name = name_of(host)
        if name is None:
            return False
        if self._is_certain(host, name):
            return True
        return not self.is_on_loopback and (address_of(name) is not None or "." not in name)

    def stands_for_us(self, host: str, local_address: str | None) -> bool:
        """Whether this `Host` is certain to lead here. local_address: where this very connection arrived."""
        name = name_of(host)
        return name is not None and (self._is_certain(host, name) or name == local_address)

    def _is_certain(self, host: str, name: str) -> bool:
        if is_loopback(name) or name in self.named or host.lower() in self.named:
            return True
        return (name == self.bound and name not in EVERY_ADDRESS) or (not self.is_on_loopback and name in self.machine)


def name_of(host: str) -> str | None:
    """The name or address in a `Host`, lower case, without port and brackets; None if it is none."""
    match = HOST.fullmatch(host)
    return match["name"].strip("[]").rstrip(".").lower() if match else None


class KnownHosts:
    """Refuses requests by a name that is not ours, before anything else looks at them."""

    def __init__(self, app: ASGIApp, names: HostNames) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).getlist("host")
        if given and (len(given) > 1 or not self._names.answers_to(given[0])):
            await answer(Request(scope), WrongHost(NOT_OURS))(scope, receive, send)
            return
        local = scope["server"][0] if scope.get("server") else None
        leads_here = not given or self._names.stands_for_us(given[0], local)
        scope.setdefault("state", {})["host_leads_here"] = leads_here
        await self._app(scope, receive, send)


def url_of(request: Request) -> str:
    """The address that the caller used. Raises WrongHost if it is not certain to lead here."""
    if not getattr(request.state, "host_leads_here", True):
        raise WrongHost(NOT_IN_URLS)
    return str(request.base_url)
