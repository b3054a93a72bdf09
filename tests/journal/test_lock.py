from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.journal.lock import Holder, holder_of, sole_run
from reconciler.journal.run_under_way import RunUnderWayError
from reconciler.model.error import JournalError
from tests.fleet_samples import NOW

HOLD = """
import sys
from pathlib import Path
from reconciler.journal.lock import sole_run
from reconciler.model.instant import Instant
with sole_run(Path(sys.argv[1]), now=Instant(0.0)):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def other(journal: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the journal."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(journal)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_run_is_refused_and_told_who_is_at_work(journal: Path, other: subprocess.Popen[str]) -> None:
    with pytest.raises(RunUnderWayError, match=f"process {other.pid}, started at 1970-01-01T00:00:00Z") as caught:
        sole_run(journal, now=NOW).__enter__()
    assert caught.value.code == "PFR5012"
    assert caught.value.next_step


def test_a_killed_run_holds_nothing(journal: Path, other: subprocess.Popen[str]) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait(10)
    with sole_run(journal, now=NOW):
        pass


def test_a_run_that_ended_holds_nothing(journal: Path) -> None:
    with sole_run(journal, now=NOW):
        pass
    with sole_run(journal, now=NOW):
        pass


def test_a_run_that_ended_in_an_error_holds_nothing(journal: Path) -> None:
    with pytest.raises(ZeroDivisionError), sole_run(journal, now=NOW):
        raise ZeroDivisionError
    with sole_run(journal, now=NOW):
        pass


def test_another_journal_beside_it_is_free(journal: Path) -> None:
    with sole_run(journal, now=NOW), sole_run(journal.with_name("other.sqlite"), now=NOW):
        pass


def test_a_link_to_the_journal_is_the_same_journal(journal: Path) -> None:
    journal.touch()
    link = journal.with_name("link.sqlite")
    link.symlink_to(journal)
    with sole_run(journal, now=NOW), pytest.raises(RunUnderWayError, match=f"process {os.getpid()}"):
        sole_run(link, now=NOW).__enter__()


def test_a_folder_that_cannot_be_written_is_an_error_of_the_operator(tmp_path: Path) -> None:
    with pytest.raises(JournalError) as caught:
        sole_run(tmp_path / "missing" / "journal.sqlite", now=NOW).__enter__()
    assert caught.value.code == "PFR5004"


def test_anybody_can_ask_who_is_at_work(journal: Path, other: subprocess.Popen[str]) -> None:
    holder = holder_of(journal)
    assert holder == Holder(words=f"process {other.pid}, started at 1970-01-01T00:00:00Z", alive=True)


def test_a_killed_run_is_known_to_have_broken_off(journal: Path, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait(10)
    holder = holder_of(journal)
    assert holder is not None
    assert not holder.alive
    assert str(other.pid) in holder.words


def test_nobody_is_at_work_before_and_after_a_run(journal: Path) -> None:
    assert holder_of(journal) is None
    with sole_run(journal, now=NOW):
        assert holder_of(journal) is not None
    assert holder_of(journal) is None
