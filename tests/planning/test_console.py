"""What somebody else changed of a device, by what we last saw, what we did, and what is there now."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.console import ChangeKind, ConsoleChange, ConsoleState
from reconciler.model.fleet import Desired, Selector
from reconciler.model.instant import NEVER, Instant
from reconciler.model.step import FlashApplication, Step
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from reconciler.planning.console import (
    Doings,
    Setting,
    changes_between,
    is_state_of,
    joined,
    selection_digest,
    state_of,
    still_stands,
)
from tests.fleet_samples import LOCK, LOGGER, NOW, attempt, device, flash, fleet

DESIRED = Desired(device_os=DeviceOsVersion("6.3.4"), application=LOGGER)
THERE = device(device_os="6.3.4", application=44, targeted_application=12, observed_at=NOW)
BEFORE = state_of(THERE, "eu", "0a1b", arrived=None)
LATER = Instant(NOW + 600)


def now(**fields: Any) -> ConsoleState:
    return state_of(replace(THERE, observed_at=LATER, **fields), "eu", "0a1b", arrived=None)


def changes(
    before: ConsoleState | None, after: ConsoleState, *attempts: Attempt, undone: str = "", desired: Desired = DESIRED
) -> list[ConsoleChange]:
    doings = Doings(attempts=attempts, undone=frozenset({undone}))
    return list(changes_between(before, after, doings, Setting(fleet="eu", desired=desired, looked_at=NEVER)))


def said(found: list[ConsoleChange]) -> list[tuple[str, str | None, str | None, bool, str | None]]:
    return [(each.kind.value, each.before, each.after, each.concerns_git, each.undid) for each in found]


def did(step: Step = LOCK, state: AttemptState = AttemptState.VERIFIED, **fields: Any) -> Attempt:
    known = attempt(state, step=step, sent_at=Instant(NOW + 1), ended_at=Instant(NOW + 60), evidence=Evidence.EFFECT)
    return replace(known, **fields)


LOCKED = replace(BEFORE, lock=44, release=None)


def test_nothing_changed_is_nothing_said() -> None:
    assert changes(BEFORE, now()) == []


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"desired_application": 44},
        {"targeted_application": 13},
        {"development": True},
        {"updates_forced": True},
        {"updates_forced": False},
        {"application": 43},
        {"device_os": "6.3.2"},
        {"groups": ("lab", "eu")},
        {"online": False},
        {"name": "renamed"},
    ],
    ids=str,
)
def test_a_state_is_known_again_without_being_made(fields: dict[str, Any]) -> None:
    seen = replace(THERE, observed_at=LATER, **fields)
    for fleet_name, selection, arrived in (("eu", "0a1b", None), ("us", "0a1b", None), ("eu", "2c3d", None)):
        made = state_of(seen, fleet_name, selection, arrived=arrived)
        is_known = is_state_of(BEFORE, seen, fleet_name, selection, arrived=arrived)
        assert is_known is (replace(made, seen_at=BEFORE.seen_at) == BEFORE)
    assert not is_state_of(BEFORE, THERE, "eu", "0a1b", arrived="6.3.4 required logger:44")


def test_a_change_says_between_which_looks_it_was_made_and_against_which_intent() -> None:
    (change,) = changes(BEFORE, now(development=True))
    assert (change.not_before, change.seen_at) == (NOW, LATER)
    assert (change.device_id, change.fleet, change.intent) == (THERE.id, "eu", DESIRED.intent)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"desired_application": 13}, ("lock", None, "13", True, None)),
        ({"desired_application": 44}, ("lock", None, "44", False, None)),
        ({"targeted_application": 13}, ("release", "12", "13", True, None)),
        ({"targeted_application": None}, ("release", "12", None, False, None)),
        ({"development": True}, ("development", "false", "true", True, None)),
        ({"updates_forced": True}, ("updates_forced", "false", "true", False, None)),
        ({"application": 43}, ("application", "44", "43", True, None)),
        ({"application": 45}, ("application", "44", "45", True, None)),
        ({"device_os": "6.3.2"}, ("device_os", "6.3.4", "6.3.2", True, None)),
        ({"device_os": "6.4.1"}, ("device_os", "6.3.4", "6.4.1", True, None)),
    ],
    ids=str,
)
def test_what_others_changed_is_named_with_before_and_after(fields: dict[str, Any], expected: Any) -> None:
    assert said(changes(BEFORE, now(**fields))) == [expected]


def test_a_release_of_what_git_desires_is_no_news() -> None:
    assert changes(BEFORE, now(targeted_application=44)) == []


@pytest.mark.parametrize("fields", [{"desired_application": 44}, {"development": True}])
def test_a_release_behind_a_lock_or_a_mark_cannot_be_told(fields: dict[str, Any]) -> None:
    assert "release" not in {each.kind for each in changes(BEFORE, now(targeted_application=13, **fields))}


def test_versions_that_are_not_reported_are_no_change() -> None:
    assert changes(BEFORE, now(application=None, device_os=None)) == []
    assert changes(replace(BEFORE, application=None, device_os=None), now()) == []


@pytest.mark.parametrize("state", [AttemptState.SENT, AttemptState.UNKNOWN, AttemptState.VERIFIED, AttemptState.FAILED])
def test_what_our_own_lock_asked_for_is_no_change_of_others(state: AttemptState) -> None:
    ours = did(state=state, failure=FailureClass.TRANSPORT if state is AttemptState.FAILED else None)
    before = replace(BEFORE, application=12)
    assert changes(before, now(desired_application=44), ours) == []


def test_a_lock_that_the_cloud_refused_explains_nothing() -> None:
    refused = did(state=AttemptState.FAILED, failure=FailureClass.REFUSED, sent_at=None, evidence=None)
    assert said(changes(BEFORE, now(desired_application=44), refused)) == [("lock", None, "44", False, None)]


@pytest.mark.parametrize("left", [13, 45, None])
def test_a_lock_of_ours_that_is_not_there_any_more_was_undone(left: int | None) -> None:
    found = changes(LOCKED, now(desired_application=left, targeted_application=left), did(id="a7"))
    assert said(found) == [("lock", "44", None if left is None else str(left), True, "a7")]


def test_a_lock_to_what_git_desires_by_now_undoes_nothing() -> None:
    raised = replace(DESIRED, application=replace(LOGGER, version=ApplicationVersion(45)))
    found = changes(LOCKED, now(desired_application=45, targeted_application=45), did(id="a7"), desired=raised)
    assert said(found) == [("lock", "44", "45", False, None)]


def test_a_lock_that_was_undone_before_we_looked_again_is_seen_all_the_same() -> None:
    before = replace(BEFORE, lock=13)
    found = changes(before, now(desired_application=13), did(id="a7"))
    assert said(found) == [("lock", "44", "13", True, "a7")]
    assert found[0].not_before == NOW + 1
    assert changes(before, now(desired_application=13), did(id="a7"), undone="a7") == []


def test_a_lock_of_ours_from_before_anybody_looked_is_seen_to_be_undone() -> None:
    assert said(changes(None, now(desired_application=13), did(id="a7"))) == [("lock", "44", "13", True, "a7")]


def test_a_device_that_was_never_seen_has_changed_nothing_else() -> None:
    assert changes(None, now(desired_application=13, development=True)) == []


def test_a_lock_that_may_not_have_arrived_was_not_undone() -> None:
    unknown = did(state=AttemptState.UNKNOWN, sent_at=None, evidence=None)
    assert changes(BEFORE, now(), unknown) == []


def test_a_look_from_before_our_lock_tells_nothing_about_it() -> None:
    assert changes(BEFORE, now(), did(sent_at=Instant(LATER + 1))) == []


def test_another_lock_after_ours_was_undone_is_a_change_of_its_own() -> None:
    before = replace(BEFORE, lock=13)
    found = changes(before, now(desired_application=14), did(id="a7"), undone="a7")
    assert said(found) == [("lock", "13", "14", True, None)]


def test_an_application_that_somebody_flashed_back_undid_ours() -> None:
    ours = did(FlashApplication(application=ApplicationVersion(44)), id="a7")
    assert said(changes(BEFORE, now(application=43), ours)) == [("application", "44", "43", True, "a7")]


def test_an_application_that_we_brought_is_no_change_of_others() -> None:
    ours = did(FlashApplication(application=ApplicationVersion(44)))
    assert changes(replace(BEFORE, application=43), now(), ours) == []


def test_a_device_os_that_we_brought_is_no_change_of_others() -> None:
    below = replace(BEFORE, device_os="6.3.2")
    assert changes(below, now(), did(flash(device_os="6.3.4"), ended_at=Instant(NOW - 60))) == []
    assert said(changes(below, now())) == [("device_os", "6.3.2", "6.3.4", False, None)]


def test_a_device_os_that_rises_while_a_step_of_ours_is_open_is_the_healers() -> None:
    below = replace(LOCKED, device_os="6.3.2")
    assert (
        changes(below, now(device_os="6.3.3", desired_application=44), did(LOCK, AttemptState.SENT, ended_at=None))
        == []
    )


def test_a_device_os_that_falls_is_never_ours_and_undoes_what_we_brought() -> None:
    ours = did(flash(device_os="6.3.4"), id="a7")
    assert said(changes(BEFORE, now(device_os="6.3.2"), ours)) == [("device_os", "6.3.4", "6.3.2", True, "a7")]


def test_a_device_leaves_a_fleet_by_its_groups() -> None:
    left = state_of(replace(THERE, groups=("lab",), observed_at=LATER), None, "", arrived=None)
    assert said(changes(BEFORE, left)) == [("fleet", "eu", None, True, None)]


def test_a_device_that_git_moved_to_another_fleet_was_not_changed_by_others() -> None:
    moved = state_of(replace(THERE, observed_at=LATER), "us", "0a1b", arrived=None)
    assert changes(BEFORE, moved) == []


def test_groups_that_make_no_other_fleet_are_no_matter() -> None:
    assert changes(BEFORE, now(groups=("eu", "beta"))) == []


def test_a_device_that_joins_says_since_when() -> None:
    change = joined(now(), Setting(fleet="eu", desired=DESIRED, looked_at=NOW))
    assert said([change]) == [("fleet", None, "eu", True, None)]
    assert (change.not_before, change.seen_at) == (NOW, LATER)


def test_one_selection_in_other_words_is_another_one() -> None:
    one = fleet(select=Selector(groups=frozenset({"eu", "us", "lab"})))
    same = fleet(select=Selector(groups=frozenset({"lab", "us", "eu"})), device_os="5.5.0")
    assert selection_digest(one) == selection_digest(same)
    assert selection_digest(one) != selection_digest(fleet(select=Selector(groups=frozenset({"eu"}))))
    assert selection_digest(one) != selection_digest(replace(one, exclude=Selector(groups=frozenset({"eu"}))))


@pytest.mark.parametrize(
    ("fields", "kind", "stands"),
    [
        ({"desired_application": 13}, ChangeKind.LOCK, True),
        ({"targeted_application": 13}, ChangeKind.RELEASE, True),
        ({"application": 43}, ChangeKind.APPLICATION, True),
        ({"device_os": "6.3.2"}, ChangeKind.DEVICE_OS, True),
        ({"development": True}, ChangeKind.DEVELOPMENT, True),
        ({"updates_forced": True}, ChangeKind.UPDATES_FORCED, False),
    ],
)
def test_a_change_stands_until_it_is_undone_or_git_agrees(
    fields: dict[str, Any], kind: ChangeKind, stands: bool
) -> None:
    (change,) = changes(BEFORE, now(**fields))
    assert change.kind is kind
    assert still_stands(change, now(**fields), DESIRED) is stands
    assert not still_stands(change, BEFORE, DESIRED)
    assert not still_stands(change, now(**fields), None)


def test_a_lock_that_git_asks_for_by_now_stands_against_nothing() -> None:
    (change,) = changes(BEFORE, now(desired_application=45))
    raised = replace(DESIRED, application=replace(LOGGER, version=ApplicationVersion(45)))
    assert still_stands(change, now(desired_application=45), DESIRED)
    assert not still_stands(change, now(desired_application=45), raised)
