"""Addresses of pictures: when they end, and that they stay the same for hours."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest

from pictograph.store.signing import ROUNDED_TO_S, PictureUrls, expiry

IMAGE, KEY = UUID(int=1), UUID(int=2)


def urls(secret: bytes = b"s" * 32, key: UUID = KEY, expires: int = 86_400) -> PictureUrls:
    return PictureUrls(secret, key, expires, "/pictures", "http://host")


@pytest.mark.parametrize("now", [0, 1, 43_199.9, 43_200, 1_800_000_123.4])
def test_an_address_works_for_12_to_24_hours(now: float) -> None:
    assert ROUNDED_TO_S <= expiry(now) - now <= 2 * ROUNDED_TO_S


def test_an_address_stays_the_same_until_its_time_is_rounded_anew() -> None:
    assert expiry(0) == expiry(43_199.9) == 86_400
    assert expiry(43_200) == 129_600
    assert urls().thumbnail(IMAGE) == urls().thumbnail(str(IMAGE))


def test_the_signature_depends_on_everything_in_the_address() -> None:
    different = [
        urls().thumbnail(IMAGE),
        urls().original(IMAGE),
        urls().thumbnail(KEY),
        urls(expires=86_401).thumbnail(IMAGE),
        urls(key=IMAGE).thumbnail(IMAGE),
        urls(secret=b"t" * 32).thumbnail(IMAGE),
    ]
    signatures = {dict(parse_qsl(urlsplit(url).query))["signature"] for url in different}
    assert len(signatures) == len(different)
    assert {len(signature) for signature in signatures} == {32}
