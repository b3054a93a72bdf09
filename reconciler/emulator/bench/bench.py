"""All ports of a pretend bench in motion: devices are plugged in, restart, move to other ports, and answer transfers.

There are no threads and no clock here: the time comes in with every call, and what is due by then happens first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.emulator.bench.answers import DeviceOs
from reconciler.emulator.bench.descriptors import standard_transfer
from reconciler.emulator.bench.device import BenchDevice
from reconciler.emulator.bench.dfu import DfuMachine
from reconciler.emulator.bench.faults import (
    BenchFault,
    FaultKind,
    Faults,
    instead,
    spoilt_on_the_way,
    spoilt_on_the_way_back,
)
from reconciler.emulator.bench.memory import Chip
from reconciler.emulator.bench.records import BenchEntry, BenchMode, BenchMoment
from reconciler.emulator.bench.requests import RequestChannel
from reconciler.emulator.bench.timing import INSTANT, Timing
from reconciler.emulator.bench.transfer import Failure, Outcome, Setup
from reconciler.emulator.records import Versions
from reconciler.model.instant import Instant
from reconciler.model.module import ModuleSlot
from reconciler.model.platform import Platform

BUS: Final = 1
"""The number of the one pretend bus."""
_ADDRESSES: Final = 127
_KIB: Final = 1024
_SET_INTERFACE: Final = 11
_CHANGING: Final = (BenchMoment.ERASED, BenchMoment.WRITTEN)

Port = tuple[int, ...]
"""The ports of the hubs on the way to a device: (2, 4) is port 4 of the hub on port 2."""


@dataclass(slots=True, kw_only=True, eq=False)
class Attached:
    """A device that is plugged in. `address` is None while it restarts."""

    device: BenchDevice
    port: Port
    address: int | None = None
    channel: RequestChannel | None = None
    bootloader: DfuMachine | None = None
    goes_at: float | None = None
    comes_at: float = 0.0
    into: str = ""
    by_host: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """What the log says of a device's modules."""

    versions: Versions
    broken: tuple[ModuleSlot, ...]
    application: tuple[int, int] | None
    unmet: tuple[str, ...]

    @staticmethod
    def of(device: BenchDevice) -> _Standing:
        holdings = device.holdings
        application = holdings.loadout.application
        product = None
        if application is not None and application.product_id is not None and application.product_version is not None:
            product = (application.product_id, application.product_version)
        return _Standing(
            versions=holdings.loadout.versions,
            broken=holdings.broken,
            application=product,
            unmet=tuple(f"{module} needs {need}" for module, need in holdings.loadout.unmet),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """How a transfer ended, and how many seconds it took."""

    outcome: Outcome
    seconds: float


class Bench:
    """The ports. `release_name` writes a system part's number as the release that the device says it runs.

    `moves`: to which port a device goes with its n-th restart (somebody pulls it out and plugs it in elsewhere).
    """

    def __init__(
        self,
        *,
        release_name: Callable[[Platform, int], str],
        timing: Timing = INSTANT,
        faults: Iterable[BenchFault] = (),
        moves: Mapping[tuple[str, int], Port] | None = None,
    ) -> None:
        self._entries: list[BenchEntry] = []
        self._known: dict[str, _Standing] = {}
        self._release_name = release_name
        self._timing = timing
        self._faults = Faults(faults)
        self._moves = dict(moves or {})
        self._attached: list[Attached] = []
        self._last_address = 0
        self._bus_free_at = 0.0

    def plug(self, device: BenchDevice, port: Port, now: float) -> None:
        """Plug a device in; it starts. Raises ValueError when the port, or the device, is taken."""
        if any(each.port == port or each.device is device for each in self._attached):
            raise ValueError(port)
        attached = Attached(device=device, port=port, comes_at=now)
        self._attached.append(attached)
        self._note(attached, BenchMoment.PLUGGED, now)

    def unplug(self, device: BenchDevice, now: float) -> None:
        """Pull a device out, whatever it is doing. Nothing happens to one that is not plugged in."""
        for attached in [each for each in self._attached if each.device is device]:
            self._attached.remove(attached)
            self._note(attached, BenchMoment.UNPLUGGED, now)

    def attached(self, now: float) -> tuple[Attached, ...]:
        """What the bus shows now, by port."""
        self._let_pass(now)
        return tuple(sorted((each for each in self._attached if each.address is not None), key=lambda each: each.port))

    def story(self, now: float) -> tuple[BenchEntry, ...]:
        """All that happened, and how every device that is plugged in stands now, for the referee."""
        self._let_pass(now)
        return (*self._entries, *(self._entry(each, BenchMoment.SEEN, now) for each in self._attached))

    def transfer(self, address: int, setup: Setup, data: bytes, now: float) -> Served:
        """One control transfer with the device that has this address."""
        self._let_pass(now)
        attached = next((each for each in self._attached if each.address == address), None)
        if attached is None:
            return Served(outcome=Failure.GONE, seconds=0.0)
        fault = self._faults.due(attached.device.id, setup)
        if fault is FaultKind.UNPLUG:
            self.unplug(attached.device, now)
        outcome = instead(fault, setup)
        waited = attached.bootloader.wait_seconds(now) if attached.bootloader is not None else 0.0
        if outcome is None:
            outcome = self._serve(attached, setup, spoilt_on_the_way(fault, data), now + waited)
            outcome = spoilt_on_the_way_back(fault, outcome)
        size = len(data) if isinstance(outcome, Failure) else len(data) + len(outcome)
        on_the_bus = self._timing.transfer + self._timing.bus_kib * size / _KIB
        attached.device.seconds_spent += on_the_bus
        return Served(outcome=outcome, seconds=waited + self._wait_for_bus(attached.device, size, now) + on_the_bus)

    def _wait_for_bus(self, device: BenchDevice, size: int, now: float) -> float:
        """Until the transfers of others are through; then it is this one's turn."""
        begins = max(now, self._bus_free_at)
        self._bus_free_at = begins + self._timing.shared(size)
        device.seconds_waited += begins - now
        return begins - now

    def restart(self, device: BenchDevice, now: float, *, into: str) -> None:
        """A Device OS was asked to restart: it obeys in a while."""
        for attached in self._attached:
            if attached.device is device and attached.goes_at is None:
                attached.goes_at = now + self._timing.obey
                attached.comes_at = attached.goes_at + self._timing.restart
                attached.into, attached.by_host = into, True
                device.seconds_spent += self._timing.obey + self._timing.restart

    def installed(self, device: BenchDevice, content: bytes, now: float) -> None:
        """A Device OS has accepted an update."""
        device.install(content)  # every chunk was programmed, and counted, when it came
        for attached in self._attached:
            if attached.device is device:
                self._note(attached, BenchMoment.INSTALLED, now, by_host=True)
        self.restart(device, now, into="")

    def refused(self, device: BenchDevice, result: int, now: float) -> None:
        """A Device OS has refused an update."""
        for attached in self._attached:
            if attached.device is device:
                self._note(attached, BenchMoment.REFUSED, now, result=result)

    def _serve(self, attached: Attached, setup: Setup, data: bytes, now: float) -> Outcome:
        if setup.is_vendor:
            return attached.channel.transfer(setup, data, now) if attached.channel else Failure.STALL
        if setup.is_class:
            return attached.bootloader.transfer(setup, data, now) if attached.bootloader else b""
        if setup.request == _SET_INTERFACE and not setup.to_host:
            return attached.bootloader.choose(setup.value) if attached.bootloader else b""
        return standard_transfer(attached.device, setup)

    def _let_pass(self, now: float) -> None:
        for attached in self._attached:
            if attached.goes_at is not None and attached.goes_at <= now:
                attached.goes_at = attached.address = attached.channel = attached.bootloader = None
                attached.device.restarts += 1
                self._move(attached)
            if attached.address is None and attached.comes_at <= now:
                self._come(attached, max(attached.comes_at, 0.0))

    def _move(self, attached: Attached) -> None:
        port = self._moves.get((attached.device.id, attached.device.restarts))
        if port is not None and all(each.port != port for each in self._attached):
            attached.port = port

    def _come(self, attached: Attached, now: float) -> None:
        """The device is on the bus (again), with a new address."""
        device = attached.device
        device.listening = False
        device.mode = device.boot_mode()
        if attached.into == "dfu":
            device.mode = BenchMode.DFU
        elif attached.into == "safe_mode" and device.mode is BenchMode.NORMAL:
            device.mode = BenchMode.SAFE_MODE
        self._last_address = self._last_address % _ADDRESSES + 1
        attached.address, attached.into = self._last_address, ""
        if device.mode is BenchMode.DFU:
            attached.bootloader = self._bootloader(attached)
        else:
            version = self._release_name(device.platform, device.system_number)
            device_os = DeviceOs(device, self, self._timing, version)
            attached.channel = RequestChannel(device_os.answer, device_os.raw)
        self._note(attached, BenchMoment.RESTARTED, now, by_host=attached.by_host)
        attached.by_host = False

    def _bootloader(self, attached: Attached) -> DfuMachine:
        def changed(what: str, chip: Chip, start: int, end: int, now: float) -> None:
            self._note(attached, BenchMoment(what), now, by_host=True, chip=chip, start=start, end=end)

        def leave(now: float, into: str) -> None:
            self.restart(attached.device, now, into=into)

        return DfuMachine(attached.device, self._timing, on_change=changed, on_leave=leave)

    def _note(self, attached: Attached, moment: BenchMoment, now: float, **details: Any) -> None:
        self._entries.append(self._entry(attached, moment, now, **details))

    def _entry(
        self,
        attached: Attached,
        moment: BenchMoment,
        now: float,
        *,
        by_host: bool = False,
        chip: str = "",
        start: int = 0,
        end: int = 0,
        result: int = 0,
    ) -> BenchEntry:
        device = attached.device
        if moment not in _CHANGING or device.id not in self._known:
            self._known[device.id] = _Standing.of(device)
        known = self._known[device.id]
        return BenchEntry(
            ordinal=len(self._entries) + 1,
            at=Instant(now),
            device=device.id,
            platform_id=device.platform.id,
            moment=moment,
            port=".".join(map(str, attached.port)),
            mode=device.mode,
            chip=chip,
            start=start,
            end=end,
            result=result,
            by_host=by_host,
            versions=known.versions,
            broken=known.broken,
            application=known.application,
            unmet=known.unmet,
        )
