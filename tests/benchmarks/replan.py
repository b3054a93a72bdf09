"""`python -m tests.benchmarks.replan --devices 100000`: planning again after 1 % of the devices changed.

Two ways to the same plan, alternately: anew, with nothing kept, and by a plan that follows the world. Parts of planning
anew are measured beside them. Reading the snapshot and writing the plan down are not in these figures.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from reconciler.firmware.catalog import Catalog
from reconciler.firmware.known import known_catalog
from reconciler.inventory.snapshot import observation_from_document
from reconciler.model.device import Observation, ObservedDevice
from reconciler.model.fleet import FleetSet
from reconciler.model.instant import NEVER
from reconciler.model.plan import Plan, Situation
from reconciler.planning.census import census_digest, census_of
from reconciler.planning.following import FollowingPlan
from reconciler.planning.naming import Naming
from reconciler.planning.planner import plan_fleets
from reconciler.planning.selection import members_by_fleet
from reconciler.planning.situation import situation_of
from reconciler.sources import load_fleets
from tests.benchmarks.fleet_snapshot import PLATFORM_SHARES, write_manifests, write_snapshot

CHANGED = 0.01
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is planned: the fleets, the releases, a fleet as observed."""

    fleets: FleetSet
    catalog: Catalog
    observed: Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """The medians, in processor seconds, of planning after a change; `parts` are parts of planning anew."""

    devices: int
    kinds: int
    anew: float
    followed: float
    ratio: float
    parts: dict[str, float]


def world_of(devices: int, folder: Path, *, seed: int, shares: Mapping[str, int] = PLATFORM_SHARES) -> World:
    """A generated fleet, read as any snapshot is."""
    write_snapshot(folder / "fleet.json", devices, seed=seed, shares=shares)
    write_manifests(folder / "manifests")
    return World(
        fleets=load_fleets([folder / "manifests"]),
        catalog=known_catalog(),
        observed=observation_from_document((folder / "fleet.json").read_bytes(), read_at=NEVER),
    )


def changed(observed: Observation, dice: random.Random) -> Observation:
    """1 % of the devices have moved: to another's release and application, as upgrades do, or on or off line."""
    devices = list(observed.devices)
    for index in dice.sample(range(len(devices)), max(1, round(len(devices) * CHANGED))):
        devices[index] = _moved(devices[index], devices[dice.randrange(len(devices))])
    return replace(observed, devices=tuple(devices))


def _moved(device: ObservedDevice, other: ObservedDevice) -> ObservedDevice:
    if other.platform_id != device.platform_id or other.device_os is None:
        return replace(device, online=not device.online)
    return replace(
        device, device_os=other.device_os, application=other.application, mode=other.mode, modules=other.modules
    )


def again(world: World, *, runs: int, seed: int, clock: Callable[[], float] = time.process_time) -> Again:
    """Plan the fleet once, change it, and plan that both ways; a new change in every run.

    Raises AssertionError when the plan that followed is another one.
    """
    dice = random.Random(seed)
    anew, followed, parts, kinds = [], [], [], 0
    for _ in range(runs):
        following = FollowingPlan(world.fleets, world.observed, world.catalog, now=NEVER)
        following.plan()
        observed = changed(world.observed, dice)
        pairs = zip(world.observed.devices, observed.devices, strict=True)
        news = [after for before, after in pairs if before is not after]
        seconds, plan = _timed(clock, partial(_plan, world, observed))
        anew.append(seconds)
        seconds, same = _timed(clock, partial(_follow, following, news, observed))
        followed.append(seconds)
        assert plan == same
        measured, kinds = parts_of(world, observed, clock)
        parts.append(measured)
    return Again(
        devices=len(world.observed.devices),
        kinds=kinds,
        anew=statistics.median(anew),
        followed=statistics.median(followed),
        ratio=statistics.median(some / all_ for some, all_ in zip(followed, anew, strict=True)),
        parts={name: statistics.median(each[name] for each in parts) for name in parts[0]},
    )


def _follow(following: FollowingPlan, news: Sequence[ObservedDevice], observed: Observation) -> Plan:
    following.change(news, observed_at=observed.observed_at)
    return following.plan()


def parts_of(world: World, observed: Observation, clock: Callable[[], float]) -> tuple[dict[str, float], int]:
    """How long those parts of a plan take that can be told apart from outside, and the number of kinds."""
    parts: dict[str, float] = {}
    naming = Naming(world.fleets)
    parts["census of devices"], census = _timed(clock, lambda: census_of(observed, naming))
    parts["digest of the census"], _ = _timed(clock, lambda: census_digest(census))
    parts["which fleet"], _ = _timed(clock, lambda: members_by_fleet(world.fleets, census, naming, now=NEVER))
    parts["situations"], situations = _timed(
        clock, lambda: [situation_of(kind.device, world.catalog) for kind in census.kinds]
    )
    known = [each for each in situations if isinstance(each, Situation)]
    parts["hashing situations twice"], _ = _timed(clock, lambda: [hash(each) ^ hash(each) for each in known])
    parts["sorting all ids"], _ = _timed(clock, lambda: sorted(each for kind in census.kinds for each in kind.ids))
    return parts, len(census.kinds)


def _plan(world: World, observed: Observation) -> Plan:
    return plan_fleets(world.fleets, observed, world.catalog, now=NEVER)


def _timed(clock: Callable[[], float], work: Callable[[], _Result]) -> tuple[float, _Result]:
    began = clock()
    result = work()
    return clock() - began, result


def report(rows: Sequence[Again]) -> list[str]:
    """The figures as Markdown tables."""
    lines = [
        "| Devices | Kinds | Anew | Following | Following / anew |",
        "|--:|--:|--:|--:|--:|",
        *(
            f"| {row.devices:,} | {row.kinds:,} | {row.anew:.2f} s | {row.followed:.3f} s | {row.ratio:.1%} |"
            for row in rows
        ),
        "",
        "Parts, beside planning anew:",
        "",
    ]
    for row in rows:
        lines += [f"- {row.devices:,}: " + ", ".join(f"{name} {s / row.anew:.1%}" for name, s in row.parts.items())]
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    rows = []
    for count in sorted(arguments.devices):
        with tempfile.TemporaryDirectory() as name:
            world = world_of(count, Path(name), seed=arguments.seed)
        rows.append(again(world, runs=arguments.runs, seed=arguments.seed))
    lines = [f"Python {platform.python_version()}, {os.cpu_count()} processors, {arguments.runs} runs", ""]
    sys.stdout.write("\n".join([*lines, *report(rows)]) + "\n")


if __name__ == "__main__":
    main()
