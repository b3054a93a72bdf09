"""The pretend bench under the operating system's USB interface.

umockdev shows its devices to every program that is started with its environment, and asks here what ioctls answer.

Run by Debian's own Python, which has GLib: `umockdev-wrapper python3 os_bench_server.py '{"devices": [...]}'`. One line
of JSON goes out when all is ready, and one for every command that comes in. It ends when its input does.

What programs see is usbfs (Linux, `usbdevice_fs.h`): control transfers as URBs, claims, settings, resets.
"""

from __future__ import annotations

import errno
import json
import shutil
import struct
import sys
import time
from typing import Any

import gi

gi.require_version("UMockdev", "1.0")
from gi.repository import GLib, UMockdev  # noqa: E402  # the version is chosen first

from reconciler.emulator.bench.bench import Attached, Bench  # noqa: E402  # as above
from reconciler.emulator.bench.building import BenchFactory  # noqa: E402  # as above
from reconciler.emulator.bench.descriptors import configuration_descriptor, device_descriptor  # noqa: E402  # as above
from reconciler.emulator.bench.faults import BenchFault, FaultKind, TransferKind  # noqa: E402  # as above
from reconciler.emulator.bench.memory import Chip  # noqa: E402  # as above
from reconciler.emulator.bench.referee import BenchRules, judge_bench  # noqa: E402  # as above
from reconciler.emulator.bench.timing import INSTANT, LIFELIKE  # noqa: E402  # as above
from reconciler.emulator.bench.transfer import Failure, Setup  # noqa: E402  # as above
from reconciler.emulator.binaries import EmulatedBinaries  # noqa: E402  # as above
from reconciler.firmware.known import known_catalog  # noqa: E402  # as above
from reconciler.model.platform import platform_by_name  # noqa: E402  # as above
from reconciler.model.version import DeviceOsVersion  # noqa: E402  # as above

HUB = "/devices/pci0000:00/0000:00:14.0/usb1"
HUB_DESCRIPTORS = bytes.fromhex(
    "12010002090000406b1d020000060102030109021900010100e0000904000001090000000705810304000c"
)
URB = struct.Struct("<BBxxiI4xQii")
STATUS_AT, ACTUAL_AT, BUFFER_AT = 4, 28, 16
SETUP_BYTES = 8
CONTROL = 2
TICK_MILLISECONDS = 20

SET_CONFIGURATION, GETDRIVER, REAP, REAP_NOW, RESET, CLEAR_HALT, FORBID_SUSPEND, ALLOW_SUSPEND = (
    5,
    8,
    12,
    13,
    20,
    21,
    33,
    34,
)
QUIET = (SET_CONFIGURATION, RESET, CLEAR_HALT, FORBID_SUSPEND, ALLOW_SUSPEND)
"""Numbers of `usbdevice_fs.h`; these need nothing done."""
FULL_SPEED = 2


