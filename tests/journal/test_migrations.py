"""A journal of an earlier format is brought to this one, whole or not at all; all ways there end at the same tables."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import StaticPool, create_engine, inspect, text

from reconciler.journal.journal import Journal, Looked
from reconciler.journal.location import PostgresPlace
from reconciler.journal.migration import migrate
from reconciler.journal.postgres import PostgresJournal, engine_on
from reconciler.journal.sqlite import SqliteJournal
from reconciler.journal.store import SqlStore
from reconciler.journal.tables import SCHEMA_VERSION, metadata
from reconciler.model.attempt import FailureClass
from reconciler.model.error import JournalError
from reconciler.model.instant import Instant
from reconciler.model.refusal import SystemFlashRefusal
from reconciler.model.revision import Revision, TakenIntent
from reconciler.model.rollout_entry import Halted, Resumed
from tests.journal.old_journal import LOCK, a_change, a_full_life, a_latch, an_attempt


def all_that_format_1_told(journal: Journal) -> dict[str, Any]:
    attempts = journal.attempts()
    return {
        "attempts": attempts,
        "moves": [journal.moves(attempt.id) for attempt in attempts],
        "open": journal.open_attempts(),
        "learnt": journal.learnt(),
        "locked": journal.locked(),
        "products": journal.product_attempts(),
        "reports": journal.reports(),
        "plan": journal.plan("plan"),
        "refusals": journal.refusals(),
        "states": journal.console_states(),
        "changes": journal.console_changes(),
        "latches": journal.latches(),
    }


def test_a_journal_of_format_1_tells_all_that_it_told_before(old: Path) -> None:
    with SqliteJournal(old, create=False) as journal:
        assert all_that_format_1_told(journal) == all_that_format_1_told(a_full_life())
        assert all(attempt.well_before is None for attempt in journal.attempts())


def test_its_halts_are_entries_now_and_those_that_were_lifted_are_resumed(old: Path) -> None:
    with SqliteJournal(old, create=False) as journal:
        assert [noted.entry for noted in journal.entries()] == [
            Halted(fleet="eu", at=Instant(10.5), reason="3 of 3 failed"),
            Resumed(fleet="eu", at=Instant(10.5)),
            Halted(fleet="eu", at=Instant(20), reason="again \0 ü"),
            Halted(fleet="us", at=Instant(30), reason="smoke"),
        ]
        assert [halt.fleet for halt in journal.halts()] == ["eu", "us"]


def test_the_sizes_of_its_steps_count_in_limits_of_bytes(old: Path) -> None:
    SqliteJournal(old).close()
    with closing(sqlite3.connect(old)) as connection:
        sizes = dict(connection.execute("SELECT id, bytes FROM attempts"))
    assert sizes == {"a0": 47_000, "a1": None, "a8": None, "a9": 47_000}


def test_it_lives_on(old: Path) -> None:
    with SqliteJournal(old) as journal:
        highest = max(move.number for attempt in journal.attempts() for move in journal.moves(attempt.id))
        journal.record(journal.open_attempts()[0].failed(FailureClass.LOST, "gone", Instant(900)))
        journal.begin(an_attempt("a10", "d2", LOCK, 1000))
        assert journal.moves("a10")[0].number > highest
    with SqliteJournal(old) as journal:
        assert [attempt.id for attempt in journal.open_attempts()] == ["a10"]


def as_format_2_left_it(path: Path) -> None:
    """Bring a journal of format 1 no further than programs of format 2 did, and fill what format 2 added."""
    with closing(sqlite3.connect(path)) as connection:
        engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
        with engine.begin() as within:
            migrate(within, "2")
        connection.execute("PRAGMA user_version = 2")
        connection.execute("INSERT INTO slots VALUES ('eu', 'd1', 100.0)")
        connection.execute("INSERT INTO epochs (scope, epoch, holder, at) VALUES ('eu', 7, 'h', 1.0)")
        connection.execute(
            "INSERT INTO writes (attempt_id, at, method, path, answer, seen_before) "
            "VALUES ('a0', 101.0, 'PUT', '/v1/x', 'ok', '{}')"
        )
        connection.commit()


def test_a_journal_of_format_2_keeps_all_it_had_and_gets_room_for_a_controller(old: Path) -> None:
    as_format_2_left_it(old)
    with SqliteJournal(old, create=False) as journal:
        assert all_that_format_1_told(journal) == all_that_format_1_told(a_full_life())
        assert [halt.fleet for halt in journal.halts()] == ["eu", "us"]
        assert journal.slots("eu") == {"d1": 100.0}
        assert journal.take_epoch("eu", holder="h", at=Instant(2)) == 8
        assert [each.write.path for each in journal.writes("a0")] == ["/v1/x"]
        assert journal.intents() == ()
        assert journal.bookmarks("") == {}
        journal.set_bookmark("told/slack", "4")
    with SqliteJournal(old, create=False) as journal:
        assert journal.bookmark("told/slack") == "4"


def test_a_journal_of_format_2_ends_at_the_same_tables_as_a_new_one(old: Path, tmp_path: Path) -> None:
    as_format_2_left_it(old)
    SqliteJournal(old).close()
    SqliteJournal(tmp_path / "new.sqlite").close()
    assert shape(old) == shape(tmp_path / "new.sqlite")


def test_a_journal_of_format_2_on_a_server_is_brought_over_too(postgres_address: str) -> None:
    engine = engine_on(PostgresPlace(postgres_address), 10.0)
    with engine.begin() as connection:
        migrate(connection, "2")
        connection.execute(text("INSERT INTO slots VALUES ('eu', 'd1', 100.0)"))
    engine.dispose()
    with PostgresJournal(PostgresPlace(postgres_address)) as journal:
        assert journal.slots("eu") == {"d1": 100.0}
        assert journal.intents() == ()
        assert differences(journal) == []


def test_what_was_taken_is_altered_by_nobody(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    revision = Revision(source="s", name="main", commit="sha1:1", committed_at=Instant(1))
    with SqliteJournal(path) as journal:
        journal.keep_intent(TakenIntent(revision=revision, digest="d", fleets=("eu",), at=Instant(2)))
    with closing(sqlite3.connect(path)) as connection:
        for statement in ("UPDATE intents SET digest = 'other'", "DELETE FROM intents"):
            with pytest.raises(sqlite3.IntegrityError, match="only ever added to"):
                connection.execute(statement)


def test_an_older_program_refuses_what_has_been_brought_over(old: Path) -> None:
    SqliteJournal(old).close()
    with closing(sqlite3.connect(old)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    assert version == SCHEMA_VERSION > 1


@pytest.mark.parametrize("missing", ["refusals", "console_changes", "latches", "console_states", "product_attempts"])
def test_a_file_from_before_a_table_was_added_gets_it_and_keeps_the_rest(old: Path, missing: str) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.execute(f"DROP TABLE {missing}")
    with SqliteJournal(old, create=False) as journal:
        assert len(journal.attempts()) == 4
        journal.keep_refusal(SystemFlashRefusal(product_id=1, at=Instant(5), words="no"))
        journal.keep_look(Looked(changes=[a_change()], latches=[a_latch()]))
        assert journal.latches() == {"d1": a_latch()}


def test_a_file_that_already_has_entries_of_rollouts_keeps_them(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.execute(
            "CREATE TABLE rollout_entries (number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, fleet TEXT NOT NULL, "
            "kind TEXT NOT NULL, at FLOAT NOT NULL, entry TEXT NOT NULL)"
        )
        row = ("lab", "halted", 1.0, json.dumps({"by": None, "reason": "first"}))
        connection.execute("INSERT INTO rollout_entries (fleet, kind, at, entry) VALUES (?, ?, ?, ?)", row)
        connection.commit()
    with SqliteJournal(old) as journal:
        assert [halt.fleet for halt in journal.halts()] == ["lab", "eu", "us"]


def test_a_damaged_file_of_an_older_format_stays_as_it_was(old: Path) -> None:
    content = old.read_bytes()[:-8192]
    old.write_bytes(content)
    with pytest.raises(JournalError, match="PFR5006"):
        SqliteJournal(old)
    assert old.read_bytes() == content


def shape(path: Path) -> dict[str, Any]:
    """The tables with their columns and indexes, and the triggers' words."""
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = {
            name: (
                sorted(connection.execute(f"PRAGMA table_info({name})"), key=lambda column: str(column[1])),
                sorted(row[1:5] for row in connection.execute(f"PRAGMA index_list({name})")),
            )
            for name in names
            if not name.startswith("sqlite_")
        }
        triggers = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
    return {"tables": tables, "triggers": triggers}


