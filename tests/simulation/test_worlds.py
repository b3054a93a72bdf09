"""Small worlds drawn from a seed, with faults at low rates, through the run itself: every device ends in a known place.

`SIMULATION_SEEDS=200 pytest tests/simulation/test_worlds.py` draws more of them; a failure names its seed.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from reconciler.cli.carrying_out import Carried, Pace, carry_out
from reconciler.cli.progress import Silent
from reconciler.cli.word import moment
from reconciler.controller.agreement import agreement_on
from reconciler.controller.knowledge import Knowledge
from reconciler.controller.report import failed_devices
from reconciler.emulator.faults import FaultOrder
from reconciler.emulator.world import load_rules
from reconciler.journal.memory import MemoryJournal
from reconciler.model.attempt import AttemptState
from reconciler.model.instant import Instant
from reconciler.model.rollout import stories_of
from reconciler.model.rollout_entry import Retried
from reconciler.particle.token import AccessToken
from reconciler.planning.planner import plan_fleets
from reconciler.sources import read_manifests
from reconciler.wiring import CloudConnection, CloudSettings
from tests.simulation.stage import PRODUCTS, TOKEN, Stage, set_stage

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "4"))
ROUNDS_MAX = 4
RELEASES = {
    "boron": ("0.9.0", "1.5.2", "2.0.1", "3.1.0", "5.5.0", "6.3.4"),
    "photon": ("0.5.2", "0.6.3", "1.4.4", "2.0.1"),
    "electron": ("0.5.2", "0.7.0", "1.2.1", "2.3.1"),
    "p2": ("5.0.0", "5.5.0", "5.9.0"),
}
RATES = {
    "flash-fails": 0.1,
    "offline-during-transfer": 0.05,
    "lost-answer": 0.05,
    "lost-request": 0.05,
    "error-500": 0.05,
    "garbage": 0.03,
    "html": 0.03,
    "stale-list": 0.2,
    "events-dropped": 0.1,
    "events-doubled": 0.1,
    "boot-crash": 0.02,
    "restart-before-transfer": 0.1,
    "restart-during-transfer": 0.1,
    "restart-after-transfer": 0.1,
    "transfer-stalls": 0.05,
    "success-not-applied": 0.05,
    "resume-corrupt": 0.3,
    "doubled-request": 0.1,
    "device-timeout": 0.1,
    "clock-skew": 0.2,
    "stale-device": 0.2,
    "list-shifts": 0.1,
    "list-unordered": 0.3,
    "events-late": 0.2,
    "events-out-of-order": 0.2,
}


INVISIBLE = {"events-dropped", "success-not-applied"}
"""Faults by which a module that the cloud does not show is held to be there and is not: one boot into safe mode."""


def drawn_devices(dice: random.Random) -> str:
    lines = ["\n"]
    for slug, platform in PRODUCTS.items():
        for _ in range(dice.randint(1, 3)):
            release = dice.choice(RELEASES[platform])
            online = dice.random() < 0.9
            lines.append(
                f'  - {{count: 1, product: {slug}, platform: {platform}, deviceOS: "{release}", application: 1, '
                f"groups: [all], online: {str(online).lower()}, healer: {str(dice.random() < 0.5).lower()}}}\n"
            )
    return "".join(lines)


def order_faults(stage: Stage, dice: random.Random) -> list[str]:
    chosen = dice.sample(sorted(RATES), k=5)
    with stage.emulator.locked() as cloud:
        for name in chosen:
            cloud.order_fault(FaultOrder(fault=name, rate=RATES[name]), stage.emulator.now())
        cloud.rules = load_rules({"desiredApplications": [2], "safeModeAllowed": bool(INVISIBLE & set(chosen))})
    return chosen


def run_once(stage: Stage, journal: MemoryJournal) -> Carried:
    manifests = read_manifests([str(stage.folder / "manifests")])
    fleets = manifests.compile()
    settings = CloudSettings(api_url=stage.url, token=AccessToken(TOKEN))
    with CloudConnection(settings, fleets, manifests) as cloud:
        cloud.listen()
        cloud.recall(journal)
        observation = Knowledge(journal).added_to_all(cloud.observe())
        plan = plan_fleets(fleets, observation, stage.emulator.catalog, now=Instant(observation.observed_at))
        agreement = agreement_on(f"plan-{observation.observed_at}", plan)
        return carry_out(cloud, stage.emulator.catalog, journal, agreement, Silent(), Pace(poll_seconds=0.1))


def unaccounted(carried: Carried) -> set[str]:
    """Devices that are neither as desired, nor on a route that was held for a reason, nor refused, waiting, failed."""
    places: set[str] = set(failed_devices(carried.run)) | set(carried.run.arrived)
    for plan in carried.run.plans.values():
        for group in (plan.refused, plan.waiting):
            places |= {device for place in group for device in place.devices}
    for verdicts in carried.run.verdicts.values():
        places |= {verdict.device_id for verdict in verdicts}
    return set(carried.run.tools.agreement.steps) - places


def a_person_comes(journal: MemoryJournal) -> None:
    """Who lifts halts, and has devices tried again that failed."""
    now = moment(journal)
    for halt in journal.halts():
        journal.lift(halt.fleet, now)
    failed = {(each.fleet, each.device_id) for each in journal.attempts() if each.state is AttemptState.FAILED}
    unwell = {
        (story.fleet, device_id)
        for story in stories_of(noted.entry for noted in journal.entries()).values()
        for device_id in story.unwell
    }
    journal.note([Retried(fleet=fleet, at=now, device_id=device_id) for fleet, device_id in sorted(failed | unwell)])


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_device_of_a_drawn_world_ends_in_a_known_place(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    journal = MemoryJournal()
    rollout = '{maxConcurrent: "100%", maxFailures: "100%", stepDeadline: 15m}'
    with set_stage(
        tmp_path, devices=drawn_devices(dice), products=tuple(PRODUCTS), speed=1500.0, seed=seed, rollout=rollout
    ) as stage:
        about = f"seed {seed}, faults {order_faults(stage, dice)}"
        carried = run_once(stage, journal)
        assert unaccounted(carried) == set(), about
        assert stage.violations() == [], about

        stage.lift_all()
        for _ in range(ROUNDS_MAX):
            a_person_comes(journal)
            carried = run_once(stage, journal)
            if not failed_devices(carried.run) and not journal.open_attempts():
                break

        assert stage.violations() == [], about
        assert carried.rest.left == [], about
        assert journal.open_attempts() == (), about
        assert failed_devices(carried.run) == set(), about
        changes = [(change.kind.value, change.before, change.after) for change in journal.console_changes()]
        assert changes == [], f"nobody else was there: {about}"
