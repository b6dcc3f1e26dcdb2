"""Whether to try again, and when: a pure function of what went wrong and how often."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from pictograph.errors import PictographError

MAX_ATTEMPTS: Final = 6
"""Attempts of one job, the first included, before the image is given up as failed."""
BASE_S: Final = 2.0
CAP_S: Final = 300.0
JITTER: Final = 0.25


def may_pass(error: BaseException) -> bool:
    """True if the same image may succeed later: the disk was full, the database away, memory short.

    An error of our own says so itself. One we do not know is taken as passing: MAX_ATTEMPTS bounds the damage.
    """
    return error.retryable if isinstance(error, PictographError) else True


def delay_before_retry(error: BaseException, attempts: int, jitter: float) -> timedelta | None:
    """Returns how long to wait after `attempts` attempts, or None to give up.

    2, 4, 8, 16, 32 s, at most 300 s, minus up to a quarter so that jobs that failed together do not return together.
    jitter: 0 <= jitter < 1, a random number.
    """
    if attempts >= MAX_ATTEMPTS or not may_pass(error):
        return None
    return timedelta(seconds=min(BASE_S * 2 ** (attempts - 1), CAP_S) * (1 - JITTER * jitter))
