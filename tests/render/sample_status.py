"""A status made by hand in which everything is wrong that can be, and one in which nothing is."""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.attempt import Attempt, AttemptState, FailureClass
from reconciler.model.device_life import DeviceState
from reconciler.model.instant import Instant
from reconciler.model.rollout import RolloutState, WaveState
from reconciler.render.rollout_status import HeldDevice, Progress, RolloutStatus, SuspensionStatus, WaveStatus
from reconciler.render.status import (
    BudgetStatus,
    FailedDevice,
    FleetStatus,
    Halted,
    LastRun,
    RunStatus,
    Status,
    TokenState,
    TokenStatus,
    UnderWay,
)
from tests.render.sample_plan import BORON_ROUTE, COLD_CHAIN_PLAN, NOTHING_TO_DO, NOW, WORKSHOP, ids


def ago(seconds: float) -> Instant:
    return Instant(NOW - seconds)


def under_way(number: int, seconds: float, *, overdue: bool = False) -> UnderWay:
    attempt = Attempt(
        id=f"a{number}",
        device_id=ids(number, 1)[0],
        fleet="cold-chain-eu",
        plan_id="plan-main-3f9c1e0b2a",
        step=BORON_ROUTE.steps[number % 3],
        state=AttemptState.INTENDED,
        intended_at=ago(seconds + 2),
        handshake_before=None,
    ).sent(ago(seconds))
    return UnderWay(attempt=attempt, overdue=overdue)


def failed(number: int, seconds: float, detail: str, *, given_up: bool = False) -> FailedDevice:
    attempt = under_way(number, seconds + 700).attempt.failed(FailureClass.INSTALL, detail, ago(seconds))
    return FailedDevice(attempt=attempt, tries=3 if given_up else 1, given_up=given_up)


PROGRESS = Progress(
    rollout=RolloutStatus(
        id="workshop-1a2b3c4d5e6f-1795338000",
        intent="6.3.4 required logger:44",
        state=RolloutState.ROLLING,
        began_at=ago(7200),
        devices=300,
        waves=(
            WaveStatus(name="canary", state=WaveState.COMPLETE, devices=3, started_at=ago(7200), standings={}),
            WaveStatus(
                name="early",
                state=WaveState.SOAKING,
                devices=30,
                started_at=ago(4000),
                soaks_until=ago(-600),
                standings={DeviceState.DONE: 27, DeviceState.FAILED: 1, DeviceState.UNREACHED: 2},
                unwell=1,
                in_doubt={ids(22, 1)[0]: "no vitals \x1b[2Jyet", ids(23, 1)[0]: "no vitals yet"},
            ),
        ),
        to_come=("late", "rest"),
        awaits_approval="late",
        plan_id="plan-local-04f81a8bdd",
    ),
    suspensions=(
        SuspensionStatus(reason="trade \x1b[2Jfair", until=ago(-86400), by="ada", in_manifest=False),
        SuspensionStatus(reason="modem firmware", until=None, by="", in_manifest=True),
    ),
    held=(
        HeldDevice(device_id=ids(20, 1)[0], why="unwell, resets: 4 in 10 min", until=None),
        HeldDevice(device_id=ids(21, 1)[0], why="install: no \x07space", until=ago(-3000)),
    ),
)

WORST = Status(
    at=NOW,
    observed_at=NOW,
    complete=False,
    blind_because="",
    fleets=(
        FleetStatus(
            name="workshop",
            desired=WORKSHOP.desired,
            plan=replace(COLD_CHAIN_PLAN, fleet=WORKSHOP, refused=(), waiting=()),
            halted=None,
            held="outside the fleet's windows",
            under_way=(),
            failed=(),
            progress=PROGRESS,
        ),
        FleetStatus(
            name="cold-chain-eu",
            desired=COLD_CHAIN_PLAN.fleet.desired,
            plan=COLD_CHAIN_PLAN,
            halted=Halted(reason="3 of its devices failed, rollout.maxFailures allows fewer than 3", at=ago(3000)),
            held="",
            under_way=(
                under_way(1, 4000, overdue=True),
                under_way(2, 300),
                under_way(3, 200),
                under_way(4, 100),
            ),
            failed=(
                failed(7, 3100, "the device did not take it: \x1b[2J -1320", given_up=True),
                failed(8, 3200, ""),
            ),
        ),
    ),
    run=RunStatus(
        journal_found=True,
        broken_off="process 4711, started at 2026-11-22T07:00:00Z",
        last=LastRun(
            plan_id="plan-main-3f9c1e0b2a",
            began_at=ago(7200),
            moved_at=ago(98),
            verified=48,
            failed=2,
            under_way=4,
            withdrawn=0,
        ),
    ),
    budget=BudgetStatus(requests_max=8_000, window_seconds=300, requests_of_this_command=9, steps_begun=3),
    token=TokenStatus(state=TokenState.VALID, scopes=("devices:list", "firmware:get"), expires_at=None),
)

FINE = Status(
    at=NOW,
    observed_at=NOW,
    complete=True,
    blind_because="",
    fleets=tuple(
        FleetStatus(
            name=each.fleet.name,
            desired=each.fleet.desired,
            plan=each,
            halted=None,
            held="",
            under_way=(),
            failed=(),
        )
        for each in NOTHING_TO_DO.fleets
    ),
    run=RunStatus(journal_found=True),
    budget=BudgetStatus(requests_max=8_000, window_seconds=300, requests_of_this_command=4, steps_begun=0),
    token=TokenStatus(state=TokenState.VALID, expires_at="2027-01-01T00:00:00.000Z"),
)

BLIND = replace(
    WORST,
    observed_at=None,
    blind_because="the cloud refuses the token",
    fleets=tuple(replace(fleet, plan=None, desired=None) for fleet in WORST.fleets[1:]),
    run=replace(WORST.run, broken_off="", under_way="process 4711, started at 2026-11-22T07:00:00Z"),
    token=TokenStatus(state=TokenState.REFUSED, detail="GET /v1/access_tokens/current: 401 invalid_token (PFR3002)"),
)
NO_JOURNAL = replace(
    FINE,
    run=RunStatus(journal_found=False),
    token=TokenStatus(state=TokenState.UNKNOWN, detail="a snapshot was given, the cloud was not asked"),
)