class Node:
    """One device file. Each has its own URBs: a shared queue would hand them to another program."""

    def __init__(self, desk: Desk, attached: Attached) -> None:
        self.desk = desk
        self.address = attached.address
        name = f"1-{'.'.join(map(str, attached.port))}"
        self.path = f"{HUB}/{name}"
        number = self.address + 1  # the hub is 1
        self.file = f"/dev/bus/usb/001/{number:03d}"
        self.clients: dict[int, Any] = {}
        self.done: dict[int, list[Any]] = {}
        self.pending: dict[int, list[tuple[int, Any]]] = {}
        self.claimed_by: Any = None
        descriptor = device_descriptor(attached.device)
        vendor, product = struct.unpack_from("<HH", descriptor, 8)
        whole = descriptor + configuration_descriptor(attached.device)
        desk.testbed.add_from_string(
            f"P: {self.path}\nN: bus/usb/001/{number:03d}\n"
            f"E: DEVNAME={self.file}\nE: DEVTYPE=usb_device\nE: SUBSYSTEM=usb\nE: BUSNUM=001\nE: DEVNUM={number:03d}\n"
            f"A: busnum=1\\n\nA: devnum={number}\\n\nA: bConfigurationValue=1\\n\nA: bNumConfigurations=1\\n\n"
            f"A: idVendor={vendor:04x}\\n\nA: idProduct={product:04x}\\n\nA: speed=12\\n\nA: bDeviceClass=00\\n\n"
            f"A: devpath={'.'.join(map(str, attached.port))}\\n\nH: descriptors={whole.hex().upper()}\n"
        )
        self.ioctls = UMockdev.IoctlBase.new()
        self.ioctls.connect("handle-ioctl", self.handle)
        desk.testbed.attach_ioctl(self.file, self.ioctls)
        desk.testbed.uevent(f"/sys{self.path}", "add")

    def remove(self) -> None:
        self.desk.testbed.uevent(f"/sys{self.path}", "remove")
        self.desk.testbed.detach_ioctl(self.file)
        self.desk.testbed.remove_device(f"/sys{self.path}")

    def handle(self, _ioctls: Any, client: Any) -> bool:
        request = client.get_request()
        if request >> 8 & 0xFF != ord("U"):
            return False
        result, error = self.answer(client, request & 0xFF)
        client.complete(result, error)
        GLib.idle_add(self.desk.look_once)
        return True

    def answer(self, client: Any, number: int) -> tuple[int, int]:
        gone = self.address not in self.desk.addresses()
        self.clients[hash(client)] = client  # kept, so that the number stays its own
        done = self.done.setdefault(hash(client), [])
        if number in (REAP, REAP_NOW):
            if not done:
                return -1, errno.ENODEV if gone else errno.EAGAIN
            client.get_arg().resolve(0, 8).set_ptr(0, done.pop(0))
            return 0, 0
        if gone:
            return -1, errno.ENODEV
        if number in QUIET:
            return 0, 0
        return self.served(client, number, done)

    def served(self, client: Any, number: int, done: list[Any]) -> tuple[int, int]:
        """The ioctls of a device that is there, but for fetching what is done."""
        match number:
            case 10:
                self.submit(client, done)
            case 11:
                self.discard(client, done)
            case 15:
                return self.claim(client)
            case 16:
                self.claimed_by = None
            case 4:
                return self.choose(client)
            case 26:
                client.get_arg().resolve(0, 4).update(0, struct.pack("<I", 0))
            case 31:
                return FULL_SPEED, 0
            case _:
                return -1, errno.ENODATA if number == GETDRIVER else errno.ENOTTY
        return 0, 0

    def claim(self, client: Any) -> tuple[int, int]:
        """One program at a time; who is gone holds nothing."""
        holder = self.claimed_by
        if holder is not None and holder.get_connected() and hash(holder) != hash(client):
            return -1, errno.EBUSY
        self.claimed_by = client
        return 0, 0

    def choose(self, client: Any) -> tuple[int, int]:
        """Another alternate setting."""
        _, alternate = struct.unpack("<II", bytes(client.get_arg().resolve(0, 8).retrieve()))
        setup = Setup(request_type=1, request=11, value=alternate, index=0, length=0)
        outcome = self.desk.bench.transfer(self.address, setup, b"", self.desk.now()).outcome
        return (-1, errno.EPIPE) if isinstance(outcome, Failure) else (0, 0)

    def submit(self, client: Any, done: list[Any]) -> None:
        urb = client.get_arg().resolve(0, URB.size)
        kind, _endpoint, _status, _flags, _buffer, length, _actual = URB.unpack(bytes(urb.retrieve()))
        buffer = urb.resolve(BUFFER_AT, length)
        raw = bytes(buffer.retrieve())
        setup = Setup(
            **dict(
                zip(
                    ("request_type", "request", "value", "index", "length"),
                    struct.unpack("<BBHHH", raw[:8]),
                    strict=True,
                )
            )
        )
        data = b"" if setup.to_host else raw[SETUP_BYTES : SETUP_BYTES + setup.length]
        if kind != CONTROL:
            self.finish(urb, -errno.EINVAL, 0)
            done.append(urb)
            return
        served = self.desk.bench.transfer(self.address, setup, data, self.desk.now())
        time.sleep(served.seconds)
        match served.outcome:
            case Failure.SILENCE:
                self.pending.setdefault(hash(client), []).append((int(client.get_arg().client_addr), urb))
                return
            case Failure.STALL:
                self.finish(urb, -errno.EPIPE, 0)
            case Failure.GONE:
                self.finish(urb, -errno.ENODEV, 0)
            case bytes(answer) if setup.to_host:
                answer = answer[: setup.length]
                if answer:
                    buffer.update(SETUP_BYTES, answer)
                self.finish(urb, 0, len(answer))
            case _:
                self.finish(urb, 0, len(data))
        done.append(urb)

    def discard(self, client: Any, done: list[Any]) -> None:
        for _, urb in self.pending.pop(hash(client), []):
            self.finish(urb, -errno.ENOENT, 0)
            done.append(urb)

    @staticmethod
    def finish(urb: Any, status: int, actual: int) -> None:
        urb.update(STATUS_AT, struct.pack("<i", status))
        urb.update(ACTUAL_AT, struct.pack("<i", actual))


