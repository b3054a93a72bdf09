"""`halt`, `suspend`, `resume` and `retry`: durable, without manifests, cloud or network, and never about nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from reconciler.cli.main import cli
from reconciler.journal.journal import Looked
from reconciler.journal.lock import sole_run
from reconciler.journal.sqlite import SqliteJournal
from reconciler.manifests.schema import load_schema
from reconciler.model.attempt import Attempt, FailureClass
from reconciler.model.console import Latch
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.rollout import FleetStory, story_of
from reconciler.model.rollout_entry import DeviceUnwell
from tests.fleet_samples import attempt, device_id
from tests.particle.pretend import unused_port

DAYS_AHEAD = Instant(time.time() + 5 * 86400)
"""A pretend cloud's clock runs fast."""


def failed(number: int, *, at: Instant, fleet: str = "eu", detail: str = "bad \x1b[31mblock") -> Attempt:
    made = attempt(id=f"a{number}", device_id=device_id(number), fleet=fleet, intended_at=at)
    return made.sent(at).failed(FailureClass.INSTALL, detail, Instant(at + 60))


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal with a failed device in fleet eu, and one that is under way in us; nothing else, and no way out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARTICLE_API_URL", f"http://127.0.0.1:{unused_port()}")
    monkeypatch.delenv("PARTICLE_ACCESS_TOKEN", raising=False)
    monkeypatch.delenv("RECONCILER_JOURNAL", raising=False)
    path = tmp_path / ".reconciler" / "journal.sqlite"
    with SqliteJournal(path) as kept:
        ended = failed(1, at=Instant(time.time() - 600))
        begun = attempt(id="a1", device_id=ended.device_id, fleet="eu", intended_at=ended.intended_at)
        kept.begin(begun)
        kept.record(begun.sent(ended.began_at))
        kept.record(ended)
        kept.begin(attempt(id="a2", device_id=device_id(2), fleet="us", intended_at=Instant(time.time() - 60)))
    return path


