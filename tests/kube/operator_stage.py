"""The real `operator` as a process, on a served cloud and an API server."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.git_server import free_port
from tests.simulation.stage import ROOT, Stage, set_stage

WITHIN_SECONDS = 120.0
DEVICES = """
  - {count: 2, product: cold-chain, platform: boron, deviceOS: "2.0.1", groups: [all]}
  - {count: 2, product: legacy-meters, platform: electron, deviceOS: "2.0.1", groups: [all]}
"""


def fleet(namespace: str, name: str = "eu", *, release: str = "2.1.0", product: str = "cold-chain", **spec: Any) -> Any:
    """A DeviceFleet with everything of a product."""
    return {
        "apiVersion": "fleet.reconciler.dev/v1alpha1",
        "kind": "DeviceFleet",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"product": product, "select": {"groups": ["all"]}, "desired": {"deviceOS": release}, **spec},
    }


def part(kind: str, namespace: str, name: str, **spec: Any) -> Any:
    """What stands beside fleets."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "fleet.reconciler.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


@dataclass(kw_only=True)
class OperatorStage:
    """A stage with a cluster in place of a folder of manifests. `log` is what the process says.

    `quick`: it writes statuses and reads Secrets more often than in earnest, so that a test waits less.
    """

    stage: Stage
    kubeconfig: Path
    quick: bool = False
    process: subprocess.Popen[bytes] | None = None
    port: int = field(default_factory=free_port)

    @property
    def log(self) -> Path:
        return self.stage.folder / "operator.log"

    @property
    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def settings(self, **kubernetes: Any) -> dict[str, Any]:
        """What an operator is told."""
        return {
            "apiVersion": "fleet.reconciler.dev/v1alpha1",
            "kind": "ControllerSettings",
            "kubernetes": {"kubeconfig": str(self.kubeconfig), **kubernetes},
            "particle": {"apiUrl": self.stage.url},
            "journal": str(self.stage.journal),
            "catalog": "catalog.json",
            "interval": "5s",
            "grace": "10s",
            "serving": {"port": self.port},
        }

    def start(self, **kubernetes: Any) -> None:
        """Begin an operator."""
        self.run(self.settings(**kubernetes))

    def run(self, settings: Mapping[str, Any]) -> None:
        """Begin an operator with these settings."""
        file = self.stage.folder / "settings.yaml"
        file.write_text(yaml.safe_dump(dict(settings)))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.kube.quick" if self.quick else "reconciler",
                    "operator",
                    "--settings",
                    str(file),
                ],
                cwd=self.stage.folder,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def end(self, number: int = signal.SIGTERM, *, within: float = 30.0) -> int:
        """Send a signal and wait for the end; the exit code."""
        assert self.process is not None
        process, self.process = self.process, None
        process.send_signal(number)
        code = process.wait(within)
        self.stage.said.append(self.said)
        return code

    def wait_for(self, what: Callable[[], object], *, within: float = WITHIN_SECONDS) -> None:
        """Until something holds; the operator must not have ended meanwhile."""
        end = time.monotonic() + within
        while not what():
            assert self.process is None or self.process.poll() is None, self.said
            assert time.monotonic() < end, f"it did not happen within {within} s\n{self.said}"
            time.sleep(0.1)

    def wait_for_release(self, release: str, product: str = "cold-chain") -> None:
        """Until every device of a product runs a release, in truth."""
        self.wait_for(lambda: self.releases(product) == {release})

    def releases(self, product: str = "cold-chain") -> set[str]:
        """What the devices of a product run in truth."""
        with self.stage.emulator.locked() as cloud:
            devices = cloud.state.devices.values()
            numbers = {each.id for each in cloud.state.products.values() if product in {each.slug, str(each.id)}}
            return {each.reported_device_os or "" for each in devices if each.product_id in numbers}

    def readiness(self) -> dict[str, Any]:
        """What `/readyz` says."""
        found: dict[str, Any] = requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=10).json()
        return found


@contextlib.contextmanager
def operator_stage(
    folder: Path, kubeconfig: Path, *, devices: str = DEVICES, quick: bool = False
) -> Iterator[OperatorStage]:
    """Everything but the operator itself, which is ended at the latest with this."""
    place = folder / "stage"
    place.mkdir()
    with set_stage(place, devices=devices, products=()) as stage:
        made = OperatorStage(stage=stage, kubeconfig=kubeconfig, quick=quick)
        try:
            yield made
        finally:
            if made.process is not None:
                made.process.kill()
                made.process.wait()
