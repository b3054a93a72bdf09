"""A journal on a PostgreSQL server: what it says of itself, who may write, and that no password is ever shown."""

from __future__ import annotations

import sys
import threading
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import text

from reconciler.journal.location import PostgresPlace, journal_location
from reconciler.journal.lock import Holder, holder_of, sole_run
from reconciler.journal.opening import open_if_there
from reconciler.journal.postgres import WRITER_LOCK, PostgresJournal
from reconciler.journal.run_under_way import RunUnderWayError
from reconciler.journal.tables import SCHEMA_VERSION
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.device import DeviceId
from reconciler.model.error import JournalError
from reconciler.model.instant import Instant
from reconciler.model.step import LockApplication
from reconciler.model.version import ApplicationVersion
from tests.fleet_samples import NOW

SECRET = "s3cr%40t&t"  # nobody's


def an_attempt(number: int = 1) -> Attempt:
    return Attempt(
        id=f"a{number}",
        device_id=DeviceId(f"d{number}"),
        fleet="eu",
        plan_id="p",
        step=LockApplication(application=ApplicationVersion(44)),
        state=AttemptState.INTENDED,
        intended_at=Instant(100),
        handshake_before=None,
    )


def run_sql(address: str, *statements: str) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def refusal(address: str, code: str, **options: Any) -> JournalError:
    with pytest.raises(JournalError, match=code) as caught:
        PostgresJournal(PostgresPlace(address), **options)
    assert caught.value.next_step
    return caught.value


def test_everything_is_there_when_it_is_opened_again(postgres_address: str) -> None:
    with PostgresJournal(PostgresPlace(postgres_address)) as first:
        first.begin(an_attempt())
        first.halt("eu", "nul \0 and sub \x1a", Instant(7))
    with PostgresJournal(PostgresPlace(postgres_address), create=False) as second:
        assert second.open_attempts() == (an_attempt(),)
        assert [halt.reason for halt in second.halts()] == ["nul \0 and sub \x1a"]


def test_two_may_make_it_at_once(postgres_address: str) -> None:
    start = threading.Barrier(4)
    errors: list[BaseException] = []

    def make() -> None:
        start.wait()
        try:
            PostgresJournal(PostgresPlace(postgres_address)).close()
        except BaseException as error:  # noqa: BLE001  # told below
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_missing_journal_is_not_made_when_it_is_only_read(postgres_address: str) -> None:
    refusal(postgres_address, "PFR5001", create=False)
    with psycopg.connect(postgres_address) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_who_only_looks_finds_none_and_makes_none(postgres_address: str) -> None:
    assert open_if_there(PostgresPlace(postgres_address)) is None


def test_the_database_of_another_program_is_refused(postgres_address: str) -> None:
    run_sql(postgres_address, "CREATE TABLE attempts (id int)")
    refusal(postgres_address, "PFR5005")


def test_a_journal_of_a_newer_version_is_refused(postgres_journal: str) -> None:
    run_sql(postgres_journal, f"UPDATE alembic_version SET version_num = '{SCHEMA_VERSION + 1}'")
    assert "newer" in refusal(postgres_journal, "PFR5007").message


def test_somebody_elses_migrations_are_refused(postgres_address: str) -> None:
    run_sql(
        postgres_address,
        "CREATE TABLE alembic_version (version_num varchar(32))",
        "INSERT INTO alembic_version VALUES ('ae1027a6acf')",
    )
    refusal(postgres_address, "PFR5005")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM attempts",
        "DELETE FROM moves",
        "UPDATE moves SET state = 'verified'",
        "TRUNCATE attempts, moves",
        "DELETE FROM rollout_entries",
        "UPDATE rollout_entries SET at = 0",
        "UPDATE epochs SET epoch = 9",
    ],
)
def test_the_database_itself_is_only_ever_added_to(postgres_journal: str, statement: str) -> None:
    with PostgresJournal(PostgresPlace(postgres_journal)) as journal:
        journal.begin(an_attempt())
        journal.halt("eu", "r", Instant(1))
        journal.take_epoch("s", holder="h", at=Instant(1))
    with pytest.raises(psycopg.errors.RaiseException, match="only ever added"):
        run_sql(postgres_journal, statement)


