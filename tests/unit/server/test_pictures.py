"""Which bytes of a picture are asked for, in which format, and by whom that has them already: RFC 9110."""

from __future__ import annotations

import pytest
from fastapi import Request

from pictograph.errors import RangeNotSatisfiable
from pictograph.server.pictures import Span, asked_span, is_known, takes_webp

TAG = '"abc"'


def request(**headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": pairs})


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=10-", 10, 100),
        ("bytes=99-99", 99, 100),
        ("bytes=90-500", 90, 100),
        ("bytes=-5", 95, 100),
        ("bytes=-500", 0, 100),
        ("Bytes=0-0", 0, 1),
    ],
)
def test_a_range_is_the_bytes_it_names(asked: str, start: int, end: int) -> None:
    span = asked_span(request(range=asked), 100, TAG)
    assert span == Span(start, end, 100)
    assert span.headers == {"Content-Range": f"bytes {start}-{end - 1}/100"}


@pytest.mark.parametrize("asked", ["", "bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,4-5", "rows=0-1", "bytes=x-1"])
def test_whatever_is_not_one_range_of_bytes_asks_for_the_whole(asked: str) -> None:
    assert asked_span(request(range=asked), 100, TAG) is None


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_behind_the_end_is_refused_with_the_size(asked: str) -> None:
    with pytest.raises(RangeNotSatisfiable, match="100 bytes") as caught:
        asked_span(request(range=asked), 100, TAG)
    assert (caught.value.status_code, caught.value.details) == (416, {"size": 100})


def test_a_range_of_other_bytes_than_the_client_has_begun_is_the_whole() -> None:
    assert asked_span(request(range="bytes=0-9", if_range='"old"'), 100, TAG) is None
    assert asked_span(request(range="bytes=0-9", if_range=TAG), 100, TAG) == Span(0, 10, 100)


@pytest.mark.parametrize(
    ("accept", "webp"),
    [
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", True),
        ("image/webp", True),
        ("IMAGE/WEBP; q=0.5", True),
        ("image/webp;q=0", False),
        ("image/webp; q=0.000", False),
        ("*/*", False),
        ("image/*", False),
        ("image/jpeg", False),
        ("", False),
    ],
)
def test_webp_goes_only_to_who_names_it(accept: str, webp: bool) -> None:
    assert takes_webp(accept) is webp


@pytest.mark.parametrize(
    ("given", "known"),
    [(TAG, True), (f'"x", {TAG}', True), (f"W/{TAG}", True), ("*", True), ('"abc-webp"', False), ("", False)],
)
def test_who_has_the_bytes_says_so_by_their_tag(given: str, known: bool) -> None:
    assert is_known(request(if_none_match=given), TAG) is known