class Desk:
    """The bench, and the device files of what is plugged in."""

    def __init__(self, world: dict[str, Any]) -> None:
        binaries = EmulatedBinaries(known_catalog(), side_by_side=True)
        factory = BenchFactory(binaries)
        scale = float(world.get("timing", 0))
        self.bench = Bench(
            release_name=factory.release_name,
            timing=LIFELIKE.scaled(scale) if scale else INSTANT,
            faults=[
                BenchFault(**{**fault, "kind": FaultKind(fault["kind"]), "of": TransferKind(fault["of"])})
                for fault in world.get("faults", ())
            ],
        )
        self.devices = {}
        self.nodes: dict[int, Node] = {}
        self.testbed = UMockdev.Testbed.new()
        self.testbed.add_from_string(
            f"P: {HUB}\nN: bus/usb/001/001\nE: DEVTYPE=usb_device\nE: SUBSYSTEM=usb\nE: BUSNUM=001\nE: DEVNUM=001\n"
            "A: busnum=1\\n\nA: devnum=1\\n\nA: bConfigurationValue=1\\n\nA: speed=480\\n\n"
            f"A: idVendor=1d6b\\n\nA: idProduct=0002\\n\nH: descriptors={HUB_DESCRIPTORS.hex().upper()}\n"
        )
        for line in world["devices"]:
            platform = platform_by_name(line["platform"])
            assert platform is not None
            device = factory.device(
                line["id"], platform, DeviceOsVersion(line["release"]), product=tuple(line["product"])
            )
            device.protected = line.get("protected", False)
            self.devices[device.id] = device
            self.bench.plug(device, tuple(line["port"]), self.now())
        self.look()

    @staticmethod
    def now() -> float:
        return time.monotonic()

    def addresses(self) -> set[int | None]:
        return {attached.address for attached in self.bench.attached(self.now())}

    def look(self) -> bool:
        """Make the device files those of what is plugged in now."""
        here = {attached.address: attached for attached in self.bench.attached(self.now())}
        for address in [address for address in self.nodes if address not in here]:
            self.nodes.pop(address).remove()
        for address, attached in here.items():
            if address not in self.nodes:
                assert address is not None
                self.nodes[address] = Node(self, attached)
        return True

    def look_once(self) -> bool:
        """For GLib: not again. A device file cannot be taken away while it is being answered."""
        self.look()
        return False

    def obey(self, command: dict[str, Any]) -> Any:
        device = self.devices.get(command.get("device", ""))
        match command["do"]:
            case "flash":
                return device.chips[Chip.INTERNAL].read(command["address"], command["size"]).hex()
            case "mode":
                return device.mode
            case "broken":
                return [str(slot) for slot in device.holdings.broken]
            case "versions":
                return {str(slot): version for slot, version in device.holdings.loadout.versions.items()}
            case "unplug":
                self.bench.unplug(device, self.now())
            case "plug":
                self.bench.plug(device, tuple(command["port"]), self.now())
            case "judge":
                rules = BenchRules(unmet_allowed=command.get("unmet_allowed", False))
                return [str(found) for found in judge_bench(self.bench.story(self.now()), rules)]
            case "moments":
                return [entry.moment for entry in self.bench.story(self.now()) if entry.device == command["device"]]
        self.look()
        return None


def say(something: Any) -> None:
    """One line of JSON to the test."""
    sys.stdout.write(json.dumps(something) + "\n")
    sys.stdout.flush()


def main() -> None:
    desk = Desk(json.loads(sys.argv[1]))
    loop = GLib.MainLoop()

    def heard(source: Any, _condition: Any) -> bool:
        line = source.readline()
        if not line:
            loop.quit()
            return False
        say(desk.obey(json.loads(line)))
        return True

    GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, heard)
    GLib.timeout_add(TICK_MILLISECONDS, desk.look)
    say({"root": desk.testbed.get_root_dir()})
    loop.run()
    shutil.rmtree(desk.testbed.get_root_dir(), ignore_errors=True)


main()
