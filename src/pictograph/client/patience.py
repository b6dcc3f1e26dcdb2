"""Waiting for a service that is busy, starts again, or is away for a while, beyond the attempts that every call has."""

from __future__ import annotations

import logging
import random
import threading
from dataclasses import dataclass, field
from typing import Final

import httpx

from pictograph.client.retry import wait_before_retry
from pictograph.errors import ConnectionFailed

POLL_S: Final = 0.25
"""Between two looks at what is to come."""
LONGEST_BUSY_S: Final = 600.0
"""How long the upload of a directory goes on with such a service, for one file."""
RESTARTING: Final = frozenset({429, 502, 503})
"""Answers of a service that is busy, and of one that starts again or of what stands before it."""
LONGEST_FOR_FILE_S: Final = 30.0
"""The same for one file of an export: bytes that are missing are answered 503, too."""
log = logging.getLogger("pictograph.client")

Outcome = httpx.Response | ConnectionFailed


@dataclass(slots=True)
class Patience:
    """How long one piece of work waits, and until when. Shared by the threads that do it."""

    longest_s: float = LONGEST_BUSY_S
    stopped: threading.Event = field(default_factory=threading.Event)
    """Set when the outcome is not wanted any more: threads that wait then give up at once."""
    _told: bool = False

    def covers(self, outcome: Outcome, waited_s: float) -> bool:
        """True if this outcome costs no attempt."""
        return waited_s < self.longest_s and is_passing(outcome)

    def tell(self, outcome: Outcome) -> None:
        """Logs once that the client waits for the service, so that its silence is not taken for a fault."""
        if not self._told:
            self._told = True
            log.warning("%s. Waiting for the service, up to %.0f minutes.", described(outcome), self.longest_s / 60)

    def answered(self) -> None:
        """Logs that the service answers again; a later silence is logged again too."""
        if self._told:
            self._told = False
            log.warning("The service answers again.")


def pause_after(
    outcome: Outcome, attempt: int, max_retries: int, waited_s: float, patience: Patience | None
) -> float | None:
    """Seconds until the call is sent again, or None if this outcome stands.

    max_retries = 0 disables retries.
    """
    if patience and patience.stopped.is_set():
        return None
    beyond = attempt >= max_retries
    if beyond and not (patience and max_retries > 0 and patience.covers(outcome, waited_s)):
        return None
    status, headers = (outcome.status_code, outcome.headers) if isinstance(outcome, httpx.Response) else (None, {})
    seconds = wait_before_retry(status, headers, attempt, random.uniform(0.75, 1.25))
    if beyond and patience and seconds is not None:
        patience.tell(outcome)
    return seconds


def is_passing(outcome: Outcome) -> bool:
    """True for a service that is busy or starts again. One that takes a request and then says nothing is neither."""
    if isinstance(outcome, httpx.Response):
        return outcome.status_code in RESTARTING
    return not isinstance(outcome.__cause__, httpx.ReadTimeout | httpx.WriteTimeout | httpx.PoolTimeout)


def described(outcome: Outcome) -> str:
    if isinstance(outcome, httpx.Response):
        busy = "is busy" if outcome.status_code == 429 else "is not ready"
        return f"{outcome.request.url.host} {busy} (HTTP {outcome.status_code})"
    return outcome.message.partition(". Is the service running")[0]
