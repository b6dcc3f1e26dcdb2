"""When a call is sent again, and after how long: pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

RETRIED_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 30.0
LONGEST_RETRY_AFTER_S: Final = 120.0
"""A server that asks for more is not waited for: the caller should know."""


def wait_before_retry(status: int | None, headers: Mapping[str, str], attempt: int, jitter: float) -> float | None:
    """Seconds to wait before attempt `attempt + 1`, or None if the answer stands.

    status: None if there was no answer at all. attempt: 0 after the first one. jitter: 0.75 <= jitter < 1.25.
    About 1, 2, 4, ... 30 s; never less than the server's Retry-After.
    """
    if status is not None and status not in RETRIED_STATUSES:
        return None
    own: float = min(FIRST_WAIT_S * 2 ** min(attempt, 30), LONGEST_WAIT_S) * jitter
    asked = parse_retry_after(headers.get("retry-after"))
    if asked is None:
        return own
    if asked > LONGEST_RETRY_AFTER_S:
        return None
    return max(asked, own) if status == 429 else asked


def parse_retry_after(value: str | None) -> float | None:
    """Seconds from now; the header holds seconds or an HTTP date (RFC 9110, 10.2.3). Never negative."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        seconds = float((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
    return max(0.0, seconds)
