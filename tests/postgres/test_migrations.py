"""The schema: applied once, in order, whoever starts first; never by an older pictograph on newer data."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from pictograph.db import migrate as module
from pictograph.db.migrate import (
    CREATE_LEDGER,
    Migration,
    apply_missing,
    migrate,
    packaged_migrations,
    refuse_old_pgvector,
)
from pictograph.db.pool import Database
from pictograph.errors import ConfigurationError, Unavailable
from pictograph.jobs.queue import Queue
from pictograph.search.query import SimilarQuery, TagQuery
from pictograph.spaces.registry import Spaces
from pictograph.store.keys import Keys
from support.databases import fresh_database
from support.engines import engine_of
from support.planting import Garden

SCHEMA = """
SELECT table_name, column_name, data_type, is_nullable, column_default
FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"""
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"


@pytest.fixture
def empty_database(postgres: str) -> Iterator[str]:
    """A database that was never migrated."""
    with fresh_database(postgres) as url:
        yield url


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def test_the_numbers_of_the_migrations_have_no_gap() -> None:
    assert [migration.number for migration in packaged_migrations()] == list(range(1, len(packaged_migrations()) + 1))


def test_a_second_run_applies_nothing(empty_database: str) -> None:
    applied = migrate(empty_database)
    assert applied == packaged_migrations()
    before = query(empty_database, SCHEMA), query(empty_database, INDEXES)
    assert migrate(empty_database) == []
    assert (query(empty_database, SCHEMA), query(empty_database, INDEXES)) == before


def test_four_processes_that_start_together_apply_each_migration_once(empty_database: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(migrate, [empty_database] * 4))
    assert sorted(len(migrations) for migrations in applied) == [0, 0, 0, len(packaged_migrations())]
    assert query(empty_database, "SELECT count(*) FROM schema_migration") == [(len(packaged_migrations()),)]


def test_a_database_of_a_newer_pictograph_is_refused(database_url: str) -> None:
    execute(database_url, "INSERT INTO schema_migration VALUES (9999, 'from the future', 'x')")
    with pytest.raises(ConfigurationError, match=r"newer version. Start it with that version"):
        migrate(database_url)


def test_a_migration_that_was_altered_after_it_was_applied_is_refused(database_url: str) -> None:
    execute(database_url, "UPDATE schema_migration SET sha256 = 'other' WHERE number = 1")
    with pytest.raises(ConfigurationError, match="Migration 1 in the database differs"):
        migrate(database_url)


def test_a_broken_migration_leaves_the_schema_as_it_was(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    number = len(packaged_migrations()) + 1
    chain = [
        *packaged_migrations(),
        Migration(number, "fine", "CREATE TABLE fine (id int)"),
        Migration(number + 1, "broken", "CREATE TABLE broken (id nonsense)"),
    ]
    monkeypatch.setattr(module, "packaged_migrations", lambda: chain)
    before = query(database_url, SCHEMA)
    with pytest.raises(psycopg.Error):
        migrate(database_url)
    assert query(database_url, SCHEMA) == before


def test_a_later_migration_is_applied_alone(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    number = len(packaged_migrations()) + 1
    chain = [*packaged_migrations(), Migration(number, "later", "CREATE TABLE later (id int)")]
    monkeypatch.setattr(module, "packaged_migrations", lambda: chain)
    assert migrate(database_url) == chain[-1:]
    assert query(database_url, "SELECT count(*) FROM later") == [(0,)]


KEYS_BEFORE = """
INSERT INTO organization (id, name) VALUES (gen_random_uuid(), 'default'), (gen_random_uuid(), 'theirs');
INSERT INTO api_key (id, organization_id, name, key_prefix, key_hash, role, created_at, revoked_at)
SELECT gen_random_uuid(), o.id, k.name, 'pk_live_abcd', sha256(k.name::bytea), k.role,
       timestamptz '2026-01-01' + k.day * interval '1 day', CASE WHEN k.gone THEN now() END
