"""One service with a real worker for the whole run; every test has an organization of its own in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pictograph import Client
from pictograph.types import OrganizationId
from pictograph.wire import Dataset
from support.databases import fresh_database
from support.raw import Raw
from support.services import Service, running_service

MAX_BYTES = 200_000
"""Small, so that a file above the limit is cheap to make."""
MAX_PIXELS = 1_000_000


@pytest.fixture(scope="session")
def service(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one worker process and the noop encoder: equal pictures are alike, all others are not."""
    folder = tmp_path_factory.mktemp("service")
    options = {"workers": 1, "max_bytes": MAX_BYTES, "max_pixels": MAX_PIXELS}
    with fresh_database(postgres, template) as url, running_service(url, folder, **options) as service:
        yield service


@pytest.fixture
def organization(service: Service) -> OrganizationId:
    return service.organization()


@pytest.fixture
def client(service: Service, organization: OrganizationId) -> Client:
    """An admin's client of this test's organization."""
    return service.client(organization)


@pytest.fixture
def street(client: Client) -> Dataset:
    return client.datasets.create("street")


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30) as http:
        yield http


@pytest.fixture
def raw(service: Service, organization: OrganizationId, http: httpx.Client) -> Raw:
    """Plain HTTP with an admin's key of this test's organization."""
    return Raw(service, service.key(organization), http)


@pytest.fixture
def raw_as(service: Service, organization: OrganizationId, http: httpx.Client) -> Callable[[Any], Raw]:
    """Plain HTTP with another role's key, or (None) with none."""
    return lambda role: Raw(service, service.key(organization, role) if role else None, http)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return tmp_path
