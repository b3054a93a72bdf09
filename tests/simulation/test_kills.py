"""`apply` dies by SIGKILL, again and again, and the next `apply` ends as if nothing had been.

The fleet of these tests is thirteen devices of five platforms; every device has three to nine steps before it.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.mortal import OF_PRODUCTS, POINTS
from tests.simulation.stage import MIXED_DEVICES, MORTAL, PRODUCTS, Ended, Stage, set_stage

ROLLOUT = '{maxConcurrent: "100%", maxFailures: "100%", stepDeadline: 10m}'
WORLD_SEED = 7
RUNS_MAX = 60
CHAINS = (
    ("plan-kept 1", "intent-half-written 3", "intent-written 2", "disowning 1", "request-left 2", "answer-came 3"),
    ("answer-written 4", "transfer-began 3", "transfer-ended 1", "device-came-back 2", "settling 1", "settled 3"),
    ("transfer-began 6", "disowning 2", "settled 1", "request-left 5", "settling 2", "transfer-ended 3", "plan-kept 1"),
    ("device-came-back 5", "answer-written 1", "intent-written 4", "answer-came 1", "settling 4", "settled 2"),
)
"""Where `apply` dies, run after run: a point of `mortal.py`, and at the how manieth time that it is reached."""

EndState = dict[str, object]


def fleet(folder: Path, speed: float) -> Iterator[Stage]:
    with set_stage(
        folder,
        devices=MIXED_DEVICES,
        products=tuple(PRODUCTS),
        own=True,
        speed=speed,
        seed=WORLD_SEED,
        rollout=ROLLOUT,
    ) as stage:
        yield stage


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> EndState:
    """What becomes of the devices when nobody kills anything."""
    for stage in fleet(tmp_path_factory.mktemp("undisturbed"), speed=1500.0):
        assert stage.run("apply").code == 0
        return dict(stage.end_state())
    raise AssertionError


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    yield from fleet(tmp_path, speed=250.0)


def run_to_the_end(stage: Stage) -> Ended:
    """Undisturbed from now on. A device that is just restarting may be left to a second run."""
    last = stage.run("apply")
    assert last.code == 0, last.err
    return last


def assert_as_if_nothing_had_been(stage: Stage, undisturbed: EndState) -> None:
    assert stage.end_state() == undisturbed
    assert stage.installed_more_than_once() == {}
    assert stage.sent_more_than_once() == {}
    assert stage.open_attempts() == ()
    drift = stage.run("drift")
    assert drift.code == 0, drift.out
    stage.assert_nothing_wrong()


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain[0])
def test_killed_at_named_points_it_ends_as_if_nothing_had_been(
    stage: Stage, undisturbed: EndState, chain: tuple[str, ...]
) -> None:
    for point in chain:
        killed = stage.run("apply", runner=(str(MORTAL), *point.split()))
        assert killed.code == -signal.SIGKILL, (point, killed.out, killed.err)
    run_to_the_end(stage)
    assert_as_if_nothing_had_been(stage, undisturbed)


def test_every_named_point_of_a_device_is_in_a_chain() -> None:
    of_products = {name for name in POINTS if name.startswith(OF_PRODUCTS)}
    assert {point.split()[0] for chain in CHAINS for point in chain} == set(POINTS) - of_products


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_moments_it_ends_as_if_nothing_had_been(
    stage: Stage, undisturbed: EndState, seed: int
) -> None:
    dice = random.Random(seed)
    kills = 0
    for _ in range(RUNS_MAX):
        ended = stage.kill_after(dice.uniform(0.45, 1.3))
        if ended.code != -signal.SIGKILL:
            assert ended.code == 0, ended.err
            break
        kills += 1
    assert kills >= 8, f"seed {seed}: only {kills} kills: the world is too fast for this test"
    run_to_the_end(stage)
    assert_as_if_nothing_had_been(stage, undisturbed)
