"""Plain HTTP, for what the SDK would never send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from pictograph.wire import API_PREFIX
from support.services import Service


@dataclass
class Raw:
    """Requests that the SDK would never send."""

    service: Service
    key: str | None
    http: httpx.Client

    def __call__(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> Any:
        keyed = {"X-API-Key": self.key} if self.key else {}
        url = path if path.startswith("http") else self.service.address + path
        return self.http.request(method, url, headers=keyed | (headers or {}), **options)

    def api(self, method: str, path: str, **options: Any) -> Any:
        """A path below `/api/v1/developer`."""
        return self(method, API_PREFIX + path, **options)
