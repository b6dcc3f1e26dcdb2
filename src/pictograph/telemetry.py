"""Logs: one line for each event, on standard error, with date, level and the request it belongs to."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

from pictograph.settings import LogFormat, LogLevel
from pictograph.shown import shown

request_id: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
"""Of the request that is being answered here."""
ACCESS: Final = "pictograph.access"
"""Name of the log that has a line for each request, if the setting access_log is on."""


def set_up_logging(
    level: LogLevel, *, role: str, log_format: LogFormat = "text", is_one_of_several: bool = False
) -> None:
    """role: `server`, `worker` or `index`, so that the lines of several processes can share one terminal.

    is_one_of_several: that have this role, so that lines of text show the process's number too.
    """
    handler = logging.StreamHandler(sys.stderr)
    named = f"{role}/{os.getpid()}" if is_one_of_several else role
    handler.setFormatter(JsonLine(role) if log_format == "json" else TextLine(named))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("httpx", "faiss.loader", "httpcore", "psycopg.pool", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))


class TextLine(logging.Formatter):
    """`2026-11-28T19:14:07.123+00:00 INFO    server [3f0c...] what happened`, a traceback below it."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line; what others put into it cannot break it."""
        known = request_of(record)
        marked = f"[{known}] " if known else ""
        return f"{time_of(record)} {record.levelname:<7} {self._role:<6} {marked}{shown(record.getMessage())}"


class JsonLine(logging.Formatter):
    """One JSON object a line: time, level, role, process (a number), logger, message, request_id, perhaps traceback."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        facts = {
            "time": time_of(record),
            "level": record.levelname.lower(),
            "role": self._role,
            "process": record.process,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_of(record),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return json.dumps(facts, default=str)


def time_of(record: logging.LogRecord) -> str:
    """When, in UTC, to the millisecond."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def request_of(record: logging.LogRecord) -> str | None:
    """The id that was given with the record, else that of the request being answered."""
    given: str | None = getattr(record, "request_id", None)
    return given or request_id.get()
