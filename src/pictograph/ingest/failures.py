"""What becomes of a job that did not end well."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from pictograph.db.pool import Connection
from pictograph.ingest.pictures import Outage, TooHeavyForBatch
from pictograph.jobs.queue import Claim, Job, put_back, retry_later, set_aside
from pictograph.jobs.retry import delay_before_retry
from pictograph.spaces.encodings import fail_images
from pictograph.spaces.registry import SpaceRules
from pictograph.types import ImageId

logger = logging.getLogger(__name__)

OUTAGE_PAUSE: Final = timedelta(seconds=10)
"""Before an image is tried again that the blob store could not serve."""


async def retry_or_fail(
    connection: Connection,
    space: SpaceRules,
    claim: Claim,
    job: Job,
    error: BaseException,
    *,
    locked: Sequence[ImageId],
) -> None:
    """Puts the job back, sets it aside, plans another attempt, or fails its images: what the error calls for."""
    if isinstance(error, Outage):
        await put_back(connection, claim, job, OUTAGE_PAUSE)
        logger.warning("Image %s waits for the blob store: %s", job.image_id, error)
        return
    if isinstance(error, TooHeavyForBatch):
        await set_aside(connection, claim, job)
        logger.info("Image %s is decoded alone, after others: %s", job.image_id, error)
        return
    delay = delay_before_retry(error, job.attempts, random.random())
    if delay is None:
        await fail_images(connection, space, claim.id, job.sha256, reason_of(error), locked=locked)
        logger.info("Image %s failed: %s", job.image_id, reason_of(error))
    else:
        await retry_later(connection, claim, job, delay)
        logger.warning("Image %s waits %.0f s for another attempt: %s", job.image_id, delay.total_seconds(), error)


def reason_of(error: BaseException) -> str:
    """What a person reads at the failed image."""
    return str(error) or type(error).__name__
