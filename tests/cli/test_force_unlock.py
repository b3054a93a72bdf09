"""`force-unlock`: a run that hangs is fenced, a person is shown whom they fence, and what cannot be freed is said."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.main import cli
from reconciler.journal.journal import Permit
from reconciler.journal.location import PostgresPlace, journal_place
from reconciler.journal.lock import holder_of, sole_run
from reconciler.journal.opening import open_journal
from reconciler.journal.permits import FencedError
from reconciler.model.instant import Instant
from reconciler.model.rollout_entry import Suspended
from tests.fleet_samples import NOW

WORD = Suspended(fleet="eu", at=NOW, reason="r", until=None)


@pytest.fixture(params=["file", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "j.sqlite") if request.param == "file" else request.getfixturevalue("postgres_journal")


def begun(place: str) -> Permit:
    """The right to write of a run, in a journal that is there."""
    with open_journal(journal_place(place)) as kept:
        return Permit(scope="product eu", epoch=kept.take_epoch("product eu", holder="plan-7", at=Instant(1)))


def said(place: str, *words: str, answer: str = "") -> Result:
    return CliRunner().invoke(cli, ["force-unlock", "--journal", place, "--by", "ada", *words], input=answer)


def test_a_run_that_hangs_is_shown_and_writes_nothing_more(place: str) -> None:
    permit = begun(place)
    with open_journal(journal_place(place)) as of_the_run, sole_run(journal_place(place), now=Instant(time.time())):
        result = said(place, "--yes")
        assert f"process {os.getpid()}" in result.stdout
        assert "product eu: taken at 1970-01-01T00:00:01Z by plan-7, epoch 1" in result.stdout
        with pytest.raises(FencedError):
            of_the_run.note([WORD], permit=permit)
        assert of_the_run.rights()[0].holder == "force-unlock by ada"


def test_the_lock_of_a_file_is_its_processs_and_that_is_said(tmp_path: Path) -> None:
    place = str(tmp_path / "j.sqlite")
    begun(place)
    with sole_run(Path(place), now=NOW):
        result = said(place, "--yes")
    assert result.exit_code == 1
    assert f"held until this process has ended: process {os.getpid()}" in result.stderr


def test_the_lock_on_a_server_is_free_for_the_next_run(postgres_journal: str) -> None:
    begun(postgres_journal)
    place = PostgresPlace(postgres_journal)
    hanging = sole_run(place, now=NOW)
    hanging.__enter__()
    result = said(postgres_journal, "--yes")
    assert result.exit_code == 0, result.output
    assert holder_of(place) is None
    with sole_run(place, now=NOW):
        pass
    hanging.__exit__(None, None, None)


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_without_a_yes_nothing_is_changed(place: str, answer: str) -> None:
    permit = begun(place)
    result = said(place, answer=answer)
    assert result.exit_code == 1
    assert "plan-7" in result.stderr
    with open_journal(journal_place(place)) as kept:
        kept.note([WORD], permit=permit)


def test_a_yes_of_a_person_is_enough(place: str) -> None:
    begun(place)
    assert said(place, answer="y\n").exit_code == 0


def test_a_run_that_broke_off_left_no_lock_and_that_is_said(tmp_path: Path) -> None:
    place = tmp_path / "j.sqlite"
    begun(str(place))
    (tmp_path / "j.sqlite.lock").write_text("process 1, started at 2026-11-22T09:00:00Z\n", encoding="utf-8")
    result = said(str(place), "--yes")
    assert result.exit_code == 0
    assert "has ended without saying so; its lock ended with it" in result.stdout


def test_where_there_is_no_journal_there_is_nothing_to_unlock(tmp_path: Path) -> None:
    result = said(str(tmp_path / "none.sqlite"), "--yes")
    assert result.exit_code == 1
    assert not (tmp_path / "none.sqlite").exists()
