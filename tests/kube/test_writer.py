"""Statuses and events over HTTP: seldom, of the right resource, and never lost for good."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.kube.access import access_of
from reconciler.kube.api import ApiRefusedError, KubeApi
from reconciler.kube.notices import BURST, SAME_SECONDS, Notices
from reconciler.kube.resource import FLEET
from reconciler.kube.writer import StatusWriter
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant
from tests.kube.fake_cluster import FakeCluster
from tests.kube.operator_stage import fleet


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> Instant:
        return Instant(self.now)


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    made = FakeCluster()
    made.start()
    made.apply(fleet("team-a"))
    yield made
    made.stop()


@pytest.fixture
def api(cluster: FakeCluster, tmp_path: Path) -> Iterator[KubeApi]:
    made = KubeApi(access_of(cluster.kubeconfig(tmp_path / "kubeconfig"), tmp_path))
    yield made
    made.close()


def test_a_status_is_written_when_it_differs_and_at_most_every_ten_seconds(api: KubeApi, cluster: FakeCluster) -> None:
    clock = Clock()
    writer, eu = StatusWriter(api, clock), api.listed(FLEET)[0][0]
    for second in range(25):
        clock.now = second
        writer.offer(eu, {"n": second // 2})
        writer.write_due()
    assert writer.writes == 3
    assert cluster.status("team-a", "eu") == {"n": 10}
    clock.now = 40
    writer.offer(eu, {"n": 12})
    writer.write_due()
    clock.now = 60
    writer.offer(eu, {"n": 12})
    writer.write_due()
    assert writer.writes == 4


def test_a_server_that_asks_for_patience_gets_it_and_then_the_newest_status(api: KubeApi, cluster: FakeCluster) -> None:
    clock = Clock()
    cluster.refusals["/status"] = [(429, {"Retry-After": "30"})]
    writer, eu = StatusWriter(api, clock), api.listed(FLEET)[0][0]
    writer.offer(eu, {"n": 1})
    writer.write_due()
    assert writer.trouble is not None
    clock.now = 29
    writer.offer(eu, {"n": 2})
    writer.write_due()
    assert cluster.status("team-a", "eu") == {}
    clock.now = 31
    writer.write_due()
    assert cluster.status("team-a", "eu") == {"n": 2}
    assert writer.trouble is None


def test_a_fleet_made_anew_under_the_same_name_never_gets_the_status_of_the_old_one(
    api: KubeApi, cluster: FakeCluster
) -> None:
    writer, eu = StatusWriter(api, Clock()), api.listed(FLEET)[0][0]
    cluster.delete("DeviceFleet", "team-a", "eu")
    writer.offer(eu, {"n": 1})
    writer.write_due()
    cluster.apply(fleet("team-a"))
    writer.offer(eu, {"n": 1})
    writer.write_due()
    assert cluster.status("team-a", "eu") == {}
    assert (writer.writes, writer.trouble) == (0, None)


def test_what_may_not_be_written_is_trouble_and_is_tried_again(api: KubeApi, cluster: FakeCluster) -> None:
    clock = Clock()
    cluster.refusals["/status"] = [(403, {})]
    writer, eu = StatusWriter(api, clock), api.listed(FLEET)[0][0]
    writer.offer(eu, {"n": 1})
    writer.write_due()
    assert isinstance(writer.trouble, ApiRefusedError)
    clock.now = 11
    writer.write_due()
    assert cluster.status("team-a", "eu") == {"n": 1}


def test_an_event_that_comes_again_is_counted_and_a_flood_is_cut(api: KubeApi, cluster: FakeCluster) -> None:
    clock = Clock()
    notices, eu = Notices(api, clock), api.listed(FLEET)[0][0]
    for _ in range(3):
        notices.notice(eu, reason="RolloutHalted", message="smoke", is_bad=True)
    assert [(each["reason"], each["count"], each["type"]) for each in cluster.events] == [
        ("RolloutHalted", 3, "Warning")
    ]
    for number in range(BURST * 2):
        notices.notice(eu, reason="WaveStarted", message=f"wave {number}")
    assert len(cluster.events) == 1 + BURST - 3
    clock.now = SAME_SECONDS
    notices.notice(eu, reason="RolloutHalted", message="smoke")
    assert [each["count"] for each in cluster.events if each["reason"] == "RolloutHalted"] == [3, 1]


def test_an_event_that_cannot_be_written_is_dropped(api: KubeApi, cluster: FakeCluster) -> None:
    cluster.refusals["/events"] = [(403, {}), (500, {})]
    notices, eu = Notices(api, Clock()), api.listed(FLEET)[0][0]
    for reason in ("One", "Two", "Three"):
        notices.notice(eu, reason=reason, message="m")
    assert [each["reason"] for each in cluster.events] == ["Three"]


@pytest.mark.parametrize("text", ["", "a: [", "current-context: x", "{current-context: x, contexts: [], users: []}"])
def test_a_kubeconfig_that_cannot_be_used_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "kubeconfig").write_text(text)
    with pytest.raises(OperatorError, match="cannot be used") as found:
        access_of(tmp_path / "kubeconfig", tmp_path)
    assert found.value.code == "PFR6952"


def test_outside_of_a_cluster_a_kubeconfig_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(OperatorError, match="no pod"):
        access_of(None, tmp_path)
