"""`python -m tests.benchmarks.converge_served`: the same job by `reconciler apply`, by a shell loop, and by Ansible.

The job: Borons of the token's owner from Device OS 4.0.0 to 4.2.0, a bootloader and a system part each, on a served
emulator at ten times the speed of time. Every contestant is a whole process, and counts as done when every device
has truly arrived. The times are the emulator's own, of its log.

- *Shell*: for each device, and each of its two files, `particle cloud flash`, then wait for the device to come online
  again (`particle subscribe --until online`). What people write; one device after another.
- *Ansible*: a play with a host for each device and as many forks, curl to flash (the `uri` module spoils binary files),
  `uri` with `until` to see that the session is a new one. What people write who know Ansible; all devices at once.

Neither plans: the files and their order are given to them. Needs node, npm, pip and curl; particle-cli and ansible-core
go into a cache outside the repository.
"""

from __future__ import annotations

import argparse
import json
import os
import platform as machine
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.emulator.records import Moment, RequestKind
from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import load_world
from reconciler.model.module import ModuleSlot
from reconciler.model.platform import platform_by_name
from reconciler.model.version import DeviceOsVersion
from tests.ansible_core import VERSION as ANSIBLE_VERSION
from tests.ansible_core import ansible_playbook
from tests.benchmarks.converge import table
from tests.benchmarks.particle_cli import (
    DESIRED,
    FIRST_SLOT,
    LAST_SLOT,
    PLATFORM,
    TOKEN,
    VERSION,
    Cost,
    cost_of,
    devices_at,
    world_of,
    write_manifest,
)
from tests.npm_package import installed

SPEED = 10.0
SLOTS = (FIRST_SLOT, LAST_SLOT)

SHELL = """
set -eu
for device in $DEVICES; do
  for file in $FILES; do
    $PARTICLE subscribe spark/status --device "$device" --until online > "$FOLDER/subscribed" &
    listener=$!
    until [ "$(wc -l < "$FOLDER/subscribed")" -ge 3 ]; do sleep 0.1; done
    until $PARTICLE cloud flash "$device" "$file"; do sleep 1; done
    wait $listener
  done
done
"""

PLAY = """
- hosts: all
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    device: "{{ api }}/v1/devices/{{ inventory_hostname }}"
    headers: {Authorization: "Bearer {{ lookup('env', 'PARTICLE_ACCESS_TOKEN') }}"}
  tasks:
    - include_tasks: flash.yaml
      loop: "{{ files }}"
      loop_control: {loop_var: file}
"""

