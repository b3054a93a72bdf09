"""`reconcile` and `accept`: bookmarks that a controller hears, and never about nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.main import cli
from reconciler.journal.lock import sole_run
from reconciler.journal.sqlite import SqliteJournal
from reconciler.model.instant import Instant
from reconciler.model.revision import Revision, TakenIntent

COMMIT = "3f9c1e0b2a4d5f60718293a4b5c6d7e8f9012345"
SOURCE = "https://git.example/fleets#main"
OTHER = "a" * 40


def taken(commit: str = COMMIT, source: str = SOURCE) -> TakenIntent:
    revision = Revision(source=source, name="main", commit=f"sha1:{commit}", committed_at=Instant(1))
    return TakenIntent(revision=revision, digest="sha256:1", fleets=("eu",), at=Instant(2))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "j.sqlite"
    with SqliteJournal(path) as kept:
        kept.keep_intent(taken())
    return path


def said(journal: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--journal", str(journal), "--by", "ada"])


def words_of(result: Result) -> str:
    return " ".join(f"{result.stdout} {result.stderr}".split())


def bookmarks(journal: Path, prefix: str) -> dict[str, str]:
    with SqliteJournal(journal, create=False) as kept:
        return dict(kept.bookmarks(prefix))


def test_every_word_to_look_is_another_one(journal: Path) -> None:
    assert said(journal, "reconcile", "eu").exit_code == 0
    first = bookmarks(journal, "reconcile/")
    assert said(journal, "reconcile", "eu").exit_code == 0
    assert [*first] == ["reconcile/eu"]
    assert bookmarks(journal, "reconcile/") != first


def test_a_word_to_look_at_all_says_whether_a_run_hears_it(journal: Path) -> None:
    assert "no run is going on" in words_of(said(journal, "reconcile"))
    with sole_run(journal, now=Instant(time.time())):
        assert "every fleet is looked at at once" in words_of(said(journal, "reconcile"))
    assert [*bookmarks(journal, "reconcile/")] == ["reconcile/*"]


def test_a_fleet_that_nobody_knows_is_not_looked_at(journal: Path) -> None:
    result = said(journal, "reconcile", "eus")
    assert result.exit_code == 1
    assert "PFR6706" in result.stderr
    assert not bookmarks(journal, "reconcile/")
    assert said(journal, "reconcile", "eus", "--force").exit_code == 0


def test_a_fleet_that_is_desired_is_known_before_anything_happened_to_it(journal: Path) -> None:
    assert said(journal, "halt", "eu").exit_code == 0


@pytest.mark.parametrize("commit", [OTHER, OTHER[:12], OTHER.upper(), f"sha1:{OTHER}"])
def test_a_commit_is_accepted_for_the_source_of_the_latest_intent(journal: Path, commit: str) -> None:
    assert said(journal, "accept", commit).exit_code == 0
    (name, word), *more = bookmarks(journal, "accept/").items()
    assert (name, more) == (f"accept/{SOURCE}", [])
    assert OTHER.startswith(json.loads(word)["commit"])
    assert json.loads(word)["by"] == "ada"


@pytest.mark.parametrize("commit", ["", "HEAD", "main", "aaaaaaa", "a" * 65, "g" * 40, f"{'a' * 40} x"])
def test_what_is_no_commit_is_not_accepted(journal: Path, commit: str) -> None:
    assert said(journal, "accept", commit).exit_code == 2
    assert not bookmarks(journal, "accept/")


def test_what_is_desired_already_needs_no_word(journal: Path) -> None:
    result = said(journal, "accept", COMMIT[:12])
    assert result.exit_code == 1
    assert "is desired already" in words_of(result)


def test_a_later_word_takes_the_place_of_the_first_and_says_so(journal: Path) -> None:
    said(journal, "accept", OTHER)
    assert f"takes the place of the word of ada for {OTHER}" in words_of(said(journal, "accept", "b" * 40))


def test_without_an_intent_the_source_has_to_be_named(tmp_path: Path) -> None:
    journal = tmp_path / "new.sqlite"
    SqliteJournal(journal).close()
    result = said(journal, "accept", OTHER)
    assert result.exit_code == 1
    assert "--source" in words_of(result)
    assert said(journal, "accept", OTHER, "--source", SOURCE).exit_code == 0
    assert [*bookmarks(journal, "accept/")] == [f"accept/{SOURCE}"]
