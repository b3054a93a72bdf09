"""`python -m tests.benchmarks.particle_cli`: what people run today, `particle-cli` per device, beside `reconciler`.

Both talk to the same emulated cloud. Measured are whole processes: wall and processor seconds of each command. The
commands do not do the same job, see BENCHMARKS.md: `particle cloud flash` hands one file to the cloud for one device,
`reconciler apply` brings every device to the release and waits until each has shown that it runs it.

Needs node and npm; particle-cli goes into a cache outside the repository, and gets a home of its own.
"""

from __future__ import annotations

import argparse
import os
import platform as machine
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import load_world
from reconciler.model.module import ModuleSlot
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.version import DeviceOsVersion
from tests.particle_cli import VERSION, particle_cli

PLATFORM = "boron"
START, DESIRED = "4.0.0", "4.2.0"
"""One hop of two modules, bootloader and system part."""
TOKEN = "1" * 40
FIRST_SLOT, LAST_SLOT = ModuleSlot.parse("bootloader/0"), ModuleSlot.parse("system_part/1")
SPEED = 600.0
TRANSFER_SECONDS_MAX = 3600.0
"""Virtual seconds after which every device has taken, or refused, what it was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one process took."""

    seconds: float
    processor_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """One plan and one apply of a world of this many devices."""

    devices: int
    plan: Cost
    apply: Cost


def cost_of(command: Sequence[str], environment: Mapping[str, str], *, log: Path) -> Cost:
    """Run a command to its end. Raises RuntimeError with what it said when it fails."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    began = time.perf_counter()
    child = os.posix_spawnp(command[0], list(command), dict(environment), file_actions=files)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{' '.join(command)} failed:\n{log.read_text(encoding='utf-8')}")
    return Cost(seconds=seconds, processor_seconds=usage.ru_utime + usage.ru_stime)


def world_of(devices: int) -> str:
    """A world of the token's own devices, all online and in one situation."""
    return (
        f'tokens: [{{name: operator, token: "{TOKEN}"}}]\n'
        f'devices: [{{count: {devices}, platform: {PLATFORM}, deviceOS: "{START}", names: "unit-{{n}}"}}]\n'
    )


def serve(devices: int) -> EmulatorServer:
    """That world, served."""
    return EmulatorServer(load_world(world_of(devices), name="benchmark"), speed=SPEED)


def write_manifest(folder: Path) -> Path:
    """The fleet of all of them, at the later release."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fleet.yaml").write_text(
        "apiVersion: fleet.reconciler.dev/v1alpha1\nkind: DeviceFleet\nmetadata: {name: benchmark}\n"
        f'spec:\n  select: {{platforms: [{PLATFORM}]}}\n  desired: {{deviceOS: "{DESIRED}"}}\n'
        # Without limits of ours, so that what is measured is what a device costs.
        "  rollout: {maxConcurrent: 100%}\n",
        encoding="utf-8",
    )
    return folder


def plan_and_apply(devices: int, folder: Path) -> Ours:
    """Plan and apply on a fresh world. Raises AssertionError unless every device arrived."""
    manifests = write_manifest(folder / "manifests")
    with serve(devices) as server, tempfile.TemporaryDirectory(dir=folder) as kept:
        environment = {**os.environ, "PARTICLE_ACCESS_TOKEN": TOKEN, "PARTICLE_API_URL": server.url}
        run = [sys.executable, "-m", "reconciler"]
        plan = cost_of([*run, "plan", str(manifests), "--output", "json"], environment, log=folder / "plan.json")
        options = ["--journal", f"{kept}/journal", "--firmware-cache", f"{kept}/firmware"]
        options += ["--auto-approve", "--output", "json", "--poll-seconds", "1"]
        apply = cost_of([*run, "apply", str(manifests), *options], environment, log=folder / "apply.json")
        arrived = devices_at(server, LAST_SLOT)
    assert arrived == devices, f"{arrived} of {devices} devices arrived"
    return Ours(devices=devices, plan=plan, apply=apply)


def devices_at(server: EmulatorServer, slot: ModuleSlot) -> int:
    """How many devices truly have the later release's module in this slot."""
    wanted = next(
        shipped.module.version
        for release in server.catalog.all_releases
        if release.version == DeviceOsVersion(DESIRED) and release.platform_id == _platform().id
        for shipped in release.modules
        if shipped.module.slot == slot
    )
    with server.locked() as cloud:
        return sum(device.versions[slot] == wanted for device in cloud.state.devices.values())


