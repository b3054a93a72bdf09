"""Who is well beyond the version: readings of devices, a policy and the time into findings and doubts.

- A finding is bad news of a device: it counts as a failure of its wave and its fleet.
- A doubt is no news: the device may be well. Doubt passes no soak, and accuses nobody.
- What a person has seen (`settled_until`: a resume of the fleet, a retry of the device) is not held against it again.

What was not heard proves something only where somebody listened all the time: behind a gap in the event stream a
missing event is a doubt, until a full time without a gap has passed. An event that comes once may have come in the gap;
then only a person's word settles it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, assert_never

from reconciler.model.device import DeviceId
from reconciler.model.health import (
    CheckAnswer,
    CheckWord,
    ExpectedEvent,
    HealthCheck,
    HealthPolicy,
    ResetLoop,
    VitalsBound,
)
from reconciler.model.instant import NEVER, Instant
from reconciler.model.rollout_entry import DeviceUnwell

HEARING_SLACK_SECONDS: Final = 60.0
"""A stream that has died is noticed after 30 s of silence (facts 5.8), and an event takes its time: so much longer than
its time an event may be missing before that means something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """A restart that nobody asked for; `reason` in the device's words.

    `heard_at` is the look at which it was known; `at` is when it was by the device's own word, or else the same.
    """

    reason: str
    heard_at: Instant
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is known of one device that took steps of a rollout. All times are of one clock.

    - `as_desired_since`: None: it is between steps, and only its restarts count.
    - `last_step_at`: when its last step was intended. `settled_until`: what was before it has been seen by a person.
    - `reachable_since`: since when it has been connected whenever somebody looked; None: it is not connected now.
    - `resets`: those that may be laid to what the rollout brought.
    - `went_wrong`: what its own record shows, by check: that it is in safe mode, that it runs a lower version again.
    - `heard`: by expected event, when it was last heard in the session of what is desired now.
    - `unbroken_since`: by expected event, since when none can have been missed; left out: nobody listens.
    - `vitals`: the numbers of a report that is newer than its steps, None: there is none yet.
    """

    device_id: DeviceId
    as_desired_since: Instant | None
    last_step_at: Instant
    settled_until: Instant = NEVER
    reachable_since: Instant | None = None
    resets: tuple[Reset, ...] = ()
    went_wrong: Mapping[str, str] = field(default_factory=dict)
    heard: Mapping[str, Instant] = field(default_factory=dict)
    unbroken_since: Mapping[str, Instant] = field(default_factory=dict)
    vitals: Mapping[str, float] | None = None


_SILENT: Final = CheckAnswer(word=CheckWord.UNKNOWN, why="it has not answered yet")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRecord:
    """What an outside check has said of one wave so far: its last answer, whom that was about, and its no-gos."""

    last: CheckAnswer = _SILENT
    asked_about: frozenset[DeviceId] = frozenset()
    no_gos: int = 0

    def after(self, answer: CheckAnswer, asked_about: frozenset[DeviceId]) -> CheckRecord:
        """The record with one more answer."""
        return CheckRecord(last=answer, asked_about=asked_about, no_gos=self.no_gos + (answer.word is CheckWord.NO_GO))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Bad news, each once a device and check, and the devices in doubt with the reasons."""

    unwell: tuple[DeviceUnwell, ...]
    doubts: Mapping[DeviceId, str]


@dataclass(slots=True)
class _Opinion:
    """On one device: what is wrong with it, and what is not known, by check."""

    wrong: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)


def judge(
    fleet: str,
    policy: HealthPolicy,
    readings: Iterable[Reading],
    records: Mapping[str, CheckRecord],
    *,
    now: Instant,
) -> Judgement:
    """Who is unwell now, and who is in doubt. `records` are those of the devices' wave, by the names of the checks."""
    unwell: list[DeviceUnwell] = []
    doubts: dict[DeviceId, str] = {}
    for reading in readings:
        opinion = _opinion(policy, reading, records, now)
        unwell += (
            DeviceUnwell(fleet=fleet, at=now, device_id=reading.device_id, check=check, why=why)
            for check, why in opinion.wrong.items()
        )
        if opinion.doubts and not opinion.wrong:
            doubts[reading.device_id] = "; ".join(opinion.doubts)
    return Judgement(unwell=tuple(unwell), doubts=doubts)


