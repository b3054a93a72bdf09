"""Resources become a fleet: the real command as a process, a served cloud, and a stand-in for the API server."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.kube.resource import APPROVAL, FLEET, OVERRIDE, POLICY, RELEASE
from tests.kube.fake_cluster import FakeCluster
from tests.kube.judging import judged
from tests.kube.operator_stage import OperatorStage, fleet, operator_stage, part
from tests.kube.oracle import broken_rules, kstatus
from tests.simulation.stage import PERSON_TOKEN, TOKEN


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    made = FakeCluster()
    made.start()
    made.secret("team-a", TOKEN)
    yield made
    made.stop()
    assert [rule for each in made.told for rule in broken_rules(each)] == []
    assert [each["status"] for each in judged(made.told)] == [*map(kstatus, made.told)]


@pytest.fixture
def stage(tmp_path: Path, cluster: FakeCluster) -> Iterator[OperatorStage]:
    with operator_stage(tmp_path, cluster.kubeconfig(tmp_path / "kubeconfig"), quick=True) as made:
        yield made


def ready(cluster: FakeCluster, namespace: str = "team-a", name: str = "eu", kind: str = FLEET) -> dict[str, str]:
    conditions = cluster.status(namespace, name, kind).get("conditions", [])
    return next((each for each in conditions if each["type"] == "Ready"), {})


def is_ready(cluster: FakeCluster, generation: int = 1, namespace: str = "team-a") -> bool:
    found = ready(cluster, namespace)
    return found.get("status") == "True" and found["observedGeneration"] == generation


def test_a_resource_becomes_a_fleet_and_an_edit_its_next_release(stage: OperatorStage, cluster: FakeCluster) -> None:
    cluster.apply(fleet("team-a"))
    stage.start()
    stage.wait_for_release("2.1.0")
    stage.wait_for(lambda: is_ready(cluster))
    cluster.apply(fleet("team-a", release="2.2.0"))
    stage.wait_for_release("2.2.0")
    stage.wait_for(lambda: is_ready(cluster, generation=2))
    assert cluster.status("team-a", "eu")["devices"]["current"] == 2
    stage.wait_for(lambda: "RolloutCompleted" in {each["reason"] for each in cluster.events})
    assert stage.readiness()["ready"]
    assert all(not key[1].endswith("finalizers") for key in cluster.objects)
    assert stage.end() == 0
    stage.stage.assert_nothing_wrong()


def test_a_deleted_fleet_is_left_as_it_is_even_if_it_was_the_last_one(
    stage: OperatorStage, cluster: FakeCluster
) -> None:
    cluster.apply(fleet("team-a", suspend=True))
    stage.start()
    stage.wait_for(lambda: ready(cluster).get("reason") == "Suspended")
    cluster.delete("DeviceFleet", "team-a", "eu")
    stage.wait_for(lambda: stage.said.count("is desired now") == 2)
    assert stage.releases() == {"2.0.1"}
    assert stage.end() == 0
    assert stage.stage.writes() == []


def test_a_resource_with_a_problem_says_so_and_the_others_go_on(stage: OperatorStage, cluster: FakeCluster) -> None:
    cluster.apply(fleet("team-a"))
    cluster.apply(fleet("team-a", "us", product="legacy-meters", rolloutPolicyRef="slow"))
    stage.start()
    stage.wait_for_release("2.1.0")
    stage.wait_for(lambda: ready(cluster, name="us").get("reason") == "BuildFailed")
    assert "there is no RolloutPolicy 'slow'" in ready(cluster, name="us")["message"]
    assert stage.releases("legacy-meters") == {"2.0.1"}
    cluster.apply(part("RolloutPolicy", "team-a", "slow", rollout={"maxConcurrent": 1}))
    stage.wait_for_release("2.1.0", "legacy-meters")
    stage.wait_for(lambda: "1 fleet refers" in ready(cluster, name="slow", kind=POLICY).get("message", ""))
    assert stage.end() == 0


def test_what_stands_beside_fleets_says_whether_it_counts_also_before_the_first_fleet(
    stage: OperatorStage, cluster: FakeCluster
) -> None:
    cluster.apply(part(POLICY, "team-b", "slow", rollout={"maxConcurrent": 1}))
    cluster.apply(part(POLICY, "team-b", "wrong", rollout={"maxConcurrent": "many"}))
    cluster.apply(fleet("team-a", suspend=True))
    cluster.apply(part(OVERRIDE, "team-a", "lent", devices=["e" * 24], mode="hold", reason="a loan"))
    cluster.apply(part(RELEASE, "team-a", "logger", product="cold-chain"))
    stage.start()
    stage.wait_for(lambda: ready(cluster, "team-b", "slow", POLICY).get("status") == "True")
    stage.wait_for(lambda: ready(cluster, "team-b", "wrong", POLICY).get("reason") == "BuildFailed")
    stage.wait_for(lambda: ready(cluster, "team-a", "lent", OVERRIDE).get("message") == "it counts: hold for 1 device")
    stage.wait_for(lambda: ready(cluster, "team-a", "logger", RELEASE).get("reason") == "BuildFailed")
    cluster.apply(part(POLICY, "team-b", "wrong", rollout={"maxConcurrent": 2}))
    stage.wait_for(lambda: ready(cluster, "team-b", "wrong", POLICY).get("status") == "True")
    assert ready(cluster, "team-b", "wrong", POLICY)["observedGeneration"] == 2
    stage.wait_for(lambda: ready(cluster).get("reason") == "Suspended")
    writes = len(cluster.told)
    cluster.annotate(FLEET, "team-a", "eu", reconcile_requested_at="1")
    stage.wait_for(lambda: cluster.status("team-a", "eu").get("lastHandledReconcileAt") == "1")
    assert len(cluster.told) == writes + 1, "nothing else has changed, so nothing else is written"
    assert stage.end() == 0


def test_a_product_belongs_to_the_namespace_that_named_it_first(stage: OperatorStage, cluster: FakeCluster) -> None:
    cluster.secret("team-b", TOKEN)
    cluster.apply(fleet("team-a"))
    cluster.apply(fleet("team-b", release="2.2.0", product="12301"))
    stage.start()
    stage.wait_for_release("2.1.0")
    stage.wait_for(lambda: "belongs to namespace team-a" in ready(cluster, "team-b").get("message", ""))
    cluster.delete("DeviceFleet", "team-a", "eu")
    stage.wait_for_release("2.2.0")
    stage.wait_for(lambda: is_ready(cluster, namespace="team-b"))
    assert stage.end() == 0
    stage.stage.assert_nothing_wrong()


def test_each_namespace_goes_by_its_own_token_which_may_be_replaced_or_taken_away(
    stage: OperatorStage, cluster: FakeCluster
) -> None:
    cluster.apply(fleet("team-a"))
    cluster.apply(fleet("team-b", product="legacy-meters"))
    cluster.secret("team-a", "no token that the cloud knows")
    stage.start()
    stage.wait_for(lambda: ready(cluster, "team-b").get("reason") == "CredentialsInvalid")
    stage.wait_for(lambda: ready(cluster).get("reason") == "CredentialsInvalid")
    cluster.secret("team-b", PERSON_TOKEN)
    stage.wait_for_release("2.1.0", "legacy-meters")
    assert stage.releases() == {"2.0.1"}
    cluster.secret("team-a", TOKEN)
    cluster.annotate("DeviceFleet", "team-a", "eu", reconcile_requested_at="now")
    stage.wait_for_release("2.1.0")
    cluster.secret("team-b", None)
    stage.wait_for(lambda: "there is no Secret" in ready(cluster, "team-b").get("message", ""))
    assert stage.end() == 0


def test_a_fleet_is_halted_resumed_and_looked_at_by_annotations(stage: OperatorStage, cluster: FakeCluster) -> None:
    halted = fleet("team-a")
    halted["metadata"]["annotations"] = {"fleet.reconciler.dev/halt": "smoke in building 2"}
    cluster.apply(halted)
    stage.start()
    stage.wait_for(lambda: ready(cluster).get("reason") == "Halted")
    assert "smoke in building 2" in ready(cluster)["message"]
    cluster.annotate("DeviceFleet", "team-a", "eu", reconcile_requested_at="2026-11-22T20:00:00Z")
    stage.wait_for(lambda: cluster.status("team-a", "eu").get("lastHandledReconcileAt") == "2026-11-22T20:00:00Z")
    assert stage.stage.writes() == []
    cluster.annotate("DeviceFleet", "team-a", "eu", halt=None)
    stage.wait_for_release("2.1.0")
    assert stage.end() == 0
    stage.stage.assert_nothing_wrong()


def test_a_plan_is_approved_by_a_resource_of_its_own(stage: OperatorStage, cluster: FakeCluster) -> None:
    cluster.apply(fleet("team-a", approval={"required": True}))
    stage.start()
    stage.wait_for(lambda: ready(cluster).get("reason") == "AwaitingApproval")
    stage.wait_for(lambda: "plan" in cluster.status("team-a", "eu"))
    plan = cluster.status("team-a", "eu")["plan"]
    approval = {
        "apiVersion": "fleet.reconciler.dev/v1alpha1",
        "kind": "PlanApproval",
        "metadata": {"name": "yes", "namespace": "team-b"},
        "spec": {"planId": plan["id"], "digest": plan["digest"], "by": "ann", "at": "2026-11-22T20:00:00Z"},
    }
    cluster.apply(approval)
    stage.wait_for(lambda: ready(cluster, "team-b", "yes", APPROVAL).get("reason") == "ApprovalRefused")
    assert "not about these fleets of this namespace" in ready(cluster, "team-b", "yes", APPROVAL)["message"]
    stage.wait_for(lambda: "ApprovalRefused" in {each["reason"] for each in cluster.events})
    cluster.annotate(FLEET, "team-a", "eu", approve_plan="plan-of-nobody")
    stage.wait_for(lambda: "plan-of-nobody" in ready(cluster)["message"])
    assert {each["involvedObject"]["kind"] for each in cluster.events} == {APPROVAL, FLEET}
    cluster.apply({**approval, "metadata": {"name": "yes", "namespace": "team-a"}})
    stage.wait_for_release("2.1.0")
    stage.wait_for(lambda: ready(cluster, "team-a", "yes", APPROVAL).get("status") == "True")
    assert stage.end() == 0
    stage.stage.assert_nothing_wrong()


def test_the_api_server_may_go_away_and_come_back_with_other_resources(
    stage: OperatorStage, cluster: FakeCluster
) -> None:
    cluster.apply(fleet("team-a"))
    stage.start()
    stage.wait_for_release("2.1.0")
    cluster.stop()
    cluster.apply(fleet("team-a", release="2.2.0"))
    cluster.start()
    stage.wait_for_release("2.2.0")
    stage.wait_for(lambda: is_ready(cluster, generation=2))
    stage.wait_for(lambda: stage.readiness()["ready"])
    assert stage.end() == 0
    stage.stage.assert_nothing_wrong()


def test_cut_watches_too_many_requests_and_a_lost_history_lose_no_change(
    stage: OperatorStage, cluster: FakeCluster
) -> None:
    cluster.refusals["/status"] = [(429, {"Retry-After": "2"}), (409, {})]
    cluster.apply(fleet("team-a"))
    stage.start()
    stage.wait_for(lambda: cluster.watches() == 5)
    cluster.refusals["watch=true"] = [(429, {"Retry-After": "1"})] * 3
    cluster.apply(fleet("team-a", release="2.2.0"))
    cluster.forget()
    cluster.cut_watches()
    stage.wait_for_release("2.2.0")
    stage.wait_for(lambda: is_ready(cluster, generation=2))
    assert stage.end() == 0
    stage.stage.assert_nothing_wrong()


def test_a_handler_that_fails_and_watches_that_end_for_good_miss_nothing(
    stage: OperatorStage, cluster: FakeCluster
) -> None:
    cluster.apply(fleet("team-a", suspend=True))
    stage.start()
    stage.wait_for(lambda: cluster.watches() == 5)
    cluster.babble("devicefleets")
    stage.wait_for(lambda: "a DeviceFleet of fleet.reconciler.dev/v1alpha1 cannot be read" in stage.said)
    cluster.refusals["watch=true"] = [(403, {})] * 5
    cluster.cut_watches()
    cluster.apply(fleet("team-a", release="2.2.0"))
    stage.wait_for_release("2.2.0")
    stage.wait_for(lambda: cluster.watches() == 5)
    assert stage.end() == 0
    stage.stage.assert_nothing_wrong()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["asked to end", "killed"])
def test_an_operator_that_ends_in_the_midst_of_a_step_is_followed_by_one_that_goes_on(
    stage: OperatorStage, cluster: FakeCluster, number: int
) -> None:
    cluster.apply(fleet("team-a"))
    stage.start()
    stage.wait_for(stage.stage.flashes)
    assert stage.end(number) == (0 if number == signal.SIGTERM else -number)
    stage.start()
    stage.wait_for(lambda: is_ready(cluster))
    assert stage.end() == 0
    assert stage.stage.sent_more_than_once() == {}
    stage.stage.assert_nothing_wrong()
