"""What people read, against goldens. To change them: REWRITE_GOLDENS=1 pytest tests/render, then read the diff."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.firmware.known import known_catalog
from reconciler.model.device import DeviceMode
from reconciler.model.device_life import DeviceState
from reconciler.model.instant import instant_from_iso
from reconciler.model.plan import Cost, Plan, Refused, Waiting
from reconciler.model.rollout import FleetStory, Rollout, RolloutState, StartedWave, WaveState, stories_of
from reconciler.model.rollout_entry import Halted, Suspended
from reconciler.render.device_progress import DeviceProgress
from reconciler.render.drift_text import drift_text, drifted_devices
from reconciler.render.explain_text import explain_text
from reconciler.render.history import chapters_of, last_of
from reconciler.render.history_text import history_text, in_force_text
from reconciler.render.ink import Page, byte_size, device_sample, duration, harmless
from reconciler.render.outcome import Outcome, outcome_document, outcome_text
from reconciler.render.plan_text import budget_in_words, plan_text
from reconciler.render.rollout_status import HeldDevice
from reconciler.render.status_text import status_text
from reconciler.rollout.verdict import Hold, Wait
from tests.fleet_samples import device_id
from tests.render.sample_history import STORY, later
from tests.render.sample_plan import (
    ARGON_REPAIR,
    BORON_ROUTE,
    COLD_CHAIN,
    COLD_CHAIN_PLAN,
    NOTHING_TO_DO,
    OLD_BORON_ROUTE,
    PLAN,
    USER_PART,
    WORKSHOP,
    ids,
    observed,
)
from tests.render.sample_status import BLIND, FINE, NO_JOURNAL, WORST, ago, failed

GOLDENS = Path(__file__).parent / "goldens"
CATALOG = known_catalog()

OUTCOME = Outcome(
    devices_planned=250,
    devices_arrived=240,
    devices_failed=3,
    devices_waiting=7,
    devices_refused=6,
    steps_planned=812,
    steps_done=790,
    steps_failed=3,
    steps_open=2,
    requests=1_430,
    requests_writing=801,
    bytes_sent=141_000_000,
)
DONE = replace(
    OUTCOME, devices_arrived=250, devices_failed=0, devices_waiting=0, steps_done=812, steps_failed=0, steps_open=0
)
SAFE_MODE_BORON = observed(ids(7, 1)[0], mode=DeviceMode.SAFE_MODE, device_os=None, application=None)
REPORTED = observed(
    ids(50, 1)[0], name=None, platform_id=12, mode=DeviceMode.SAFE_MODE, modules=ARGON_REPAIR.situation.modules
)

WAVE = StartedWave(name="canary", state=WaveState.OPEN, devices=1, members=frozenset(ids(0, 1)), started_at=ago(4000))
DEVICE_PROGRESS = DeviceProgress(
    story=FleetStory(
        fleet="cold-chain-eu",
        rollout=Rollout(
            id="cold-chain-eu-1a2b-1795338000",
            fleet="cold-chain-eu",
            intent="6.3.4 required -",
            plan_id="p",
            devices=9,
            state=RolloutState.HALTED,
            began_at=ago(5000),
            waves=(WAVE,),
        ),
        halted=Halted(fleet="cold-chain-eu", at=ago(60), reason="smoke \x1b[2J", by="ada"),
        suspended=Suspended(fleet="cold-chain-eu", at=ago(50), reason="storm", until=ago(-600), by="ben"),
    ),
    wave=WAVE,
    to_come=("rest",),
    standing=DeviceState.FAILED,
    verdict=Wait(device_id=ids(0, 1)[0], hold=Hold.HELD, until=ago(-3000)),
    failures=(failed(0, 700, "no \x07space").attempt, failed(0, 2000, "").attempt),
    held=HeldDevice(device_id=ids(0, 1)[0], why="install: no \x07space", until=ago(-3000)),
)

TEXTS = {
    "plan": plan_text(PLAN, plan_id="plan-main-3f9c1e0b2a"),
    "plan-narrow": plan_text(PLAN, plan_id="plan-main-3f9c1e0b2a", width=60),
    "plan-nothing": plan_text(NOTHING_TO_DO, plan_id="plan-local-0000000000"),
    "drift": drift_text(PLAN),
    "drift-none": drift_text(NOTHING_TO_DO),
    "drift-no-device": drift_text(
        replace(NOTHING_TO_DO, fleets=tuple(replace(fleet, current=()) for fleet in NOTHING_TO_DO.fleets))
    ),
    "explain-route": explain_text(
        observed(ids(0, 1)[0], last_heard_at=instant_from_iso("2026-11-22T08:59:00Z")), COLD_CHAIN, BORON_ROUTE, CATALOG
    ),
    "explain-learnt": explain_text(
        observed(ids(40, 1)[0], device_os="1.2.1", learnt=OLD_BORON_ROUTE.situation.modules[:1]),
        COLD_CHAIN,
        OLD_BORON_ROUTE,
        CATALOG,
    ),
    "explain-repair": explain_text(REPORTED, WORKSHOP, ARGON_REPAIR, CATALOG),
    "explain-current": explain_text(observed(ids(100, 1)[0], device_os="6.3.4"), COLD_CHAIN, None, CATALOG),
    "explain-refused": explain_text(
        observed(ids(900, 1)[0], device_os="6.4.1", development=True), COLD_CHAIN, COLD_CHAIN_PLAN.refused[0], CATALOG
    ),
    "explain-waiting": explain_text(SAFE_MODE_BORON, COLD_CHAIN, COLD_CHAIN_PLAN.waiting[0], CATALOG),
    "explain-rollout": explain_text(observed(ids(0, 1)[0]), COLD_CHAIN, BORON_ROUTE, CATALOG, (), DEVICE_PROGRESS),
    "explain-no-fleet": explain_text(observed(ids(0, 1)[0]), None, None, CATALOG),
    "outcome-failed": outcome_text(replace(OUTCOME, halted_fleets=("cold-chain-eu",))),
    "outcome-done": outcome_text(DONE),
    "outcome-done-while-halted": outcome_text(replace(DONE, halted_fleets=("cold-chain-eu",))),
    "outcome-interrupted": outcome_text(replace(OUTCOME, interrupted=True)),
    "status-worst": status_text(WORST),
    "status-worst-narrow": status_text(WORST, width=60),
    "status-fine": status_text(FINE),
    "status-blind": status_text(BLIND),
    "status-no-journal": status_text(NO_JOURNAL),
    "history": history_text(chapters_of(STORY))
    + "\n"
    + in_force_text(STORY, stories_of(STORY.entries).values(), now=later(10)),
    "history-narrow": history_text(chapters_of(STORY), width=60),
    "history-verbose": history_text(last_of(chapters_of(STORY, since=later(4), each_alone=True), 12)),
    "history-device": history_text(chapters_of(STORY, device_id=device_id(3), each_alone=True)),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_is_the_golden(name: str) -> None:
    golden = GOLDENS / f"{name}.txt"
    if os.environ.get("REWRITE_GOLDENS"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(TEXTS[name], encoding="utf-8")
    assert TEXTS[name] == golden.read_text(encoding="utf-8")


def test_every_golden_belongs_to_a_text() -> None:
    assert {path.stem for path in GOLDENS.glob("*.txt")} == set(TEXTS)


def test_colour_adds_nothing_but_colour() -> None:
    coloured = plan_text(PLAN, plan_id="p", colour=True), drift_text(PLAN, colour=True)
    assert tuple(re.sub(r"\x1b\[\d+m", "", text) for text in coloured) == (
        plan_text(PLAN, plan_id="p"),
        drift_text(PLAN),
    )
    assert all("\x1b[" in text for text in coloured)


def test_the_plan_text_depends_on_no_order() -> None:
    backwards = replace(PLAN, fleets=tuple(replace(f, routes=f.routes[::-1]) for f in PLAN.fleets[::-1]))
    assert plan_text(backwards, plan_id="p") == plan_text(PLAN, plan_id="p")


def test_devices_that_take_the_same_way_for_different_reasons_of_knowledge_stand_together() -> None:
    reported = replace(BORON_ROUTE, devices=ids(2000, 6), situation=replace(BORON_ROUTE.situation, user_part=USER_PART))
    plan = replace(PLAN, fleets=(replace(COLD_CHAIN_PLAN, routes=(BORON_ROUTE, reported)),))
    assert "40 boron, Device OS 1.5.2 -> 6.3.4" in plan_text(plan, plan_id="p")


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (25, "about 50 requests (each step and a look before it), 1% of the 8,000 in 5 min"),
        (400, "about 800 requests (each step and a look before it), 10% of the 8,000 in 5 min"),
        (1_200, "about 2,400 requests (each step and a look before it), 30% of the 8,000 in 5 min, at least 20 s"),
        (4_000, "about 8,000 requests (each step and a look before it), 100% of the 8,000 in 5 min, at least 5 min"),
        (40_000, "about 80,000 requests (each step and a look before it), at 8,000 in 5 min, at least 65 min"),
    ],
)
def test_a_plan_says_how_much_of_the_api_budget_it_takes(steps: int, words: str) -> None:
    assert budget_in_words(Cost(steps=steps, requests=steps)) == f"API budget: {words}"


def test_a_message_of_strangers_cannot_move_the_cursor() -> None:
    evil = "held by override x: \x1b[2Jgone\r\nPlan: nothing"
    waiting = tuple(replace(entry, message=evil) for entry in COLD_CHAIN_PLAN.waiting)
    plan: Plan = replace(PLAN, fleets=(replace(COLD_CHAIN_PLAN, waiting=waiting),))
    assert "\x1b" not in plan_text(plan, plan_id="p")
    assert "\r" not in drift_text(plan)


def test_every_refusal_and_waiting_reason_can_be_explained() -> None:
    entries: tuple[Refused | Waiting, ...] = (*COLD_CHAIN_PLAN.refused, *COLD_CHAIN_PLAN.waiting)
    for entry in entries:
        text = explain_text(observed(entry.devices[0]), COLD_CHAIN, entry, CATALOG)
        assert entry.reason.code in text
        assert entry.message in text


def test_drift_counts_the_devices_that_have_a_route() -> None:
    assert (drifted_devices(PLAN), drifted_devices(NOTHING_TO_DO)) == (38, 0)


def test_the_outcome_document_says_what_was_never_begun_and_the_requests_of_a_device() -> None:
    document = outcome_document(OUTCOME)
    assert (document["steps_not_begun"], document["requests_per_device"]) == (17, 5.72)


def test_an_outcome_without_devices_divides_by_nothing() -> None:
    nothing = replace(DONE, devices_planned=0, devices_arrived=0, steps_planned=0, steps_done=0)
    assert outcome_document(nothing)["requests_per_device"] == 0
    assert outcome_text(nothing).endswith("Done: there was nothing to do.\n")


def test_sizes_and_times_read_as_a_person_says_them() -> None:
    assert [byte_size(n) for n in (1, 999, 1000, 597_412, 1_400_000, 2_500_000_000)] == [
        "1 byte",
        "999 bytes",
        "1 KB",
        "597 KB",
        "1.4 MB",
        "2.5 GB",
    ]
    assert [duration(n) for n in (0, 6, 119, 150, 1440, 4464)] == [
        "1 min",
        "6 min",
        "119 min",
        "2.5 h",
        "24 h",
        "3.1 days",
    ]


def test_three_devices_stand_for_many() -> None:
    assert device_sample(ids(0, 5)[::-1]).endswith("0002 and 2 more")


def test_a_long_word_is_not_broken_and_a_narrow_page_still_has_lines() -> None:
    assert Page(width=1).wrapped("e00fce680000000000000000 and more") == ["e00fce680000000000000000", "and more"]


def test_harmless_text_is_left_as_it_is() -> None:
    assert harmless("Kühlkette 東京 eu-1") == "Kühlkette 東京 eu-1"
