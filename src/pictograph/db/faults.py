"""Translates PostgreSQL's errors: every class of them has an entry here, or is a bug in Pictograph.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import psycopg

from pictograph.errors import (
    DatabaseAway,
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseIncomplete,
    DatabaseOutOfMemory,
    DatabaseReadOnly,
    DatabaseRefused,
    DatabaseStopping,
    LockTimeout,
    PictographError,
    StatementTimeout,
    StorageFull,
    Unavailable,
    WriteConflict,
)

BY_STATE: Final[Mapping[str, type[Unavailable | StorageFull]]] = {
    "25006": DatabaseReadOnly,
    "25P03": StatementTimeout,
    "25P04": StatementTimeout,
    "3D000": DatabaseRefused,
    "42501": DatabaseRefused,
    "53100": StorageFull,
    "53200": DatabaseOutOfMemory,
    "55006": LockTimeout,
    "55P03": LockTimeout,
    "57014": StatementTimeout,
    "57P04": DatabaseRefused,
    "57P05": DatabaseAway,
    "58P01": DatabaseIncomplete,
    "XX001": DatabaseDamaged,
    "XX002": DatabaseDamaged,
}
BY_CLASS: Final[Mapping[str, type[Unavailable]]] = {
    "08": DatabaseAway,
    "28": DatabaseRefused,
    "40": WriteConflict,
    "53": DatabaseBusy,
    "57": DatabaseStopping,
    "58": DatabaseDamaged,
}
"""The first two letters, where `BY_STATE` does not know all five."""

# Before there is a session, libpq hands on the text alone. In another language than English it is read as "away".
BY_TEXT: Final[Mapping[str, str]] = {
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    "authentication failed": "28000",
    "is not permitted to log in": "28000",
    "role ": "28000",  # role "x" does not exist
    "permission denied for database": "42501",
    "is not currently accepting connections": "3D000",
    "database ": "3D000",  # database "x" does not exist; "the database system is" is asked for before
    "too many clients already": "53300",
    "too many connections": "53300",
    "remaining connection slots": "53300",
    "No space left on device": "53100",
    "out of memory": "53200",
}
STARTING: Final = ("database system is", "not yet accepting connections", "not accepting connections")
FATAL: Final = "FATAL:"
NO_VECTOR_TYPE: Final = "vector type not found"
RETRY_AFTER_S: Final[Mapping[type[PictographError], float]] = {
    WriteConflict: 1,
    LockTimeout: 1,
    DatabaseBusy: 2,
    StatementTimeout: 2,
}


def fault_of(error: psycopg.Error) -> Unavailable | StorageFull | None:
    """Ours for an error of PostgreSQL or of the way to it; None for a bug of ours."""
    error_class = class_of(error)
    if error_class is None:
        return None
    message = f"{error_class.words}: {first_line(error)}"
    return error_class(message, retry_after_s=RETRY_AFTER_S.get(error_class, 2))


def class_of(error: psycopg.Error) -> type[Unavailable | StorageFull] | None:
    """Which of our classes tells of it; None for a bug of ours."""
    state = error.sqlstate or state_in_text(error)
    if state:
        return BY_STATE.get(state) or BY_CLASS.get(state[:2])
    if isinstance(error, psycopg.ProgrammingError) and NO_VECTOR_TYPE in str(error):
        return DatabaseIncomplete
    if isinstance(error, psycopg.errors.PipelineAborted):
        return None
    return DatabaseAway if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) else None


def state_in_text(error: psycopg.Error) -> str | None:
    """The state behind a connection that was refused; None if the text does not tell."""
    _, fatal, text = str(error).partition(FATAL)
    if not fatal and "no password supplied" not in str(error):
        return None
    text = text or str(error)
    if any(words in text for words in STARTING) and "is not currently" not in text:
        return "57P03"
    return next((state for words, state in BY_TEXT.items() if words in text), None)


def first_line(error: BaseException) -> str:
    """What went wrong, without the server's context lines."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