def said(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def words_of(result: Result) -> str:
    """What was told, as it is on a page of any width."""
    return " ".join(result.stdout.split())


def story(path: Path, fleet: str = "eu") -> FleetStory:
    with SqliteJournal(path, create=False) as kept:
        return story_of(fleet, (noted.entry for noted in kept.entries(fleet=fleet)))


def document(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said(*words, "--output", "json").stdout)
    Draft202012Validator(load_schema("word")).validate(found)
    return found


# --- halt ---


def test_a_halt_needs_no_manifests_no_token_and_no_cloud(journal: Path) -> None:
    result = said("halt", "eu", "--reason", "smoke", "--by", "ada")
    assert result.exit_code == 0, result.output
    assert "fleet eu is halted; no run is going on" in words_of(result)
    assert "reconciler resume eu" in words_of(result)
    halted = story(journal).halted
    assert halted is not None
    assert (halted.reason, halted.by) == ("smoke", "ada")


def test_a_halt_beside_a_run_says_that_the_run_hears_it_and_what_ends_first(journal: Path) -> None:
    with sole_run(journal, now=Instant(time.time())):
        result = said("halt", "us")
    assert result.exit_code == 0
    assert "the run that is going on hears it in its next pass; 1 step under way ends first" in words_of(result)


def test_all_halts_every_fleet_that_the_journal_knows(journal: Path) -> None:
    assert [each["fleet"] for each in document("halt", "--all")["results"]] == ["eu", "us"]
    assert story(journal).halted is not None
    assert story(journal, "us").halted is not None


def test_a_fleet_that_is_halted_stays_so_for_its_first_reason_and_that_is_said(journal: Path) -> None:
    said("halt", "eu", "--reason", "first", "--by", "ada")
    again = said("halt", "eu", "--reason", "second", "--by", "ben")
    assert again.exit_code == 0
    assert "fleet eu was halted already, by ada at" in words_of(again)
    assert "first" in words_of(again)


def test_a_slip_of_the_pen_is_no_halt_and_the_other_fleets_are_halted_all_the_same(journal: Path) -> None:
    result = said("halt", "eus", "us")
    assert result.exit_code == 1
    assert "PFR6706" in result.stderr
    assert "did you mean" in result.stderr
    assert story(journal, "eus").halted is None
    assert story(journal, "us").halted is not None


@pytest.mark.parametrize("verb", [("halt",), ("suspend", "--reason", "r")])
def test_a_fleet_that_no_run_has_looked_at_is_held_with_force(journal: Path, verb: tuple[str, ...]) -> None:
    assert said(verb[0], "new", *verb[1:]).exit_code == 1
    assert said(verb[0], "new", *verb[1:], "--force").exit_code == 0
    held = story(journal, "new")
    assert held.halted is not None or held.is_suspended(Instant(time.time()))


def test_without_a_journal_nothing_would_hear_a_halt_unless_it_is_made(tmp_path: Path, journal: Path) -> None:
    elsewhere = tmp_path / "elsewhere.sqlite"
    result = said("halt", "--all", "--journal", str(elsewhere))
    assert result.exit_code == 1
    assert "PFR5001" in str(result.exception)
    assert not elsewhere.exists()
    assert said("halt", "eu", "--force", "--journal", str(elsewhere)).exit_code == 0
    assert story(elsewhere).halted is not None


@pytest.mark.parametrize("words", [(), ("eu", "--all")])
def test_halt_wants_to_know_whom(journal: Path, words: tuple[str, ...]) -> None:
    assert said("halt", *words).exit_code == 2


# --- suspend and resume ---


def test_a_suspension_ends_by_itself_after_its_time(journal: Path) -> None:
    result = said("suspend", "eu", "--reason", "trade fair", "--until", "2h", "--by", "ada")
    assert result.exit_code == 0, result.output
    assert "2 h from now" in words_of(result)
    now = time.time()
    assert story(journal).is_suspended(Instant(now + 7000))
    assert not story(journal).is_suspended(Instant(now + 7300))


def test_a_suspension_until_a_date_is_told_in_utc(journal: Path) -> None:
    said("suspend", "eu", "--reason", "r", "--until", "2100-01-01T02:00:00+02:00")
    suspended = story(journal).suspended
    assert suspended is not None
    assert suspended.until is not None
    assert iso_from_instant(suspended.until) == "2100-01-01T00:00:00Z"


@pytest.mark.parametrize("until", ["soon", "2001-01-01", "0s", "999999w"])
def test_a_suspension_until_no_time_or_one_that_is_over_is_refused(journal: Path, until: str) -> None:
    result = said("suspend", "eu", "--reason", "r", "--until", until)
    assert result.exit_code == 2
    assert story(journal).suspended is None


def test_a_suspension_counts_from_the_clouds_time_where_that_is_ahead(journal: Path) -> None:
    with SqliteJournal(journal) as kept:
        kept.begin(attempt(id="a9", device_id=device_id(9), fleet="eu", intended_at=DAYS_AHEAD))
    said("suspend", "eu", "--reason", "r", "--until", "2h")
    assert story(journal).is_suspended(Instant(DAYS_AHEAD + 7000))


def test_a_suspension_takes_the_place_of_an_earlier_one_and_says_so(journal: Path) -> None:
    said("suspend", "eu", "--reason", "trade fair")
    said("halt", "eu", "--reason", "smoke")
    result = said("suspend", "eu", "--reason", "storm", "--until", "1d")
    assert "It was suspended until `resume`: trade fair" in words_of(result)
    assert "It is halted as well: smoke" in words_of(result)


def test_resume_lifts_halt_and_suspension_and_says_what_stood(journal: Path) -> None:
    said("halt", "eu", "--reason", "smoke", "--by", "ada")
    said("suspend", "eu", "--reason", "storm", "--by", "ben")
    result = said("resume", "eu", "--by", "cleo")
    assert result.exit_code == 0
    words = words_of(result)
    assert "halted by ada at" in words
    assert "suspended by ben until `resume`: storm" in words
    assert "reconciler retry --fleet eu --all" in words
    assert story(journal).halted is None
    assert story(journal).suspended is None
    assert said("resume", "eu").exit_code == 1


def test_a_suspension_that_is_over_is_nothing_to_lift(journal: Path) -> None:
    said("suspend", "eu", "--reason", "storm", "--until", "1s")
    with SqliteJournal(journal) as kept:
        kept.begin(attempt(id="a9", device_id=device_id(9), fleet="eu", intended_at=DAYS_AHEAD))
    assert said("resume", "eu").exit_code == 1


@pytest.mark.parametrize("words", [("resume", "eu"), ("retry", device_id(1))])
def test_what_is_begun_after_a_word_counts_also_where_a_persons_clock_is_ahead(
    journal: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    cloud_now = time.time()
    said("halt", "eu")
    monkeypatch.setattr(time, "time", lambda: cloud_now + 86_400)
    assert said(*words).exit_code == 0
    told = story(journal)
    with SqliteJournal(journal) as kept:
        before = kept.attempts(device_id=device_id(1))
        later = kept.begin(attempt(id="a9", device_id=device_id(1), fleet="eu", intended_at=Instant(cloud_now)))
    assert not any(map(told.counts, before))
    assert told.counts(later)


def test_what_failed_before_a_resume_is_settled_also_where_the_clouds_clock_is_ahead(journal: Path) -> None:
    with SqliteJournal(journal) as kept:
        begun = kept.begin(attempt(id="a9", device_id=device_id(9), fleet="eu", intended_at=DAYS_AHEAD))
        kept.record(begun.failed(FailureClass.BOOT, "", Instant(DAYS_AHEAD + 1)))
    said("halt", "eu")
    said("resume", "eu")
    assert not story(journal).counts(begun)


def test_what_is_under_way_at_a_resume_is_not_settled(journal: Path) -> None:
    with SqliteJournal(journal) as kept:
        begun = kept.begin(attempt(id="a9", device_id=device_id(9), fleet="eu", intended_at=DAYS_AHEAD))
    said("halt", "eu")
    said("resume", "eu")
    assert story(journal).counts(begun)


# --- retry ---


def test_retry_says_what_was_wrong_and_settles_it(journal: Path) -> None:
    result = said("retry", device_id(1).upper(), "--by", "ada")
    assert result.exit_code == 0, result.output
    words = words_of(result)
    assert "is tried again in the next pass" in words
    assert "(install, 1 try): bad \ufffd[31mblock; who must act: the operator" in words
    assert set(story(journal).retried) == {device_id(1)}
    assert said("retry", device_id(1)).exit_code == 1


def test_retry_settles_what_failed_in_a_time_that_is_still_to_come(journal: Path) -> None:
    with SqliteJournal(journal) as kept:
        begun = attempt(id="a9", device_id=device_id(9), fleet="eu", intended_at=DAYS_AHEAD)
        begun = kept.begin(begun)
        kept.record(begun.failed(FailureClass.BOOT, "", Instant(DAYS_AHEAD + 1)))
    assert said("retry", device_id(9)).exit_code == 0
    assert not story(journal).uses_up_tries(begun)


def test_a_device_that_a_check_found_unwell_is_tried_again_too(journal: Path) -> None:
    unwell = DeviceUnwell(fleet="eu", at=Instant(1), device_id=device_id(1), check="vitals", why="battery at 3%")
    with SqliteJournal(journal) as kept:
        kept.note([unwell])
    result = said("retry", "--fleet", "eu", "--all")
    assert "it was unwell, vitals: battery at 3%" in words_of(result)
    assert story(journal).unwell == {}


def test_retry_names_the_other_words_that_are_needed(journal: Path) -> None:
    latch = Latch(device_id=device_id(1), fleet="eu", intent="i", why="three times", at=Instant(1))
    with SqliteJournal(journal) as kept:
        kept.keep_look(Looked(latches=[latch]))
        kept.halt("eu", "smoke", Instant(2))
    words = words_of(said("retry", device_id(1)))
    assert f"reconciler resume --device {device_id(1)}" in words
    assert "reconciler resume eu" in words


def test_retry_of_a_whole_fleet_takes_those_that_failed(journal: Path) -> None:
    assert [each["device"] for each in document("retry", "--fleet", "eu", "--all")["results"]] == [device_id(1)]
    nothing = document("retry", "--fleet", "us", "--all")
    assert [each["done"] for each in nothing["results"]] == [False]


@pytest.mark.parametrize("number", [2, 3])
def test_a_device_on_which_nothing_failed_is_not_noted(journal: Path, number: int) -> None:
    result = said("retry", device_id(number))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert story(journal, "us").retried == {}


def test_a_name_needs_a_snapshot_that_knows_it(journal: Path, tmp_path: Path) -> None:
    assert said("retry", "pump-1").exit_code == 2
    device = {"id": device_id(1), "name": "pump-1", "platform_id": 13, "online": True}
    snapshot = {"format_version": "1.0", "observed_at": "2026-11-22T09:00:00Z", "source": "cloud", "devices": [device]}
    (tmp_path / "seen.json").write_text(json.dumps(snapshot), encoding="utf-8")
    assert said("retry", "pump-1", "--observed", "seen.json").exit_code == 0
    assert set(story(journal).retried) == {device_id(1)}


@pytest.mark.parametrize(
    "words", [(), ("--all",), ("--fleet", "eu"), ("e00fce680000000000000001", "--all", "--fleet", "eu")]
)
def test_retry_wants_to_know_which(journal: Path, words: tuple[str, ...]) -> None:
    assert said("retry", *words).exit_code == 2


def test_every_word_is_told_to_machines_by_one_schema(journal: Path) -> None:
    verbs = [
        ("halt", "eu"),
        ("suspend", "eu", "--reason", "r", "--until", "1d"),
        ("resume", "eu"),
        ("retry", device_id(1)),
        ("resume", "nobody"),
    ]
    done = [all(each["done"] for each in document(*words)["results"]) for words in verbs]
    assert done == [True, True, True, True, False]
