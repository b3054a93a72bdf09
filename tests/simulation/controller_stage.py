"""The real `controller` as a process, on a served cloud and a real Git server."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.git_server import HostedRepository, HttpsGitServer, free_port, https_server
from tests.simulation.stage import ROOT, TOKEN, Stage, set_stage

WITHIN_SECONDS = 90.0
DEVICES = """
  - {count: 2, product: cold-chain, platform: boron, deviceOS: "2.0.1", groups: [all]}
"""
FLEET = """
apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata: {{name: {name}}}
spec:
  product: cold-chain
  select: {{groups: [all]}}
  desired: {{deviceOS: "{release}"}}
"""


def fleet(release: str, name: str = "eu") -> dict[str, str]:
    """A folder of manifests with one fleet."""
    return {f"fleets/{name}.yaml": FLEET.format(name=name, release=release)}


@dataclass(kw_only=True)
class ControllerStage:
    """A stage with a repository in place of a folder of manifests. `log` is what the process says."""

    stage: Stage
    git: HttpsGitServer
    repository: HostedRepository
    process: subprocess.Popen[bytes] | None = None
    port: int = field(default_factory=free_port)

    @property
    def log(self) -> Path:
        return self.stage.folder / "controller.log"

    @property
    def settings_file(self) -> Path:
        return self.stage.folder / "settings.yaml"

    def write_settings(self, **more: object) -> None:
        """What is in the settings file: a short interval, and `more` of the top level; `git` is added to."""
        in_git, webhooks = more.pop("git", {}), more.pop("webhooks", [])
        assert isinstance(in_git, dict)
        token_file = self.stage.folder.with_name("particle-token")
        token_file.write_text(TOKEN)
        token_file.chmod(0o600)
        git = {
            "url": self.repository.url,
            "folder": "fleets",
            "interval": "1s",
            "tokenFile": str(self.git.token_file),
            "caFile": str(self.git.ca_file),
            **in_git,
        }
        settings = {
            "apiVersion": "fleet.reconciler.dev/v1alpha1",
            "kind": "ControllerSettings",
            "git": git,
            "particle": {"apiUrl": self.stage.url, "tokenFile": str(token_file)},
            "journal": str(self.stage.journal),
            "catalog": "catalog.json",
            "interval": "5s",
            "grace": "10s",
            "serving": {
                "port": self.port,
                "tokens": [self._token("reader", "read"), self._token("ada", "operate")],
                "webhooks": webhooks,
            },
            **more,
        }
        self.settings_file.write_text(yaml.safe_dump(settings))

    @property
    def url(self) -> str:
        """Where the controller answers."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, *, name: str = "reader", **more: Any) -> requests.Response:
        """Ask the controller something with somebody's token; `json` says a word."""
        token = (self.stage.folder.parent / name).read_text()
        method = "POST" if "json" in more else "GET"
        headers = {"authorization": f"Bearer {token}"}
        return requests.request(method, self.url + path, headers=headers, timeout=10, **more)

    def _token(self, name: str, role: str) -> dict[str, str]:
        file = self.stage.folder.with_name(name)
        if not file.exists():
            file.write_text(secrets.token_hex(16))
            file.chmod(0o600)
        return {"name": name, "role": role, "tokenFile": str(file)}

    def start(self) -> None:
        """Begin a controller."""
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "reconciler", "controller", "--settings", str(self.settings_file)],
                cwd=self.stage.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def end(self, number: int = signal.SIGTERM, *, within: float = 20.0) -> int:
        """Send a signal and wait for the end; the exit code."""
        assert self.process is not None
        process, self.process = self.process, None
        process.send_signal(number)
        code = process.wait(within)
        self.stage.said.append(self.log.read_text())
        return code

    def wait_for(self, what: Callable[[], object], *, within: float = WITHIN_SECONDS) -> None:
        """Until something holds; the controller must not have ended meanwhile."""
        end = time.monotonic() + within
        while not what():
            assert self.process is None or self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, f"it did not happen within {within} s\n{self.log.read_text()}"
            time.sleep(0.1)

    def wait_for_word(self, words: str, *, times: int = 1, within: float = WITHIN_SECONDS) -> None:
        """Until the controller has said something so many times."""
        self.wait_for(lambda: self.log.exists() and self.log.read_text().count(words) >= times, within=within)

    def wait_for_release(self, release: str) -> None:
        """Until every device runs a release, in truth."""
        self.wait_for(lambda: self.releases() == {release})

    def releases(self) -> set[str]:
        """What the devices run in truth."""
        with self.stage.emulator.locked() as cloud:
            return {device.reported_device_os or "" for device in cloud.state.devices.values()}


@contextlib.contextmanager
def controller_stage(folder: Path, *, devices: str = DEVICES) -> Iterator[ControllerStage]:
    """Everything but the controller itself, which is ended at the latest with this."""
    place = folder / "stage"
    place.mkdir()
    with https_server(folder / "git") as git, set_stage(place, devices=devices, products=()) as stage:
        stage_with_git = ControllerStage(stage=stage, git=git, repository=git.repository())
        stage_with_git.write_settings()
        try:
            yield stage_with_git
        finally:
            if stage_with_git.process is not None:
                stage_with_git.process.kill()
                stage_with_git.process.wait()
