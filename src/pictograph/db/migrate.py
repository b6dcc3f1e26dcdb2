"""Migrates the database to this version's schema; of several services that start, one does it."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import psycopg

from pictograph.db.pool import database_errors, require_address
from pictograph.errors import ConfigurationError

logger = logging.getLogger(__name__)

MIN_POSTGRES: Final = 16
MIN_PGVECTOR: Final = (0, 8, 4)
"""Older ones lose index entries: 0.8.2 to 0.8.4 fixed three faults in HNSW (pgvector CHANGELOG)."""
LOCK: Final = 0x7069_6374_6F67_7261
"""An advisory lock of our own: the letters `pictogra`."""

CREATE_LEDGER: Final = """
CREATE TABLE IF NOT EXISTS schema_migration (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""
READ_LEDGER: Final = "SELECT number, sha256 FROM schema_migration"
WRITE_LEDGER: Final = "INSERT INTO schema_migration (number, name, sha256) VALUES (%s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered SQL file."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def packaged_migrations() -> list[Migration]:
    """Every file `NNNN_name.sql` beside this module, in order; the numbers have no gap."""
    folder = resources.files("pictograph.db.migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [Migration(int(f.name[:4]), f.name[5:-4], f.read_text(encoding="utf-8")) for f in files]


def migrate(conninfo: str) -> list[Migration]:
    """Applies what is missing, all in one transaction, and returns it. Safe to call from many processes at once.

    Raises ConfigurationError if the address cannot be read, if the server is too old, or if its schema was written by a
    newer pictograph.
    """
    require_address(conninfo)
    with database_errors(), psycopg.connect(conninfo, connect_timeout=10) as connection:
        require_postgres(connection)
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        require_pgvector(connection)
        connection.execute(CREATE_LEDGER)
        return apply_missing(connection, packaged_migrations())


def require_postgres(connection: psycopg.Connection[Any]) -> None:
    major = connection.info.server_version // 10_000
    if major < MIN_POSTGRES:
        raise ConfigurationError(f"PostgreSQL {major} is too old: pictograph needs {MIN_POSTGRES} or newer.")


def require_pgvector(connection: psycopg.Connection[Any]) -> None:
    """Installs the extension where it is missing, refuses one that is too old, and tries it."""
    wanted = ".".join(map(str, MIN_PGVECTOR))
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile) as error:
        raise ConfigurationError(
            f"This PostgreSQL has no pgvector: install {wanted} or newer (github.com/pgvector/pgvector)."
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            "Let a superuser run `CREATE EXTENSION vector` in this database, then start again."
        ) from error
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    refuse_old_pgvector(row[0] if row else "0")
    connection.execute("SELECT '[1,2]'::halfvec <=> '[1,3]'::halfvec")


def refuse_old_pgvector(version: str) -> None:
    """Raises ConfigurationError for anything below the oldest version that keeps every row."""
    if tuple(int(part) for part in version.split(".")[:3]) < MIN_PGVECTOR:
        wanted = ".".join(map(str, MIN_PGVECTOR))
        raise ConfigurationError(
            f"pgvector {version} is too old: versions before {wanted} can lose index entries. Install that or newer, "
            "then run `ALTER EXTENSION vector UPDATE` in this database."
        )


def apply_missing(connection: psycopg.Connection[Any], migrations: list[Migration]) -> list[Migration]:
    applied = dict(connection.execute(READ_LEDGER).fetchall())
    require_known(applied, migrations)
    missing = [migration for migration in migrations if migration.number not in applied]
    for migration in missing:
        connection.execute(migration.sql.encode())
        connection.execute(WRITE_LEDGER, [migration.number, migration.name, migration.sha256])
        logger.info("Applied migration %04d_%s", migration.number, migration.name)
    return missing


def require_known(applied: dict[int, str], migrations: list[Migration]) -> None:
    ours = {migration.number: migration.sha256 for migration in migrations}
    for number, sha256 in applied.items():
        if number not in ours:
            raise ConfigurationError(
                f"The database has migration {number}, which this pictograph does not know: it was written by a newer "
                "version. Start it with that version or a newer one."
            )
        if ours[number] != sha256:
            raise ConfigurationError(f"Migration {number} in the database differs from the one in this pictograph.")
