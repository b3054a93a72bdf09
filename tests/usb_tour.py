"""One tour through every request, with any bus: in this process for one face of the bench, as a program for the other.

`python -m tests.usb_tour SERIAL RELEASE` makes the tour on the bus of this machine and prints what it saw.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from reconciler.model.device import DeviceId
from reconciler.particle.usb import UsbBus, UsbMode, UsbProgress
from reconciler.particle.usb_bus import LibusbBus
from reconciler.particle.usb_image import dfu_writes
from tests.pretend_bench import module

WAIT_SECONDS = 20.0


def tour(bus: UsbBus, serial: DeviceId, release: str) -> dict[str, Any]:
    """Ask everything; bring the bootloader in normal mode and the system parts of `release` by DFU."""
    seen: dict[str, Any] = {}
    device = bus.find(serial, mode=UsbMode.NORMAL, within_seconds=WAIT_SECONDS)
    seen["device"] = [device.port, device.platform.name, device.mode.value]
    with device.control() as session:
        seen["names"] = [session.device_id(), session.serial_number(), session.system_version()]
        seen["flags"] = [int(session.capabilities()), session.protection().value]
        seen["modules"] = sorted(str(report.module) for report in session.modules().modules)
        seen["modes"] = [session.listening().value]
        session.start_listening()
        seen["modes"].append(session.listening().value)
        seen["cloud"] = [session.cloud_status().value]
        session.stop_listening()
        seen["modes"].append(session.listening().value)
        session.disconnect_cloud()
        seen["cloud"].append(session.cloud_status().value)
        session.connect_cloud()
        seen["cloud"].append(session.cloud_status().value)
        session.cancel_update()
        progress: list[UsbProgress] = []
        session.update(module(device.platform.name, release, "bootloader/0"), on_progress=progress.append)
        seen["phases"] = list(dict.fromkeys(step.phase.value for step in progress))
    device = bus.find(serial, mode=UsbMode.NORMAL, restarted_from=device, within_seconds=WAIT_SECONDS)
    with device.control() as session:
        seen["after the update"] = sorted(str(report.module) for report in session.modules().modules)
        session.enter_dfu()
    device = bus.find(serial, mode=UsbMode.DFU, restarted_from=device, within_seconds=WAIT_SECONDS)
    with device.dfu() as session:
        seen["memory"] = [[layout.alternate, layout.name, len(layout.segments)] for layout in session.layouts()]
        seen["protection"] = session.protection().value
        for slot in device.platform.system_parts:
            for write in dfu_writes(device.platform, module(device.platform.name, release, str(slot))):
                session.flash(write)
                seen["same bytes"] = session.read(write.address, len(write.content)) == write.content
        session.leave()
    device = bus.find(serial, mode=UsbMode.NORMAL, restarted_from=device, within_seconds=WAIT_SECONDS)
    with device.control() as session:
        seen["at the end"] = session.system_version()
        session.enter_safe_mode()
    device = bus.find(serial, mode=UsbMode.NORMAL, restarted_from=device, within_seconds=WAIT_SECONDS)
    with device.control() as session:
        session.reset()
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(tour(LibusbBus(), DeviceId(sys.argv[1]), sys.argv[2])) + "\n")
