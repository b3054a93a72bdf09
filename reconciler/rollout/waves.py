"""The judgement of a rollout: what one pass saw, and what follows for its waves. Pure.

The rules, in this order:
1. As many devices failed as a limit allows none, or one thing failed that is enough: the fleet is halted. Nothing else
   follows in this pass. A limit of 0 is reached by the first failure.
2. The manifests ask for something else: the rollout is superseded.
3. Something may start towards an intent: its rollout begins.
4. A wave is over when each of its devices is done, failed, exempt, or out of sight longer than the deadline for that;
   at least one must be done. Then it soaks: its devices have to stay well for its time, by what this very pass sees.
   A wave without a device is complete at once. In one where more failed than are done, the fleet is halted, whatever
   its limits: it proves the opposite of what it is for.
5. A wave none of whose devices could be reached by the deadline takes as many others in their place, of its selection
   first.
6. When no wave is under way the next one starts, with its approval where it asks for one. Its members are frozen:
   who joins later belongs to a wave that is still to come, or to the last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.model.device import DeviceId
from reconciler.model.device_life import DeviceState
from reconciler.model.fleet import RolloutPolicy, Wave, WaveSize
from reconciler.model.instant import Instant
from reconciler.model.plan import PASSING, FleetPlan, Route, Waiting
from reconciler.model.rollout import FleetStory, Rollout, RolloutState, StartedWave, WaveState
from reconciler.model.rollout_entry import (
    Halted,
    RolloutBegan,
    RolloutCompleted,
    RolloutEntry,
    RolloutSuperseded,
    WaveCompleted,
    WaveGrew,
    WaveSoaking,
    WaveStarted,
)
from reconciler.planning.claims import Claims
from reconciler.planning.waves import RolloutOrder, placed, rollout_salt, waves_of
from reconciler.rollout.approval import NO_APPROVALS, Approvals
from reconciler.rollout.ledger import Ledger, failed_devices, overdue_attempts
from reconciler.rollout.retry import halts_fleet
from reconciler.rollout.standing import standings
from reconciler.rollout.verdict import Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What one pass saw of one fleet. `see` makes it.

    - `held`: nothing may start in the fleet now, whatever the device.
    - `claims`: what the fleet's waves name and select. `plan_id`: the plan on whose behalf something would start.
    - `standings`: where every device of the plan stands; `failed`: those that count against the limits.
    """

    plan: FleetPlan
    ledger: Ledger
    held: bool
    claims: Claims
    plan_id: str
    now: Instant
    standings: Mapping[DeviceId, DeviceState]
    failed: frozenset[DeviceId]

    @property
    def policy(self) -> RolloutPolicy:
        """What the manifests ask for."""
        return self.plan.fleet.rollout


def see(plan: FleetPlan, ledger: Ledger, *, held: bool, claims: Claims, plan_id: str, now: Instant) -> Pass:
    """One pass over one fleet, with what follows for single devices."""
    return Pass(
        plan=plan,
        ledger=ledger,
        held=held,
        claims=claims,
        plan_id=plan_id,
        now=now,
        standings=standings(plan, ledger, now),
        failed=failed_devices(plan, ledger),
    )


def is_at_rest(plan: FleetPlan, ledger: Ledger) -> bool:
    """Whether nothing follows from a pass, found out without looking at every device: nothing is to be done or judged.

    No device has a route, none holds a slot or has something under way, whoever took a step is as desired, and no wave
    is under way.
    """
    rollout, fleet = ledger.story.rollout, plan.fleet.name
    is_over = rollout is None or rollout.state in (RolloutState.COMPLETE, RolloutState.SUPERSEDED)
    if not is_over or plan.routes or ledger.in_flight or ledger.slots or ledger.story.unwell:
        return False
    tried = [device_id for device_id, attempts in ledger.ended.items() if attempts[0].fleet == fleet]
    return not tried or frozenset(plan.current).issuperset(tried)


def judgement(seen: Pass) -> tuple[RolloutEntry, ...]:
    """What follows from one pass, in its order; the ledger's story may be told on with it."""
    story = seen.ledger.story
    entries: list[RolloutEntry] = []
    while (entry := _next_entry(seen, story)) is not None:
        entries.append(entry)
        story = story.after(entry)
    return tuple(entries)


def before_its_wave(
    policy: RolloutPolicy, story: FleetStory, approvals: Approvals = NO_APPROVALS
) -> tuple[Hold, Instant | None]:
    """Why a device whose wave has not started waits, and until when at least where that is known."""
    rollout = story.rollout
    under_way = None if rollout is None else rollout.wave_under_way
    if rollout is not None and under_way is not None and under_way.soaking_since is not None:
        return Hold.SOAKING, Instant(under_way.soaking_since + _asked(policy, rollout, under_way).soak_seconds)
    if rollout is not None and under_way is None and not approvals.names(_next_wave(policy, rollout)):
        return Hold.AWAITING_APPROVAL, None
    return Hold.EARLIER_WAVE, None


