"""Several processes on one journal desire the same, whoever fetched what first."""

from __future__ import annotations

from itertools import count

import pytest

from reconciler.controller.intent import Intents
from reconciler.journal.memory import MemoryJournal
from reconciler.model.error import OperatorError
from reconciler.model.event import Event, IntentTaken
from reconciler.model.instant import Instant
from reconciler.model.revision import Revision
from reconciler.settings.settings import GuardSettings
from reconciler.sources import ManifestSet
from tests.simulation.virtual_controller import PretendSource

FLEET = """
apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata: {{name: eu}}
spec: {{product: a, select: {{groups: [all]}}, desired: {{deviceOS: "{release}"}}}}
"""
TIMES = count(1)


def clock() -> Instant:
    return Instant(float(next(TIMES)))


def push(source: PretendSource, release: str, *, forced: bool = False) -> str:
    return "sha1:" + source.push({"eu.yaml": FLEET.format(release=release)}, forced=forced)


class Process:
    """A process, and what it tells."""

    def __init__(self, source: PretendSource, journal: MemoryJournal) -> None:
        self.told: list[Event] = []
        self.intents = Intents(source, journal, guards=GuardSettings(), clock=clock, tell=self.told.append)

    @property
    def desired(self) -> str | None:
        intent = self.intents.intent
        return None if intent is None else intent.taken.revision.commit


def test_one_takes_and_the_others_follow_and_only_the_taker_tells() -> None:
    source, journal = PretendSource(clock), MemoryJournal()
    first = push(source, "2.1.0")
    ann, bob = Process(source, journal), Process(source, journal)
    assert ann.intents.look()
    assert not bob.intents.is_latest()
    assert bob.intents.look()
    assert (ann.desired, bob.desired) == (first, first)
    assert bob.intents.is_latest()
    assert [type(event) for event in ann.told] == [IntentTaken]
    assert bob.told == []
    assert len(journal.intents()) == 1


class Late(PretendSource):
    """A mirror whose fetch shows what there was before another process fetched and took the next commit."""

    def __init__(self, other: Process, origin: PretendSource) -> None:
        super().__init__(clock)
        self._commits = origin._commits
        self.other, self.origin = other, origin

    def look(self) -> Revision:
        seen = super().look()
        push(self.origin, "2.3.0")
        assert self.other.intents.look()
        return seen


def test_who_fetched_an_earlier_commit_does_not_take_it_after_a_later_one() -> None:
    source, journal = PretendSource(clock), MemoryJournal()
    push(source, "2.1.0")
    bob = Process(source, journal)
    bob.intents.look()
    push(source, "2.2.0")
    ann = Process(Late(bob, source), journal)
    ann.intents.recall()
    assert not ann.intents.look()
    assert ann.told == []
    assert not ann.intents.is_latest()
    assert len(journal.intents()) == 2
    assert journal.intents()[0].revision.commit == bob.desired
    again = Process(source, journal)
    assert again.intents.look()
    assert again.desired == bob.desired


class Elsewhere(PretendSource):
    """A mirror of something that has not the commits of the others."""

    def manifests(self, revision: Revision) -> ManifestSet:
        if revision.commit not in {each.commit for each in self._commits}:
            raise OperatorError("PFR6512", "there is no such commit")
        return super().manifests(revision)


def test_who_cannot_read_what_was_taken_does_not_work_and_takes_nothing_else() -> None:
    source, elsewhere, journal = PretendSource(clock), Elsewhere(clock), MemoryJournal()
    push(source, "2.1.0")
    push(elsewhere, "2.2.0")
    ann, bob = Process(source, journal), Process(elsewhere, journal)
    ann.intents.look()
    with pytest.raises(OperatorError, match="no such commit"):
        bob.intents.look()
    assert not bob.intents.is_latest()
    assert bob.intents.refusal is not None
    assert len(journal.intents()) == 1
