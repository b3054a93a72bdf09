"""Several operators look at one namespace, on one journal: none goes back to what it has not yet heard is over."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from reconciler.controller.intent import Intents
from reconciler.journal.memory import MemoryJournal
from reconciler.kube.resource import PLURALS, Resource
from reconciler.kube.source import KEPT, ClusterSource
from reconciler.kube.store import Store
from reconciler.model.instant import Instant
from reconciler.settings.settings import GuardSettings
from tests.kube.resource_samples import fleet


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


class Operator:
    """What one of several has heard of a namespace, and what is desired by it."""

    def __init__(self, journal: MemoryJournal, clock: Clock) -> None:
        self.store = Store(clock)
        self.source = ClusterSource("team-a", self.store, journal, clock=lambda: Instant(clock.now), is_shared=True)
        self.intents = Intents(
            self.source,
            journal,
            guards=GuardSettings(),
            clock=lambda: Instant(clock.now),
            tell=lambda _: None,
            guards_losses=False,
        )

    def lists(self, *found: Resource, version: int = 1, since: float | None = None) -> Operator:
        for kind in PLURALS:
            there = [each for each in found if each.kind == kind]
            self.store.listed(kind, there, version=version, since=since)
        return self

    def looks(self) -> str:
        """The release that is desired after a look."""
        self.intents.look()
        assert self.intents.intent is not None
        return ", ".join(str(each.desired.device_os) for each in self.intents.intent.fleets.fleets)


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


@pytest.fixture
def two(journal: MemoryJournal) -> tuple[Operator, Operator]:
    clock = Clock()
    made = Operator(journal, clock).lists(fleet()), Operator(journal, clock).lists(fleet())
    assert [each.looks() for each in made] == ["2.1.0", "2.1.0"]
    return made


def edited(release: str, version: int) -> Resource:
    return fleet(release=release, version=version, generation=version)


def test_what_one_took_is_gone_by_at_once_by_one_that_has_not_heard_of_it(two: tuple[Operator, Operator]) -> None:
    quick, slow = two
    quick.store.heard(edited("2.2.0", 2))
    assert quick.looks() == "2.2.0"
    assert [slow.looks(), slow.looks(), quick.looks()] == ["2.2.0"] * 3


def test_an_edit_that_only_the_other_one_heard_is_taken_after_a_list(two: tuple[Operator, Operator]) -> None:
    dead, alive = two
    dead.store.heard(edited("2.2.0", 2))
    dead.looks()
    alive.store.heard(edited("2.3.0", 3))
    assert alive.looks() == "2.2.0"
    assert alive.source.awaits_list
    assert alive.lists(edited("2.3.0", 3), version=3).looks() == "2.3.0"
    assert not alive.source.awaits_list


def test_a_list_that_was_asked_for_before_proves_nothing(two: tuple[Operator, Operator]) -> None:
    quick, slow = two
    quick.store.heard(edited("2.2.0", 2))
    quick.looks()
    slow.looks()
    assert slow.lists(fleet(), version=1, since=0.5).looks() == "2.2.0"


def test_a_cluster_from_a_backup_is_believed_though_its_versions_are_lower(
    journal: MemoryJournal, two: tuple[Operator, Operator]
) -> None:
    two[0].store.heard(edited("2.2.0", 200))
    assert two[0].looks() == "2.2.0"
    restarted = Operator(journal, Clock()).lists(fleet())
    assert restarted.looks() == "2.2.0"
    assert restarted.lists(fleet()).looks() == "2.1.0"


def test_two_that_read_the_same_otherwise_do_not_go_on_and_on(
    journal: MemoryJournal, two: tuple[Operator, Operator], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = two
    monkeypatch.setattr(old.source, "_foreign", lambda: {fleet().path: fleet("first", namespace="team-0")})
    for turn in range(6):
        for each in (old, new):
            each.lists(fleet(), version=2 + turn).intents.look()
    assert len(journal.intents()) <= 3


def test_texts_are_kept_of_what_is_desired_and_of_what_may_follow_it_alone(
    journal: MemoryJournal, two: tuple[Operator, Operator]
) -> None:
    for version, release in enumerate(("2.2.0", "2.3.0", "2.3.1", "2.2.0"), start=2):
        for each in two:
            each.store.heard(edited(release, version))
        for each in two:
            each.looks()
    assert len(journal.bookmarks(KEPT)) <= 3
    assert [each.looks() for each in two] == ["2.2.0", "2.2.0"]
