"""A pretend bench: the emulator's devices, as the manifests name them, under the real wires."""

from __future__ import annotations

import time
from typing import Final

from reconciler.bench_wiring import BenchSettings
from reconciler.emulator.bench.backend import PretendUsb
from reconciler.emulator.bench.bench import Bench
from reconciler.emulator.bench.building import BenchFactory
from reconciler.emulator.bench.device import BenchDevice
from reconciler.emulator.bench.memory import Chip
from reconciler.emulator.bench.timing import LIFELIKE
from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.execution.binaries import Applications, BinaryStore
from reconciler.firmware.catalog import Catalog
from reconciler.inventory.usb import Register
from reconciler.model.fleet import Fleet, FleetSet
from reconciler.model.instant import Instant
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.release import Release
from reconciler.model.step import FlashModule
from reconciler.model.version import ApplicationVersion
from reconciler.particle.usb_bus import LibusbBus
from reconciler.particle.usb_clock import UsbClock

DEVICES_MAX: Final = 16
STRANGER: Final = "e00fce68ffffffffffffffff"
"""A device that is in no fleet."""
_BROKEN_EVERY: Final = 3
"""Of so many devices one is found in DFU mode, without its system part."""
_OLDER_BY: Final = (9, 4, 14, 2)
"""How many releases below the desired one devices are found."""


class _PretendBinaries:
    """Synthetic modules of the very versions that are asked for; applications as the manifests name them."""

    def __init__(self, binaries: EmulatedBinaries, applications: Applications) -> None:
        self._binaries = binaries
        self._applications = applications

    def module(self, platform: Platform, step: FlashModule) -> bytes:
        content = self._binaries.module(platform, step.device_os, step.module.slot)
        assert content is not None, step
        return content

    def application(
        self, platform_name: str, application: ApplicationVersion, sha256: str | None = None
    ) -> bytes | None:
        return self._applications.get((platform_name, application, sha256))


def pretended_bench(
    fleets: FleetSet,
    catalog: Catalog,
    register: Register,
    applications: Applications,
    *,
    speed: float,
) -> tuple[BenchSettings, BinaryStore]:
    """The devices that manifests name by their ids, at older releases, and a stranger; time runs `speed` as fast."""
    binaries = EmulatedBinaries(catalog, side_by_side=True)
    factory = BenchFactory(binaries)
    began, wall_began = time.monotonic(), time.time()

    def now() -> float:
        return (time.monotonic() - began) * speed

    def sleep(seconds: float) -> None:
        time.sleep(max(0.0, seconds / speed))

    bench = Bench(release_name=factory.release_name, timing=LIFELIKE)
    for port, device in enumerate(_devices(fleets, catalog, factory), 1):
        bench.plug(device, (port,), now())
    clock = UsbClock(now=now, sleep=sleep)
    settings = BenchSettings(
        bus=LibusbBus(backend=PretendUsb(bench, now, sleep), clock=clock),
        fleets=fleets,
        catalog=catalog,
        register=register,
        clock=clock,
        wall=lambda: Instant(wall_began + now()),
    )
    return settings, _PretendBinaries(binaries, applications)


def _devices(fleets: FleetSet, catalog: Catalog, factory: BenchFactory) -> list[BenchDevice]:
    named = sorted((word, fleet) for fleet in fleets.fleets for word in _ids_of(fleet))[:DEVICES_MAX]
    devices = []
    for number, (device_id, fleet) in enumerate(named):
        platforms = sorted(fleet.select.platforms or {"boron"})
        platform = platform_by_name(platforms[number % len(platforms)])
        assert platform is not None
        release = _older(catalog, platform, fleet, _OLDER_BY[number % len(_OLDER_BY)])
        product = int(fleet.product) if fleet.product and fleet.product.isdecimal() else platform.id
        device = factory.device(device_id, platform, release.version, product=(product, 1))
        if number % _BROKEN_EVERY == _BROKEN_EVERY - 1:
            _break(device)
        devices.append(device)
    boron = platform_by_name("boron")
    assert boron is not None
    devices.append(factory.device(STRANGER, boron, _stable(catalog, boron)[-1].version, product=(boron.id, 1)))
    return devices


def _ids_of(fleet: Fleet) -> frozenset[str]:
    return (fleet.select.devices or frozenset()) | (fleet.select.roster or frozenset())


def _older(catalog: Catalog, platform: Platform, fleet: Fleet, by: int) -> Release:
    desired = fleet.desired.device_os
    stable = [release for release in _stable(catalog, platform) if desired is None or release.version <= desired]
    return stable[max(0, len(stable) - 1 - by)]


def _stable(catalog: Catalog, platform: Platform) -> list[Release]:
    """What devices may come with. By a bundle with applications alone no release may be passed: then any of them."""
    stable = [release for release in catalog.releases(platform) if not release.prerelease]
    return [release for release in stable if release.published] or stable


def _break(device: BenchDevice) -> None:
    """As after a power cut in the middle of a write: the bootloader finds nothing to start."""
    start = device.platform.bounds[device.platform.system_parts[0]].start_addresses[0]
    device.chips[Chip.INTERNAL].erase(start + 0x4000, 0x2000)
    device.mode = device.boot_mode()
