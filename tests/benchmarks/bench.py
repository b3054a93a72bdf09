"""`python -m tests.benchmarks.bench`: how long a device on the bench takes beside what it needs itself; ten at once.

The devices are the emulator's, with its assumed times (`emulator/bench/timing.py`; no source has measured ones), under
the wires of production. What a device needs is the sum of its own erasing, writing, sending over its port, reading back
and restarting, as the emulator counts it, and with several devices the waiting for others on the 12 Mbit/s that they
share. One device is measured in virtual time, so that neither this machine nor
anybody on it is part of the figure; ten at once in real time, because threads, locks and the journal are the question.
"""

from __future__ import annotations

import argparse
import platform as machine
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.bench_wiring import BenchSettings, BenchWork, open_hall, register_of
from reconciler.controller.seat import SeatState
from reconciler.emulator.bench.backend import PretendUsb
from reconciler.emulator.bench.bench import Bench
from reconciler.emulator.bench.building import BenchFactory
from reconciler.emulator.bench.timing import LIFELIKE
from reconciler.firmware.known import known_catalog
from reconciler.journal.sqlite import SqliteJournal
from reconciler.model.fleet import FleetSet, Selector
from reconciler.model.instant import Instant
from reconciler.model.platform import platform_by_name
from reconciler.model.version import DeviceOsVersion
from reconciler.particle.usb_bus import LibusbBus
from reconciler.particle.usb_clock import UsbClock
from tests.bench.emulated import EmulatedBus, device_id
from tests.bench.fake_bus import BINARIES
from tests.bench.stage import USB, Binaries, Stage
from tests.fleet_samples import fleet

ROUTES = (
    ("photon", "1.5.2", "2.3.1"),
    ("boron", "2.0.1", "6.3.4"),
    ("argon", "4.0.0", "6.3.4"),
    ("p2", "5.0.0", "6.5.0"),
    ("tracker", "2.3.1", "3.0.0"),
)
OURS = Selector(devices=frozenset(map(device_id, range(1, 101))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Devices that arrived together: seconds until the last UNPLUG ME, and what the slowest one needed.

    `waited`: the part of `needed` that it waited for others on the bus.
    `late`: for how many seconds this machine let a device's thread sleep beyond what it had asked for, at most. That is
    no part of a real device's work, nor of ours: the pretend device sleeps while it erases, writes and sends.
    """

    what: str
    devices: int
    seconds: float
    needed: float
    waited: float = 0.0
    late: float = 0.0

    @property
    def ratio(self) -> float:
        """Below 1 nobody can be."""
        return self.seconds / self.needed

    @property
    def own_ratio(self) -> float:
        """The same without the sleep that nobody had asked for."""
        return (self.seconds - self.late) / self.needed


class Sleeper:
    """Sleeps, and counts by thread how much longer than asked."""

    def __init__(self) -> None:
        self._late: defaultdict[int, float] = defaultdict(float)

    def sleep(self, seconds: float) -> None:
        """Sleep in real time."""
        began = time.monotonic()
        time.sleep(seconds)
        self._late[threading.get_ident()] += time.monotonic() - began - seconds

    @property
    def latest(self) -> float:
        """Of the thread that was let sleep the longest beyond what it had asked for."""
        return max(self._late.values(), default=0.0)


def one(platform: str, start: str, desired: str) -> Measured:
    """One device, in virtual time. Raises AssertionError unless it arrives and the referee is content."""
    bus = EmulatedBus()
    device = bus.plug(1, platform, start, product=(12345, 12))
    here = Stage(fleets=FleetSet(fleets=(fleet(device_os=desired, select=OURS, delivery=USB),)), bus=bus)
    began = bus.clock.now()
    seat = here.serve(device)
    assert seat.state is SeatState.DONE, seat
    assert bus.violations(1, unmet_allowed=platform == "tracker") == ()
    what = f"{platform} {start} to {desired}"
    return Measured(what=what, devices=1, seconds=bus.clock.now() - began, needed=device.seconds_spent)


def at_once(count: int, *, platform: str = "boron", start: str = "2.0.1", desired: str = "6.3.4") -> Measured:
    """So many devices on a hub, in real time, with a journal on disk."""
    began = time.monotonic()

    def now() -> float:
        return time.monotonic() - began

    factory = BenchFactory(BINARIES)
    named = platform_by_name(platform)
    assert named is not None
    bench = Bench(release_name=factory.release_name, timing=LIFELIKE)
    devices = [
        factory.device(device_id(n), named, DeviceOsVersion(start), product=(12345, 12)) for n in range(1, count + 1)
    ]
    fleets = FleetSet(fleets=(fleet(device_os=desired, select=OURS, delivery=USB),))
    sleeper = Sleeper()
    clock = UsbClock(now=now, sleep=sleeper.sleep)
    settings = BenchSettings(
        bus=LibusbBus(backend=PretendUsb(bench, now, sleeper.sleep), clock=clock),
        fleets=fleets,
        catalog=known_catalog(),
        register=register_of(None, {}),
        clock=clock,
        wall=lambda: Instant(time.time()),
    )
    with tempfile.TemporaryDirectory() as folder, SqliteJournal(Path(folder) / "journal.sqlite") as journal:
        work = BenchWork(journal=journal, binaries=Binaries({}, BINARIES), plan_id="benchmark")
        with open_hall(settings, work) as hall:
            plugged_at = now()
            for port, device in enumerate(devices, 1):
                bench.plug(device, (port,), now())
            while len(hall.of()) < count or not all(seat.state.is_at_rest for seat in hall.seats()):
                hall.look_around()
                time.sleep(0.25)
            seconds = now() - plugged_at
            assert {seat.state for seat in hall.seats()} == {SeatState.DONE}, hall.seats()
    what = f"{count} x {platform} {start} to {desired}, real time"
    needed, waited = max((each.seconds_spent + each.seconds_waited, each.seconds_waited) for each in devices)
    return Measured(what=what, devices=count, seconds=seconds, needed=needed, waited=waited, late=sleeper.latest)


def row(measured: Measured) -> str:
    """One line of the table in BENCHMARKS.md."""
    times = f"{measured.seconds:.1f} s | {measured.needed:.1f} s | {measured.waited:.1f} s | {measured.late:.1f} s"
    return f"| {measured.what} | {times} | {measured.ratio:.2f} | {measured.own_ratio:.2f} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench", description=__doc__.splitlines()[0])  # type: ignore[union-attr]  # it is above
    parser.add_argument("--at-once", type=int, nargs="*", default=[1, 10], help="so many devices at once, in real time")
    counts: list[int] = parser.parse_args(arguments).at_once
    out = sys.stdout
    titles = "| What | Took | It had to | Of that for the bus | Slept too long | Ratio | Without that |\n"
    titles += "|---|--:|--:|--:|--:|--:|--:|\n"
    out.write(f"Python {machine.python_version()}\n\n{titles}")
    for route in ROUTES:
        out.write(row(one(*route)) + "\n")
    for count in counts:
        out.write(row(at_once(count)) + "\n")
        out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
