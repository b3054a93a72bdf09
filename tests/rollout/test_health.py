from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.device import DeviceId
from reconciler.model.health import (
    CheckAnswer,
    CheckWord,
    ExpectedEvent,
    HealthCheck,
    HealthPolicy,
    ResetLoop,
    VitalsBound,
    unasked_reset,
)
from reconciler.model.instant import NEVER, Instant
from reconciler.rollout.health import CheckRecord, Judgement, Reading, Reset, judge

DEVICE, OTHER = DeviceId("e00fce680000000000000001"), DeviceId("e00fce680000000000000002")
STEP, ARRIVED = 1_000.0, 1_100.0
ALIVE = ExpectedEvent(name="app/alive", within_seconds=900.0)
BEATING = replace(ALIVE, every=True)


def reading(*, at: float = ARRIVED, **changes: Any) -> Reading:
    known: dict[str, Any] = {
        "device_id": DEVICE,
        "as_desired_since": Instant(at),
        "last_step_at": Instant(STEP),
        "reachable_since": Instant(at),
        "unbroken_since": {"app/alive": NEVER},
    }
    return Reading(**{**known, **changes})


def resets(*times: float, reason: str = "panic, hard_fault") -> tuple[Reset, ...]:
    return tuple(Reset(reason=reason, heard_at=Instant(at), at=Instant(at)) for at in times)


def judged(policy: HealthPolicy, now: float, *, record: CheckRecord | None = None, **known: Any) -> Judgement:
    records = {} if record is None else {"errors": record}
    return judge("eu", policy, [reading(**known)], records, now=Instant(now))


def finding(judgement: Judgement) -> str:
    (found,) = judgement.unwell
    assert (found.fleet, found.device_id) == ("eu", DEVICE)
    assert judgement.doubts == {}
    return found.check


def is_fine(judgement: Judgement) -> bool:
    return judgement == Judgement(unwell=(), doubts={})


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("panic, hard_fault", "panic, hard_fault"),
        ("panic, 14", "panic, 14"),
        ("watchdog ", "watchdog"),
        ("user", "user"),
        ("power_brownout", "power_brownout"),
        ("update", None),
        ("update_timeout", None),
        ("safe_mode", None),
        ("power_down", None),
        ("power_management", None),
        ("unknown", None),
        ("140", None),
        ("panic, \x1b[31m", None),
        ("", None),
    ],
)
def test_only_restarts_that_nobody_asked_for_tell_of_a_loop(said: str, reason: str | None) -> None:
    assert unasked_reset(said) == reason


def test_three_restarts_within_ten_minutes_are_a_loop_where_nothing_else_is_said() -> None:
    assert is_fine(judged(HealthPolicy(), 2000, resets=resets(1200, 1500)))
    assert finding(judged(HealthPolicy(), 2000, resets=resets(1200, 1500, 1800))) == "resetLoop"
    assert is_fine(judged(HealthPolicy(), 2000, resets=resets(1200, 1500, 1801)))


def test_a_loop_is_found_wherever_it_is_among_the_restarts_and_in_any_order() -> None:
    assert finding(judged(HealthPolicy(), 9000, resets=resets(8000, 1210, 1200, 1220, 5000))) == "resetLoop"


def test_a_device_between_two_steps_can_be_in_a_loop_and_nothing_else() -> None:
    policy = HealthPolicy(events=(ALIVE,), vitals=(VitalsBound(path="a.b", min=1.0),), checks=(HealthCheck(name="x"),))
    assert is_fine(judged(policy, 9000, as_desired_since=None))
    assert finding(judged(policy, 9000, as_desired_since=None, resets=resets(1200, 1201, 1202))) == "resetLoop"


def test_restarts_before_a_persons_word_are_not_held_against_it() -> None:
    assert is_fine(judged(HealthPolicy(), 2000, resets=resets(1200, 1300, 1400), settled_until=Instant(1250.0)))


def test_restarts_are_not_counted_where_the_fleet_says_so() -> None:
    policy = HealthPolicy(reset_loop=None)
    assert is_fine(judged(policy, 2000, resets=resets(*range(1200, 1230))))
    assert finding(judged(HealthPolicy(reset_loop=ResetLoop(resets=1)), 2000, resets=resets(1200))) == "resetLoop"


@pytest.mark.parametrize("event", [ALIVE, BEATING])
def test_an_event_that_does_not_come_in_its_time_is_bad_news_and_before_that_a_doubt(event: ExpectedEvent) -> None:
    policy = HealthPolicy(events=(event,))
    assert judged(policy, 1900).doubts == {DEVICE: "event app/alive: not heard yet"}
    assert judged(policy, ARRIVED + 950).unwell == ()
    assert finding(judged(policy, ARRIVED + 961)) == "event app/alive"


def test_an_event_that_came_once_is_enough_unless_it_has_to_come_again() -> None:
    heard = {"heard": {"app/alive": Instant(1105.0)}}
    assert is_fine(judged(HealthPolicy(events=(ALIVE,)), 90_000, **heard))
    assert is_fine(judged(HealthPolicy(events=(BEATING,)), 2000, **heard))
    assert judged(HealthPolicy(events=(BEATING,)), 2050, **heard).doubts
    assert finding(judged(HealthPolicy(events=(BEATING,)), 2100, **heard)) == "event app/alive"


