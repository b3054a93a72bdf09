"""`python -m tests.benchmarks.exposure`: how many devices a bad release reaches before it is stopped, and by whom.

The same world, seed and bad application for everybody: so many Borons of one product run application 1; application 2
has run well on a bench device for days, and has a flaw in the field. Everybody works on a served emulator of their own
at the same speed of time, and may do all that they do by themselves; nobody looks on. What is counted is the emulator's
truth, one virtual hour after the end, so that what was under way is counted too:

- *exposed*: field devices that have received application 2;
- *not working*: field devices that run no application now, or one that keeps resetting.

`exposure_by.py` has who is asked, and how.
"""

from __future__ import annotations

import argparse
import platform as machine
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.emulator.device import Device
from reconciler.emulator.faults import FaultOrder
from reconciler.emulator.records import RequestKind
from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import load_world
from reconciler.model.device import DeviceMode
from tests import ansible_core
from tests.benchmarks.converge import table
from tests.benchmarks.exposure_by import BAD, CONTESTANTS, FIELD, PRODUCT, TOKEN, Contestant, Job

HOUR = 3600.0
_HOURS_SHOWN = 48
_EFFECTS = {RequestKind.FLASH, RequestKind.LOCK, RequestKind.RELEASE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A bad release: its words, the emulator's fault, and the share of devices on which it is bad."""

    words: str
    fault: str
    share: float = 1.0


RELEASES = {
    "crash": Release(words="crashes at boot: safe mode", fault="boot-crash"),
    "some-crash": Release(words="crashes at boot, on one device in ten", fault="boot-crash", share=0.1),
    "silent": Release(words="never comes online again", fault="device-never-returns"),
    "resets": Release(words="runs, and resets after a while, again and again", fault="crash-loop"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What a contestant did to a fleet. `seconds`: virtual, from the first write to the end; None: not measured."""

    by: str
    release: str
    devices: int
    exposed: int
    not_working: int
    seconds: float | None
    requests: int
    ended: str


def world_of(devices: int) -> str:
    """One product, its field devices, and a bench device that application 2 has been tried on."""
    return (
        f'tokens: [{{name: operator, token: "{TOKEN}"}}]\n'
        f"products:\n  - {{id: 12301, slug: {PRODUCT}, platform: boron, groups: [{FIELD}, bench], firmware: ["
        f'{{version: 1, deviceOS: "6.3.4", size: 60000}}, {{version: {BAD}, deviceOS: "6.3.4", size: 60000}}]}}\n'
        f"devices:\n  - {{count: {devices}, product: {PRODUCT}, platform: boron, deviceOS: '6.3.4', application: 1, "
        f"groups: [{FIELD}]}}\n"
        f"  - {{product: {PRODUCT}, platform: boron, deviceOS: '6.3.4', application: {BAD}, groups: [bench]}}\n"
    )


def measure(contestant: Contestant, release: Release, devices: int, *, seed: int = 7) -> Exposure:
    """Let one contestant bring one bad release to a fresh fleet."""
    world = load_world(world_of(devices), name="benchmark")
    with (
        tempfile.TemporaryDirectory() as folder,
        EmulatorServer(world, speed=contestant.speed, seed=seed) as server,
    ):
        with server.locked() as cloud:
            order = FaultOrder(fault=release.fault, rate=release.share, application=BAD)
            cloud.order_fault(order, server.now())
        ids = tuple(device.id for device in _field(server))
        ended = contestant.run(Job(server=server, folder=Path(folder), devices=ids))
        end = server.now()
        with server.locked() as cloud:
            asked = [request for request in cloud.requests if "/events" not in request.path]
        began = next((request.at for request in asked if request.kind in _EFFECTS), end)
        server.advance(HOUR)
        field = _field(server)
    return Exposure(
        by=contestant.name,
        release=release.words,
        devices=devices,
        exposed=sum(device.application_version == BAD for device in field),
        not_working=sum(map(_is_down, field)),
        seconds=end - began if contestant.timed else None,
        requests=len(asked),
        ended=ended,
    )


def _field(server: EmulatorServer) -> list[Device]:
    """The field's devices as they truly are, which the control door shows as `/_emulator/devices`."""
    with server.locked() as cloud:
        return [device for device in cloud.state.devices.values() if FIELD in device.groups]


def _is_down(device: Device) -> bool:
    return device.gone or device.mode is not DeviceMode.NORMAL or device.crashing or bool(device.crashes)


def reach(of_seeds: Sequence[Exposure]) -> str:
    """How many devices were exposed, and in brackets how many of them do not work; for each seed."""
    return _each(f"{one.exposed:,} ({one.not_working:,})" for one in of_seeds)


def effort(of_seeds: Sequence[Exposure]) -> str:
    """How it ended, after how long and how many requests; for each seed."""
    return _each(f"{one.ended}, {_time(one.seconds)}{one.requests:,} requests" for one in of_seeds)


def tables(results: Mapping[tuple[str, int], Sequence[Sequence[Exposure]]]) -> list[str]:
    """Two tables, a line for each contestant and size, a column for each release."""
    lines = []
    for cell in (reach, effort):
        heads = ("By", "Devices", *(of_seeds[0].release for of_seeds in next(iter(results.values()))))
        rows = ((by, f"{devices:,}", *map(cell, releases)) for (by, devices), releases in results.items())
        lines += [*table(heads, rows), ""]
    return lines


def _each(figures: Iterable[str]) -> str:
    """All of them, or one where they are the same."""
    listed = list(figures)
    return " / ".join(listed if len(set(listed)) > 1 else listed[:1])


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours >= _HOURS_SHOWN:
        return f"{hours // 24} d, "
    return f"{hours} h {minutes:02} min, " if hours else f"{minutes} min, "


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, nargs="+", default=[200, 1_000], help="Sizes of the field.")
    parser.add_argument("--by", choices=list(CONTESTANTS), nargs="+", default=list(CONTESTANTS), help="Who.")
    parser.add_argument("--releases", choices=list(RELEASES), nargs="+", default=list(RELEASES), help="Which ones.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7], help="Other seeds, other devices.")
    chosen = parser.parse_args(arguments)
    results: dict[tuple[str, int], list[list[Exposure]]] = {}
    for devices in chosen.devices:
        for by in (CONTESTANTS[name] for name in chosen.by):
            of_releases = results.setdefault((by.name, devices), [])
            for release in (RELEASES[name] for name in chosen.releases):
                of_releases.append([measure(by, release, devices, seed=seed) for seed in chosen.seeds])
                sys.stderr.write(f"{devices} devices, {by.name}, {release.words}: {reach(of_releases[-1])}\n")
    versions = f"Python {machine.python_version()}, ansible-core {ansible_core.VERSION}"
    sys.stdout.write("\n".join([f"{versions}, seeds {chosen.seeds}", "", *tables(results)]) + "\n")


if __name__ == "__main__":
    main()