def particle(devices: int, folder: Path) -> tuple[list[Cost], list[Cost]]:
    """`particle cloud list` and `particle cloud flash DEVICE FILE`, once for each device, one after the other.

    Raises AssertionError unless every device then has the module that it was sent.
    """
    file = folder / "bootloader.bin"
    with serve(devices) as server:
        content = server.binaries.module(_platform(), DeviceOsVersion(DESIRED), FIRST_SLOT)
        assert content is not None
        file.write_bytes(content)
        tool = particle_cli(folder / "home", url=server.url, token=TOKEN)
        with server.locked() as cloud:
            ids = sorted(cloud.state.devices)
        run, environment = [*tool.command, "cloud"], tool.environment
        lists = [cost_of([*run, "list"], environment, log=folder / "list.txt") for _ in ids]
        flashes = [cost_of([*run, "flash", each, str(file)], environment, log=folder / "flash.txt") for each in ids]
        server.advance(TRANSFER_SECONDS_MAX)
        arrived = devices_at(server, FIRST_SLOT)
    assert arrived == devices, f"{arrived} of {devices} devices took the bootloader"
    return lists, flashes


def table(lists: Sequence[Cost], flashes: Sequence[Cost], ours: Sequence[Ours]) -> list[str]:
    """Medians of single commands, and whole plans and applies, as a Markdown table."""
    lines = ["| Command | For | Wall | Processor |", "|---|--:|--:|--:|"]
    for name, costs in (("`particle cloud list`", lists), ("`particle cloud flash DEVICE FILE`", flashes)):
        if costs:
            wall, processor = (
                statistics.median(getattr(c, n) for c in costs) for n in ("seconds", "processor_seconds")
            )
            lines.append(f"| {name} (median of {len(costs)}) | 1 command | {wall:.2f} s | {processor:.2f} s |")
    for each in ours:
        for name, cost in (("plan", each.plan), ("apply", each.apply)):
            wall, processor = cost.seconds, cost.processor_seconds
            lines.append(f"| `reconciler {name}` | {each.devices} devices | {wall:.2f} s | {processor:.2f} s |")
    return lines


def each_further(name: str, few: Ours, many: Ours) -> float:
    """Processor seconds of each further device."""
    more: Cost = getattr(many, name)
    less: Cost = getattr(few, name)
    return (more.processor_seconds - less.processor_seconds) / (many.devices - few.devices)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=10, help="Devices that particle-cli is run for.")
    parser.add_argument("--ours", type=int, nargs="+", default=[10, 200], help="Sizes of world for reconciler.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lists, flashes = particle(arguments.devices, folder)
        ours = [plan_and_apply(count, folder) for count in sorted(arguments.ours)]
    lines = [f"Python {machine.python_version()}, particle-cli {VERSION}, {os.cpu_count()} processors", ""]
    lines += table(lists, flashes, ours)
    if len(ours) > 1:
        for command in ("plan", "apply"):
            further = each_further(command, ours[0], ours[-1])
            lines.append(f"\n{command}: {further * 1000:.1f} ms of processor time for each further device")
    sys.stdout.write("\n".join(lines) + "\n")


def _platform() -> Platform:
    platform = platform_by_name(PLATFORM)
    assert platform is not None
    return platform


if __name__ == "__main__":
    main()