def test_behind_a_gap_a_missing_event_is_a_doubt_until_a_full_time_has_been_listened_to() -> None:
    policy = HealthPolicy(events=(BEATING,))
    gap = {"unbroken_since": {"app/alive": Instant(5000.0)}}
    assert judged(policy, 5900, **gap).unwell == ()
    assert DEVICE in judged(policy, 5900, **gap).doubts
    assert finding(judged(policy, 5961, **gap)) == "event app/alive"


def test_an_event_that_comes_once_may_have_come_in_the_gap_so_that_only_a_persons_word_settles_it() -> None:
    policy = HealthPolicy(events=(ALIVE,))
    gap = {"unbroken_since": {"app/alive": Instant(1050.0)}}
    assert judged(policy, 90_000, **gap).unwell == ()
    assert "since its last step" in judged(policy, 90_000, **gap).doubts[DEVICE]
    assert is_fine(judged(policy, 90_000, **gap, settled_until=Instant(80_000.0)))


def test_while_nobody_listens_nothing_is_known() -> None:
    judgement = judged(HealthPolicy(events=(ALIVE,)), 90_000, unbroken_since={})
    assert judgement.unwell == ()
    assert "not connected" in judgement.doubts[DEVICE]


def test_a_device_that_is_away_cannot_publish_and_has_its_time_when_it_is_back() -> None:
    policy = HealthPolicy(events=(BEATING,))
    assert judged(policy, 90_000, reachable_since=None).unwell == ()
    assert judged(policy, 90_000, reachable_since=None).doubts
    assert judged(policy, 90_000, reachable_since=Instant(89_500.0)).unwell == ()
    assert finding(judged(policy, 90_500, reachable_since=Instant(89_500.0))) == "event app/alive"


@pytest.mark.parametrize(
    ("vitals", "fine"),
    [({"a.b": 20.0}, True), ({"a.b": 80.0}, True), ({"a.b": 19.9}, False), ({"a.b": 80.1}, False)],
)
def test_vitals_are_within_their_bounds_or_bad_news(vitals: dict[str, float], fine: bool) -> None:
    policy = HealthPolicy(vitals=(VitalsBound(path="a.b", min=20.0, max=80.0),))
    judgement = judged(policy, 2000, vitals=vitals)
    assert is_fine(judgement) if fine else finding(judgement) == "vitals a.b"


@pytest.mark.parametrize("vitals", [None, {}, {"other.path": 1.0}])
def test_vitals_that_nobody_has_seen_are_a_doubt(vitals: dict[str, float] | None) -> None:
    judgement = judged(HealthPolicy(vitals=(VitalsBound(path="a.b", min=20.0),)), 2000, vitals=vitals)
    assert judgement.unwell == ()
    assert DEVICE in judgement.doubts


def said(*words: CheckWord, devices: frozenset[DeviceId] | None = None) -> CheckRecord:
    record = CheckRecord()
    for word in words:
        record = record.after(CheckAnswer(word=word, why="because", devices=devices), frozenset({DEVICE, OTHER}))
    return record


CHECKED = HealthPolicy(checks=(HealthCheck(name="errors"),))
PATIENT = HealthPolicy(checks=(HealthCheck(name="errors", no_go_max=2),))


def test_only_go_passes() -> None:
    assert is_fine(judged(CHECKED, 2000, record=said(CheckWord.GO)))
    assert finding(judged(CHECKED, 2000, record=said(CheckWord.NO_GO))) == "check errors"
    for record in (None, said(CheckWord.UNKNOWN), said(CheckWord.GO, CheckWord.UNKNOWN)):
        judgement = judged(CHECKED, 2000, record=record)
        assert judgement.unwell == ()
        assert DEVICE in judgement.doubts


def test_a_go_that_was_not_about_the_device_does_not_pass_it() -> None:
    record = CheckRecord().after(CheckAnswer(word=CheckWord.GO), frozenset({OTHER}))
    assert DEVICE in judged(CHECKED, 2000, record=record).doubts


def test_a_no_go_may_name_whom_it_is_about() -> None:
    judgement = judged(CHECKED, 2000, record=said(CheckWord.NO_GO, devices=frozenset({OTHER})))
    assert judgement.unwell == ()
    assert DEVICE in judgement.doubts


def test_so_many_no_gos_as_the_check_bears_hold_the_soak_and_one_more_ends_it() -> None:
    borne = said(CheckWord.NO_GO, CheckWord.UNKNOWN, CheckWord.NO_GO)
    assert judged(PATIENT, 2000, record=borne).unwell == ()
    assert DEVICE in judged(PATIENT, 2000, record=borne).doubts
    more = borne.after(CheckAnswer(word=CheckWord.NO_GO), frozenset({DEVICE}))
    assert finding(judged(PATIENT, 2000, record=more)) == "check errors"


def test_what_its_own_record_shows_is_bad_news_even_while_it_is_not_as_desired() -> None:
    wrong = {"mode": "it is in safe mode now"}
    assert finding(judged(HealthPolicy(), 2000, as_desired_since=None, went_wrong=wrong)) == "mode"