FLASH = """
- uri: {url: "{{ device }}", headers: "{{ headers }}", return_content: true}
  register: before
- shell: >-
    curl --silent --fail --request PUT --header "Authorization: Bearer $PARTICLE_ACCESS_TOKEN"
    --form file_type=binary --form file=@{{ file }} {{ device }}
  register: sent
  until: sent is succeeded
  retries: 10
  delay: 1
- uri: {url: "{{ device }}", headers: "{{ headers }}", return_content: true}
  register: seen
  until: seen.json.online and seen.json.last_handshake_at != before.json.last_handshake_at
  retries: 600
  delay: 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One contestant. `seconds` of virtual time from its first request to the last device's arrival."""

    name: str
    seconds: float
    cost: Cost
    requests: int
    bytes_sent: int
    bytes_received: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What every contestant gets."""

    server: EmulatorServer
    folder: Path
    devices: tuple[str, ...]
    files: tuple[Path, ...]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PARTICLE_ACCESS_TOKEN": TOKEN, "PARTICLE_API_URL": self.server.url}


def ours(job: Job) -> Cost:
    """`reconciler apply`, with its plan."""
    manifests = write_manifest(job.folder / "manifests")
    options = ["--journal", str(job.folder / "journal"), "--auto-approve", "--output", "json"]
    # What takes 15 seconds between looks takes a tenth of it here; news is looked at in any case.
    options += ["--poll-seconds", "1.5"]
    command = [sys.executable, "-m", "reconciler", "apply", str(manifests), *options]
    return cost_of(command, job.environment, log=job.folder / "ours.txt")


def shell(job: Job) -> Cost:
    """A loop over particle-cli."""
    program = installed("particle-cli", VERSION) / "particle-cli" / "src" / "index.js"
    settings = {"apiUrl": job.server.url, "access_token": TOKEN, "disableUpdateCheck": True}
    (job.folder / ".particle").mkdir()
    (job.folder / ".particle" / "particle.config.json").write_text(json.dumps(settings), encoding="utf-8")
    environment = {
        **job.environment,
        "HOME": str(job.folder),
        "FOLDER": str(job.folder),
        "PARTICLE": f"node {program}",
        "PARTICLE_DISABLE_UPDATE": "true",
        "DEVICES": " ".join(job.devices),
        "FILES": " ".join(map(str, job.files)),
    }
    return cost_of(["sh", "-c", SHELL], environment, log=job.folder / "shell.txt")


def ansible(job: Job) -> Cost:
    """A play over the devices as hosts."""
    for name, text in (("play.yaml", PLAY), ("flash.yaml", FLASH), ("hosts", "\n".join(job.devices) + "\n")):
        (job.folder / name).write_text(text, encoding="utf-8")
    variables = {"api": job.server.url, "files": list(map(str, job.files))}
    command = [str(ansible_playbook()), "-i", str(job.folder / "hosts"), "--forks", str(len(job.devices))]
    command += ["--extra-vars", json.dumps(variables), str(job.folder / "play.yaml")]
    return cost_of(command, {**job.environment, "HOME": str(job.folder)}, log=job.folder / "ansible.txt")


def play(name: str, contestant: Callable[[Job], Cost], devices: int) -> Played:
    """Let one contestant do the job on a fresh world. Raises AssertionError unless every device arrived."""
    platform = platform_by_name(PLATFORM)
    assert platform is not None
    world = load_world(world_of(devices), name="benchmark")
    with tempfile.TemporaryDirectory() as kept, EmulatorServer(world, speed=SPEED) as server:
        folder = Path(kept)
        files = []
        for number, slot in enumerate(SLOTS):
            content = server.binaries.module(platform, DeviceOsVersion(DESIRED), slot)
            assert content is not None
            files.append(folder / f"{number}.bin")
            files[-1].write_bytes(content)
        with server.locked() as cloud:
            ids = tuple(sorted(cloud.state.devices))
        cost = contestant(Job(server=server, folder=folder, devices=ids, files=tuple(files)))
        arrived = min(devices_at(server, ModuleSlot.parse(str(slot))) for slot in SLOTS)
        assert arrived == devices, f"{name}: {arrived} of {devices} devices arrived"
        with server.locked() as cloud:
            requests = [request for request in cloud.requests if "/events" not in request.path]
            sessions = [
                entry.at
                for device in cloud.state.devices.values()
                for entry in device.history
                if entry.moment is Moment.SESSION
            ]
            return Played(
                name=name,
                seconds=max(sessions) - requests[0].at,
                cost=cost,
                requests=len(requests),
                bytes_sent=sum(r.bytes for r in requests if r.kind is RequestKind.FLASH),
                bytes_received=sum(device.bytes_received for device in cloud.state.devices.values()),
            )


CONTESTANTS: Mapping[str, Callable[[Job], Cost]] = {
    "`reconciler apply`": ours,
    "shell loop over particle-cli": shell,
    "Ansible play": ansible,
}
HEADS = ("By", "Devices", "Time until all had arrived", "Requests a device", "Sent a device", "Received", "Processor")


def row(one: Played, devices: int) -> tuple[str, ...]:
    """One contestant, under `HEADS`."""
    return (
        one.name,
        str(devices),
        f"{one.seconds:,.0f} s",
        f"{one.requests / devices:.1f}",
        f"{one.bytes_sent / devices:,.0f} B",
        f"{one.bytes_received / devices:,.0f} B",
        f"{one.cost.processor_seconds:.1f} s",
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=10, help="How many; the shell loop takes them one by one.")
    chosen = parser.parse_args(arguments)
    played = [play(name, contestant, chosen.devices) for name, contestant in CONTESTANTS.items()]
    lines = [
        f"Python {machine.python_version()}, particle-cli {VERSION}, ansible-core {ANSIBLE_VERSION}, speed {SPEED:.0f}",
        "",
    ]
    lines += table(HEADS, (row(one, chosen.devices) for one in played))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
