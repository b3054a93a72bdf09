"""Laws about whole fleets, read from the journal's writes, the looks and the waves, by other means than the gate's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.device import DeviceId, Observation
from reconciler.model.failure import CONSEQUENCES, Counts
from reconciler.model.fleet import Fleet
from reconciler.model.instant import Instant
from reconciler.model.rollout_entry import (
    Halted,
    Resumed,
    Retried,
    RolloutBegan,
    WaveCompleted,
    WaveGrew,
    WaveSoaking,
    WaveStarted,
)
from tests.simulation.openings import openings
from tests.simulation.trace import Desired, Entry, Looked, RunBegan, Trace


def _starts(trace: Trace) -> Iterator[tuple[Entry, Attempt]]:
    return ((entry, each) for entry, each in trace.of(Attempt) if each.state is AttemptState.INTENDED)


def inside_windows(trace: Trace) -> Iterator[str]:
    """S10: by the cloud's clock, at the moment at which the intent is written."""
    begin = trace.world.begins_at
    windows = {spec.name: spec.windows for spec in trace.world.fleets if spec.windows}
    times = {name: openings(given, begin, trace.ended_at) for name, given in windows.items()}
    for entry, attempt in _starts(trace):
        if attempt.fleet in times and not any(opens <= entry.at < shuts for opens, shuts in times[attempt.fleet]):
            yield f"{attempt.id} of {attempt.fleet} starts {entry.at - begin:.0f} s after the beginning"


def members(fleet: str, observation: Observation) -> int:
    """How many devices a fleet has at a look: here a fleet is the group of its name, and who is in both is in `a`."""
    return sum(fleet in device.groups and (fleet == "a" or "a" not in device.groups) for device in observation.devices)


@dataclass
class _Sizes:
    """How many devices each fleet had at the last look of each client, and its manifest."""

    product_of: dict[str, str]
    sizes: dict[tuple[int, str], int] = field(default_factory=dict)
    fleets: dict[tuple[int, str], Fleet] = field(default_factory=dict)

    def see(self, entry: Entry) -> None:
        what = entry.what
        if isinstance(what, Looked):
            for fleet, product in self.product_of.items():
                if product == what.product:
                    self.sizes[entry.run, fleet] = members(fleet, what.observation)
        elif isinstance(what, RunBegan | Desired):
            self.fleets |= {(entry.run, fleet.name): fleet for fleet in what.fleets.fleets}


def _sizes(trace: Trace) -> _Sizes:
    return _Sizes({spec.name: spec.product for spec in trace.world.fleets})


def within_concurrency(trace: Trace) -> Iterator[str]:
    """S12: with the one that begins, as many devices have a step under way, within its deadline, as may have."""
    known, under_way = _sizes(trace), dict[DeviceId, Attempt]()
    for entry in trace.entries:
        known.see(entry)
        attempt = entry.what
        if not isinstance(attempt, Attempt):
            continue
        if not attempt.is_open:
            under_way.pop(attempt.device_id, None)
            continue
        under_way[attempt.device_id] = attempt
        fleet = known.fleets.get((entry.run, attempt.fleet))
        if attempt.state is not AttemptState.INTENDED or fleet is None:
            continue
        deadline = fleet.rollout.step_deadline_seconds
        count = sum(each.fleet == fleet.name and entry.at - each.began_at <= deadline for each in under_way.values())
        allowed = fleet.rollout.concurrent_max.of(known.sizes[entry.run, fleet.name])
        if count > allowed:
            yield f"{attempt.id} makes {count} devices of {fleet.name} under way, {allowed} are allowed"


@dataclass
class _Waves:
    """The waves of one fleet's rollout, as the journal has them."""

    started: dict[str, frozenset[DeviceId] | None] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)
    soaking: dict[str, Instant] = field(default_factory=dict)

    def of(self, device_id: DeviceId) -> str | None:
        return next((name for name, has in self.started.items() if has is None or device_id in has), None)


