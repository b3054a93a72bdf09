"""`helm install`, `upgrade` and `uninstall` on a real API server, the notes followed, and the operator that it starts.

Nothing becomes of the Deployment, as no kubelet runs: the operator is a process here, with the settings, the account
and the rights that the release has put into the cluster.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kube.api_server import START_SECONDS_MAX, ApiServer
from tests.kube.chart import CHART
from tests.kube.client import Refused, wait_until
from tests.kube.components import component
from tests.kube.helm import helm
from tests.kube.operator_stage import OperatorStage, fleet, operator_stage
from tests.simulation.stage import TOKEN

pytestmark = pytest.mark.timeout(START_SECONDS_MAX * 3)

HOME = "installed"
TENANT = "tenant-of-the-release"
COMMAND = re.compile(r"^     (kubectl .+)$", re.MULTILINE)


class Release:
    """The chart in a cluster, by helm as a person runs it."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.server = server
        self.admin = server.admin()
        self.folder = folder
        self.notes = ""
        self.environment = {"KUBECONFIG": str(server.kubeconfig(folder / "admin")), "HOME": str(folder)}

    def helm(self, verb: str, *arguments: str) -> str:
        return helm(verb, "trial", *arguments, "--namespace", HOME, environment=self.environment)

    def kubectl(self, command: str) -> str:
        """A command as the notes have it."""
        program, *arguments = shlex.split(command)
        assert program == "kubectl"
        done = subprocess.run(
            [component("kubectl"), *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout

    def settings(self) -> dict[str, Any]:
        """What the operator's pod would be told."""
        (text,) = (
            each["data"]["settings.yaml"]
            for each in self.admin.items("v1", "ConfigMap", namespace=HOME)
            if "settings.yaml" in each.get("data", {})
        )
        found: dict[str, Any] = yaml.safe_load(text)
        return found

    def account(self) -> Path:
        """The kubeconfig of the account that its pod has."""
        (deployment,) = self.admin.items("apps/v1", "Deployment", namespace=HOME)
        name = deployment["spec"]["template"]["spec"]["serviceAccountName"]
        config = self.server.kubeconfig(self.folder / "account", self.server.as_service_account(HOME, name))
        config.chmod(0o600)
        return config


@pytest.fixture
def release(real_api_server: ApiServer, tmp_path: Path) -> Release:
    """With definitions that were there before: it takes them over, as from somebody who applied `crds.yaml`."""
    made = Release(real_api_server, tmp_path)
    made.admin.namespace(TENANT)
    made.notes = made.helm(
        "install", str(CHART), "--create-namespace", "--take-ownership", "--set", f"watchNamespaces={{{TENANT}}}"
    )
    return made


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
    assert "eu" in release.kubectl(get.replace(" --watch", ""))
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
        release.server.as_service_account(HOME, "trial-reconciler").get(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "particle-token"}}, namespace=TENANT
        )

    writes = stage.stage.writes()
    kept = release.helm("uninstall")
    assert "CustomResourceDefinition" in kept
    assert "PersistentVolumeClaim" in kept
    assert release.admin.get(eu)["spec"] == before["spec"]
    assert [each["metadata"]["name"] for each in release.admin.items("v1", "PersistentVolumeClaim", namespace=HOME)]
    assert release.admin.items("apps/v1", "Deployment", namespace=HOME) == []
    release.admin.delete(eu)
    wait_until(lambda: release.admin.items(eu["apiVersion"], "DeviceFleet", namespace=TENANT) == [])
    assert stage.end() == 0
    assert stage.stage.writes() == writes
    assert stage.releases() == {"2.1.0"}
    stage.stage.assert_nothing_wrong()
