"""The pretend bench in this process, on a clock that only the bench and its hosts move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from reconciler.emulator.bench.backend import PretendUsb
from reconciler.emulator.bench.bench import Bench, Port
from reconciler.emulator.bench.building import BenchFactory
from reconciler.emulator.bench.device import BenchDevice
from reconciler.emulator.bench.faults import BenchFault
from reconciler.emulator.bench.referee import BenchRules, judge_bench
from reconciler.emulator.bench.timing import INSTANT, Timing
from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.firmware.known import known_catalog
from reconciler.model.device import DeviceId
from reconciler.model.module import ModuleSlot
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.version import DeviceOsVersion
from reconciler.particle.usb import UsbDevice, UsbMode
from reconciler.particle.usb_bus import LibusbBus
from reconciler.particle.usb_clock import UsbClock

DEVICE = DeviceId("0123456789abcdef00000001")
OTHER = DeviceId("0123456789abcdef00000002")
PRODUCT = (12345, 3)


@cache
def binaries() -> EmulatedBinaries:
    return EmulatedBinaries(known_catalog(), side_by_side=True)


@cache
def factory() -> BenchFactory:
    return BenchFactory(binaries())


def platform(name: str) -> Platform:
    found = platform_by_name(name)
    assert found is not None
    return found


def module(platform_name: str, release: str, slot: str) -> bytes:
    content = binaries().module(platform(platform_name), DeviceOsVersion(release), ModuleSlot.parse(slot))
    assert content is not None
    return content


def application(platform_name: str, release: str, version: int, size: int | None = None) -> bytes:
    return binaries().application(
        platform(platform_name), DeviceOsVersion(release), product=(PRODUCT[0], version), size=size
    )


class PretendBench:
    """Ports, what is plugged in, and a bus over them as production has it."""

    def __init__(
        self,
        *,
        faults: Iterable[BenchFault] = (),
        moves: Mapping[tuple[str, int], Port] | None = None,
        timing: Timing = INSTANT,
    ) -> None:
        self.seconds = 0.0
        self.bench = Bench(release_name=factory().release_name, faults=faults, moves=moves, timing=timing)
        self.backend = PretendUsb(self.bench, self.now, self.sleep)
        self.bus = LibusbBus(backend=self.backend, clock=UsbClock(now=self.now, sleep=self.sleep))

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def plug(
        self,
        platform_name: str,
        release: str,
        *,
        device_id: str = DEVICE,
        port: Port = (1,),
        own_application: bytes | None = None,
    ) -> BenchDevice:
        device = factory().device(
            device_id, platform(platform_name), DeviceOsVersion(release), product=PRODUCT, application=own_application
        )
        self.bench.plug(device, port, self.seconds)
        return device

    def normal(self, device_id: str = DEVICE) -> UsbDevice:
        return self.bus.find(DeviceId(device_id), mode=UsbMode.NORMAL, within_seconds=30)

    def in_dfu(self, device_id: str = DEVICE) -> UsbDevice:
        """The device in DFU mode, where it goes if it is not there."""
        found = self.bus.find(DeviceId(device_id), within_seconds=30)
        if found.mode is UsbMode.NORMAL:
            with found.control() as session:
                session.enter_dfu()
        return self.bus.find(DeviceId(device_id), mode=UsbMode.DFU, within_seconds=30)

    def violations(self, rules: BenchRules | None = None) -> list[str]:
        found = judge_bench(self.bench.story(self.seconds), rules or BenchRules(unmet_allowed=True))
        return [f"{violation.law} {violation.detail}" for violation in found]