def waves_in_turn(trace: Trace) -> Iterator[str]:  # noqa: C901  # one case for every kind of entry
    """S13: a device starts in a wave that has started, alone of all not complete; a wave completes after its soak."""
    waves: dict[str, _Waves] = defaultdict(_Waves)
    soaks: dict[tuple[str, str], float] = {}
    for entry in trace.entries:
        what = entry.what
        match what:
            case RunBegan(fleets=fleets) | Desired(fleets=fleets):
                soaks |= {(f.name, wave.name): wave.soak_seconds for f in fleets.fleets for wave in f.rollout.waves}
            case RolloutBegan(fleet=fleet):
                waves[fleet] = _Waves()
            case WaveStarted(fleet=fleet, wave=wave):
                unfinished = set(waves[fleet].started) - waves[fleet].complete
                if unfinished:
                    yield f"wave {wave} of {fleet} starts before {', '.join(sorted(unfinished))} is complete"
                waves[fleet].started[wave] = what.members
            case WaveGrew(fleet=fleet, wave=wave):
                waves[fleet].started[wave] = (waves[fleet].started[wave] or frozenset()) | what.members
            case WaveSoaking(fleet=fleet, wave=wave, at=at):
                waves[fleet].soaking[wave] = at
            case WaveCompleted(fleet=fleet, wave=wave, at=at):
                soak = soaks.get((fleet, wave), 0.0)
                since = waves[fleet].soaking.get(wave)
                anybody = what.verified + what.failed + what.not_reached
                if soak and anybody and (since is None or at - since < soak):
                    yield f"wave {wave} of {fleet} is complete before it has soaked for {soak:g} s"
                waves[fleet].complete.add(wave)
            case Attempt(state=AttemptState.INTENDED, fleet=fleet, device_id=device_id) if fleet in waves:
                mine = waves[fleet].of(device_id)
                if mine is None:
                    yield f"{what.id} starts on {device_id}, whose wave in {fleet} has not started"
            case _:
                pass


def nothing_after_a_halt(trace: Trace) -> Iterator[str]:
    """S14: nothing is begun between a fleet's halt and a person's resume."""
    halted: dict[str, str] = {}
    for entry in trace.entries:
        match entry.what:
            case Halted(fleet=fleet, reason=reason):
                halted[fleet] = reason
            case Resumed(fleet=fleet):
                halted.pop(fleet, None)
            case Attempt(state=AttemptState.INTENDED, fleet=fleet, id=attempt) if fleet in halted:
                yield f"{attempt} starts in {fleet}, which is halted: {halted[fleet]}"
            case _:
                pass


