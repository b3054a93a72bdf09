"""What the journal promises a controller that runs for long, held against every implementation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.journal.control_record import Line, Numbered, TakenMeanwhileError
from reconciler.journal.journal import Journal, Looked
from reconciler.journal.location import PostgresPlace
from reconciler.journal.opening import open_journal
from reconciler.journal.sqlite import SqliteJournal
from reconciler.journal.store import SqlStore
from reconciler.model.console import ChangeKind, ConsoleChange, Latch
from reconciler.model.device import DeviceId
from reconciler.model.error import BugError
from reconciler.model.instant import Instant
from reconciler.model.revision import Revision, TakenIntent
from reconciler.model.rollout_entry import Halted, Resumed


def an_intent(
    commit: str = "sha1:1", *, source: str = "https://git.example/fleets main", at: float = 100
) -> TakenIntent:
    revision = Revision(source=source, name="main", commit=commit, committed_at=Instant(at - 5.5), signer="ops \0 ü")
    return TakenIntent(revision=revision, digest="sha256:2", fleets=("eu", "üs"), at=Instant(at), by=None)


def reopened(journal: Journal) -> Journal:
    """The same journal as the next process finds it; one in memory has none."""
    if not isinstance(journal, SqlStore):
        return journal
    journal.close()
    place = journal.path  # type: ignore[attr-defined]  # both databases have one
    assert isinstance(journal, SqliteJournal) or isinstance(place, PostgresPlace)
    return open_journal(place, create=False)


def test_what_was_taken_comes_back_the_latest_first(journal: Journal) -> None:
    first, second = an_intent(), replace(an_intent("sha1:2", at=50), by="ops")
    elsewhere = an_intent(source="/srv/fleets main")
    for intent in (first, second, elsewhere, first):
        journal.keep_intent(intent)
    with reopened(journal) as again:
        assert again.intents() == (first, elsewhere, second, first)
        assert again.intents(limit=1) == (first,)
        assert again.intents(limit=0) == ()
        assert again.intents(source="/srv/fleets main") == (elsewhere,)
        assert again.intents(source=first.revision.source, limit=2) == (first, second)
        assert again.intents(source="nobody's") == ()
        assert again.fleets() == ()


def test_an_intent_is_taken_only_after_the_one_that_it_was_judged_by(journal: Journal) -> None:
    first, second = an_intent(), an_intent("sha1:2", at=50)
    with pytest.raises(TakenMeanwhileError, match="PFR5029"):
        journal.keep_intent(first, only_after="sha1:0")
    journal.keep_intent(first, only_after="")
    journal.keep_intent(an_intent(source="/srv/fleets main"))
    with pytest.raises(TakenMeanwhileError, match="PFR5029"):
        journal.keep_intent(second, only_after="")
    journal.keep_intent(second, only_after=first.revision.commit)
    assert journal.intents(source=first.revision.source) == (second, first)


def test_a_bookmark_is_what_was_last_kept_under_its_name(journal: Journal) -> None:
    assert journal.bookmark("told/slack") is None
    journal.set_bookmark("told/slack", "7")
    journal.set_bookmark("told/slack", "8 \0 ü")
    journal.set_bookmark("told/mail", "")
    with reopened(journal) as again:
        assert again.bookmark("told/slack") == "8 \0 ü"
        assert again.bookmark("told/mail") == ""
        again.set_bookmark("told/slack", None)
        again.set_bookmark("told/slack", None)
        assert again.bookmark("told/slack") is None
        assert again.bookmarks("") == {"told/mail": ""}


def test_bookmarks_are_found_by_how_their_names_begin_and_nothing_in_a_name_is_special(journal: Journal) -> None:
    names = ["a/1", "A/1", "a%", "a_", "a/Z", "a/ü", "b", "a\0b", "a", ""]
    for name in names:
        journal.set_bookmark(name, f"of {name}")
    assert list(journal.bookmarks("a/").items()) == [(name, f"of {name}") for name in ("a/1", "a/Z", "a/ü")]
    assert list(journal.bookmarks("a%")) == ["a%"]
    assert list(journal.bookmarks("a\0")) == ["a\0b"]
    assert list(journal.bookmarks("")) == sorted(names)
    assert journal.bookmarks("none") == {}


def test_words_that_no_database_can_hold_do_not_stop_it(journal: Journal) -> None:
    half = "half \ud800"
    journal.set_bookmark(half, half)
    assert journal.bookmark(half) == r"half \ud800"
    revision = replace(an_intent().revision, name=half, signer=half)
    journal.keep_intent(replace(an_intent(), revision=revision, fleets=(half,), by=half))
    (kept,) = journal.intents()
    assert (kept.revision.name, kept.revision.signer, kept.by) == (r"half \ud800",) * 3
    assert kept.fleets == (r"half \ud800",)


def test_compaction_leaves_both_alone(journal: Journal) -> None:
    journal.keep_intent(an_intent())
    journal.set_bookmark("a", "1")
    journal.compact(ended_before=Instant(4e9), at=Instant(4e9))
    assert journal.intents() == (an_intent(),)
    assert journal.bookmarks("") == {"a": "1"}


def test_a_journal_that_was_closed_keeps_and_tells_nothing(journal: Journal) -> None:
    journal.close()
    with pytest.raises(BugError, match="PFR9506"):
        journal.set_bookmark("a", "1")
    with pytest.raises(BugError, match="PFR9506"):
        journal.intents()


def test_several_bookmarks_are_kept_and_forgotten_at_once(journal: Journal) -> None:
    journal.set_bookmark("a", "1")
    journal.set_bookmarks({"a": None, "b": "2", "c": None, "d": "4"})
    journal.set_bookmarks({})
    assert journal.bookmarks("") == {"b": "2", "d": "4"}


def test_what_is_new_is_read_by_numbers(journal: Journal) -> None:
    halted, resumed = Halted(fleet="eu", at=Instant(1), reason="r"), Resumed(fleet="eu", at=Instant(2), by="ops")
    change = ConsoleChange(
        device_id=DeviceId("d1"),
        fleet="eu",
        intent="i",
        kind=ChangeKind.LOCK,
        before=None,
        after="1",
        not_before=Instant(1),
        seen_at=Instant(2),
        concerns_git=True,
    )
    latch = Latch(device_id=DeviceId("d1"), fleet="eu", intent="i", why="w", at=Instant(3))
    assert [journal.last_number(line) for line in Line] == [0, 0, 0, 0]
    assert [journal.line(line, after=0, limit=9) for line in Line] == [()] * 4
    journal.note([halted, resumed])
    journal.keep_look(Looked(changes=[change, change], latches=[latch]))
    journal.unlatch(latch.device_id)
    journal.keep_look(Looked(latches=[latch]))
    journal.keep_intent(an_intent())
    with reopened(journal) as again:
        assert again.line(Line.ENTRIES, after=0, limit=1) == (Numbered(number=1, what=halted),)
        assert again.line(Line.ENTRIES, after=1, limit=9) == (Numbered(number=2, what=resumed),)
        assert [each.number for each in again.line(Line.CHANGES, after=0, limit=9)] == [1, 2]
        assert [each.what for each in again.line(Line.LATCHES, after=0, limit=9)] == [
            replace(latch, lifted=True),
            latch,
        ]
        assert again.line(Line.INTENTS, after=0, limit=9) == (Numbered(number=1, what=an_intent()),)
        assert [again.last_number(line) for line in Line] == [2, 2, 2, 1]
        assert again.line(Line.INTENTS, after=1, limit=9) == ()
