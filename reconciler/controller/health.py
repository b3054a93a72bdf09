"""Look after the devices that took steps of a live rollout: bad news is durable at once, doubt holds the soak.

Asked once a pass, behind what was settled and planned. What follows from a finding is not decided here: it counts as a
failed device for whoever judges the wave (`rollout/health.py` says what is a finding and what is a doubt).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.controller.health_memory import AskedCheck, FleetHealth, WatchedDevice
from reconciler.controller.picture import Picture
from reconciler.controller.run import Run, Scope
from reconciler.inventory.signs import Heard, Signs
from reconciler.model.console import ChangeKind
from reconciler.model.device import DeviceId, DeviceMode, ObservedDevice
from reconciler.model.error import WireError
from reconciler.model.event import Finding
from reconciler.model.health import CheckAnswer, CheckQuestion, CheckWord, HealthPolicy
from reconciler.model.instant import NEVER, Instant
from reconciler.model.plan import FleetPlan, Plan
from reconciler.model.rollout import FleetStory, Rollout, RolloutState, StartedWave
from reconciler.model.rollout_entry import DeviceUnwell
from reconciler.rollout.health import Reading, Reset, judge

DOUBT_TOLD_AFTER_SECONDS: Final = 1800.0
"""So long a wave may be in doubt before a person is told, beside the time of the events that it waits for."""

_SESSION_SLACK_SECONDS: Final = 5.0
"""An event and the handshake of its session are stamped by different machines of the cloud."""

_VITALS_ASKED_EVERY_SECONDS: Final = 600.0
_VITALS_ASKED_AT_ONCE_MAX: Final = 10
"""Devices asked for their vitals in one pass, with two requests each."""

_STANDING: Final = ("mode", "version", "vitals ")
"""Checks that find a state and no happening: a person who has seen it and goes on is not stopped by it again."""

_PERSONS_DOING: Final = frozenset({ChangeKind.LOCK, ChangeKind.RELEASE, ChangeKind.FLEET, ChangeKind.DEVELOPMENT})


def note_health(run: Run, scope: Scope, plan: Plan, picture: Picture) -> None:
    """Note new bad news, and have the right devices watched. Whose health is unknown says `doubtful` afterwards."""
    run.read_on()
    now = picture.observation.observed_at
    wards = [ward for fleet_plan in plan.fleets if (ward := _ward(run, fleet_plan, picture)) is not None]
    scope.hearing.signs.look(now)
    scope.hearing.signs.watch(device_id for ward in wards for device_id in ward.members)
    for ward in wards:
        _look_after(run, scope, ward, now)


def doubtful(run: Run, fleet: str) -> frozenset[DeviceId]:
    """The devices of a fleet of which the last look could not say whether they are well."""
    memory = run.health.get(fleet)
    return frozenset() if memory is None else frozenset(memory.doubts)


def doubt_may_pass(run: Run, fleet: str) -> bool:
    """Whether a later look may know more. A doubt that has lasted so long that a person was told is left to them."""
    memory = run.health.get(fleet)
    return memory is not None and bool(memory.doubts) and memory.wave not in memory.told_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ward:
    """The wave that is under way in one fleet, with the devices of it that took steps."""

    plan: FleetPlan
    story: FleetStory
    rollout: Rollout
    wave: StartedWave
    memory: FleetHealth
    members: Mapping[DeviceId, ObservedDevice]

    @property
    def fleet(self) -> str:
        return self.plan.fleet.name

    @property
    def policy(self) -> HealthPolicy:
        return self.plan.fleet.rollout.health


def _ward(run: Run, plan: FleetPlan, devices: Mapping[DeviceId, ObservedDevice]) -> _Ward | None:
    fleet, story = plan.fleet.name, run.story_of(plan.fleet.name)
    rollout = story.rollout
    wave = None if rollout is None else rollout.wave_under_way
    is_live = rollout is not None and rollout.state in (RolloutState.ROLLING, RolloutState.HALTED)
    if rollout is None or wave is None or not is_live or rollout.intent != plan.fleet.desired.intent:
        run.health.pop(fleet, None)
        return None
    memory = run.health.get(fleet)
    if memory is None or memory.rollout_id != rollout.id:
        memory = run.health[fleet] = _remembered(run, fleet, rollout)
    memory.wave = wave.name
    if memory.told_at != story.told_at:
        memory.told_at = story.told_at
        memory.checks.clear()
    of_fleet = (attempts for attempts in run.ended.values() if attempts[0].fleet == fleet)
    memory.step((attempt for attempts in of_fleet for attempt in attempts), since=rollout.began_at)
    under_way = (attempt for attempt in run.tools.journal.open_attempts() if attempt.fleet == fleet)
    memory.step(under_way, since=rollout.began_at)
    members = {
        device_id: devices[device_id]
        for device_id in memory.devices
        if device_id in devices and rollout.wave_of(device_id) is wave
    }
    return _Ward(plan=plan, story=story, rollout=rollout, wave=wave, memory=memory, members=members)


def _remembered(run: Run, fleet: str, rollout: Rollout) -> FleetHealth:
    """What the journal says of a rollout that this run has not seen yet."""
    memory = FleetHealth(rollout_id=rollout.id)
    for noted in run.tools.journal.entries(fleet=fleet):
        entry = noted.entry
        if isinstance(entry, DeviceUnwell) and entry.at >= rollout.began_at:
            memory.noted[entry.device_id, entry.check] = entry.at
    return memory


def _look_after(run: Run, scope: Scope, ward: _Ward, now: Instant) -> None:
    current = ward.members.keys() & set(ward.plan.current)
    for device_id, device in ward.members.items():
        _follow(ward.memory.devices[device_id], device, is_current=device_id in current, now=device.observed_at)
    _ask_checks(run, ward, current, now)
    _ask_vitals(scope, ward, current, now)
    records = {name: asked.record for (wave, name), asked in ward.memory.checks.items() if wave == ward.wave.name}
    readings = [
        _reading(run, scope.hearing.signs, ward, device, is_current=device_id in current, now=now)
        for device_id, device in sorted(ward.members.items())
    ]
    judgement = judge(ward.fleet, ward.policy, readings, records, now=now)
    news = [found for found in judgement.unwell if _is_news(ward, found)]
    while news and not run.add(ward.fleet, news):
        continue  # what was seen stays true, whatever a person said meanwhile
    for found in news:
        ward.memory.noted[found.device_id, found.check] = now
    exempt = run.story_of(ward.fleet).unwell.keys() | _out_of_reach(ward, now)
    ward.memory.doubts = {device_id: why for device_id, why in judgement.doubts.items() if device_id not in exempt}
    _tell_of_doubt(run, ward, now)


def _follow(watched: WatchedDevice, device: ObservedDevice, *, is_current: bool, now: Instant) -> None:
    """What this look adds to what is remembered of a device."""
    if device.online and watched.reachable_since is None:
        watched.reachable_since, watched.away_since = now, None
    elif not device.online and watched.away_since is None:
        watched.reachable_since, watched.away_since = None, now
    if is_current and watched.as_desired_since is None and watched.step_ended_at is not None:
        watched.as_desired_since = watched.step_ended_at
        watched.session_began = device.last_handshake_at


def _out_of_reach(ward: _Ward, now: Instant) -> frozenset[DeviceId]:
    """Devices that are away longer than the fleet waits for such: nothing of them is known, and they hold nobody."""
    deadline_seconds = ward.plan.fleet.rollout.offline_deadline_seconds
    devices = ward.memory.devices.items()
    return frozenset(
        device_id
        for device_id, watched in devices
        if watched.away_since is not None and now - watched.away_since >= deadline_seconds
    )


def _reading(run: Run, signs: Signs, ward: _Ward, device: ObservedDevice, *, is_current: bool, now: Instant) -> Reading:
    watched, heard = ward.memory.devices[device.id], signs.of(device.id)
    unbroken = {name: since for name in signs.events if (since := signs.listening_since(name)) is not None}
    vitals_heard = heard.vitals_heard
    settled_until = ward.story.settled_at(device.id)
    return Reading(
        device_id=device.id,
        as_desired_since=watched.as_desired_since if is_current else None,
        last_step_at=watched.last_step_at,
        settled_until=settled_until,
        reachable_since=watched.reachable_since,
        resets=tuple(
            Reset(reason=reset.words, heard_at=reset.at, at=reset.at if reset.dated is None else reset.dated)
            for reset in _resets_that_count(heard.resets, watched, now, is_current=is_current)
        ),
        went_wrong=_went_wrong(run, ward, device, is_current=is_current),
        heard={name: event.at for name, event in heard.events.items() if _is_of_session(event, watched, now)},
        unbroken_since=unbroken,
        vitals=heard.vitals if vitals_heard is not None and _is_of_session(vitals_heard, watched, now) else None,
    )


def _resets_that_count(
    resets: Sequence[Heard], watched: WatchedDevice, now: Instant, *, is_current: bool
) -> Sequence[Heard]:
    """The restarts of what the rollout brought. What restarted before that is what it may be there to mend."""
    if is_current and watched.as_desired_since is not None:
        return [reset for reset in resets if _is_of_session(reset, watched, now)]
    since = watched.changed_since
    if since is None or any(reset.at < since for reset in resets):
        return ()
    return resets


def _is_of_session(heard: Heard, watched: WatchedDevice, now: Instant) -> bool:
    """Whether something was said by what is desired now, and not by what ran before."""
    if heard.dated is not None and watched.session_began is not None:
        return heard.dated >= watched.session_began - _SESSION_SLACK_SECONDS
    return heard.at >= (watched.as_desired_since or now)


def _went_wrong(run: Run, ward: _Ward, device: ObservedDevice, *, is_current: bool) -> Mapping[str, str]:
    """What a device's record shows that was as desired. Only a newer session counts: lists may show old ones."""
    watched = ward.memory.devices[device.id]
    is_newer = (device.last_handshake_at or NEVER) > (watched.session_began or NEVER)
    if is_current or watched.as_desired_since is None or not is_newer:
        return {}
    if device.mode is DeviceMode.SAFE_MODE:
        return {"mode": "it was as desired, and is in safe mode now"}
    since = watched.as_desired_since
    changes = [each for each in run.tools.journal.console_changes(device_id=device.id) if each.seen_at >= since]
    undone = next((each for each in changes if each.undid is not None and each.kind not in _PERSONS_DOING), None)
    if undone is None or any(each.kind in _PERSONS_DOING for each in changes):
        return {}
    return {"version": f"it was as desired, and runs {undone.kind.value} {undone.after} instead of {undone.before} now"}


