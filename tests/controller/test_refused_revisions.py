"""What was refused is told, remembered, and over when the source has again what is desired."""

from __future__ import annotations

from itertools import count

from reconciler.controller.intent import Intents
from reconciler.controller.refused import KEPT_MAX, keep_refused, refused_revisions
from reconciler.journal.journal import Journal
from reconciler.journal.memory import MemoryJournal
from reconciler.model.event import Event, IntentRefused, IntentRestored, IntentTaken
from reconciler.model.instant import Instant
from reconciler.model.revision import RefusedRevision, Revision
from reconciler.settings.settings import GuardSettings
from reconciler.telemetry.matters import Matters, is_refusal_open
from tests.simulation.virtual_controller import PretendSource

GOOD = """
apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata: {name: eu}
spec: {product: a, select: {groups: [all]}, desired: {deviceOS: "2.1.0"}}
"""
TIMES = count(1)


def clock() -> Instant:
    return Instant(float(next(TIMES)))


def process(source: PretendSource, journal: Journal) -> tuple[Intents, list[Event]]:
    """One process on a journal, and what it tells."""
    told: list[Event] = []
    intents = Intents(
        source,
        journal,
        guards=GuardSettings(),
        clock=clock,
        tell=told.append,
        refused_before=is_refusal_open(journal),
    )
    intents.recall()
    return intents, told


def hear(journal: Journal, told: list[Event]) -> None:
    """The people are told of these."""
    matters = (event for event in told if isinstance(event, IntentTaken | IntentRefused | IntentRestored))
    Matters(journal, number=0).note(matters)


def test_a_refusal_ends_when_the_branch_is_back_at_what_is_desired() -> None:
    source, journal = PretendSource(clock), MemoryJournal()
    source.push({"eu.yaml": GOOD})
    intents, told = process(source, journal)
    intents.look()
    source.push({"eu.yaml": "kind: [broken"})
    intents.look()
    hear(journal, told)
    assert is_refusal_open(journal)
    source.rewind()
    assert not intents.look()
    intents.look()
    assert [type(event) for event in told] == [IntentTaken, IntentRefused, IntentRestored]
    assert intents.refusal is None
    hear(journal, told[2:])
    assert not is_refusal_open(journal)


def test_a_refusal_ends_also_where_the_branch_went_back_while_no_process_was_there() -> None:
    source, journal = PretendSource(clock), MemoryJournal()
    source.push({"eu.yaml": GOOD})
    intents, told = process(source, journal)
    intents.look()
    source.push({"eu.yaml": "kind: [broken"})
    intents.look()
    hear(journal, told)
    source.rewind()
    next_one, told = process(source, journal)
    next_one.look()
    assert [type(event) for event in told] == [IntentRestored]
    hear(journal, told)
    another, told = process(source, journal)
    another.look()
    assert told == []


def test_of_each_source_the_newest_refused_revisions_are_remembered() -> None:
    journal = MemoryJournal()
    keep_refused(journal, refused("https://git.example/fleets/more", 1))
    for number in range(KEPT_MAX + 5):
        keep_refused(journal, refused("https://git.example/fleets", number))
    kept = refused_revisions(journal)
    ours = [each.at for each in kept if each.revision.source == "https://git.example/fleets"]
    assert ours == [Instant(float(number)) for number in range(5, KEPT_MAX + 5)]
    assert len(kept) == KEPT_MAX + 1


def refused(source: str, number: int) -> RefusedRevision:
    revision = Revision(source=source, name="main", commit=f"sha1:{number:040x}", committed_at=Instant(0.0))
    return RefusedRevision(revision=revision, code="PFR1003", message="broken", next_step="", at=Instant(float(number)))
