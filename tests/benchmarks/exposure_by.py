"""Who brings a release to a fleet: this software, an Ansible play, the console's release. See `exposure.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import requests

from reconciler.emulator.serve import EmulatorServer
from tests.ansible_core import ansible_playbook

PRODUCT, FIELD, BAD = "cold-chain", "field", 2
TOKEN = "1" * 40
SPEED = 60.0
"""Virtual seconds a second. Ansible's own work takes part of a second for each device and look."""
_DAY = 86_400.0

EXAMPLE_WAVES = """
  rollout:
    waves:
      - {name: canary, size: 5, soak: 24h, maxFailures: 0}
      - {name: early, size: 10%, soak: 12h}
      - {name: rest, size: remaining}
    maxConcurrent: 200
    maxFailures: 2%
    stepDeadline: 30m
"""
"""The contract's example, without its approval of the second wave: nobody looks on here."""

PLAY = """
- hosts: all
  connection: local
  gather_facts: false
  {batches}
  vars:
    ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"
    device: "{{{{ api }}}}/v1/products/{{{{ product }}}}/devices/{{{{ inventory_hostname }}}}"
    headers: {{Authorization: "Bearer {{{{ lookup('env', 'PARTICLE_ACCESS_TOKEN') }}}}"}}
  tasks:
    - name: lock the device to the version, and flash it
      uri:
        url: "{{{{ device }}}}"
        method: PUT
        headers: "{{{{ headers }}}}"
        body_format: json
        body: {{desired_firmware_version: "{{{{ version }}}}", flash: true}}
    - name: wait until it is online and reports the version
      uri: {{url: "{{{{ device }}}}", headers: "{{{{ headers }}}}", return_content: true}}
      register: seen
      until: seen.json.online and seen.json.status == 'normal' and seen.json.firmware_version == version
      retries: 10
      delay: {delay}
"""
SERIAL = 'serial: [1, "10%", "100%"]\n  max_fail_percentage: 2'
_FORKS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What every contestant gets."""

    server: EmulatorServer
    folder: Path
    devices: tuple[str, ...]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PARTICLE_ACCESS_TOKEN": TOKEN, "PARTICLE_API_URL": self.server.url}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One way to bring a release to a fleet. `run` says in a word how it ended.

    `timed` False: its own work on this machine, so many times as fast as time, is most of what it takes.
    """

    name: str
    run: Callable[[Job], str]
    speed: float = SPEED
    timed: bool = True


def ours(job: Job, *, rollout: str, speed: float) -> str:
    """`reconciler apply`."""
    head = "apiVersion: fleet.reconciler.dev/v1alpha1\nkind: "
    manifests = job.folder / "manifests"
    manifests.mkdir()
    (manifests / "application.yaml").write_text(
        f"{head}ApplicationRelease\nmetadata: {{name: application}}\nspec:\n  product: {PRODUCT}\n  versions:\n"
        f"    - {{version: {BAD}, binaries: [{{platform: boron, source: product}}]}}\n",
        encoding="utf-8",
    )
    (manifests / "fleet.yaml").write_text(
        f"{head}DeviceFleet\nmetadata: {{name: field}}\nspec:\n  product: {PRODUCT}\n  select: {{groups: [{FIELD}]}}\n"
        f"  desired: {{application: {{release: application, version: {BAD}}}}}{rollout}\n",
        encoding="utf-8",
    )
    (job.folder / "catalog.json").write_text(json.dumps(job.server.catalog.document()), encoding="utf-8")
    options = ["--catalog", str(job.folder / "catalog.json"), "--journal", str(job.folder / "journal")]
    # What takes 15 seconds between two looks takes so much of a second less here.
    options += ["--auto-approve", "--poll-seconds", str(max(0.05, 15 / speed))]
    command = [sys.executable, "-m", "reconciler", "apply", str(manifests), *options]
    code = _run(command, job.environment, job.folder / "ours.txt", expected={0, 3})
    return "halted" if code else "went through"


def ansible(job: Job, *, batches: str) -> str:
    """A play with a host for each device."""
    # Ten looks, one a virtual minute: a step that goes well takes less than two.
    text = PLAY.format(batches=batches, delay=round(60 / SPEED))
    for name, content in (("play.yaml", text), ("hosts", "\n".join(job.devices) + "\n")):
        (job.folder / name).write_text(content, encoding="utf-8")
    variables = {"api": job.server.url, "product": PRODUCT, "version": BAD}
    command = [str(ansible_playbook()), "-i", str(job.folder / "hosts"), "--forks", str(_FORKS)]
    command += ["--extra-vars", json.dumps(variables), str(job.folder / "play.yaml")]
    environment = {**job.environment, "HOME": str(job.folder), "ANSIBLE_PIPELINING": "1"}
    code = _run(command, environment, job.folder / "ansible.txt", expected={0, 2})
    return "hosts failed" if code else "went through"


def console(job: Job, *, at_once: bool, wait_seconds: float) -> str:
    """A release to the whole product, as its form in the console asks for it."""
    done = requests.put(
        f"{job.server.url}/v1/products/{PRODUCT}/firmware/release",
        json={"version": BAD, "product_default": True, "intelligent": at_once},
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=60,
    )
    done.raise_for_status()
    job.server.advance(wait_seconds)
    return "nothing ends it"


def _run(command: list[str], environment: dict[str, str], log: Path, *, expected: set[int]) -> int:
    """Raises RuntimeError with what it said when a command ends otherwise than it may."""
    with log.open("w", encoding="utf-8") as said:
        done = subprocess.run(command, env=environment, stdout=said, stderr=subprocess.STDOUT, check=False)
    if done.returncode not in expected:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{log.read_text(encoding='utf-8')}")
    return done.returncode


CONTESTANTS = {
    "ours": Contestant(name="`reconciler apply`, no waves asked for", run=partial(ours, rollout="", speed=SPEED)),
    "ours-waves": Contestant(
        name="`reconciler apply`, waves of 5, 10 %, the rest",
        run=partial(ours, rollout=EXAMPLE_WAVES, speed=10 * SPEED),
        speed=10 * SPEED,
    ),
    "ansible-serial": Contestant(
        name="Ansible, `serial: [1, 10%, 100%]`, `max_fail_percentage: 2`",
        run=partial(ansible, batches=SERIAL),
        timed=False,
    ),
    "ansible": Contestant(name="Ansible, its defaults", run=partial(ansible, batches=""), timed=False),
    "console": Contestant(
        name="release to the product, a day later", run=partial(console, at_once=False, wait_seconds=_DAY)
    ),
    "console-week": Contestant(
        name="release to the product, eight days later", run=partial(console, at_once=False, wait_seconds=8 * _DAY)
    ),
    "console-at-once": Contestant(
        name="intelligent release, an hour later", run=partial(console, at_once=True, wait_seconds=3600.0)
    ),
}
