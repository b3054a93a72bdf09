"""For every law something of ours, deliberately broken: a gate, a guard, a journal, an executor, a rollout.

`TWINS` has for every law a small world in which it holds, and how it is broken there. Only tests load this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import pytest

from reconciler.controller import rollouts
from reconciler.controller.knowledge import Knowledge
from reconciler.execution import guard
from reconciler.execution.executor import SendOutcome
from reconciler.journal.memory import MemoryJournal
from reconciler.model.allowance import Allowance
from reconciler.model.device import Observation, ObservedDevice
from reconciler.model.fleet import AllowWindow, RolloutPolicy, Share, Wave
from reconciler.model.step import LockApplication, Step
from reconciler.model.version import ApplicationVersion
from reconciler.particle.budget import RequestBudget
from reconciler.planning import planner
from reconciler.planning.route import RouteSearch
from reconciler.rollout import gate, ledger, waves
from tests.simulation.crooked import (
    Break,
    Crooked,
    flashes,
    insists,
    locks_to_one,
    module,
    scratched,
    twice,
    unheard_of,
    with_hands,
)
from tests.simulation.playing import Performance
from tests.simulation.worlds import Crash, Deed, DeviceSpec, FaultSpec, FleetSpec, Happening, World

ALL: Final = Share(100, percent=True)
HOUR: Final = 3600.0
AT_NIGHT: Final = AllowWindow(days=tuple(range(7)), start_minute=0, duration_seconds=3 * HOUR, time_zone="UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """A world in which a law holds, and what is broken so that it does not. `house`: what is so in any case."""

    world: World
    breaks: Break
    house: Break = lambda _performance, _patch: None
    performance: Callable[[World], Performance] = Performance


def small(
    *,
    devices: int = 3,
    product: str = "cold-chain",
    device_os: str = "3.1.0",
    application: int = 1,
    desired: int | None = 2,
    rollout: RolloutPolicy | None = None,
    windows: tuple[AllowWindow, ...] = (),
    targets_max: int | None = None,
    bytes_per_day_max: int | None = None,
    **more: Any,
) -> World:
    """A fleet of a few devices alike."""
    spec = DeviceSpec(number=1, product=product, device_os=device_os, application=application, group="a")
    fleet = FleetSpec(
        name="a",
        product=product,
        device_os={"cold-chain": "6.3.4", "legacy-meters": "3.3.1"}[product],
        application=desired,
        rollout=rollout or RolloutPolicy(concurrent_max=ALL, failures_max=ALL, step_deadline_seconds=900.0),
        windows=windows,
        targets_max=targets_max,
        bytes_per_day_max=bytes_per_day_max,
    )
    chosen = {"seed": 1, "days": 0.1, **more}
    return World(devices=tuple(replace(spec, number=n) for n in range(1, devices + 1)), fleets=(fleet,), **chosen)


def patched(owner: object, name: str, value: object) -> Break:
    """One name of the product has another value."""
    return lambda _, patch: patch.setattr(owner, name, value)


def both(*breaks: Break) -> Break:
    """Several things are broken."""

    def together(performance: Performance, patch: pytest.MonkeyPatch) -> None:
        for each in breaks:
            each(performance, patch)

    return together


@dataclass
class _Late:
    """A journal that writes an intent down when its answer is there."""

    journal: Any
    pending: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.journal, name)

    def begin(self, attempt: Any, **named: Any) -> Any:
        self.pending[attempt.id] = (attempt, named)
        return attempt

    def record(self, attempt: Any, **named: Any) -> None:
        if attempt.id in self.pending:
            begun, given = self.pending.pop(attempt.id)
            self.journal.begin(begun, **given)
        self.journal.record(attempt, **named)


def _late(performance: Performance, _: pytest.MonkeyPatch) -> None:
    performance.kept = lambda journal: _Late(journal, {})  # type: ignore[assignment,return-value]  # by its names


class _Forgetful(_Late):
    """A journal that keeps no plans."""

    def begin(self, attempt: Any, **named: Any) -> Any:
        return self.journal.begin(attempt, **named)

    def keep_plan(self, plan: Any) -> None:
        """Nothing."""


def _forgetful(performance: Performance, _: pytest.MonkeyPatch) -> None:
    performance.kept = lambda journal: _Forgetful(journal, {})  # type: ignore[assignment,return-value]  # by its names


def _no_lock_is_respected(performance: Performance, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(planner, "_others_say_no", lambda *_: None)
    patch.setattr(guard, "_not_willing", lambda *_: None)
    patch.setattr(guard, "_locked_since", lambda *_: None)


def _dawdling(performance: Performance, _: pytest.MonkeyPatch) -> None:
    def send(executor: Any, device: ObservedDevice, step: Step) -> SendOutcome:
        performance.theatre.sleep(600.0)
        outcome: SendOutcome = executor.send(device, step)
        return outcome

    performance.hands = lambda executor: Crooked(executor, send)


def _by_our_own_clock(performance: Performance, _: pytest.MonkeyPatch) -> None:
    def shown(observation: Observation) -> Observation:
        return replace(observation, observed_at=performance.theatre.clock())

    performance.shown = shown


def _application_first(executor: Any, device: ObservedDevice, step: Step) -> SendOutcome:
    lock = LockApplication(application=ApplicationVersion(2), size=None, boots_into=step.boots_into)
    outcome: SendOutcome = executor.send(device, lock)
    return outcome


def _waveless(_: Performance, patch: pytest.MonkeyPatch) -> None:
    """A gate that holds every device for one of the first wave."""

    def blind(plan: Any, its: Any, *, now: Any) -> Any:
        rollout = its.story.rollout
        if rollout is not None and rollout.waves:
            rollout = replace(rollout, waves=(replace(rollout.waves[0], members=None),))
        return real(plan, replace(its, story=replace(its.story, rollout=rollout)), now=now)

    real = rollouts.verdicts
    patch.setattr(rollouts, "verdicts", blind)


def _waiting_for_all(_: Performance, patch: pytest.MonkeyPatch) -> None:
    """A gate that starts nobody while anybody is away."""
    real = rollouts.verdicts
    patch.setattr(rollouts, "verdicts", lambda plan, its, *, now: () if plan.waiting else real(plan, its, now=now))


def _counting_nobody(_: Performance, patch: pytest.MonkeyPatch) -> None:
    """A gate that lets everybody go who is not under way."""

    def generous(plan: Any, its: Any, *, now: Any) -> Any:
        policy = replace(plan.fleet.rollout, concurrent_max=ALL)
        return real(replace(plan, fleet=replace(plan.fleet, rollout=policy)), its, now=now)

    real = rollouts.verdicts
    patch.setattr(rollouts, "verdicts", generous)


def _permits_everything(_: Performance, patch: pytest.MonkeyPatch) -> None:
    """A journal that holds nothing that begins to its permit."""
    real = MemoryJournal.begin
    patch.setattr(MemoryJournal, "begin", lambda journal, attempt, **_: real(journal, attempt))


def _at_any_time(performance: Performance, _: pytest.MonkeyPatch) -> None:
    performance.manifests = lambda fleet: replace(fleet, windows_allow=())


def _ignoring_halts(_: Performance, patch: pytest.MonkeyPatch) -> None:
    real = gate.hold_of_fleet
    patch.setattr(gate, "hold_of_fleet", lambda plan, story, now: real(plan, replace(story, halted=None), now))


def _forgets_the_application_after_a_death(performance: Performance, _: pytest.MonkeyPatch) -> None:
    def manifest(fleet: Any) -> Any:
        forgets = performance.trace.crashes > 0
        return replace(fleet, desired=replace(fleet.desired, application=None)) if forgets else fleet

    performance.manifests = manifest


def _without_stations(_: Performance, patch: pytest.MonkeyPatch) -> None:
    def begin(search: Any, *given: Any) -> None:
        real(search, *given)
        search._stations = []

    real = RouteSearch.__init__
    patch.setattr(RouteSearch, "__init__", begin)


def _unsorted(_: Performance, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(planner, "reading_order", lambda _place: ())


def _always_below(performance: Performance, patch: pytest.MonkeyPatch) -> None:
    """In the last run the eyes show every device with an old application."""

    def shown(observation: Observation) -> Observation:
        if not performance.trace.last_run_ordinal:
            return observation
        devices = (replace(device, application=1, desired_application=None) for device in observation.devices)
        return replace(observation, devices=tuple(devices))

    performance.shown = shown
    patch.setattr(guard, "check", lambda *_: None)


def _few_requests(performance: Performance, patch: pytest.MonkeyPatch) -> None:
    """The vendor allows 100 requests in five minutes, and clients take 30."""
    performance.theatre.cloud.rules = replace(performance.theatre.cloud.rules, requests_per_five_minutes=100)
    allowance = Allowance(requests=30, window_seconds=300.0, at_once=20)
    patch.setitem(RequestBudget.__init__.__kwdefaults__, "requests", allowance)


_SEND_ALL: Final = RolloutPolicy(concurrent_max=ALL, failures_max=ALL, step_deadline_seconds=900.0)
_ONE_BY_ONE: Final = replace(_SEND_ALL, concurrent_max=Share(1))
_BAD: Final = (FaultSpec(fault="boot-crash", rate=1.0, count=None, begin=0.0, end=8640.0),)
_FAILING: Final = (FaultSpec(fault="flash-fails", rate=1.0, count=None, begin=0.0, end=8640.0),)
_LOST: Final = (FaultSpec(fault="lost-request", rate=0.5, count=None, begin=0.0, end=8640.0),)
_CANARY: Final = replace(
    _SEND_ALL, waves=(Wave(name="canary", size=Share(1), soak_seconds=HOUR),), offline_deadline_seconds=600.0
)


def _of_two_releases(world: World) -> World:
    """With one device that has another way to go."""
    return replace(world, devices=(replace(world.devices[0], device_os="1.5.2"), *world.devices[1:]))


def _offline(world: World, number: int) -> World:
    """With one device that never comes."""
    devices = tuple(replace(spec, online=spec.number != number) for spec in world.devices)
    return replace(world, devices=devices)


TWINS: Final[Mapping[str, Twin]] = MappingProxyType(
    {
        "S1": Twin(world=small(device_os="6.3.4", application=2, desired=3), breaks=with_hands(locks_to_one)),
        "S2": Twin(world=small(), breaks=with_hands(flashes(lambda _, __: module("photon", "2.3.1")))),
        "S3": Twin(world=small(), breaks=with_hands(_application_first)),
        "S4": Twin(
            world=small(product="legacy-meters", device_os="0.6.3"),
            breaks=_without_stations,
        ),
        "S5": Twin(world=small(), breaks=with_hands(twice)),
        "S6": Twin(world=small(), breaks=_late),
        "S7": Twin(world=small(faults=_LOST), breaks=with_hands(insists)),
        "S8": Twin(world=small(), breaks=with_hands(flashes(scratched))),
        "S9": Twin(
            world=small(happenings=(Happening(at=5.0, deed=Deed.LOCK, fleet="a", device=1),)),
            breaks=_no_lock_is_respected,
        ),
        "S10": Twin(world=small(windows=(AT_NIGHT,), days=0.8), breaks=_at_any_time),
        "S11": Twin(world=small(), breaks=_dawdling),
        "S12": Twin(
            world=small(rollout=_ONE_BY_ONE),
            breaks=both(_counting_nobody, _permits_everything),
        ),
        "S13": Twin(world=small(rollout=_CANARY, days=0.3), breaks=_waveless),
        "S14": Twin(
            world=small(happenings=(Happening(at=60.0, deed=Deed.HALT, fleet="a"),), rollout=_ONE_BY_ONE),
            breaks=both(_ignoring_halts, _permits_everything),
        ),
        "S15": Twin(
            world=small(faults=_BAD, rollout=replace(_ONE_BY_ONE, failures_max=Share(1)), device_os="6.3.4"),
            breaks=patched(waves, "_why_to_halt", lambda *_: None),
        ),
        "S16": Twin(
            world=small(devices=12), breaks=patched(RequestBudget, "take", lambda *_, **__: 0.0), house=_few_requests
        ),
        "S18": Twin(
            world=small(targets_max=1),
            breaks=lambda performance, _: setattr(
                performance, "manifests", lambda fleet: replace(fleet, targets_max=None)
            ),
        ),
        "S19": Twin(world=small(), breaks=with_hands(flashes(lambda *_: unheard_of()))),
        "S20": Twin(world=small(), breaks=_forgetful),
        "P1": Twin(world=_of_two_releases(small()), breaks=_unsorted),
        "P2": Twin(world=small(), breaks=patched(Knowledge, "note", lambda *_: None)),
        "P3": Twin(world=small(), breaks=patched(Knowledge, "note", lambda *_: None)),
        "P4": Twin(world=small(device_os="6.3.4"), breaks=_always_below),
        "P5": Twin(world=small(), breaks=patched(rollouts, "verdicts", lambda *_, **__: ())),
        "P6": Twin(
            world=small(device_os="6.3.4", seed=4, crashes=(Crash(run=0, nth=20),)),
            breaks=_forgets_the_application_after_a_death,
        ),
        "P7": Twin(
            world=small(faults=_FAILING),
            breaks=both(
                patched(gate, "may_start_at", lambda *_: None),
                patched(ledger.Ledger, "held_until", lambda *_: None),
                patched(waves, "_why_to_halt", lambda *_: None),
            ),
        ),
        "P8": Twin(world=_offline(small(), 3), breaks=_waiting_for_all),
        "P9": Twin(
            world=small(
                windows=(AT_NIGHT,),
                days=0.8,
                happenings=(Happening(at=0.01, deed=Deed.CLOCK, seconds=16 * HOUR),),
            ),
            breaks=_by_our_own_clock,
        ),
    }
)
