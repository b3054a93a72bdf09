"""`journal check|backup|compact`, by hand and while somebody writes."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.journal import command
from reconciler.journal.location import PostgresPlace
from reconciler.journal.postgres import PostgresJournal
from reconciler.journal.sqlite import SqliteJournal
from reconciler.journal.tables import SCHEMA_VERSION
from reconciler.model.attempt import Attempt, AttemptState, Evidence
from reconciler.model.device import DeviceId
from reconciler.model.error import JournalError
from reconciler.model.instant import Instant
from reconciler.model.step import LockApplication
from reconciler.model.version import ApplicationVersion


def run(*arguments: object) -> Result:
    return CliRunner(env={"RECONCILER_JOURNAL": None}).invoke(command, list(map(str, arguments)))


def an_attempt(name: str, device: str = "d1", at: float = 100) -> Attempt:
    return Attempt(
        id=name,
        device_id=DeviceId(device),
        fleet="eu",
        plan_id="p",
        step=LockApplication(application=ApplicationVersion(44)),
        state=AttemptState.INTENDED,
        intended_at=Instant(at),
        handshake_before=None,
    )


def live(journal: SqliteJournal, name: str, device: str = "d1", at: float = 100) -> None:
    attempt = an_attempt(name, device, at)
    journal.begin(attempt)
    sent = attempt.sent(Instant(at + 1))
    journal.record(sent)
    journal.record(sent.verified(Evidence.EFFECT, Instant(at + 2)))


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    path = tmp_path / "journal.sqlite"
    with SqliteJournal(path) as journal:
        for number in range(5):
            live(journal, f"a{number}")
    return path


def test_check_tells_the_format_and_how_much_there_is(filled: Path) -> None:
    result = run("check", "--journal", filled)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"{filled}: format {SCHEMA_VERSION}"
    assert "nothing is wrong with the file" in lines
    assert [line.split() for line in lines if line.startswith(("attempts", "moves"))] == [
        ["attempts", "5"],
        ["moves", "15"],
    ]


def test_check_tells_what_is_under_way_and_who_knows_more(filled: Path) -> None:
    assert "under way" not in run("check", "--journal", filled).stdout
    with SqliteJournal(filled) as journal:
        journal.begin(an_attempt("late", device="d2"))
        journal.begin(an_attempt("later", device="d3", at=200))
    told = run("check", "--journal", filled).stdout
    assert "2 steps under way, the oldest of fleet eu since 1970-01-01T00:01:40Z: reconciler status says more" in told


def test_check_names_what_is_wrong(filled: Path) -> None:
    with closing(sqlite3.connect(filled)) as connection:
        connection.execute("INSERT INTO moves (attempt_id, device_id, state, detail) VALUES ('x', 'd', 'sent', '')")
        connection.commit()
    result = run("check", "--journal", filled)
    assert result.exit_code == 1
    assert "a row of moves refers to one of attempts that is missing" in result.stdout


def test_check_makes_no_journal(tmp_path: Path) -> None:
    result = run("check", "--journal", tmp_path / "none.sqlite")
    assert isinstance(result.exception, JournalError)
    assert result.exception.code == "PFR5001"
    assert list(tmp_path.iterdir()) == []


def test_a_backup_is_a_journal_like_the_first(filled: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    result = run("backup", copy, "--journal", filled)
    assert result.exit_code == 0
    assert str(copy) in result.stdout
    with SqliteJournal(filled) as first, SqliteJournal(copy, create=False) as second:
        assert second.attempts() == first.attempts()
        live(second, "after", "d9")
        with second._reading() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.sqlite", "journal.sqlite"]


def test_a_backup_takes_nobodys_place(filled: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    result = run("backup", tmp_path / "precious", "--journal", filled)
    assert isinstance(result.exception, JournalError)
    assert result.exception.code == "PFR5026"
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_backup_goes_well_while_others_write_and_is_of_one_moment(filled: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    begun = threading.Event()

    def write() -> None:
        with SqliteJournal(filled) as journal:
            number = 0
            while not stop.is_set():
                live(journal, f"w{number}", "d2")
                number += 1
                begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert begun.wait(60)
        copies = [tmp_path / f"copy{number}.sqlite" for number in range(3)]
        assert [run("backup", copy, "--journal", filled).exit_code for copy in copies] == [0, 0, 0]
    finally:
        stop.set()
        writer.join()
    for copy in copies:
        assert run("check", "--journal", copy).exit_code == 0
        with SqliteJournal(copy) as journal:
            for attempt in journal.attempts():
                assert journal.moves(attempt.id)[-1].state is attempt.state


def test_compact_keeps_what_is_younger_than_it_is_told(filled: Path) -> None:
    result = run("compact", "--journal", filled)
    assert result.exit_code == 0
    assert "4 attempts, 12 moves, 0 requests, 0 plans" in result.stdout
    with SqliteJournal(filled) as journal:
        assert [attempt.id for attempt in journal.attempts()] == ["a4"]
        assert journal.locked() == {"d1": 44}
    with closing(sqlite3.connect(filled)) as connection:
        rows = connection.execute("SELECT attempts, moves, writes, plans, finished_at > 0 FROM compactions").fetchall()
    assert rows == [(4, 12, 0, 0, 1)]


def test_compact_refuses_what_is_no_duration(filled: Path) -> None:
    assert run("compact", "--keep", "soon", "--journal", filled).exit_code == 2


def test_a_journal_on_a_server_is_checked_compacted_and_left_to_the_servers_backup(
    postgres_journal: str, tmp_path: Path
) -> None:
    with PostgresJournal(PostgresPlace(postgres_journal)) as journal:
        journal.begin(an_attempt("a1"))
    assert "attempts" in run("check", "--journal", postgres_journal).stdout
    assert run("compact", "--journal", postgres_journal).exit_code == 0
    with_password = postgres_journal.replace("tester@", "tester:s3cret@")
    result = run("backup", tmp_path / "x.dump", "--journal", with_password)
    assert result.exit_code == 1
    assert result.stdout.startswith("pg_dump --format=custom --file=")
    assert "s3cret" not in result.output
    assert list(tmp_path.iterdir()) == []
