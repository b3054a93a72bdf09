"""What is kept from pass to pass changes nothing: the plan is the one made anew of what was seen and is known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.controller.knowledge import Knowledge
from reconciler.controller.picture import Picture
from reconciler.firmware.known import known_catalog
from reconciler.journal.journal import Looked
from reconciler.journal.memory import MemoryJournal
from reconciler.model.console import Latch
from reconciler.model.device import DeviceId, DeviceMode, HeldApplication, Observation, ObservedDevice
from reconciler.model.error import ManifestError
from reconciler.model.fleet import DeviceOverride, FleetSet, OverrideMode, Place, Selector, Suspension
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan
from reconciler.model.refusal import SystemFlashRefusal
from reconciler.model.version import ApplicationVersion
from reconciler.planning.answer import Answers
from reconciler.planning.console import state_of
from reconciler.planning.planner import plan_fleets
from tests.fleet_samples import COLD_CHAIN, LOGGER, NOW, device, device_id, fleet

PASS_SECONDS = 60.0
FLEETS = FleetSet(
    fleets=(
        fleet("eu", application=LOGGER, select=Selector(groups=frozenset({"eu"}))),
        fleet(
            "us",
            select=Selector(groups=frozenset({"us"})),
            suspension=Suspension(reason="a fair", until=Instant(NOW + 4.5 * PASS_SECONDS)),
        ),
    ),
    overrides=(
        DeviceOverride(
            name="lab",
            devices=frozenset({"eu-2", device_id(3)}),
            mode=OverrideMode.HOLD,
            reason="in the lab",
            author=None,
            expires=Instant(NOW + 7.5 * PASS_SECONDS),
            pin=None,
            place=Place("lab.yaml", 1, 1),
        ),
    ),
)
OTHERS = FleetSet(fleets=(fleet("all", "6.2.1"),))


@dataclass
class Stage:
    """A picture, and everything that it is of."""

    devices: dict[DeviceId, ObservedDevice]
    fleets: FleetSet = FLEETS
    now: Instant = NOW
    held: int = 44
    news: dict[DeviceId, ObservedDevice | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.journal = MemoryJournal()
        self.knowledge = Knowledge(self.journal)
        self.picture = Picture(self.knowledge, known_catalog(), Answers(known_catalog()))

    def observation(self) -> Observation:
        holds = (HeldApplication(version=ApplicationVersion(self.held)),)
        return Observation(
            observed_at=self.now,
            source="cloud",
            devices=tuple(self.devices[each] for each in sorted(self.devices)),
            products=(replace(COLD_CHAIN, holds=holds),),
        )

    def happen(self, what: str, number: int, fields: dict[str, Any]) -> None:
        wanted = device_id(number)
        known = self.devices.get(wanted)
        match what:
            case "changes" | "joins":
                self.devices[wanted] = replace(known or device(number), **fields, observed_at=self.now)
            case "is seen again" if known is not None:
                self.devices[wanted] = replace(known, observed_at=self.now, last_heard_at=self.now)
            case "leaves":
                self.devices.pop(wanted, None)
            case "is latched" if known is not None:
                latch = Latch(
                    device_id=wanted, fleet="eu", intent=FLEETS.fleets[0].desired.intent, why="a fight", at=self.now
                )
                self.journal.keep_look(Looked(latches=[latch]))
                self.knowledge.keep_look(Looked(latches=[latch]))
            case "is unlatched by a person":
                self.journal.unlatch(wanted)
            case "arrives" if known is not None:
                state = state_of(known, "eu", "", arrived=FLEETS.fleets[0].desired.intent)
                self.knowledge.keep_look(Looked(states=[state]))
            case "is refused" if number == 1:
                self.knowledge.learn(SystemFlashRefusal(product_id=COLD_CHAIN.id, at=self.now, words="no"))
            case "is uploaded to":
                self.held = 43 + number % 2
            case "is of other manifests" if number == 1:
                self.fleets = OTHERS if self.fleets is FLEETS else FLEETS

    def passes(self) -> Plan:
        """A pass as far as its plan, held against the plan that is made anew."""
        self.now = Instant(self.now + PASS_SECONDS)
        observation = self.observation()
        self.picture.show(observation)
        self.knowledge.read_on()
        plan = self.picture.plan(self.fleets)
        known = self.knowledge.added_to_all(observation)
        anew = plan_fleets(self.fleets, known, known_catalog(), now=self.now)
        assert bare(plan) == bare(anew)
        assert self.picture.whole_plan() == anew
        assert dict(self.picture) == {each.id: each for each in known.devices}
        return plan


def bare(plan: Plan) -> Plan:
    """Without what a pass leaves out."""
    fleets = tuple(replace(each, waves=(), findings=()) for each in plan.fleets)
    return replace(plan, fleets=fleets, findings=(), source=replace(plan.source, observed_digest=""))


numbers = st.integers(1, 6)
fields = st.fixed_dictionaries(
    {},
    optional={
        "device_os": st.sampled_from(["1.5.2", "2.0.1", "6.3.4", None]),
        "application": st.sampled_from([12, 44, None]),
        "online": st.booleans(),
        "mode": st.sampled_from([DeviceMode.NORMAL, DeviceMode.SAFE_MODE]),
        "groups": st.sampled_from([("eu",), ("us",), ()]),
        "desired_application": st.sampled_from([None, 44, 13]),
        "name": st.sampled_from(["eu-1", "eu-2", None]),
        "development": st.booleans(),
    },
)
WHATS = (
    "changes",
    "joins",
    "is seen again",
    "leaves",
    "is latched",
    "is unlatched by a person",
    "arrives",
    "is refused",
    "is uploaded to",
    "is of other manifests",
)
happenings = st.lists(st.tuples(st.sampled_from(WHATS), numbers, fields), max_size=5)


@settings(max_examples=150, deadline=None)
@given(st.lists(happenings, max_size=8))
def test_the_plan_of_a_picture_is_the_plan_made_anew(passes: list[list[tuple[str, int, dict[str, Any]]]]) -> None:
    on = Stage({device_id(number): device(number) for number in range(1, 5)})
    on.passes()
    for between in passes:
        for what, number, changed in between:
            on.happen(what, number, changed)
        on.passes()


def test_an_override_and_a_suspension_end_in_time() -> None:
    on = Stage({device_id(1): device(1, groups=("us",)), device_id(3): device(3)})
    moving = [[sorted(id_ for route in each.routes for id_ in route.devices) for each in on.passes().fleets]]
    moving += [
        [sorted(id_ for route in each.routes for id_ in route.devices) for each in on.passes().fleets] for _ in range(8)
    ]
    assert moving[0] == [[], []]
    assert moving[5] == [[], [device_id(1)]]
    assert moving[8] == [[device_id(3)], [device_id(1)]]


def test_news_are_devices_that_say_something_else_and_since_when() -> None:
    on = Stage({device_id(number): device(number) for number in range(1, 5)})
    on.passes()
    on.picture.news.clear()
    on.happen("is seen again", 1, {})
    on.passes()
    assert on.picture.news == {}
    seen_at = on.devices[device_id(1)].observed_at
    on.happen("changes", 1, {"desired_application": 13})
    on.happen("leaves", 2, {})
    on.happen("joins", 7, {})
    listed_at = on.now
    on.passes()
    assert on.picture.news == {device_id(1): seen_at, device_id(7): listed_at}
    on.happen("changes", 1, {"desired_application": 14})
    on.passes()
    assert on.picture.news[device_id(1)] == seen_at


def test_a_pass_whose_manifests_contradict_each_other_leaves_nothing_half_done() -> None:
    on = Stage({device_id(number): device(number) for number in range(1, 5)})
    on.passes()
    on.fleets = FleetSet(fleets=(fleet("one"), fleet("other")))
    with pytest.raises(ManifestError, match="claims device"):
        on.passes()
    on.fleets = FLEETS
    on.happen("leaves", 1, {})
    on.passes()
