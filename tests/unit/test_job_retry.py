"""Whether a job is tried again, and when: a table."""

from __future__ import annotations

import pytest

from pictograph.errors import BadImage, ConfigurationError, SpaceMismatch, TooLarge, Unavailable
from pictograph.jobs.retry import MAX_ATTEMPTS, delay_before_retry, may_pass


@pytest.mark.parametrize(
    ("attempts", "jitter", "seconds"),
    [(1, 0, 2), (2, 0, 4), (3, 0, 8), (4, 0, 16), (5, 0, 32), (1, 0.5, 1.75), (5, 0.999, 24.008)],
)
def test_the_wait_doubles_minus_up_to_a_quarter(attempts: int, jitter: float, seconds: float) -> None:
    delay = delay_before_retry(OSError("disk full"), attempts, jitter)
    assert delay is not None
    assert delay.total_seconds() == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize("attempts", [MAX_ATTEMPTS, MAX_ATTEMPTS + 1, 100])
def test_after_the_last_attempt_it_is_given_up(attempts: int) -> None:
    assert delay_before_retry(OSError(), attempts, 0.0) is None


@pytest.mark.parametrize("error", [BadImage("x"), TooLarge("x"), SpaceMismatch("x"), ConfigurationError("x")])
def test_what_will_not_pass_is_not_tried_again(error: Exception) -> None:
    assert not may_pass(error)
    assert delay_before_retry(error, 1, 0.0) is None


@pytest.mark.parametrize("error", [Unavailable("x"), OSError(), MemoryError(), RuntimeError(), TimeoutError()])
def test_what_may_pass_is_tried_again(error: BaseException) -> None:
    assert may_pass(error)
    assert delay_before_retry(error, 1, 0.0)
