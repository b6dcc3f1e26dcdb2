"""Logs: one line each, on standard error, with time and place."""

from __future__ import annotations

import logging
import sys

from pictograph.settings import LogLevel


def set_up_logging(level: LogLevel, *, role: str) -> None:
    """role: `server` or `worker`, so that the lines of several processes can share one terminal."""
    logging.basicConfig(
        level=level.upper(),
        stream=sys.stderr,
        format=f"%(asctime)s {role:<6} %(levelname)-7s %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )
    for noisy in ("httpx", "httpcore", "psycopg.pool", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