FROM organization o, (VALUES {keys}) AS k(name, role, day, gone) WHERE o.name = 'default';
INSERT INTO api_key (id, organization_id, name, key_prefix, key_hash, role)
SELECT gen_random_uuid(), id, 'this machine', 'pk_live_abcd', 'x', 'owner' FROM organization WHERE name = 'theirs'"""


@pytest.mark.parametrize(
    ("keys", "operators"),
    [
        ("('this machine', 'admin', 3, false), ('old', 'owner', 1, false)", ["this machine"]),
        ("('this machine', 'admin', 1, true), ('old', 'admin', 2, false), ('new', 'owner', 3, false)", ["old"]),
        ("('reader', 'viewer', 1, false), ('writer', 'member', 2, false)", []),
    ],
)
def test_a_library_from_before_the_role_installation_gives_it_to_the_key_of_its_machine(
    empty_database: str, monkeypatch: pytest.MonkeyPatch, keys: str, operators: list[str]
) -> None:
    chain = packaged_migrations()
    number = next(migration.number for migration in chain if migration.name == "installation_role")
    with monkeypatch.context() as before:
        before.setattr(module, "packaged_migrations", lambda: chain[: number - 1])
        migrate(empty_database)
    execute(empty_database, KEYS_BEFORE.format(keys=keys))
    migrate(empty_database)
    found = query(empty_database, "SELECT name FROM api_key WHERE role = 'installation' ORDER BY name")
    assert [name for (name,) in found] == operators


def test_a_library_from_before_histories_begins_with_what_its_rows_tell(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = packaged_migrations()
    number = next(migration.number for migration in chain if migration.name == "write_history")
    with monkeypatch.context() as before:
        before.setattr(module, "packaged_migrations", lambda: chain[: number - 1])
        migrate(empty_database)
    execute(
        empty_database,
        """
        INSERT INTO organization (id, name) VALUES (gen_random_uuid(), 'default');
        INSERT INTO dataset (id, organization_id, name) SELECT gen_random_uuid(), id, 'street' FROM organization;
        INSERT INTO folder (dataset_id, path) SELECT id, '/' FROM dataset;
        INSERT INTO blob (sha256, size_bytes) VALUES (sha256('x'), 1);
        INSERT INTO image (id, dataset_id, folder_id, filename, sha256, content_type, width, height, file_size,
                           created_at, archived_at)
        SELECT gen_random_uuid(), f.dataset_id, f.id, n || '.jpg', sha256('x'), 'image/jpeg', 1, 1, 1,
               timestamptz '2026-01-01' + n * interval '1 day', CASE WHEN n = 1 THEN timestamptz '2026-01-05' END
        FROM folder f, generate_series(1, 2) n""",
    )
    migrate(empty_database)
    told = query(
        empty_database,
        "SELECT filename, action, at::date::text, key_id FROM write_history JOIN image ON image.id = about "
        "ORDER BY write_history.id",
    )
    assert told == [
        ("1.jpg", "uploaded", "2026-01-02", None),
        ("2.jpg", "uploaded", "2026-01-03", None),
        ("1.jpg", "archived", "2026-01-05", None),
    ]
    assert query(empty_database, "SELECT count(*) FROM write_history WHERE action = 'created'") == [(1,)]


@pytest.mark.parametrize("version", ["0.4.4", "0.7.0", "0.8.0", "0.8.3", "0.8"])
def test_a_pgvector_that_loses_index_entries_is_refused_with_the_fix(version: str) -> None:
    with pytest.raises(ConfigurationError, match=r"0\.8\.4.*ALTER EXTENSION vector UPDATE") as caught:
        refuse_old_pgvector(version)
    assert version in caught.value.message


@pytest.mark.parametrize("version", ["0.8.4", "0.8.10", "0.9.0", "1.0", "1.0.0"])
def test_a_pgvector_that_is_new_enough_passes(version: str) -> None:
    refuse_old_pgvector(version)


def test_a_server_that_is_not_there_is_said_to_be_away() -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        migrate("host=127.0.0.1 port=1 dbname=nothing connect_timeout=2")


def test_vectors_are_halfvec_1152_and_lie_inside_the_rows_that_search_reads(database_url: str) -> None:
    columns = """
        SELECT attrelid::regclass::text, format_type(atttypid, atttypmod), attstorage::text
        FROM pg_attribute WHERE attname = 'vector' AND attrelid IN ('image_embedding'::regclass, 'encoding'::regclass)
        ORDER BY 1"""
    assert query(database_url, columns) == [
        ("encoding", "halfvec(1152)", "e"),  # EXTERNAL: out of line, uncompressed
        ("image_embedding", "halfvec(1152)", "p"),  # PLAIN: never out of line
    ]


def test_the_indexes_that_promises_rest_on_are_there(database_url: str) -> None:
    indexes = dict(query(database_url, INDEXES))
    assert "USING gin (image_auto_tags jsonb_path_ops)" in indexes["image_by_tags"]
    assert "UNIQUE" in indexes["job_one_claim_per_sha256"]
    assert "WHERE (claim IS NOT NULL)" in indexes["job_one_claim_per_sha256"]
    assert "(space_id, dataset_id, folder_id)" in indexes["image_embedding_by_scope"]


@pytest.mark.parametrize("referring", ["image", "image_embedding", "job", "encoding", "folder", "upload_ticket"])
def test_every_foreign_key_has_an_index_to_be_deleted_by(database_url: str, referring: str) -> None:
    """Else the deletion of one image scans a table per reference."""
    without = f"""
        SELECT conname FROM pg_constraint c WHERE contype = 'f' AND conrelid = '{referring}'::regclass
        AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1])"""
    allowed = {"image_embedding_space_id_fkey", "encoding_space_id_fkey"}
    assert {name for (name,) in query(database_url, without)} <= allowed


FIRST_VERSION_LIBRARY = """
INSERT INTO organization (id, name) VALUES (gen_random_uuid(), 'default');
INSERT INTO dataset (id, organization_id, name) SELECT gen_random_uuid(), id, 'street' FROM organization;
INSERT INTO folder (dataset_id, path) SELECT id, path FROM dataset, unnest(ARRAY['/', '/day']) path;
INSERT INTO blob (sha256, size_bytes) SELECT sha256(n::text::bytea), 1 FROM generate_series(1, 4) n;
INSERT INTO image (id, dataset_id, folder_id, filename, sha256, content_type, width, height, file_size, state, reason,
                   image_auto_tags)