def may_pass_by_time(seen: Pass, story: FleetStory) -> bool:
    """Whether the wave under way may move on without anybody's doing: it soaks, or waits for who is out of sight."""
    wave = None if story.rollout is None else story.rollout.wave_under_way
    if wave is None or story.rollout is None or story.halted is not None:
        return False
    has_more = any(seen.standings[device] is DeviceState.READY for device in _unplaced(seen, story.rollout))
    if wave.state is WaveState.SOAKING:
        return has_more or _asked(seen.policy, story.rollout, wave).soak_seconds > 0
    return has_more and DeviceState.UNREACHED in _standings_of(seen, story.rollout, wave).values()


def _next_entry(seen: Pass, story: FleetStory) -> RolloutEntry | None:
    fleet, rollout, now = seen.plan.fleet, story.rollout, seen.now
    if story.halted is not None:
        return None
    reason = _why_to_halt(seen, story)
    if reason is not None:
        overdue = frozenset(attempt.id for attempt in overdue_attempts(seen.plan, seen.ledger))
        return Halted(fleet=fleet.name, at=now, reason=reason, overdue=overdue)
    is_rolling = rollout is not None and rollout.state is RolloutState.ROLLING
    is_ours = rollout is not None and rollout.intent == fleet.desired.intent
    if is_rolling and not is_ours:
        return RolloutSuperseded(fleet=fleet.name, at=now, intent=fleet.desired.intent)
    if seen.held:
        return None
    if rollout is None or not is_ours or rollout.state is RolloutState.SUPERSEDED:
        return _began(seen, rollout)
    if rollout.state is RolloutState.COMPLETE:
        return None
    under_way = rollout.wave_under_way
    return _next_start(seen, rollout) if under_way is None else _next_move(seen, rollout, under_way)


def _why_to_halt(seen: Pass, story: FleetStory) -> str | None:
    failed, rollout = seen.failed, story.rollout
    for device_id in sorted(failed & seen.ledger.ended.keys()):
        attempts = seen.ledger.ended[device_id]
        if halts_fleet(attempts):
            return f"device {device_id} failed by {attempts[0].failure}: {attempts[0].detail}"
    limit = seen.plan.failures_that_halt
    if len(failed) >= limit:
        return f"{len(failed)} of its devices failed, rollout.maxFailures allows fewer than {limit}"
    wave = None if rollout is None else rollout.wave_under_way
    if rollout is None or wave is None or wave.members is None:
        return None
    of_wave = len(failed & wave.members)
    own = _asked(seen.policy, rollout, wave).failures_max
    limit = (seen.policy.failures_max if own is None else own).reached_at(wave.devices)
    if of_wave >= limit:
        return f"{of_wave} of the {wave.devices} devices of wave {wave.name} failed, fewer than {limit} may"
    found = _standings_of(seen, rollout, wave)
    done = sum(standing is DeviceState.DONE for standing in found.values())
    if of_wave > done and not any(_blocks(seen, wave, standing) for standing in found.values()):
        return f"wave {wave.name} is over with {of_wave} devices failed and {done} as desired"
    return None


def _began(seen: Pass, before: Rollout | None) -> RolloutBegan | None:
    if DeviceState.READY not in seen.standings.values():
        return None
    fleet, summary = seen.plan.fleet, seen.plan.summary
    # Two rollouts of one fleet never begin in the same second of an id: the later one is at least a second later.
    second = int(seen.now) if before is None else max(int(seen.now), int(before.began_at) + 1)
    return RolloutBegan(
        fleet=fleet.name,
        at=seen.now,
        rollout_id=f"{fleet.name}-{rollout_salt(fleet)}-{second}",
        intent=fleet.desired.intent,
        plan_id=seen.plan_id,
        devices=summary.upgrade + summary.waiting,
        latest_attempt=seen.ledger.latest_attempt,
    )


