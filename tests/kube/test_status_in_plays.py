"""Every status of whole rollouts that are played in virtual time keeps the rules that others hold it to."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.journal.memory import MemoryJournal
from reconciler.manifests.schema import load_schema
from reconciler.model.event import PlanOffered
from reconciler.model.rollout_entry import Approved, Halted, Resumed, Suspended
from tests.kube.judging import judged
from tests.kube.oracle import broken_rules, kstatus
from tests.kube.resources import StatusWatch
from tests.simulation.test_controller import HOUR, WORLD, fleet
from tests.simulation.virtual import VirtualCloud
from tests.simulation.virtual_controller import PretendSource, VirtualController

WAVES = """  rollout:
    maxConcurrent: 2
    waves:
      - {name: canary, size: 2, soak: 10m}
      - {name: rest, size: remaining}
"""


class Play:
    """A controller of which every status is kept."""

    def __init__(self) -> None:
        self.virtual = VirtualCloud(WORLD)
        self.source = PretendSource(clock=self.virtual.clock)
        self.controller = VirtualController(self.virtual, self.source, MemoryJournal())
        self.watch = StatusWatch(self.controller)

    def run_for(self, seconds: float) -> None:
        self.controller.run_for(seconds, until=self.watch.look)

    def run_until(self, reason: str, within: float = 3 * HOUR) -> None:
        self.controller.run_for(within, until=lambda: self.watch.look() or self.ready()["reason"] == reason)
        assert self.ready()["reason"] == reason, self.watch.reasons

    def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = self.status()["conditions"][0]
        assert found["type"] == "Ready"
        return found

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.watch.resources[-1]["status"]
        return found

    def check(self) -> None:
        """Everything that holds of every status of every play."""
        schema = Draft202012Validator(load_schema("fleetstatus"))
        for each in self.watch.resources:
            assert broken_rules(each) == [], each
            assert [error.message for error in schema.iter_errors(each["status"])] == []
            counts = dict(each["status"].get("devices", {"total": 0}))
            assert counts.pop("total") == sum(counts.values())
        assert [each["status"] for each in judged(self.watch.resources)] == [*map(kstatus, self.watch.resources)]


@pytest.fixture
def play() -> Play:
    return Play()


def test_a_rollout_in_waves_is_told_wave_by_wave_and_ends_ready(play: Play) -> None:
    play.source.push(fleet(more=WAVES))
    play.run_for(3 * HOUR)
    play.check()
    seen = {each["display"]["wave"] for each in play.watch.statuses}
    assert seen == {"", "1/2 canary", "2/2 rest"}
    assert [reason for reason in play.watch.reasons if reason not in ("Progressing", "ProgressingWithRetry")] == [
        "WaveInProgress",
        "Soaking",
        "WaveInProgress",
        "Succeeded",
    ]
    assert play.status()["devices"] == dict.fromkeys(play.status()["devices"], 0) | {"total": 6, "current": 6}
    assert play.status()["lastAppliedRevision"] == play.status()["lastAttemptedRevision"]
    assert [wave["state"] for wave in play.status()["waves"]] == ["Complete", "Complete"]


def test_a_fleet_at_rest_has_the_same_status_after_every_pass(play: Play) -> None:
    play.source.push(fleet())
    play.run_until("Succeeded")
    looks, statuses = len(play.watch.resources), len(play.watch.statuses)
    play.run_for(2 * HOUR)
    assert len(play.watch.resources) > looks + 10
    assert len(play.watch.statuses) == statuses


def test_a_halt_stalls_and_a_persons_word_goes_on(play: Play) -> None:
    play.source.push(fleet(more=WAVES))
    play.run_until("WaveInProgress")
    play.controller.journal.note([Halted(fleet="eu", at=play.virtual.now, reason="smoke", by="ada")])
    play.run_until("Halted")
    assert "halted by ada: smoke" in play.ready()["message"]
    assert kstatus(play.watch.resources[-1]) == "Failed"
    play.run_for(HOUR)
    play.controller.journal.note([Resumed(fleet="eu", at=play.virtual.now, by="ada")])
    play.run_until("Succeeded")
    play.check()


def test_a_suspension_is_neither_failed_nor_done(play: Play) -> None:
    play.source.push(fleet(more=WAVES))
    play.run_until("WaveInProgress")
    word = Suspended(fleet="eu", at=play.virtual.now, reason="trade fair", until=None, by="ada")
    play.controller.journal.note([word])
    play.run_until("Suspended")
    assert [each["type"] for each in play.status()["conditions"]] == ["Ready", "Suspended"]
    assert kstatus(play.watch.resources[-1]) == "InProgress"
    play.controller.journal.note([Resumed(fleet="eu", at=play.virtual.now, by="ada")])
    play.run_until("Succeeded")
    play.check()


def test_an_approval_is_waited_for_with_the_plan_to_approve(play: Play) -> None:
    play.source.push(fleet(more="  approval: {required: true}\n"))
    play.run_until("AwaitingApproval")
    play.run_for(HOUR)
    (offered,) = play.controller.told(PlanOffered)
    assert play.status()["plan"] == {"id": offered.plan_id, "digest": offered.digest, "approved": False}
    approved = Approved(
        fleet="eu",
        at=play.virtual.now,
        plan_id=offered.plan_id,
        digest=offered.digest,
        wave=None,
        by="ada",
        source="command",
    )
    play.controller.journal.note([approved])
    play.run_until("Succeeded")
    assert play.status()["plan"]["approved"]
    play.check()


def test_a_refused_commit_stalls_while_what_was_taken_stands(play: Play) -> None:
    play.source.push(fleet())
    play.run_until("Succeeded")
    taken = play.status()["lastAppliedRevision"]
    play.source.push({"eu.yaml": "kind: [broken"})
    play.run_until("BuildFailed")
    assert kstatus(play.watch.resources[-1]) == "Failed"
    assert play.status()["lastAppliedRevision"] == taken != play.status()["lastAttemptedRevision"]
    play.source.push(fleet(release="4.0.0"))
    play.run_until("Succeeded")
    assert play.status()["lastAppliedRevision"] == play.status()["lastAttemptedRevision"] != taken
    play.check()


def test_ready_never_stays_true_while_git_is_down(play: Play) -> None:
    play.source.push(fleet())
    play.run_until("Succeeded")
    since = play.ready()["lastTransitionTime"]
    play.source.down = True
    play.run_until("ProgressingWithRetry")
    assert play.ready()["lastTransitionTime"] > since
    play.source.down = False
    play.run_until("Succeeded")
    play.check()


def test_a_new_process_tells_no_news_until_it_has_looked(play: Play) -> None:
    play.source.push(fleet())
    play.run_until("Succeeded")
    before = play.status()
    play.controller.leave()
    play.controller = VirtualController(play.virtual, play.source, play.controller.journal, seed=8)
    play.watch.follow(play.controller)
    play.run_for(HOUR)
    assert play.status() == before
    assert play.watch.reasons[-1] == "Succeeded"
    play.check()
