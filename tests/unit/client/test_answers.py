"""What the SDK makes of an answer that is not what the protocol promises."""

from __future__ import annotations

import httpx
import pytest

from pictograph import ServerError, wire
from pictograph.client.calls import parse

REQUEST = httpx.Request("GET", "http://here/api/v1/developer/datasets/x/progress")
COUNTS = b'{"dataset_id": "x", "total": 3, "received": 1, "embedded": 0, "tagged": 2, "failed": 0, "unknown": {"a": 1}}'


def test_an_answer_is_read_and_what_is_unknown_in_it_ignored() -> None:
    assert parse(wire.Progress, httpx.Response(200, content=COUNTS, request=REQUEST)).received == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<html>a proxy's page</html>", "it is not JSON"),
        (b"", "it is not JSON"),
        (COUNTS[:40], "it is not JSON"),
        (b"\xff\xfe{", "it is not JSON"),
        (b"[]", "should be an object"),
        (COUNTS.replace(b'"total": 3', b'"total": "many"'), "total: "),
    ],
)
def test_what_is_no_answer_of_a_service_says_why_and_what_to_check(content: bytes, why: str) -> None:
    response = httpx.Response(200, content=content, headers={"X-Request-Id": "r"}, request=REQUEST)
    with pytest.raises(ServerError) as caught:
        parse(wire.Progress, response)
    assert why in caught.value.message
    assert str(REQUEST.url) in caught.value.message
    assert "base_url" in caught.value.message
    assert (caught.value.status_code, caught.value.request_id) == (200, "r")