@dataclass
class _Failing:
    """The devices of one fleet that count as failed, by the moves of their attempts, with when they began to.

    `under_way` are its open attempts. `settled` are those that do not count: of an earlier rollout, or known to be
    overdue by the person who resumed the fleet (`overdue`, at its halt).
    """

    ended: dict[DeviceId, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    since: dict[DeviceId, int] = field(default_factory=dict)
    under_way: dict[str, Attempt] = field(default_factory=dict)
    overdue: frozenset[str] = frozenset()
    settled: set[str] = field(default_factory=set)

    def begin(self) -> None:
        self.settled |= self.under_way.keys()
        self.resume()

    def halt(self, at: Instant, deadline_seconds: float) -> None:
        late = [each.id for each in self.under_way.values() if at - each.began_at > deadline_seconds]
        self.overdue = frozenset(late)

    def resume(self) -> None:
        self.settled |= self.overdue
        self.ended.clear()
        self.since.clear()
        self.overdue = frozenset()

    def move(self, attempt: Attempt, ordinal: int) -> None:
        device_id = attempt.device_id
        if attempt.is_open:
            self.under_way[attempt.id] = attempt
            return
        self.under_way.pop(attempt.id, None)
        if attempt.state is AttemptState.VERIFIED:
            self.forget(device_id)
            return
        if attempt.id in self.settled:
            return
        self.ended[device_id].append(attempt)
        if attempt.failure is not None and self._counts(device_id, attempt):
            self.since.setdefault(device_id, ordinal)

    def forget(self, device_id: DeviceId) -> None:
        self.ended.pop(device_id, None)
        self.since.pop(device_id, None)

    def _counts(self, device_id: DeviceId, last: Attempt) -> bool:
        assert last.failure is not None
        row = CONSEQUENCES[last.failure]
        tries = sum(each.failure is last.failure for each in self.ended[device_id])
        return row.counts in (Counts.AT_ONCE, Counts.HALTS_FLEET) or (
            row.counts is Counts.WHEN_GIVEN_UP and tries >= row.tries
        )


def halted_within_one_pass(trace: Trace) -> Iterator[str]:  # noqa: C901  # one case for every kind of entry
    """S15: nothing begins a whole pass after as many devices count as failed as are too many.

    What a process before the last one saw counts too: failures are in the journal. A person settles what they could
    know of, and no failure that is seen after their word, unless it was told them as overdue.
    """
    known = _sizes(trace)
    failing: dict[str, _Failing] = defaultdict(_Failing)
    looks: dict[tuple[int, str | None], int] = {}
    for entry in trace.entries:
        known.see(entry)
        match entry.what:
            case Looked(product=product):
                looks[entry.run, product] = entry.ordinal
            case RolloutBegan(fleet=fleet):
                failing[fleet].begin()
            case Resumed(fleet=fleet):
                failing[fleet].resume()
            case Halted(fleet=name, by=None, at=at) if (fleet := known.fleets.get((entry.run, name))) is not None:
                failing[name].halt(at, fleet.rollout.step_deadline_seconds)
            case Retried(fleet=fleet, device_id=device_id):
                failing[fleet].forget(device_id)
            case Attempt(state=AttemptState.INTENDED) as attempt:
                failing[attempt.fleet].move(attempt, entry.ordinal)
                fleet = known.fleets.get((entry.run, attempt.fleet))
                if fleet is None:
                    continue
                look = looks[entry.run, fleet.product]
                counted = sum(since < look for since in failing[fleet.name].since.values())
                limit = max(1, fleet.rollout.failures_max.of(known.sizes[entry.run, fleet.name]))
                if counted >= limit:
                    yield f"{attempt.id} starts in {fleet.name} after {counted} devices failed, fewer than {limit} may"
            case Attempt() as attempt:
                failing[attempt.fleet].move(attempt, entry.ordinal)
            case _:
                pass


def within_the_limit_of_devices(trace: Trace) -> Iterator[str]:
    """S18: no run begins something on more devices of a fleet than its limit says."""
    limits = {spec.name: spec.targets_max for spec in trace.world.fleets if spec.targets_max is not None}
    touched: dict[tuple[int, str], set[DeviceId]] = defaultdict(set)
    for entry, attempt in _starts(trace):
        if attempt.fleet in limits:
            devices = touched[entry.run, attempt.fleet]
            devices.add(attempt.device_id)
            if len(devices) > limits[attempt.fleet]:
                yield f"{attempt.id} is on device {len(devices)} of {attempt.fleet}, {limits[attempt.fleet]} may be"


def within_rates(trace: Trace) -> Iterator[str]:
    """S16: what the journal's attempts come to in any minute and in any day. Whoever reached no device sent nothing."""
    for spec in trace.world.fleets:
        mine = [each for each in trace.attempts if each.fleet == spec.name]
        sends = [(each.intended_at, 1) for each in mine]
        sent = [
            (each.intended_at, each.step.size or 0)
            for each in mine
            if each.state is not AttemptState.WITHDRAWN
            and (each.failure is None or CONSEQUENCES[each.failure].reached_device)
        ]
        yield from _too_many(spec.name, sends, 60.0, spec.rollout.sends_per_minute, "sends")
        yield from _too_many(spec.name, sent, 86_400.0, spec.bytes_per_day_max, "bytes")


def _too_many(
    fleet: str, counted: list[tuple[Instant, int]], seconds: float, allowed: int | None, what: str
) -> Iterator[str]:
    if allowed is None:
        return
    for begin, _ in counted:
        count = sum(each for at, each in counted if begin <= at < begin + seconds)
        if count > allowed:
            yield f"{count} {what} of {fleet} within {seconds:.0f} s, {allowed} are allowed"
