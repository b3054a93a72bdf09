"""A commit becomes a fleet: the whole controller in virtual time, from the source to the devices."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from reconciler.controller.history import Asked, read_history
from reconciler.controller.refused import refused_revisions
from reconciler.journal.memory import MemoryJournal
from reconciler.model.event import IntentRefused, IntentTaken, PassEnded, PlanOffered, Recovered, RolloutMoved, Troubled
from reconciler.model.rollout_entry import Approved, Halted, Resumed, RolloutCompleted
from reconciler.particle.error import NoAnswerError
from reconciler.settings.settings import ControllerSettings, GitSettings, GuardSettings
from tests.simulation.virtual import VirtualCloud
from tests.simulation.virtual_controller import UNREACHABLE, PretendSource, VirtualController

WORLD = """
tokens: [{name: operator, token: "7e577e577e577e577e577e577e577e577e577e57"}]
products:
  - {id: 12345, slug: cold-chain, platform: boron, groups: [eu, us]}
devices:
  - {count: 6, product: cold-chain, platform: boron, deviceOS: "2.0.1", groups: [eu]}
  - {count: 4, product: cold-chain, platform: boron, deviceOS: "2.0.1", groups: [us]}
"""

FLEET = """
apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata: {{name: {name}}}
spec:
  product: cold-chain
  select: {{groups: [{name}]}}
  desired: {{deviceOS: "{release}"}}
