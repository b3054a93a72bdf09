"""The emulator's bench under the real wires, on virtual time: pyusb's own code, our protocol code, faithful devices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from reconciler.emulator.bench.backend import PretendUsb
from reconciler.emulator.bench.bench import Bench, Port
from reconciler.emulator.bench.building import BenchFactory
from reconciler.emulator.bench.device import BenchDevice
from reconciler.emulator.bench.faults import BenchFault
from reconciler.emulator.bench.referee import BenchRules, judge_bench
from reconciler.emulator.bench.timing import LIFELIKE, Timing
from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.emulator.evidence import Violation
from reconciler.model.device import DeviceId
from reconciler.model.platform import platform_by_name
from reconciler.model.version import DeviceOsVersion
from reconciler.particle.usb import UsbDevice, UsbMode
from reconciler.particle.usb_bus import LibusbBus
from tests.bench.fake_bus import BINARIES, Clock


class EmulatedBus:
    """A `UsbBus` over a pretend bench. `plug` and `unplug` are a person's hands."""

    def __init__(
        self,
        *,
        timing: Timing = LIFELIKE,
        faults: Iterable[BenchFault] = (),
        moves: Mapping[tuple[str, int], Port] | None = None,
        binaries: EmulatedBinaries = BINARIES,
        on_transfer: Callable[[], None] = lambda: None,
    ) -> None:
        self.clock = Clock()
        self.factory = BenchFactory(binaries)
        self.bench = Bench(release_name=self.factory.release_name, timing=timing, faults=faults, moves=moves)
        self._bus = LibusbBus(
            backend=_Counted(self.bench, self.clock.now, self.clock.sleep, on_transfer), clock=self.clock.usb
        )

    def plug(
        self, number: int, platform_name: str, device_os: str, *, product: tuple[int, int] | None = None
    ) -> BenchDevice:
        """A device with every module of a release, and an application."""
        platform = platform_by_name(platform_name)
        assert platform is not None
        device = self.factory.device(device_id(number), platform, DeviceOsVersion(device_os), product=product)
        self.bench.plug(device, (number,), self.clock.now())
        return device

    def devices(self) -> Sequence[UsbDevice]:
        return self._bus.devices()

    def find(
        self,
        serial: DeviceId,
        *,
        mode: UsbMode | None = None,
        restarted_from: UsbDevice | None = None,
        within_seconds: float,
    ) -> UsbDevice:
        return self._bus.find(serial, mode=mode, restarted_from=restarted_from, within_seconds=within_seconds)

    def violations(self, *desired: int, unmet_allowed: bool = False) -> tuple[Violation, ...]:
        """What the referee says of all that happened."""
        rules = BenchRules(desired=frozenset(map(device_id, desired)), unmet_allowed=unmet_allowed)
        return judge_bench(self.bench.story(self.clock.now()), rules)


class _Counted(PretendUsb):
    """Tells of every control transfer before it is served."""

    def __init__(
        self, bench: Bench, now: Callable[[], float], sleep: Callable[[float], None], on_transfer: Callable[[], None]
    ) -> None:
        super().__init__(bench, now, sleep)
        self._on_transfer = on_transfer

    def ctrl_transfer(self, *arguments: object) -> object:
        self._on_transfer()
        return super().ctrl_transfer(*arguments)


def device_id(number: int) -> str:
    return f"e00fce68{number:016x}"
