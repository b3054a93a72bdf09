"""A file that is no journal of this version is named, refused, and left as it was."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event

from reconciler.journal.journal import Looked
from reconciler.journal.sqlite import SqliteJournal
from reconciler.journal.tables import APPLICATION_ID, SCHEMA_VERSION
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.console import ChangeKind, ConsoleChange, ConsoleState, Latch
from reconciler.model.device import DeviceId
from reconciler.model.error import JournalError
from reconciler.model.instant import Instant
from reconciler.model.step import LockApplication
from reconciler.model.version import ApplicationVersion

LATCH = Latch(device_id=DeviceId("d1"), fleet="eu", intent="i", why="w", at=Instant(1))


def an_attempt(number: int = 1, detail: str = "") -> Attempt:
    return Attempt(
        id=f"a{number}",
        device_id=DeviceId(f"d{number}"),
        fleet="eu",
        plan_id="p",
        step=LockApplication(application=ApplicationVersion(44)),
        state=AttemptState.INTENDED,
        intended_at=Instant(100),
        handshake_before=None,
        detail=detail,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def filled(path: Path) -> Path:
    """A journal with a few hundred attempts, closed."""
    with SqliteJournal(path) as journal:
        for number in range(200):
            journal.begin(an_attempt(number, "x" * 200))
    return path


def altered(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def begin_many(journal: SqliteJournal, count: int) -> None:
    for number in range(1000, 1000 + count):
        journal.begin(an_attempt(number, "y" * 4000))


def refusal(path: Path, code: str) -> JournalError:
    """The refusal to open the file, which stays as it was, byte by byte."""
    before = path.read_bytes()
    with pytest.raises(JournalError, match=code) as caught:
        SqliteJournal(path, busy_seconds=0.05)
    assert path.read_bytes() == before
    assert str(path) in caught.value.message
    assert caught.value.next_step
    return caught.value


def test_a_new_journal_says_what_it_is(path: Path) -> None:
    SqliteJournal(path).close()
    with closing(sqlite3.connect(path)) as connection:
        pragmas = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version", "journal_mode")
        ]
    assert pragmas == [APPLICATION_ID, SCHEMA_VERSION, "wal"]


def test_every_connection_waits_for_the_disk_and_checks_references(path: Path) -> None:
    with SqliteJournal(path) as journal, journal._reading() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1


def test_open_attempts_are_found_by_the_index_of_open_attempts(path: Path) -> None:
    asked: list[str] = []
    with SqliteJournal(path) as journal:
        event.listen(journal._database._engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
        journal.open_attempts()
        with journal._reading() as connection:
            select = next(statement for statement in asked if statement.startswith("SELECT"))
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {select}").all()
    assert "USING INDEX one_open_attempt_per_device" in str(plan)


def test_a_missing_journal_is_not_made_when_it_is_only_read(path: Path) -> None:
    with pytest.raises(JournalError, match="PFR5001") as caught:
        SqliteJournal(path, create=False)
    assert str(path) in caught.value.message
    assert not path.exists()


@pytest.mark.parametrize(
    "content", [b"", b"not a database, but notes", b"\0" * 4096, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_file_that_is_no_journal_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refusal(path, "PFR500[56]")


def test_the_database_of_another_program_is_refused(path: Path) -> None:
    altered(path, "CREATE TABLE precious (id)", "INSERT INTO precious VALUES (1)")
    refusal(path, "PFR5005")


def test_a_journal_of_a_newer_version_is_refused(filled: Path) -> None:
    altered(filled, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    assert "newer" in refusal(filled, "PFR5007").message


def test_a_journal_of_a_format_that_never_was_is_refused(filled: Path) -> None:
    altered(filled, "PRAGMA user_version = 0")
    assert "older" in refusal(filled, "PFR5008").message


def test_a_damaged_journal_is_refused(filled: Path) -> None:
    content = bytearray(filled.read_bytes())
    content[8192:-4096] = os.urandom(len(content) - 8192 - 4096)
    filled.write_bytes(content)
    refusal(filled, "PFR5006")


def test_a_journal_that_lost_its_end_is_refused(filled: Path) -> None:
    filled.write_bytes(filled.read_bytes()[:-8192])
    refusal(filled, "PFR5006")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="PFR5004"):
        SqliteJournal(tmp_path)


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(JournalError, match="PFR5004"):
        SqliteJournal(tmp_path / "file" / "journal.sqlite")
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind the superuser")
def test_a_directory_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(JournalError, match="PFR5004"):
        SqliteJournal(tmp_path / "journal.sqlite")


@pytest.fixture
def lock_held_by_another_process(filled: Path) -> Iterator[Path]:
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE');"
        "print('held', flush=True); sys.stdin.readline()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(filled)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield filled
        process.communicate("done\n")


def test_a_locked_journal_is_read_but_not_written(lock_held_by_another_process: Path) -> None:
    with SqliteJournal(lock_held_by_another_process, busy_seconds=0.05) as journal:
        assert len(journal.attempts()) == 200
        with pytest.raises(JournalError, match="PFR5009"):
            journal.begin(an_attempt(999))
        assert len(journal.attempts()) == 200


def test_a_full_disk_loses_nothing(filled: Path) -> None:
    with SqliteJournal(filled) as journal:
        with journal._writing() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")  # stays in force on this pooled connection
        with pytest.raises(JournalError, match="PFR5010"):
            begin_many(journal, 1000)
        begun = len(journal.attempts())
    with SqliteJournal(filled) as journal:
        assert len(journal.attempts()) == begun
        assert all(len(journal.moves(attempt.id)) == 1 for attempt in journal.attempts())


@pytest.mark.parametrize(
    "statement", ["DELETE FROM attempts", "DELETE FROM moves", "UPDATE moves SET state = 'verified'"]
)
def test_the_file_itself_is_only_ever_added_to(filled: Path, statement: str) -> None:
    with closing(sqlite3.connect(filled)) as connection, pytest.raises(sqlite3.IntegrityError, match="only ever added"):
        connection.execute(statement)


def test_the_file_itself_keeps_devices_to_one_open_attempt(filled: Path) -> None:
    with closing(sqlite3.connect(filled)) as connection, pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        connection.execute("UPDATE attempts SET device_id = 'd1' WHERE id = 'a2'")


@pytest.mark.parametrize(
    "alteration", ["state = 'lost in space'", "step = '{}'", "evidence = 'hearsay'", "failure = 'bad luck'"]
)
def test_an_entry_that_was_altered_from_outside_is_named(filled: Path, alteration: str) -> None:
    altered(filled, f"UPDATE attempts SET {alteration} WHERE id = 'a7'")
    with SqliteJournal(filled) as journal:
        assert len(journal.attempts(device_id=DeviceId("d8"))) == 1
        with pytest.raises(JournalError, match="PFR5011"):
            journal.attempts(device_id=DeviceId("d7"))


def test_a_lifted_halt_stays_in_the_file(path: Path) -> None:
    with SqliteJournal(path) as journal:
        journal.halt("eu", "too many", Instant(1))
        journal.lift("eu", Instant(2), by="ada")
    with closing(sqlite3.connect(path)) as connection:
        kept = connection.execute("SELECT fleet, kind, at, entry FROM rollout_entries").fetchall()
    assert [(fleet, kind, at) for fleet, kind, at, _ in kept] == [("eu", "halted", 1.0), ("eu", "resumed", 2.0)]
    words = [json.loads(entry) for *_, entry in kept]
    assert (words[0]["reason"], words[1]["by"]) == ("too many", "ada")


@pytest.mark.parametrize("statement", ["DELETE FROM console_changes", "UPDATE console_changes SET after = 'x'"])
def test_what_others_changed_is_only_ever_added(path: Path, statement: str) -> None:
    change = ConsoleChange(
        device_id=DeviceId("d1"),
        fleet="eu",
        intent="i",
        kind=ChangeKind.LOCK,
        before="2",
        after="1",
        not_before=Instant(1),
        seen_at=Instant(2),
        concerns_git=True,
    )
    with SqliteJournal(path) as journal:
        journal.keep_look(Looked(changes=[change]))
    with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
        altered(path, statement)


def test_a_state_that_cannot_be_read_is_said_and_not_guessed(path: Path) -> None:
    with SqliteJournal(path) as journal:
        journal.keep_look(
            Looked(states=[ConsoleState(device_id=DeviceId("d1"), seen_at=Instant(1), fleet="eu", groups=("eu",))])
        )
        altered(path, "UPDATE console_states SET groups = '[1]'")
        with pytest.raises(JournalError, match="PFR5011"):
            journal.console_states()
