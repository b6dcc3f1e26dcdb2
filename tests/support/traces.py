"""Looks through a whole database for what should be gone."""

from __future__ import annotations

import psycopg
from psycopg import sql


def traces(database_url: str, *wanted: str) -> list[str]:
    """Tables and columns whose values, as text, hold one of these."""
    found = []
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        ).fetchall()
        for table, column in tables:
            for text in wanted:
                statement = sql.SQL("SELECT 1 FROM {} WHERE position(%s in {}::text) > 0 LIMIT 1").format(
                    sql.Identifier(table), sql.Identifier(column)
                )
                if connection.execute(statement, [text]).fetchone():
                    found.append(f"{table}.{column}")
    return found