def _is_news(ward: _Ward, found: DeviceUnwell) -> bool:
    """Whether a finding is not noted yet since a person last settled what there was."""
    noted_at = ward.memory.noted.get((found.device_id, found.check))
    if noted_at is None:
        return True
    if found.check.startswith(_STANDING):
        return noted_at < ward.story.told_of.get(found.device_id, NEVER)
    return noted_at < ward.story.settled_at(found.device_id)


def _ask_checks(run: Run, ward: _Ward, current: Collection[DeviceId], now: Instant) -> None:
    """Take what was answered, and ask what is due. An answer is waited for by nobody."""
    for check in ward.policy.checks:
        asked = ward.memory.checks.setdefault((ward.wave.name, check.name), AskedCheck())
        _take_answer(asked, now)
        is_due = asked.pending is None and now - asked.answered_at >= check.interval_seconds
        if is_due and current and not run.stopping:
            asked.asked_about = frozenset(current)
            question = CheckQuestion(
                fleet=ward.fleet,
                rollout_id=ward.rollout.id,
                wave=ward.wave.name,
                devices=tuple(sorted(current)),
            )
            asked.pending = run.tools.pool.submit(run.tools.ask, check, question)
            _take_answer(asked, now)


def _take_answer(asked: AskedCheck, now: Instant) -> None:
    if asked.pending is None or not asked.pending.done():
        return
    failed = asked.pending.cancelled() or asked.pending.exception() is not None
    why = "asking it failed by an error of ours"
    answer = CheckAnswer(word=CheckWord.UNKNOWN, why=why) if failed else asked.pending.result()
    asked.record = asked.record.after(answer, asked.asked_about)
    asked.pending, asked.answered_at = None, now