"""

HOUR = 3600.0


def fleet(name: str = "eu", release: str = "3.0.0", more: str = "") -> dict[str, str]:
    """A file with one fleet; `more` lines of its spec."""
    return {f"{name}.yaml": FLEET.format(name=name, release=release) + more}


@pytest.fixture
def virtual() -> VirtualCloud:
    return VirtualCloud(WORLD)


@pytest.fixture
def source(virtual: VirtualCloud) -> PretendSource:
    return PretendSource(clock=virtual.clock)


@pytest.fixture
def controller(virtual: VirtualCloud, source: PretendSource) -> VirtualController:
    return VirtualController(virtual, source, MemoryJournal())


def releases(virtual: VirtualCloud) -> list[str]:
    """What the devices run in truth, each release once."""
    return sorted({device.reported_device_os or "" for device in virtual.cloud.state.devices.values()})


def test_a_commit_brings_its_fleet_up_to_date_and_no_other(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    source.push(fleet())
    controller.run_for(3 * HOUR)
    assert releases(virtual) == ["2.0.1", "3.0.0"]
    assert [event.intent.fleets for event in controller.told(IntentTaken)] == [("eu",)]
    assert [e.entry.fleet for e in controller.told(RolloutMoved) if isinstance(e.entry, RolloutCompleted)] == ["eu"]
    source.push({**fleet(), **fleet("us")})
    controller.run_for(3 * HOUR)
    assert releases(virtual) == ["3.0.0"]
    assert virtual.cloud.violations() == ()


def test_a_forced_push_needs_a_person_and_their_word_takes_it(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    source.push(fleet())
    controller.run_for(HOUR)
    commit = source.push(fleet(release="4.0.0"), forced=True)
    controller.run_for(HOUR)
    (refused,) = controller.told(IntentRefused)
    assert (refused.code, refused.next_step.split(":")[0]) == ("PFR6811", "if it is meant so")
    assert releases(virtual) == ["2.0.1", "3.0.0"]
    word = {"commit": commit[:12], "by": "ada", "at": virtual.now}
    controller.journal.set_bookmark("accept/pretend", json.dumps(word))
    controller.run_for(3 * HOUR)
    assert releases(virtual) == ["2.0.1", "4.0.0"]
    assert [event.intent.by for event in controller.told(IntentTaken)] == [None, "ada"]
    assert controller.journal.bookmark("accept/pretend") is None
    history, _ = read_history(controller.journal, Asked(fleet="eu"))
    assert [(each.code, each.revision.commit) for each in history.refused] == [("PFR6811", f"sha1:{commit}")]
    assert [(each.revision.commit[5:] == commit, each.by) for each in history.intents] == [(False, None), (True, "ada")]


@pytest.mark.parametrize(
    ("files", "code"),
    [({}, "PFR6812"), (fleet("us"), "PFR6813"), ({"eu.yaml": "kind: [broken"}, "PFR1003")],
    ids=["emptied", "fleet gone", "broken"],
)
def test_a_commit_that_cannot_be_meant_changes_nothing_and_is_told_once(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud, files: dict[str, str], code: str
) -> None:
    source.push(fleet())
    controller.run_for(HOUR)
    source.push(files)
    controller.run_for(HOUR)
    assert [event.code for event in controller.told(IntentRefused)] == [code]
    (refused,) = refused_revisions(controller.journal)
    controller.leave()
    controller = VirtualController(virtual, source, controller.journal, seed=8)
    controller.run_for(HOUR)
    assert refused_revisions(controller.journal) == (refused,)
    assert refused.code == code
    assert controller.loop.passes.intent is not None
    assert controller.loop.passes.intent.taken.fleets == ("eu",)
    source.push({**fleet(), **fleet("us")})
    controller.run_for(3 * HOUR)
    assert releases(virtual) == ["3.0.0"]


def test_while_git_is_down_the_last_commit_stands_also_for_the_next_process(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    source.push(fleet())
    controller.run_for(120.0)
    source.down = True
    controller.run_for(600.0)
    controller.leave()
    later = VirtualController(virtual, source, controller.journal)
    later.run_for(5 * HOUR)
    assert releases(virtual) == ["2.0.1", "3.0.0"]
    assert [event.code for event in later.told(Troubled)] == [UNREACHABLE]
    source.down = False
    later.run_for(HOUR)
    assert [event.what for event in later.told(Recovered)] == ["source"]
    assert virtual.cloud.violations() == ()


def test_a_halt_is_heard_within_seconds_also_while_git_is_down(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    source.push(fleet(more="  rollout: {maxConcurrent: 1}\n"))
    controller.run_for(300.0)
    source.down = True
    controller.journal.note([Halted(fleet="eu", at=virtual.now, reason="smoke", by="ada")])
    controller.run_for(5.0)
    begun = len(controller.journal.attempts())
    controller.run_for(2 * HOUR)
    assert len(controller.journal.attempts()) == begun < 12
    controller.journal.note([Resumed(fleet="eu", at=virtual.now, by="ada")])
    controller.run_for(4 * HOUR)
    assert releases(virtual) == ["2.0.1", "3.0.0"]


def test_a_fleet_that_is_as_desired_is_looked_at_and_nothing_is_written(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    source.push(fleet())
    controller.run_for(3 * HOUR)
    written: list[str] = []
    journal = controller.journal

    class Watched:
        def __getattr__(self, name: str) -> object:
            if name.startswith(("begin", "record", "note", "keep", "set", "release", "take", "halt", "lift")):
                written.append(name)
            return getattr(journal, name)

    controller.loop.means = replace(controller.loop.means, journal=Watched())
    for run in controller.loop.passes.runs:
        run.tools = replace(run.tools, journal=Watched())
    passes, requests = len(controller.told(PassEnded)), controller.connection.api.wire.traffic().requests
    controller.run_for(2 * HOUR)
    assert written == []
    assert len(controller.told(PassEnded)) - passes == pytest.approx(24, abs=4)
    assert controller.connection.api.wire.traffic().requests - requests < 200


def test_a_newer_commit_in_the_midst_of_a_rollout_ends_the_steps_and_goes_its_own_way(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    source.push(fleet(more="  rollout: {maxConcurrent: 2}\n"))
    controller.run_for(HOUR, until=lambda: len(controller.journal.attempts()) >= 5)
    source.push(fleet(release="4.0.0", more="  rollout: {maxConcurrent: 2}\n"))
    controller.run_for(6 * HOUR)
    assert releases(virtual) == ["2.0.1", "4.0.0"]
    assert virtual.cloud.violations() == ()


def test_a_fleet_that_suddenly_grows_waits_for_a_person(virtual: VirtualCloud, source: PretendSource) -> None:
    settings = ControllerSettings(git=GitSettings(url="pretend"), guards=GuardSettings(devices_min=5))
    controller = VirtualController(virtual, source, MemoryJournal(), settings)
    source.push(fleet())
    controller.run_for(3 * HOUR)
    both = fleet(release="4.0.0")["eu.yaml"].replace("groups: [eu]", "groups: [eu, us]")
    source.push({"eu.yaml": both})
    controller.run_for(2 * HOUR)
    assert releases(virtual) == ["2.0.1", "3.0.0"]
    (halted,) = [e.entry for e in controller.told(RolloutMoved) if isinstance(e.entry, Halted)]
    assert "has grown from 6 to 10 devices" in halted.reason
    controller.journal.note([Resumed(fleet="eu", at=virtual.now, by="ada")])
    controller.run_for(5 * HOUR)
    assert releases(virtual) == ["4.0.0"]


def test_an_approval_that_is_asked_for_is_waited_for_and_the_plan_is_offered_once(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud
) -> None:
    source.push(fleet(more="  approval: {required: true}\n"))
    controller.run_for(3 * HOUR)
    assert releases(virtual) == ["2.0.1"]
    (offered,) = controller.told(PlanOffered)
    assert offered.devices == 6
    approved = Approved(
        fleet="eu",
        at=virtual.now,
        plan_id=offered.plan_id,
        digest=offered.digest,
        wave=None,
        by="ada",
        source="command",
    )
    controller.journal.note([approved])
    controller.run_for(3 * HOUR)
    assert releases(virtual) == ["2.0.1", "3.0.0"]
    assert len(controller.told(PlanOffered)) == 1


@pytest.mark.parametrize("seconds", [70.0, 95.0, 130.0, 200.0, 333.0, 500.0, 777.0])
def test_whenever_the_process_is_killed_the_next_one_brings_the_fleet_there(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud, seconds: float
) -> None:
    source.push(fleet())
    controller.run_for(seconds)
    controller.leave()
    later = VirtualController(virtual, source, controller.journal, seed=8)
    later.run_for(5 * HOUR)
    assert releases(virtual) == ["2.0.1", "3.0.0"]
    assert virtual.cloud.violations() == ()


def test_while_a_newer_commit_cannot_be_followed_the_loop_does_not_spin(
    controller: VirtualController, source: PretendSource, virtual: VirtualCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def follow(*_: object) -> None:
        raise NoAnswerError("nobody answers")

    source.push(fleet(release="2.3.1"))
    controller.run_for(HOUR)
    with monkeypatch.context() as patch:
        patch.setattr(controller.connection, "follow", follow)
        source.push(fleet())
        controller.run_for(HOUR)
        assert controller.loop.passes.runner.next_due() < virtual.now < controller.loop.next_turn()
    assert [event.what for event in controller.told(Troubled)] == ["cloud"]
    controller.run_for(3 * HOUR)
    assert releases(virtual) == ["2.0.1", "3.0.0"]


def test_a_product_in_trouble_does_not_hold_up_the_others(source: PretendSource, virtual: VirtualCloud) -> None:
    controller = VirtualController(virtual, source, MemoryJournal())
    elsewhere = fleet("us")["us.yaml"].replace("product: cold-chain", "product: nowhere")
    source.push({**fleet(), "us.yaml": elsewhere})
    controller.run_for(3 * HOUR)
    assert releases(virtual) == ["2.0.1", "3.0.0"]
    assert {event.what for event in controller.told(Troubled)} == {"product nowhere"}
    failed = [event for event in controller.told(PassEnded) if event.code is not None]
    assert 5 < len(failed) < 30
