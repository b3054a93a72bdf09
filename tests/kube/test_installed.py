"""`helm install`, `upgrade` and `uninstall` on a real API server, the notes followed, and the operator that it starts.

Nothing becomes of the Deployment, as no kubelet runs: the operator is a process here, with the settings, the account
and the rights that the release has put into the cluster.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.kube.api_server import START_SECONDS_MAX, ApiServer
from tests.kube.chart import CHART
from tests.kube.client import Refused, wait_until
from tests.kube.operator_stage import OperatorStage, fleet, operator_stage
from tests.kube.release import Release
from tests.simulation.stage import TOKEN

pytestmark = pytest.mark.timeout(START_SECONDS_MAX * 3)

NAMESPACE = "installed"
TENANT = "tenant-of-the-release"
COMMAND = re.compile(r"^     (kubectl .+)$", re.MULTILINE)


@pytest.fixture
def release(real_api_server: ApiServer, tmp_path: Path) -> Iterator[Release]:
    """With definitions that were there before: it takes them over, as from somebody who applied `crds.yaml`."""
    made = Release(real_api_server, tmp_path, namespace=NAMESPACE)
    made.admin.namespace(TENANT)
    made.notes = made.helm(
        "install", str(CHART), "--create-namespace", "--take-ownership", "--set", f"watchNamespaces={{{TENANT}}}"
    )
    yield made
    eu = fleet(TENANT)
    for each in made.admin.items(eu["apiVersion"], eu["kind"], namespace=TENANT):
        made.admin.delete(each)  # other tests have the same product


@pytest.fixture
def stage(release: Release, tmp_path: Path) -> Iterator[OperatorStage]:
    with operator_stage(tmp_path, release.account()) as made:
        yield made


def test_the_notes_lead_to_a_fleet_an_upgrade_keeps_it_and_uninstalling_touches_no_device(
    release: Release, stage: OperatorStage
) -> None:
    secret, apply, get, bind, *_ = COMMAND.findall(release.notes)
    (release.folder / "FILE").write_text(TOKEN)
    (release.folder / "fleet.yaml").write_text(yaml.safe_dump(fleet(TENANT)))
    release.kubectl(secret)
    assert "serverside-applied" in release.kubectl(apply)
    # Its definitions have only just been taken over: a list may lag behind.
    wait_until(lambda: "eu" in release.kubectl(get.replace(" --watch", "")))
    assert "created" in release.kubectl(bind)

    stage.start(**release.settings()["kubernetes"])
    stage.wait_for_release("2.1.0")
    eu = fleet(TENANT)
    stage.wait_for(lambda: release.admin.get(eu)["status"]["conditions"][0]["status"] == "True")
    before = release.admin.get(eu)

    release.helm("upgrade", str(CHART), "--reuse-values", "--set", "particle.tokenSecret=another")
    assert release.settings()["kubernetes"]["tokenSecret"] == "another"
    assert release.admin.get(eu)["spec"] == before["spec"]
    with pytest.raises(Refused):
        release.server.as_service_account(NAMESPACE, "trial-reconciler").get(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "particle-token"}}, namespace=TENANT
        )

    writes = stage.stage.writes()
    kept = release.helm("uninstall")
    assert "CustomResourceDefinition" in kept
    assert "PersistentVolumeClaim" in kept
    assert release.admin.get(eu)["spec"] == before["spec"]
    assert [
        each["metadata"]["name"] for each in release.admin.items("v1", "PersistentVolumeClaim", namespace=NAMESPACE)
    ]
    assert release.admin.items("apps/v1", "Deployment", namespace=NAMESPACE) == []
    release.admin.delete(eu)
    wait_until(lambda: release.admin.items(eu["apiVersion"], "DeviceFleet", namespace=TENANT) == [])
    assert stage.end() == 0
    assert stage.stage.writes() == writes
    assert stage.releases() == {"2.1.0"}
    stage.stage.assert_nothing_wrong()
