"""Every class of PostgreSQL's errors becomes one of ours, or is known to be a bug: none is left to chance."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors as states
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from pictograph import errors
from pictograph.db.faults import BY_CLASS, BY_STATE, class_of, fault_of
from pictograph.db.pool import database_errors, pause_before_repeat
from pictograph.errors import PictographError, RateLimitError, StorageFull, Unavailable

EVERY = [
    value
    for value in vars(states).values()
    if isinstance(value, type) and issubclass(value, psycopg.Error) and value.sqlstate
]

BUGS = frozenset({
    "02", "03", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "22", "23", "24", "25", "26", "27", "2B",
    "2D", "2F", "34", "38", "39", "3B", "3D", "3F", "42", "44", "54", "55", "72", "F0", "HV", "P0", "XX",
})  # fmt: skip
"""Classes whose other errors say that a statement is wrong: they pass as they are."""


@pytest.mark.parametrize("error", EVERY, ids=lambda error: f"{error.sqlstate} {error.__name__}")
def test_every_state_is_ours_or_known_to_be_a_bug(error: type[psycopg.Error]) -> None:
    known = [error.sqlstate in BY_STATE, error.sqlstate[:2] in BY_CLASS, error.sqlstate[:2] in BUGS]
    assert any(known), "give it an entry in db/faults.py"
    assert not (known[1] and known[2])
    assert (fault_of(error("It failed.")) is None) == (not known[0] and not known[1])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (states.TooManyConnections, errors.DatabaseBusy),
        (states.DiskFull, errors.StorageFull),
        (states.ReadOnlySqlTransaction, errors.DatabaseReadOnly),
        (states.LockNotAvailable, errors.LockTimeout),
        (states.QueryCanceled, errors.StatementTimeout),
        (states.DeadlockDetected, errors.WriteConflict),
        (states.SerializationFailure, errors.WriteConflict),
        (states.InvalidPassword, errors.DatabaseRefused),
        (states.InvalidCatalogName, errors.DatabaseRefused),
        (states.InsufficientPrivilege, errors.DatabaseRefused),
        (states.UndefinedFile, errors.DatabaseIncomplete),
        (states.OutOfMemory, errors.DatabaseOutOfMemory),
        (states.AdminShutdown, errors.DatabaseStopping),
        (states.CrashShutdown, errors.DatabaseStopping),
        (states.CannotConnectNow, errors.DatabaseStopping),
        (states.ConnectionFailure, errors.DatabaseAway),
        (states.ConnectionTimeout, errors.DatabaseAway),
        (states.DataCorrupted, errors.DatabaseDamaged),
        (psycopg.OperationalError, errors.DatabaseAway),
        (psycopg.InterfaceError, errors.DatabaseAway),
        (states.UniqueViolation, None),
        (states.UndefinedTable, None),
        (states.PipelineAborted, None),
        (psycopg.ProgrammingError, None),
    ],
)
def test_each_kind_has_a_class_of_its_own(error: type[psycopg.Error], expected: type[PictographError] | None) -> None:
    assert class_of(error("It failed.")) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('FATAL:  password authentication failed for user "x"', errors.DatabaseRefused),
        ('FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "x"', errors.DatabaseRefused),
        ("fe_sendauth: no password supplied", errors.DatabaseRefused),
        ('FATAL:  role "x" does not exist', errors.DatabaseRefused),
        ('FATAL:  database "x" does not exist', errors.DatabaseRefused),
        ('FATAL:  database "x" is not currently accepting connections', errors.DatabaseRefused),
        ("FATAL:  sorry, too many clients already", errors.DatabaseBusy),
        ("FATAL:  remaining connection slots are reserved", errors.DatabaseBusy),
        ("FATAL:  the database system is starting up", errors.DatabaseStopping),
        ("FATAL:  the database system is shutting down", errors.DatabaseStopping),
        ("FATAL:  the database system is in recovery mode", errors.DatabaseStopping),
        ('FATAL:  could not write to file "x": No space left on device', errors.StorageFull),
        ("FATAL:  out of memory", errors.DatabaseOutOfMemory),
        ("Connection refused. Is the server running on that host?", errors.DatabaseAway),
        ("server closed the connection unexpectedly", errors.DatabaseAway),
    ],
)
def test_a_connection_that_is_refused_is_understood_by_its_text(text: str, expected: type[PictographError]) -> None:
    assert class_of(psycopg.OperationalError(f"connection failed: {text}")) is expected


def test_each_class_of_fault_has_words_of_its_own_which_a_person_reads_first() -> None:
    classes = set(BY_STATE.values()) | set(BY_CLASS.values())
    assert len({error.words for error in classes}) == len(classes)
    assert all(error.words != Unavailable.words for error in classes)
    fault = fault_of(states.DiskFull("could not extend file\nHINT: Check free disk space."))
    assert isinstance(fault, StorageFull)
    assert fault.message == f"{StorageFull.words}: could not extend file"
    assert not fault.retryable


def test_the_border_lets_bugs_pass_and_translates_the_rest() -> None:
    for raised, expected in [
        (states.UniqueViolation("twice"), states.UniqueViolation),
        (states.DeadlockDetected("deadlock detected"), errors.WriteConflict),
        (TooManyRequests("x"), RateLimitError),
        (PoolTimeout("x"), errors.DatabaseBusy),
        (PoolClosed("x"), errors.DatabaseAway),
    ]:
        with pytest.raises(expected), database_errors():
            raise raised


def test_pauses_before_a_repetition_grow_and_differ() -> None:
    assert [pause_before_repeat(attempt, 0.0) for attempt in (1, 2, 3)] == [0.02, 0.04, 0.08]
    assert 0.01 < pause_before_repeat(1, 0.999) < 0.02