SELECT gen_random_uuid(), dataset_id, id, n::text, sha256(n::text::bytea), 'image/jpeg', 1, 1, 1, state, reason, tags
FROM folder, (VALUES (1, 'tagged', NULL, '{"objects": ["dog"], "scenes": [], "attributes": []}'::jsonb),
                     (2, 'tagged', NULL, '{"objects": ["dog"], "scenes": [], "attributes": []}'::jsonb),
                     (3, 'failed', 'cut short', '{"objects": [], "scenes": [], "attributes": []}'::jsonb),
                     (4, 'received', NULL, '{"objects": [], "scenes": [], "attributes": []}'::jsonb))
             image (n, state, reason, tags) WHERE path = '/day';
INSERT INTO space (encoder, revision, dimension, active) VALUES ('noop', '1', 1152, true);
INSERT INTO encoding (space_id, sha256, vector, tagger, tags)
SELECT space.id, sha256, array_fill(0.5, ARRAY[1152])::vector::halfvec, 'old', image_auto_tags
FROM space, image WHERE state = 'tagged';
INSERT INTO image_embedding SELECT space_id, image.id, dataset_id, folder_id, vector
FROM image JOIN encoding USING (sha256);
INSERT INTO job (image_id, sha256) SELECT id, sha256 FROM image WHERE state = 'received'"""


async def test_a_library_of_the_first_version_is_there_in_the_last(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute(CREATE_LEDGER)
        apply_missing(connection, packaged_migrations()[:1])
        connection.execute(FIRST_VERSION_LIBRARY)
    migrate(empty_database)
    database = Database(empty_database, max_connections=2)
    await database.open()
    try:
        organization = await Keys(database).ensure_organization()
        space = await Spaces(database).active()
        assert space is not None
        assert (space.encoder, space.source, space.stretch, space.building) == ("noop", "noop", 1.0, False)
        assert len((await Queue(database, space.id).claim(10)).jobs) == 1
        assert query(empty_database, "SELECT reason FROM failure") == [("cut short",)]
        engine = engine_of(Garden(database, organization, space.id))
        by_tag = await engine.by_tag(organization, TagQuery(objects=["dog"]))
        assert {row.filename for row in by_tag.rows} == {"1", "2"}
        alike = await engine.by_similarity(organization, SimilarQuery(by_tag.rows[0].id, folder_path="/"))
        assert [row.filename for row in alike.rows] == [by_tag.rows[1].filename]
        assert alike.found.scope_size == 2
    finally:
        await database.close()


SPELLINGS = """
INSERT INTO dataset (id, organization_id, name, created_at)
SELECT gen_random_uuid(), id, made.name, now() + interval '1 s' * age FROM organization,
       (VALUES (U&'caf\\00e9', 2), (U&'cafe\\0301', 1), (U&'cafe\\0301 (2)', 3), ('plain', 4)) made (name, age);
