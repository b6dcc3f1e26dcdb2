"""Keys and roles: who may do what, and that a key stops working."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from pictograph import AuthError, Client, ConflictError, ForbiddenError, NotFoundError, ValidationError
from pictograph.store import key_memory
from pictograph.types import OrganizationId, Role
from pictograph.wire import API_PREFIX, KEYS_PREFIX, Dataset
from support.pictures import picture_bytes
from support.raw import Raw
from support.services import Service, client_of

# what each needs: (least role, call)
CALLS: list[tuple[str, Callable[[Client], Any]]] = [
    ("viewer", lambda c: c.datasets.list()),
    ("viewer", lambda c: c.datasets.get("street")),
    ("viewer", lambda c: c.datasets.progress("street")),
    ("viewer", lambda c: c.images.list("street")),
    ("viewer", lambda c: c.search.by_tag(objects=["car"])),
    ("viewer", lambda c: c.search.tags()),
    ("viewer", lambda c: c.tags.taxonomy()),
    ("viewer", lambda c: c.tags.preview("dog", threshold=0.3)),
    ("installation", lambda c: c.tags.apply("dog", threshold=0.5)),
    ("installation", lambda c: c.tags.reset("dog")),
    ("admin", lambda c: c.reindex.status()),
    ("member", lambda c: c.datasets.create(uuid4().hex)),
    ("member", lambda c: c.datasets.describe("street", "x")),
    ("member", lambda c: c.images.upload("street", picture_bytes(1), filename=uuid4().hex)),
    ("admin", lambda c: c.keys.list()),
    ("admin", lambda c: c.keys.create("x", role="viewer")),
    ("installation", lambda c: c.keys.end_signed_urls()),
    ("admin", lambda c: c.datasets.delete(c.datasets.create(uuid4().hex).id)),
]
ROLES = ["viewer", "member", "admin", "owner", "installation"]


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_what_those_before_it_may_and_no_more(
    service: Service, organization: OrganizationId, street: Dataset, role: Any
) -> None:
    client = service.client(organization, role)
    for least, call in CALLS:
        if ROLES.index(role) >= ROLES.index(least):
            call(client)
        else:
            with pytest.raises(ForbiddenError) as caught:
                call(client)
            assert (caught.value.status_code, caught.value.code) == (403, "forbidden")
            assert role in caught.value.message


def test_a_viewer_reads_images_but_changes_none(
    service: Service, organization: OrganizationId, client: Client, street: Dataset
) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    viewer = service.client(organization, "viewer").images
    assert viewer.download(image.id)
    assert viewer.thumbnail(image.id)
    for call in (viewer.delete, viewer.restore, lambda i: viewer.delete(i, permanent=True)):
        with pytest.raises(ForbiddenError):
            call(image.id)


def test_a_member_may_not_delete_a_dataset(service: Service, organization: OrganizationId, street: Dataset) -> None:
    with pytest.raises(ForbiddenError, match="admin"):
        service.client(organization, "member").datasets.delete("street")


def test_a_key_is_shown_once_works_and_stops_working_when_revoked(service: Service, client: Client) -> None:
    made = client.keys.create("ci", role="member")
    assert made.api_key.startswith(made.key_prefix)
    listed = {key.id: key for key in client.keys.list()}[made.key_id]
    assert (listed.name, listed.role, listed.is_active, listed.last_used_at) == ("ci", "member", True, None)
    assert made.api_key not in str([key.model_dump() for key in client.keys.list()])
    with client_of(service.address, made.api_key) as theirs:
        theirs.datasets.list()
        assert {key.id: key for key in client.keys.list()}[made.key_id].last_used_at
        client.keys.revoke(made.key_id)
        with pytest.raises(AuthError, match="revoked") as caught:
            theirs.datasets.list()
    assert made.api_key not in caught.value.message
    assert {key.id: key for key in client.keys.list()}[made.key_id].is_active is False
    with pytest.raises(NotFoundError):
        client.keys.revoke(made.key_id)


@pytest.mark.parametrize("above", ["owner", "installation"])
def test_nobody_revokes_a_key_above_their_own_role(
    service: Service, organization: OrganizationId, client: Client, above: Role
) -> None:
    made = service.client(organization, "installation").keys.create("above", role=above)
    with pytest.raises(ForbiddenError, match=above):
        client.keys.revoke(made.key_id)
    with client_of(service.address, made.api_key) as theirs:
        theirs.datasets.list()
        service.client(organization, above).keys.revoke(made.key_id)
        with pytest.raises(AuthError):
            theirs.datasets.list()


def test_the_key_one_asks_with_cannot_be_revoked_by_itself(service: Service, organization: OrganizationId) -> None:
    for role in ("admin", "owner", "installation"):
        client = service.client(organization, role)  # type: ignore[arg-type]
        own = max(client.keys.list(), key=lambda key: key.created_at)
        with pytest.raises(ConflictError, match="lock you out"):
            client.keys.revoke(own.id)
        assert client.datasets.list() == []


def test_published_clients_read_the_role_installation_as_owner(
    service: Service, organization: OrganizationId, raw_as: Any
) -> None:
    raw = raw_as("installation")
    made = raw("POST", f"{KEYS_PREFIX}/", json={"name": "x", "role": "installation"}).json()
    assert (made["role"], made["installation"]) == ("owner", True)
    listed = raw("GET", f"{KEYS_PREFIX}/").json()["api_keys"]
    assert {key["role"] for key in listed} == {"owner"}
    assert all(key["installation"] for key in listed)
    assert listed[-1]["created_by"] == listed[0]["id"]


def test_a_key_ends_at_its_time_and_says_so(service: Service, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = datetime.now(UTC) + timedelta(hours=1)
    made = client.keys.create("guest", role="viewer", expires_at=ends)
    assert made.expires_at == ends
    assert {key.id: key.expires_at for key in client.keys.list()}[made.key_id] == ends
    with client_of(service.address, made.api_key) as guest:
        assert guest.datasets.list() == []

        async def hurry() -> None:
            async with service.services.database.connection() as connection:
                await connection.execute("UPDATE api_key SET expires_at = now() WHERE id = %s", [made.key_id])

        service.run(hurry())
        monkeypatch.setattr(key_memory, "TRUE_FOR_S", 0.0)
        with pytest.raises(AuthError, match="expired"):
            guest.datasets.list()
    assert {key.id: key.is_active for key in client.keys.list()}[made.key_id] is False


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("expires_at", "2020-01-01T00:00:00Z"),
        ("expires_at", "2099-01-01T00:00:00"),
        ("expires_at", "soon"),
        ("expires_at", "9999-12-31T23:59:59-23:00"),
        ("expires_at", "0001-01-01T00:00:00+14:00"),
        ("rate_limit", 100),
        ("organization_id", "0b8e8ef5-8d0c-4c4e-9a53-6d2f7f1a2c11"),
        ("organization_id", "somebody else"),
    ],
)
def test_what_a_new_key_cannot_have_is_refused_by_name(raw: Raw, field: str, value: Any) -> None:
    before = len(raw("GET", f"{KEYS_PREFIX}/").json()["api_keys"])
    answer = raw("POST", f"{KEYS_PREFIX}/", json={"name": "x", field: value})
    assert answer.status_code == 422
    assert field in answer.json()["detail"]
    assert answer.json()["error"]["details"]["errors"][0]["loc"][-1] == field
    assert len(raw("GET", f"{KEYS_PREFIX}/").json()["api_keys"]) == before
    if field == "organization_id":
        assert raw("GET", f"{KEYS_PREFIX}/", params={field: value}).status_code == 422


def test_what_cannot_be_an_end_or_a_key_is_refused_before_anything_is_sent(client: Client) -> None:
    for ends in ("2099-01-01T00:00:00Z", datetime(2099, 1, 1)):
        with pytest.raises(ValidationError, match="time zone"):
            client.keys.create("x", expires_at=ends)  # type: ignore[arg-type]
    for key in ("", ".", "..", "\ud800", "x", None):
        with pytest.raises(ValidationError, match="key_id must be a UUID"):
            client.keys.revoke(key)  # type: ignore[arg-type]


def test_a_header_that_means_one_thing_is_refused_twice(service: Service, raw: Raw) -> None:
    url, key = f"{service.address}{API_PREFIX}/datasets/", ("X-API-Key", str(raw.key))
    twice = [key, ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    for answer, name in (
        (raw.http.post(url, json={"name": "x"}, headers=twice), "Idempotency-Key"),
        (raw.http.get(url, headers=[key, ("X-API-Key", "x")]), "X-API-Key"),
    ):
        assert answer.status_code == 422
        assert answer.json()["detail"] == f"{name} was sent more than once. Send it once."
    assert raw.api("GET", "/datasets/").json()["data"] == []


def test_a_key_of_another_organization_cannot_be_revoked(service: Service, client: Client) -> None:
    made = client.keys.create("ci")
    with pytest.raises(NotFoundError):
        service.client().keys.revoke(made.key_id)
    assert all(key.is_active for key in client.keys.list())


def test_nobody_makes_a_key_above_their_own_role(client: Client) -> None:
    with pytest.raises(ForbiddenError, match="owner"):
        client.keys.create("king", role="owner")
    with pytest.raises(ValidationError):
        client.keys.create("x", role="emperor")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", " ", "x" * 256, "a\x00b", "a/b"])
def test_a_key_needs_a_sane_name(client: Client, name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        client.keys.create(name)
    assert caught.value.field_errors[0]["loc"][-1] == "name"


@pytest.mark.parametrize("key", ["wrong", "pk_live_" + "0" * 64, "x" * 5000])
def test_a_wrong_key_is_told_apart_and_not_repeated_in_full(service: Service, key: str) -> None:
    with client_of(service.address, key) as client, pytest.raises(AuthError) as caught:
        client.datasets.list()
    assert (caught.value.status_code, caught.value.code) == (401, "unauthorized")
    assert len(key) <= 12 or key not in caught.value.message


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": ""}, {"Authorization": "Bearer x"}])
def test_no_key_says_where_to_put_one(raw_as: Any, headers: dict[str, str]) -> None:
    answer = raw_as(None)("GET", f"{API_PREFIX}/datasets/", headers=headers)
    assert answer.status_code == 401
    assert "X-API-Key" in answer.json()["detail"]


def test_a_key_of_odd_bytes_is_merely_wrong(raw_as: Any) -> None:
    answer = raw_as(None)("GET", f"{API_PREFIX}/datasets/", headers={"X-API-Key": "ü\xff".encode("latin-1")})
    assert answer.status_code == 401


def test_the_keys_route_has_the_published_clients_envelope(raw: Raw) -> None:
    own = raw("GET", f"{KEYS_PREFIX}/").json()["api_keys"][0]["organization_id"]
    made = raw("POST", f"{KEYS_PREFIX}/", json={"name": "x", "role": "viewer", "organization_id": own})
    assert made.status_code == 201
    created = {"api_key", "key_id", "key_prefix", "name", "role", "rate_limit", "created_at"}
    assert created <= made.json().keys()
    (listed, *_) = raw("GET", f"{KEYS_PREFIX}/").json()["api_keys"]
    shown = {"id", "organization_id", "name", "key_prefix", "role", "rate_limit", "is_active", "created_at"}
    assert shown <= listed.keys()
