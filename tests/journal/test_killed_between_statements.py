"""A process that is killed between any two statements leaves the journal as it was before, or as it was meant to be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

OPERATION = """
import json, os, signal, sqlite3, sys
from contextlib import closing
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
from reconciler.journal.journal import Permit
from reconciler.journal.location import journal_place
from reconciler.journal.opening import open_journal
from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.external_write import ExternalWrite
from reconciler.model.step import LockApplication

def attempt(name, device, at):
    return Attempt(id=name, device_id=device, fleet="eu", plan_id="p", step=LockApplication(application=44, size=9),
                   state=AttemptState.INTENDED, intended_at=at, handshake_before=None)

WRITE = ExternalWrite(at=101.0, method="PUT", path="/v1/d", status=200, answer="ok")
PERMIT = Permit(scope="s", epoch=1, concurrent_max=9, begun_per_minute_max=9, bytes_per_day_max=9000)
SENT = attempt("old", "d1", 100.0).sent(101.0)

def prepare(journal):
    journal.take_epoch("s", holder="h", at=1.0)
    for number in range(3):
        first = attempt(f"gone{number}", "d9", 10.0 + number)
        journal.begin(first)
        journal.record(first.failed(FailureClass.REFUSED, "no", 20.0 + number), writes=[WRITE], before={})
    journal.begin(attempt("old", "d1", 100.0))
    journal.record(SENT, writes=[WRITE], before={})

def operate(what, journal):
    match what:
        case "begin":
            journal.begin(attempt("new", "d2", 110.0), permit=PERMIT)
        case "record":
            journal.record(SENT.verified(Evidence.EFFECT, 120.0), permit=PERMIT, writes=[WRITE], after={"lock": 44})
        case "compact":
            journal.compact(ended_before=50.0, at=500.0)

def state(place):
    with open_journal(place) as journal:
        attempts = journal.attempts()
        return repr((attempts, [journal.moves(each.id) for each in attempts],
                     [journal.writes(each.id) for each in attempts], journal.slots("eu"),
                     journal.entries(), journal.halts(), dict(journal.counts())))

def dumped(place):
    with closing(sqlite3.connect(place)) as connection:
        return "\\n".join(connection.iterdump())

def child(what, place, nth):
    seen = 0
    def count(*arguments):
        nonlocal seen
        seen += 1
        if seen == nth:
            os.kill(os.getpid(), signal.SIGKILL)
    if what == "migrate":
        for name in ("before_cursor_execute", "commit"):
            event.listen(Engine, name, count)
        open_journal(place).close()
    else:
        with open_journal(place) as journal:
            for name in ("before_cursor_execute", "commit"):
                event.listen(Engine, name, count)
            operate(what, journal)

what, words = sys.argv[1:]
place = journal_place(words)
look = dumped if what == "migrate" else state
if what != "migrate":
    with open_journal(place) as journal:
        prepare(journal)
states, nth = [look(place)], 0
while True:
    nth += 1
    process = os.fork()
    if process == 0:
        child(what, place, nth)
        os._exit(0)
    _, status = os.waitpid(process, 0)
    states.append(look(place))
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
print(json.dumps(states))
"""


def states_of(what: str, place: str) -> list[str]:
    """The journal before, then after each killing one statement later, at last after nobody was killed."""
    done = subprocess.run([sys.executable, "-c", OPERATION, what, place], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    states: list[str] = json.loads(done.stdout)
    return states


def assert_all_or_nothing(states: list[Any], statements_min: int) -> None:
    before, *after_killings, done = states
    assert len(after_killings) >= statements_min, "the operation has fewer statements than the test thinks"
    assert done != before
    assert set(after_killings) == {before}


@pytest.mark.parametrize(("what", "statements_min"), [("begin", 6), ("record", 6), ("compact", 9)])
def test_a_file_is_as_before_or_as_meant(what: str, statements_min: int, tmp_path: Path) -> None:
    assert_all_or_nothing(states_of(what, str(tmp_path / "journal.sqlite")), statements_min)


@pytest.mark.parametrize(("what", "statements_min"), [("begin", 6), ("record", 6), ("compact", 9)])
def test_a_database_is_as_before_or_as_meant(what: str, statements_min: int, postgres_journal: str) -> None:
    assert_all_or_nothing(states_of(what, postgres_journal), statements_min)


def test_a_file_of_an_older_format_is_as_it_was_or_brought_over(old: Path) -> None:
    assert_all_or_nothing(states_of("migrate", str(old)), 40)
