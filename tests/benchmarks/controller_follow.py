"""`python -m tests.benchmarks.controller_follow`: how soon a pushed commit becomes the first request that matters.

The real `controller` as a process, a real Git server over HTTPS and the served emulator, all on this machine. Each
commit adds a fleet of one device; the time runs from the end of `git push` to the flash of that device, as the cloud
sees it. *Webhook*: the push is told at once, and the source is looked at every ten minutes only. *Polling*: nobody
tells; the source is looked at every few seconds, which is up to so much and half of it on average.
"""

from __future__ import annotations

import argparse
import hmac
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import requests

from tests.simulation.controller_stage import ControllerStage, controller_stage

POLLING_SECONDS = 5
_FLASHED_WITHIN = 120.0
_SEEN_EVERY = 0.005
_FLEET = """
apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata: {{name: fleet-{number}}}
spec:
  product: cold-chain
  select: {{devices: ["{device}"]}}
  desired: {{deviceOS: "2.1.0"}}
"""
_DEVICES = """
  - {{count: {}, product: cold-chain, platform: boron, deviceOS: "2.0.1", groups: [all]}}
"""


def seconds_of_tries(folder: Path, *, tries: int, webhook: bool, seed: int = 7) -> list[float]:
    """How long each try took."""
    dice = random.Random(seed)
    with controller_stage(folder, devices=_DEVICES.format(tries + 1)) as stage:
        with stage.stage.emulator.locked() as cloud:
            devices = sorted(cloud.state.devices)
        secret = folder / "push-secret"
        secret.write_text("a secret of the forge")
        secret.chmod(0o600)
        stage.write_settings(
            git={"interval": "10m" if webhook else f"{POLLING_SECONDS}s"},
            webhooks=[{"kind": "github", "secretFile": str(secret)}] if webhook else [],
        )
        stage.repository.commit(_fleet(0, devices))
        stage.start()
        _wait_for_flashes(stage, 1)
        found = []
        for number in range(1, tries + 1):
            stage.wait_for_word("the rollout is complete", times=number)
            time.sleep(dice.uniform(0.0, POLLING_SECONDS))  # at no particular moment between two looks
            flashed = len(stage.stage.flashes())
            commit = stage.repository.commit(_fleet(number, devices))
            began = time.monotonic()
            if webhook:
                _tell(stage, secret.read_bytes(), commit)
            _wait_for_flashes(stage, flashed + 1)
            found.append(time.monotonic() - began)
        stage.end()
    return found


def report(name: str, seconds: Sequence[float]) -> str:
    """One line of a Markdown table."""
    figures = (min(seconds), statistics.median(seconds), max(seconds))
    return " | ".join((f"| {name}", str(len(seconds)), *(f"{each:.2f} s" for each in figures))) + " |"


def _fleet(number: int, devices: Sequence[str]) -> dict[str, str]:
    return {f"fleets/fleet-{number}.yaml": _FLEET.format(number=number, device=devices[number])}


def _tell(stage: ControllerStage, secret: bytes, commit: str) -> None:
    body = json.dumps({"ref": "refs/heads/main", "after": commit}).encode()
    signature = "sha256=" + hmac.new(secret, body, "sha256").hexdigest()
    headers = {"x-hub-signature-256": signature, "x-github-event": "push", "content-type": "application/json"}
    answer = requests.post(f"{stage.url}/v1/webhooks/github", data=body, headers=headers, timeout=60)
    answer.raise_for_status()


def _wait_for_flashes(stage: ControllerStage, number: int) -> None:
    end = time.monotonic() + _FLASHED_WITHIN
    while len(stage.stage.flashes()) < number:
        if time.monotonic() > end:
            raise TimeoutError(stage.log.read_text())
        time.sleep(_SEEN_EVERY)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=20)
    arguments = parser.parse_args()
    lines = [
        f"Python {platform.python_version()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.0f}",
        "",
        "| How it hears of a commit | Tries | Best | Median | Worst |",
        "|---|--:|--:|--:|--:|",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    for name, webhook in (("webhook", True), (f"polling every {POLLING_SECONDS} s", False)):
        sys.stdout.flush()
        with tempfile.TemporaryDirectory() as folder:
            sys.stdout.write(
                report(name, seconds_of_tries(Path(folder), tries=arguments.tries, webhook=webhook)) + "\n"
            )


if __name__ == "__main__":
    main()
