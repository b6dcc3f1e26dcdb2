"""Whatever bytes arrive: a picture or a refusal, never anything else."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pictograph.errors import ValidationError
from pictograph.upload.decode import decode_picture
from pictograph.upload.facts import read_facts
from pictograph.upload.limits import PictureLimits

from .pictures import one_of_each

LIMITS = PictureLimits(max_pixels=1_000_000)
STARTS = (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"MM\0*", b"BM", b"RIFF\x40\0\0\0WEBPVP8X")

patiently = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(source: bytes, at_least_px: int | None) -> None:
    try:
        facts = read_facts(source, LIMITS)
        picture = decode_picture(source, at_least_px=at_least_px, limits=LIMITS)
    except ValidationError:
        return
    assert picture.facts == facts
    assert picture.pixels.dtype == np.uint8
    if at_least_px is None:
        assert picture.pixels.shape == (facts.height, facts.width, 3)


@patiently
@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=400), at_least_px=st.sampled_from((None, 8)))
def test_random_bytes_give_a_picture_or_a_refusal(start: bytes, rest: bytes, at_least_px: int | None) -> None:
    check(start + rest, at_least_px)


@patiently
@given(
    name=st.sampled_from(sorted(one_of_each())),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
    cut=st.one_of(st.none(), st.floats(0.05, 1)),
    at_least_px=st.sampled_from((None, 8)),
)
def test_damaged_files_give_a_picture_or_a_refusal(
    name: str, changes: list[tuple[float, int]], cut: float | None, at_least_px: int | None
) -> None:
    source = bytearray(one_of_each()[name])
    for where, byte in changes:
        source[int(where * len(source))] = byte
    check(bytes(source[: int(len(source) * (cut or 1))]), at_least_px)