def _ask_vitals(scope: Scope, ward: _Ward, current: Collection[DeviceId], now: Instant) -> None:
    """Devices that have not reported their vitals since they are as desired are asked to, a few in every pass."""
    if not ward.policy.vitals or scope.ask_vitals is None:
        return
    due = [
        (watched.vitals_asked_at, device_id)
        for device_id in current
        if now - (watched := ward.memory.devices[device_id]).vitals_asked_at >= _VITALS_ASKED_EVERY_SECONDS
        and ward.members[device_id].online
    ]
    for _, device_id in sorted(due)[:_VITALS_ASKED_AT_ONCE_MAX]:
        watched = ward.memory.devices[device_id]
        heard = scope.hearing.signs.of(device_id).vitals_heard
        watched.vitals_asked_at = now
        if heard is None or not _is_of_session(heard, watched, now):
            try:
                scope.ask_vitals(device_id, watched.session_began or now)
            except WireError:
                continue  # no report is a doubt, which says so by itself


def _tell_of_doubt(run: Run, ward: _Ward, now: Instant) -> None:
    """A wave that stays in doubt for long is told of once: it waits for somebody."""
    for device_id, watched in ward.memory.devices.items():
        watched.doubtful_since = None if device_id not in ward.memory.doubts else watched.doubtful_since or now
    patience = DOUBT_TOLD_AFTER_SECONDS + max((event.within_seconds for event in ward.policy.events), default=0.0)
    lasting = [
        device_id
        for device_id in sorted(ward.memory.doubts)
        if now - (ward.memory.devices[device_id].doubtful_since or now) > patience
    ]
    if not lasting or ward.wave.name in ward.memory.told_of:
        return
    ward.memory.told_of.add(ward.wave.name)
    message = f"{_doubt_in_words(ward.fleet, ward.memory)}, for {patience / 60:g} min now"
    run.tools.tell(Finding(at=now, code="PFR2320", message=message))


def doubts_in_words(run: Run) -> list[str]:
    """What keeps waves where they are, one line a fleet: devices of which the last look could not say how they are."""
    return [_doubt_in_words(fleet, memory) for fleet, memory in sorted(run.health.items()) if memory.doubts]


def _doubt_in_words(fleet: str, memory: FleetHealth) -> str:
    first, why = min(memory.doubts.items())
    others = len(memory.doubts) - 1
    whose = f"{first} and {others} more" if others else first
    return f"{fleet}: wave {memory.wave} stays, the health of {whose} is unknown ({why})"