INSERT INTO folder (dataset_id, path)
SELECT id, path FROM dataset, unnest(ARRAY['/', U&'/e\\0301', U&'/\\00e9', U&'/e\\0301/a', U&'/\\00e9/a', '/z']) path
WHERE name = 'plain';
INSERT INTO blob (sha256, size_bytes) VALUES (sha256('x'), 1);
INSERT INTO image (id, dataset_id, folder_id, filename, sha256, content_type, width, height, file_size, created_at)
SELECT gen_random_uuid(), dataset_id, folder.id, filename, sha256('x'), 'image/jpeg', 1, 1, 1,
       now() + interval '1 s' * age
FROM folder, (VALUES (U&'u\\0308.jpg', 2), (U&'\\00fc.jpg', 1), (U&'\\00fc (2).jpg', 3), ('plain.jpg', 4))
             made (filename, age)
WHERE path = '/z';
INSERT INTO api_key (id, organization_id, name, key_prefix, key_hash, role)
SELECT gen_random_uuid(), id, U&'cle\\0301', 'pk', 'x', 'admin' FROM organization"""


def test_names_become_one_spelling_the_newer_of_two_that_meet_gets_a_number_and_each_is_listed(
    empty_database: str,
) -> None:
    migrations = packaged_migrations()
    spelling = next(n for n, migration in enumerate(migrations) if migration.name == "one_spelling")
    with psycopg.connect(empty_database) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute(CREATE_LEDGER)
        apply_missing(connection, migrations[:spelling])
        connection.execute("INSERT INTO organization (id, name) VALUES (gen_random_uuid(), 'default')")
        connection.execute(SPELLINGS)
    migrate(empty_database)

    def column(statement: str) -> list[str]:
        return [row[0] for row in query(empty_database, statement)]

    assert column("SELECT name FROM dataset ORDER BY created_at") == [
        "caf\u00e9", "caf\u00e9 (3)", "caf\u00e9 (2)", "plain",
    ]  # fmt: skip
    assert column("SELECT path FROM folder ORDER BY id") == [
        "/", "/\u00e9", "/\u00e9 (2)", "/\u00e9/a", "/\u00e9 (2)/a", "/z",
    ]  # fmt: skip
    assert column("SELECT filename FROM image ORDER BY created_at") == [
        "\u00fc.jpg", "\u00fc (3).jpg", "\u00fc (2).jpg", "plain.jpg",
    ]  # fmt: skip
    assert column("SELECT name FROM api_key WHERE name LIKE 'cl%'") == ["cl\u00e9"]
    changes = query(empty_database, "SELECT kind, original, becomes FROM name_change ORDER BY kind, original")
    assert ("image", "u\u0308.jpg", "\u00fc (3).jpg") in changes
    assert ("folder", "/\u00e9/a", "/\u00e9 (2)/a") in changes
    assert [kind for kind, *_ in changes].count("dataset") == 3
    assert len(changes) == 3 + 4 + 1 + 1
