"""Laws of health: who passes, who is accused, whatever was heard and whatever was not."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.device import DeviceId
from reconciler.model.health import CheckAnswer, CheckWord, ExpectedEvent, HealthCheck, HealthPolicy, VitalsBound
from reconciler.model.instant import Instant
from reconciler.rollout.health import CheckRecord, Reading, Reset, judge

DEVICE = DeviceId("e00fce680000000000000001")
times = st.integers(0, 5000).map(lambda second: Instant(float(second)))
policies = st.builds(
    HealthPolicy,
    events=st.lists(
        st.builds(ExpectedEvent, name=st.just("alive"), within_seconds=st.just(600.0), every=st.booleans()), max_size=1
    ).map(tuple),
    vitals=st.sampled_from([(), (VitalsBound(path="a.b", min=5.0),)]),
    checks=st.sampled_from([(), (HealthCheck(name="errors"),)]),
)
readings = st.builds(
    Reading,
    device_id=st.just(DEVICE),
    as_desired_since=times,
    last_step_at=times,
    settled_until=times,
    reachable_since=st.none() | times,
    resets=st.lists(st.builds(Reset, reason=st.just("panic, 1"), heard_at=times, at=times), max_size=5).map(tuple),
    heard=st.dictionaries(st.just("alive"), times, max_size=1),
    unbroken_since=st.dictionaries(st.just("alive"), times, max_size=1),
    vitals=st.none() | st.dictionaries(st.just("a.b"), st.floats(0, 10), max_size=1),
)
words = st.sampled_from(CheckWord)
NOW = Instant(5000.0)


def records(word: CheckWord) -> dict[str, CheckRecord]:
    return {"errors": CheckRecord().after(CheckAnswer(word=word), frozenset({DEVICE}))}


@given(policies, readings, words)
def test_nobody_is_accused_and_in_doubt_at_once(policy: HealthPolicy, reading: Reading, word: CheckWord) -> None:
    found = judge("eu", policy, [reading], records(word), now=NOW)
    assert not (found.unwell and found.doubts)
    assert len({each.check for each in found.unwell}) == len(found.unwell)


@given(policies, readings)
def test_what_is_unknown_passes_nobody_and_accuses_nobody(policy: HealthPolicy, reading: Reading) -> None:
    policy = replace(policy, checks=(HealthCheck(name="errors"),))
    found = judge("eu", policy, [reading], records(CheckWord.UNKNOWN), now=NOW)
    assert found.unwell or found.doubts
    assert not any(each.check == "check errors" for each in found.unwell)


@given(policies, readings, words)
def test_silence_accuses_nobody_where_nobody_listened(policy: HealthPolicy, reading: Reading, word: CheckWord) -> None:
    deaf = replace(reading, unbroken_since={})
    found = judge("eu", policy, [deaf], records(word), now=NOW)
    assert not any(each.check.startswith("event ") for each in found.unwell)


@given(policies, readings, words)
def test_what_a_person_has_just_seen_accuses_nobody_by_restarts_or_silence(
    policy: HealthPolicy, reading: Reading, word: CheckWord
) -> None:
    seen = replace(reading, settled_until=Instant(NOW + 1))
    found = judge("eu", policy, [seen], records(word), now=NOW)
    assert not any(each.check.startswith(("event ", "resetLoop")) for each in found.unwell)


@given(policies, readings, words)
def test_hearing_of_a_device_just_now_never_makes_it_worse(
    policy: HealthPolicy, reading: Reading, word: CheckWord
) -> None:
    before = judge("eu", policy, [reading], records(word), now=NOW)
    after = judge("eu", policy, [replace(reading, heard={"alive": NOW})], records(word), now=NOW)
    assert {each.check for each in after.unwell} <= {each.check for each in before.unwell}
