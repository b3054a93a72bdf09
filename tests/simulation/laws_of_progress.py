"""Laws about getting there: plans that do not waver, routes that get shorter, an end for everybody."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from reconciler.emulator.faults import PERSON_FAULTS
from reconciler.model.attempt import Attempt, AttemptState, Evidence
from reconciler.model.device import DeviceId
from reconciler.model.plan import Route
from reconciler.model.rollout_entry import Resumed, Retried, RolloutBegan
from reconciler.model.step import Step
from tests.simulation.trace import Rested, Trace
from tests.simulation.worlds import DAY, IN_GIT, Deed, World

TRIES_OF_A_STEP_MAX = 8
"""In one run: the six of a class of failures, and two of another kind in between."""

ROUNDS_A_DAY, FIRST_HOLD_SECONDS = 3, 3600.0
"""How often a controller begins anew, and how long it waits at least before that."""

ATTEMPTS_OF_A_DEVICE_MAX = 150
"""In one play, with a person who resumes everything again and again. Nine steps are the longest route."""

_CHANGES_ROUTES = frozenset({"events-dropped", "success-not-applied", "clock-skew", "stale-list", "stale-device"})
_DISTURBING = IN_GIT | {Deed.LOCK, Deed.UNLOCK, Deed.JOIN, Deed.LEAVE}


def plans_are_the_same_again(trace: Trace) -> Iterator[str]:
    """P1: planned again from the same observation in another order, by a search that remembers nothing."""
    yield from (f"{words} planned otherwise the second time" for words in trace.plans_that_differ)


def _is_undisturbed(world: World) -> bool:
    """Whether nobody but the client changes devices or manifests, and all that is seen is so."""
    faults = {spec.fault for spec in world.faults}
    return not faults & (_CHANGES_ROUTES | PERSON_FAULTS.keys()) and not any(
        happening.deed in _DISTURBING for happening in world.happenings
    )


@dataclass
class _Between:
    """What a fleet's devices had to do at the last rest of a run, and which of their attempts ended since."""

    routes: dict[DeviceId, Route] = field(default_factory=dict)
    ended: dict[DeviceId, list[Attempt]] = field(default_factory=dict)


def _verified_steps(trace: Trace) -> Iterator[tuple[DeviceId, Route, Route, list[Step]]]:
    """Devices with a route before and behind steps of which every one was verified, by what the devices showed."""
    if not _is_undisturbed(trace.world):
        return
    fleets: dict[tuple[int, str], _Between] = defaultdict(_Between)
    for entry in trace.entries:
        match entry.what:
            case Attempt(is_open=False, fleet=fleet) as attempt:
                fleets[entry.run, fleet].ended.setdefault(attempt.device_id, []).append(attempt)
            case Rested(plans=plans):
                for plan in plans:
                    between = fleets[entry.run, plan.fleet.name]
                    routes = {device: route for route in plan.routes for device in route.devices}
                    for device_id, ended in between.ended.items():
                        before, behind = between.routes.get(device_id), routes.get(device_id)
                        verified = all(
                            each.state is AttemptState.VERIFIED and each.evidence is not Evidence.PRESUMED
                            for each in ended
                        )
                        if before is not None and behind is not None and verified:
                            yield device_id, before, behind, [each.step for each in ended]
                    between.routes, between.ended = routes, {}
            case _:
                pass


def the_rest_remains(trace: Trace) -> Iterator[str]:
    """P2: the new route is what remains of the old one, or less."""
    for device_id, before, behind, done in _verified_steps(trace):
        rest = [step for step in before.steps if step not in done]
        if list(behind.steps) != rest and len(behind.steps) >= len(rest):
            yield f"{device_id} had {len(rest)} steps to go, and then {len(behind.steps)} others"


def less_to_do(trace: Trace) -> Iterator[str]:
    """P3: (hops, steps) goes down."""
    for device_id, before, behind, _ in _verified_steps(trace):
        if (len(behind.hops), len(behind.steps)) >= (len(before.hops), len(before.steps)):
            yield f"{device_id} had {len(before.steps)} steps to go, and after one of them {len(behind.steps)}"


def fixpoint(trace: Trace) -> Iterator[str]:
    """P4: the last run asks nothing of a device that was as desired when it began."""
    for request in trace.effects():
        if request.ordinal > trace.last_run_ordinal > 0 and request.device in trace.current:
            yield f"request {request.ordinal}, a {request.kind} to {request.device}, though it was as desired"


def arrival(trace: Trace) -> Iterator[str]:
    """P5: some runs after everything was well again, every device is as desired or waits for a person."""
    for device_id, why in sorted(trace.left_behind.items()):
        yield f"{device_id} is left behind: {why}"


def same_end(trace: Trace) -> Iterator[str]:
    """P6: devices end as in the play of the same world in which nobody dies."""
    twin = trace.twin
    if twin is None or trace.bugs or twin.bugs:
        return
    excused = trace.beyond_us | twin.beyond_us | trace.left_behind.keys() | twin.left_behind.keys()
    for device_id in sorted(trace.end_state.keys() - excused):
        if trace.end_state[device_id] != twin.end_state[device_id]:
            yield f"{device_id} is {trace.end_state[device_id]}, without deaths {twin.end_state[device_id]}"


def may_have_twin(world: World) -> bool:
    """Whether two plays of a world, one with deaths, have to come to the same end: nobody else acts in it."""
    return bool(world.crashes) and world.clients == 1 and _is_undisturbed(world)


def bounded_attempts(trace: Trace) -> Iterator[str]:
    """P7: a run tries a step a few times, until a person says more, and all runs together have an end with a device.

    A controller holds the device instead, for an hour, four hours, a day, and then tries it as often again.
    """
    of_step: dict[tuple[int, int, DeviceId, Step], list[float]] = defaultdict(list)
    of_device: Counter[DeviceId] = Counter()
    words: Counter[str] = Counter()
    for entry in trace.entries:
        match entry.what:
            case Resumed(fleet=fleet) | Retried(fleet=fleet) | RolloutBegan(fleet=fleet):
                words[fleet] += 1
            case Attempt(state=AttemptState.INTENDED, fleet=fleet, device_id=device_id, step=step):
                of_step[entry.run, words[fleet], device_id, step].append(entry.at)
                of_device[device_id] += 1
            case _:
                pass
    for (run, _, device_id, step), times in of_step.items():
        rounds = 1 if trace.source is None else ROUNDS_A_DAY * (1 + (times[-1] - times[0]) // DAY)
        at_once = max(bisect_right(times, begin + FIRST_HOLD_SECONDS) - n for n, begin in enumerate(times))
        if len(times) > rounds * TRIES_OF_A_STEP_MAX or at_once > TRIES_OF_A_STEP_MAX:
            yield f"run {run} tried {step} on {device_id} {len(times)} times, {at_once} of them within an hour"
    for device_id, count in of_device.items():
        if count > ATTEMPTS_OF_A_DEVICE_MAX:
            yield f"{device_id} had {count} attempts"


def nobody_is_held_up(trace: Trace) -> Iterator[str]:
    """P8: where a device is away for good, all others arrive."""
    away = {spec.id for spec in trace.world.devices if not spec.online} | trace.beyond_us
    if away:
        yield from (f"{words}, while {len(away)} devices are away" for words in arrival(trace))


def has_jumps(world: World) -> bool:
    """Whether a client's clock is set in a world."""
    return any(happening.deed is Deed.CLOCK for happening in world.happenings)
