"""A database beside the library's own, to try things in that nobody else shall see; dropped afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pictograph.db.migrate import migrate
from pictograph.db.pool import Database, database_errors
from pictograph.errors import ConfigurationError, ConflictError

Session: TypeAlias = psycopg.Connection[Any]

LOCK_CLASS: Final = 0x7475_6E65
"""The first half of our advisory lock, the letters `tune`. Who holds it may make and drop the library's scratch."""
TRY_LOCK: Final = "SELECT pg_try_advisory_lock(%s, 0)"
OWN_NAME: Final = "SELECT 'pictograph_scratch_' || oid FROM pg_database WHERE datname = current_database()"
EXISTS: Final = "SELECT FROM pg_database WHERE datname = %s"
CREATE: Final = sql.SQL("CREATE DATABASE {} TEMPLATE template0")
WITHOUT_FSYNC: Final = sql.SQL("ALTER DATABASE {} SET synchronous_commit = off")
DROP: Final = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")


@contextmanager
def scratch_database(conninfo: str) -> Iterator[str]:
    """A connection string to a migrated, empty database on the library's server.

    Each library has one at a time. One that a killed process left is dropped first; the server lets go of the lock when
    that process's connection ends. Raises ConflictError while another process has it, ConfigurationError if the role
    may make no database.
    """
    with session(conninfo) as library:
        if not locked(library):
            raise ConflictError("Another `pictograph tune` measures this library now. Wait for it, a minute at most.")
        name = own_name(library)
        library.execute(DROP.format(sql.Identifier(name)))
        make(library, name)
        try:
            scratch = make_conninfo(conninfo, dbname=name)
            migrate(scratch)
            yield scratch
        finally:
            library.execute(DROP.format(sql.Identifier(name)))


def drop_left_scratch(conninfo: str) -> None:
    """Removes the scratch database that a killed process left, if there is one."""
    with session(conninfo) as library:
        name = own_name(library)
        if library.execute(EXISTS, [name]).fetchone() is not None and locked(library):
            library.execute(DROP.format(sql.Identifier(name)))


@contextmanager
def session(conninfo: str) -> Iterator[Session]:
    with database_errors(), psycopg.connect(conninfo, autocommit=True, connect_timeout=10) as connection:
        yield connection


def locked(library: Session) -> bool:
    """Whether the lock is ours now; it is until the connection ends."""
    row = library.execute(TRY_LOCK, [LOCK_CLASS]).fetchone()
    return bool(row and row[0])


def own_name(library: Session) -> str:
    """Of the scratch database that belongs to this library alone."""
    row = library.execute(OWN_NAME).fetchone()
    return str(row[0]) if row else ""


def make(library: Session, name: str) -> None:
    try:
        library.execute(CREATE.format(sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            "The measurement needs a database of its own for a minute, and this role may make none. "
            "Let a superuser run `ALTER ROLE ... CREATEDB`, or pass a --database-url with such a role."
        ) from error
    library.execute(WITHOUT_FSYNC.format(sql.Identifier(name)))


async def refresh_statistics(database: Database) -> None:
    """Once it is filled, instead of a minute later: plans depend on it."""
    async with database.connection() as connection:
        await connection.execute("ANALYZE")
