"""A connection for a process that does one thing after the other, and waits while the database answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg

from pictograph.db.pool import SESSION_OPTIONS, database_errors

BlockingConnection: TypeAlias = psycopg.Connection[Any]
ISOLATED = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class BlockingDatabase:
    """One connection, made when it is needed and made again after it failed. Its errors are ours, as in `Database`."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: BlockingConnection | None = None

    @contextmanager
    def connection(self) -> Iterator[BlockingConnection]:
        """In autocommit."""
        with database_errors():
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(
                    self._conninfo, autocommit=True, options=SESSION_OPTIONS, connect_timeout=10
                )
            try:
                yield self._connection
            except psycopg.OperationalError:
                self.close()
                raise

    @contextmanager
    def snapshot(self, *tables: str) -> Iterator[BlockingConnection]:
        """One moment of these tables, which keep their files meanwhile; for reading."""
        with self.connection() as connection, connection.transaction():
            connection.execute(ISOLATED)
            if tables:
                connection.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS SHARE MODE".encode())
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[BlockingConnection]:
        """For writing; all of it is committed at the end, or none."""
        with self.connection() as connection, connection.transaction():
            yield connection

    def close(self) -> None:
        """Closes the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