def _opinion(policy: HealthPolicy, reading: Reading, records: Mapping[str, CheckRecord], now: Instant) -> _Opinion:
    opinion = _Opinion(wrong=dict(reading.went_wrong))
    loop = None if policy.reset_loop is None else _loop(policy.reset_loop, reading)
    if loop is not None:
        opinion.wrong["resetLoop"] = loop
    if reading.as_desired_since is None:
        return opinion
    for event in policy.events:
        _hold_event(opinion, event, reading, reading.as_desired_since, now)
    for bound in policy.vitals:
        _hold_vitals(opinion, bound, reading)
    for check in policy.checks:
        _hold_check(opinion, check, records.get(check.name, CheckRecord()), reading.device_id)
    return opinion


def _loop(policy: ResetLoop, reading: Reading) -> str | None:
    """The restarts that are a loop, in words; None: there is none."""
    since = reading.settled_until
    resets = [reset for reset in sorted(reading.resets, key=lambda reset: reset.at) if reset.heard_at >= since]
    for last in range(policy.resets - 1, len(resets)):
        together = resets[last - policy.resets + 1 : last + 1]
        if together[-1].at - together[0].at <= policy.within_seconds:
            reasons = ", ".join(dict.fromkeys(reset.reason for reset in together))
            return f"it restarted {policy.resets} times within {_span(policy.within_seconds)}: {reasons}"
    return None


def _hold_event(
    opinion: _Opinion, event: ExpectedEvent, reading: Reading, as_desired_since: Instant, now: Instant
) -> None:
    check, last = f"event {event.name}", reading.heard.get(event.name)
    is_settled = not event.every and (last is not None or reading.settled_until >= as_desired_since)
    if is_settled or (last is not None and now - last <= event.within_seconds):
        return
    unbroken = reading.unbroken_since.get(event.name)
    if unbroken is None:
        opinion.doubts.append(f"{check}: the event stream is not connected")
    elif reading.reachable_since is None:
        opinion.doubts.append(f"{check}: not heard, and the device is not connected")
    elif not event.every and unbroken > reading.last_step_at:
        opinion.doubts.append(f"{check}: not heard, and not listened for all the time since its last step")
    else:
        since = max(as_desired_since, reading.settled_until, reading.reachable_since, unbroken, last or NEVER)
        if now - since > event.within_seconds + HEARING_SLACK_SECONDS:
            opinion.wrong[check] = f"it did not publish {event.name} within {_span(event.within_seconds)}"
        else:
            opinion.doubts.append(f"{check}: not heard yet")


def _hold_vitals(opinion: _Opinion, bound: VitalsBound, reading: Reading) -> None:
    check = f"vitals {bound.path}"
    value = None if reading.vitals is None else reading.vitals.get(bound.path)
    if reading.vitals is None:
        opinion.doubts.append(f"{check}: no report yet")
    elif value is None:
        opinion.doubts.append(f"{check}: the report has no such number")
    elif bound.min is not None and value < bound.min:
        opinion.wrong[check] = f"{bound.path} is {value:g}, below {bound.min:g}"
    elif bound.max is not None and value > bound.max:
        opinion.wrong[check] = f"{bound.path} is {value:g}, above {bound.max:g}"


def _hold_check(opinion: _Opinion, check: HealthCheck, record: CheckRecord, device_id: DeviceId) -> None:
    name, answer = f"check {check.name}", record.last
    is_asked_about = device_id in record.asked_about
    is_meant = is_asked_about and (answer.devices is None or device_id in answer.devices)
    match answer.word:
        case CheckWord.GO if is_asked_about:
            return
        case CheckWord.NO_GO if is_meant and record.no_gos > check.no_go_max:
            opinion.wrong[name] = f"no-go: {answer.why}" if answer.why else "no-go"
        case CheckWord.NO_GO if is_asked_about:
            opinion.doubts.append(f"{name}: no-go, for the {record.no_gos}. time: {answer.why}")
        case CheckWord.GO | CheckWord.NO_GO:
            opinion.doubts.append(f"{name}: not asked about this device yet")
        case CheckWord.UNKNOWN:
            opinion.doubts.append(f"{name}: unknown: {answer.why}")
        case _:
            assert_never(answer.word)


def _span(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:g} min" if minutes >= 1 else f"{seconds:g} s"