def _next_start(seen: Pass, rollout: Rollout) -> WaveStarted | RolloutCompleted | None:
    fleet, now = rollout.fleet, seen.now
    if rollout.waves and rollout.waves[-1].members is None:
        return RolloutCompleted(fleet=fleet, at=now)
    wave = _next_wave(seen.policy, rollout)
    if not seen.ledger.approvals.names(wave):
        return None
    unplaced = _unplaced(seen, rollout)
    if wave.size is WaveSize.REMAINING:
        return WaveStarted(fleet=fleet, at=now, wave=wave.name, devices=len(unplaced), members=None)
    # Who is out of sight has its place, whoever agreed to what: a wave that is proven by nobody takes others.
    away = {device for waiting in seen.plan.waiting if waiting.reason in PASSING for device in waiting.devices}
    candidates = [d for d in unplaced if d in away or seen.standings[d] is not DeviceState.EXEMPT]
    salt, pending = rollout_salt(seen.plan.fleet), _pending(seen.policy, rollout)
    planned = placed(pending, candidates, whole=rollout.devices, salt=salt, claims=seen.claims)
    members = frozenset(planned[0].devices)
    return WaveStarted(fleet=fleet, at=now, wave=wave.name, devices=len(members), members=members)


def _next_move(seen: Pass, rollout: Rollout, wave: StartedWave) -> WaveSoaking | WaveCompleted | WaveGrew | None:
    found = _standings_of(seen, rollout, wave)
    count = Counter(found.values())
    if any(_blocks(seen, wave, standing) for standing in found.values()):
        return None
    if found and not count[DeviceState.DONE] and wave.members is not None:
        return _grown(seen, rollout, wave)
    soak_seconds = _asked(seen.policy, rollout, wave).soak_seconds
    if wave.soaking_since is None and soak_seconds and found:
        return WaveSoaking(fleet=rollout.fleet, at=seen.now, wave=wave.name)
    if wave.soaking_since is not None and seen.now < wave.soaking_since + soak_seconds:
        return None
    if found.keys() & seen.ledger.health_unknown:
        return None
    return WaveCompleted(
        fleet=rollout.fleet,
        at=seen.now,
        wave=wave.name,
        verified=count[DeviceState.DONE],
        failed=count[DeviceState.FAILED],
        not_reached=count[DeviceState.UNREACHED] + count[DeviceState.EXEMPT],
    )


def _grown(seen: Pass, rollout: Rollout, wave: StartedWave) -> WaveGrew | None:
    ready = [device_id for device_id in _unplaced(seen, rollout) if seen.standings[device_id] is DeviceState.READY]
    order, own = RolloutOrder(rollout_salt(seen.plan.fleet)), seen.claims.selected.get(wave.name, frozenset())
    ready.sort(key=lambda device_id: (device_id not in own, order(device_id)))
    others = frozenset(ready[: max(1, wave.devices)])
    if not others or wave.state is not WaveState.OPEN:
        return None
    return WaveGrew(fleet=rollout.fleet, at=seen.now, wave=wave.name, members=others)


def _blocks(seen: Pass, wave: StartedWave, standing: DeviceState) -> bool:
    """Whether a device keeps its wave from being over."""
    if standing is DeviceState.UNREACHED:
        return seen.now - wave.started_at < seen.policy.offline_deadline_seconds
    return standing in (DeviceState.READY, DeviceState.PAUSING, DeviceState.MOVING)


def _standings_of(seen: Pass, rollout: Rollout, wave: StartedWave) -> Mapping[DeviceId, DeviceState]:
    """The standings of a wave's devices that are still in the fleet."""
    if wave.members is not None:
        return {device_id: seen.standings[device_id] for device_id in wave.members if device_id in seen.standings}
    earlier = frozenset[DeviceId]().union(*(each.members for each in rollout.waves if each.members is not None))
    return {device_id: standing for device_id, standing in seen.standings.items() if device_id not in earlier}


def _unplaced(seen: Pass, rollout: Rollout) -> list[DeviceId]:
    """The devices that have something to come and are in no wave that has started."""
    places: tuple[Route | Waiting, ...] = (*seen.plan.routes, *seen.plan.waiting)
    return [device_id for place in places for device_id in place.devices if rollout.wave_of(device_id) is None]


def _pending(policy: RolloutPolicy, rollout: Rollout) -> tuple[Wave, ...]:
    """The waves of the policy that have not started, the last of them with all that remain."""
    started = {wave.name for wave in rollout.waves}
    pending = tuple(wave for wave in waves_of(policy, rollout.devices) if wave.name not in started)
    # The manifests may have changed so that the name of the last one is taken by a wave with members of its own.
    return pending or (Wave(name=f"remaining-{len(started)}", size=WaveSize.REMAINING),)


def _next_wave(policy: RolloutPolicy, rollout: Rollout) -> Wave:
    return _pending(policy, rollout)[0]


def _asked(policy: RolloutPolicy, rollout: Rollout, wave: StartedWave) -> Wave:
    """What the manifests ask of a started wave now; of one that they do not name any more, nothing."""
    asked = (each for each in waves_of(policy, rollout.devices) if each.name == wave.name)
    return next(asked, Wave(name=wave.name, size=WaveSize.REMAINING))
