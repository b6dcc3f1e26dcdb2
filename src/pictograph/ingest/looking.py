"""Looks at pictures that came before facts did: a worker that has nothing else to do fills in what is not known.

It walks through the hashes of pictures at which nobody has looked, from a place of its own, so that several workers
seldom look at the same one; if they do, both find the same. What is written is done: after a crash it goes on with the
rest.
"""

from __future__ import annotations

import logging
import secrets
from typing import Final

from pictograph.db.pool import Database
from pictograph.errors import BadImage, BlobMissing, TooLarge, Unavailable, UnsupportedFormat
from pictograph.ingest.pictures import DecoderEnded, Pictures
from pictograph.store.facts import Facts, bytes_without_facts, write_lacking_facts
from pictograph.types import Sha256

logger = logging.getLogger(__name__)

AT_ONCE: Final = 16
"""Pictures that are looked at between two looks at whether there is other work."""


class Looking:
    """Fills in the facts of images from before, some at a time."""

    def __init__(self, database: Database, pictures: Pictures) -> None:
        self._database = database
        self._pictures = pictures
        self._after = secrets.token_bytes(32)
        self._is_whole_round = False

    async def step(self) -> bool:
        """Looks at the next few pictures, one after another; False if it came to the end, and began there before."""
        async with self._database.connection() as connection:
            found = await bytes_without_facts(connection, self._after, AT_ONCE)
        if not found:
            more = not self._is_whole_round
            self._after, self._is_whole_round = b"", True
            return more
        self._after = found[-1]
        facts = [one for sha256 in found if (one := await self._look(sha256)) is not None]
        if facts:
            await self._database.write(lambda connection: write_lacking_facts(connection, facts))
        return True

    async def _look(self, sha256: Sha256) -> Facts | None:
        """None if it cannot be told now; the next round asks again."""
        try:
            return await self._pictures.facts(sha256)
        except BlobMissing:
            return None
        except (Unavailable, DecoderEnded) as error:
            logger.warning("A picture was not looked at for its facts, and will be later: %s", error)
            return None
        except (
            BadImage,
            UnsupportedFormat,
            TooLarge,
        ) as error:  # it was read once, but no more, or takes too much: nothing can be known
            logger.info("The facts of a picture stay unknown: %s", error)
            return Facts(sha256)