def test_a_file_that_was_brought_over_is_as_a_new_one(old: Path, tmp_path: Path) -> None:
    SqliteJournal(old).close()
    SqliteJournal(tmp_path / "new.sqlite").close()
    assert shape(old) == shape(tmp_path / "new.sqlite")


def differences(store: SqlStore) -> list[Any]:
    with store._reading() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
        # The one table that is Alembic's own.
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}
    return list(found)


def test_migrations_and_tables_agree_in_sqlite(old: Path, tmp_path: Path) -> None:
    for path in (old, tmp_path / "new.sqlite"):
        with SqliteJournal(path) as journal:
            assert differences(journal) == []


def test_migrations_and_tables_agree_in_postgresql(postgres_address: str) -> None:
    with PostgresJournal(PostgresPlace(postgres_address)) as journal:
        assert differences(journal) == []


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "journal.sqlite") as journal, journal._writing() as connection:
        migrate(connection)
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    assert version == str(SCHEMA_VERSION)


def test_threads_make_journals_side_by_side(tmp_path: Path) -> None:
    start = threading.Barrier(4)
    errors: list[BaseException] = []

    def make(number: int) -> None:
        start.wait()
        try:
            with SqliteJournal(tmp_path / f"{number}.sqlite") as journal:
                assert differences(journal) == []
        except BaseException as error:  # noqa: BLE001  # told below
            errors.append(error)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