def test_the_database_itself_keeps_devices_to_one_open_attempt(postgres_journal: str) -> None:
    with PostgresJournal(PostgresPlace(postgres_journal)) as journal:
        journal.begin(an_attempt(1))
        journal.begin(an_attempt(2))
    with pytest.raises(psycopg.errors.UniqueViolation):
        run_sql(postgres_journal, "UPDATE attempts SET device_id = 'd1' WHERE id = 'a2'")


def test_who_waits_too_long_for_another_writer_is_told(postgres_journal: str) -> None:
    with psycopg.connect(postgres_journal) as other:
        other.execute(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})".encode())
        with PostgresJournal(PostgresPlace(postgres_journal), busy_seconds=0.05) as journal:
            assert journal.attempts() == ()
            with pytest.raises(JournalError, match="PFR5009"):
                journal.begin(an_attempt())
            assert journal.attempts() == ()


def test_a_server_that_answers_before_its_disk_is_told_not_to(postgres_journal: str) -> None:
    name = urlsplit(postgres_journal).path.strip("/")
    run_sql(postgres_journal, f"ALTER DATABASE {name} SET synchronous_commit = off")
    with PostgresJournal(PostgresPlace(postgres_journal)) as journal, journal._writing() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "on"


def test_connections_that_the_server_ended_are_made_again(postgres_journal: str) -> None:
    with PostgresJournal(PostgresPlace(postgres_journal)) as journal:
        journal.begin(an_attempt(1))
        run_sql(
            postgres_journal,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        journal.begin(an_attempt(2))
        assert len(journal.open_attempts()) == 2


# No password


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://ops:{SECRET}@db.example:5433/fleet", "postgresql://ops@db.example:5433/fleet"),
        (f"postgres://ops:{SECRET}@db/fleet?sslmode=require", "postgresql://ops@db/fleet?sslmode=require"),
        (f"postgresql:///fleet?host=/run/pg&password={SECRET}", "postgresql:///fleet?host=/run/pg"),
        (f"postgresql://ops:{SECRET}@[::1/fleet", "postgresql://(unreadable)"),
        ("postgresql://ops:s3cr#et@db/fleet", "postgresql://(unreadable)"),
        ("postgresql://ops:s3cr/et@db/fleet", "postgresql://(unreadable)"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    place = journal_location(None, {"RECONCILER_JOURNAL": url})
    assert isinstance(place, PostgresPlace)
    assert str(place) == shown
    assert "s3cr" not in repr(place)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ops:{SECRET}@127.0.0.1:1/fleet",
        f"postgresql://ops:{SECRET}@127.0.0.1:port/fleet",
        f"postgresql://ops:{SECRET}@[::1/fleet",
        f"postgresql://ops:{SECRET}@/fleet?host=/nowhere&surprise={SECRET}",
    ],
)
def test_a_server_that_cannot_be_reached_is_told_without_the_password(url: str) -> None:
    error = refusal(url, "PFR5024")
    chain: list[str] = []
    link: BaseException | None = error
    while link is not None:
        chain.append(str(link))
        link = link.__cause__
    assert "s3cr" not in " ".join([*chain, str(error.next_step)])


def test_without_the_extra_the_next_step_is_told(postgres_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "[postgres]" in refusal(postgres_address, "PFR5025").next_step


# One run at a time


def test_a_second_run_is_refused_and_told_who_is_at_work(postgres_journal: str) -> None:
    place = PostgresPlace(postgres_journal)
    assert holder_of(place) is None
    with sole_run(place, now=NOW):
        holder = holder_of(place)
        assert isinstance(holder, Holder)
        assert holder.alive
        assert "started at" in holder.words
        with pytest.raises(RunUnderWayError, match=r"PFR5012.*process"), sole_run(place, now=NOW):
            pass
    with sole_run(place, now=NOW):
        pass


def test_another_database_on_the_server_is_free(postgres_journal: str, postgres_address: str) -> None:
    with sole_run(PostgresPlace(postgres_journal), now=NOW), sole_run(PostgresPlace(postgres_address), now=NOW):
        pass


def test_a_run_whose_connection_ended_holds_nothing(postgres_journal: str) -> None:
    place = PostgresPlace(postgres_journal)
    run = sole_run(place, now=NOW)
    run.__enter__()
    run_sql(
        postgres_journal,
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    assert holder_of(place) is None
    with sole_run(place, now=NOW):
        pass
    run.__exit__(None, None, None)
