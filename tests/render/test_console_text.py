"""What others changed, in words and for machines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.console import ChangeKind, ConsoleChange
from reconciler.model.instant import Instant, instant_from_iso
from reconciler.model.plan import Waiting, WaitingReason
from reconciler.render.console_text import console_change_in_words
from reconciler.render.drift_text import drift_text, drifted_devices, has_drift
from tests.render.sample_plan import NOTHING_TO_DO, PLAN, ids

NOON = instant_from_iso("2026-11-22T12:00:00Z")
CHANGE = ConsoleChange(
    device_id=ids(1, 1)[0],
    fleet=NOTHING_TO_DO.fleets[0].fleet.name,
    intent="i",
    kind=ChangeKind.LOCK,
    before="44",
    after="43",
    not_before=NOON,
    seen_at=Instant(NOON + 60),
    concerns_git=True,
    undid="a1",
)


@pytest.mark.parametrize(
    ("kind", "before", "after", "words"),
    [
        (ChangeKind.LOCK, None, "43", "lock none -> 43"),
        (ChangeKind.RELEASE, "12", None, "released application 12 -> none"),
        (ChangeKind.FLEET, None, "eu", "fleet none -> eu, by its groups"),
        (ChangeKind.DEVELOPMENT, "false", "true", "marked as development"),
        (ChangeKind.DEVELOPMENT, "true", "false", "no longer marked as development"),
        (ChangeKind.UPDATES_FORCED, "false", "true", "updates forced"),
        (ChangeKind.UPDATES_FORCED, "true", "false", "updates no longer forced"),
        (ChangeKind.APPLICATION, "44", "43", "application 44 -> 43, not by us"),
        (ChangeKind.DEVICE_OS, "6.3.4", "6.3.2", "Device OS 6.3.4 -> 6.3.2, not by us"),
    ],
)
def test_every_kind_is_told_in_words(kind: ChangeKind, before: str | None, after: str | None, words: str) -> None:
    change = replace(CHANGE, kind=kind, before=before, after=after, undid=None)
    said = console_change_in_words(change)
    assert said == f"{words}, between 2026-11-22T12:00:00Z and 2026-11-22T12:01:00Z"


def test_words_of_strangers_are_made_harmless() -> None:
    assert "\x1b" not in console_change_in_words(replace(CHANGE, kind=ChangeKind.DEVICE_OS, after="\x1b[31m"))


def test_drift_tells_equal_changes_together_and_counts_the_devices() -> None:
    changes = [
        CHANGE,
        replace(CHANGE, device_id=ids(2, 1)[0], seen_at=Instant(NOON + 120)),
        replace(CHANGE, kind=ChangeKind.UPDATES_FORCED, before="false", after="true", concerns_git=False, undid=None),
    ]
    text = drift_text(NOTHING_TO_DO, changes, width=120)
    lines = text.splitlines()
    start = lines.index("  Changed in the console:")
    assert lines[start + 1 : start + 5] == [
        "    2 lock 44 -> 43, which undid what we had done, between 2026-11-22T12:00:00Z and 2026-11-22T12:02:00Z",
        f"      {ids(1, 1)[0]}, {ids(2, 1)[0]}",
        "    1 updates forced, between 2026-11-22T12:00:00Z and 2026-11-22T12:01:00Z; no matter of Git",
        f"      {ids(1, 1)[0]}",
    ]
    assert "2 changed in the console against Git" in lines[-1]


def test_a_change_that_is_no_matter_of_git_is_no_drift() -> None:
    assert has_drift(NOTHING_TO_DO, [CHANGE])
    assert not has_drift(NOTHING_TO_DO, [replace(CHANGE, concerns_git=False)])
    assert "No drift" in drift_text(NOTHING_TO_DO, [replace(CHANGE, concerns_git=False)])


@pytest.mark.parametrize(
    ("reason", "counts"),
    [(WaitingReason.DRIFTED, True), (WaitingReason.FIGHT, True), (WaitingReason.OFFLINE, False)],
)
def test_a_device_that_is_left_alone_on_purpose_has_drifted(reason: WaitingReason, counts: bool) -> None:
    waiting = Waiting(reason=reason, message="m", devices=ids(90, 3))
    plan = replace(PLAN, fleets=(replace(PLAN.fleets[0], waiting=(waiting,)), *PLAN.fleets[1:]))
    assert drifted_devices(plan) - PLAN.summary.upgrade == (3 if counts else 0)
