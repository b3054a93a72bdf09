"""`python -m tests.usb_into_dfu SERIAL [FILE]`: bring a device into DFU mode, and write modules, by our own wire."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from reconciler.model.device import DeviceId
from reconciler.particle.usb import UsbMode
from reconciler.particle.usb_bus import LibusbBus
from reconciler.particle.usb_image import dfu_writes

WAIT_SECONDS = 20.0


def main(serial: DeviceId, files: list[str]) -> str:
    bus = LibusbBus()
    found = bus.find(serial, within_seconds=WAIT_SECONDS)
    if found.mode is UsbMode.NORMAL:
        with found.control() as control:
            control.enter_dfu()
    device = bus.find(serial, mode=UsbMode.DFU, within_seconds=WAIT_SECONDS)
    with device.dfu() as session:
        for file in files:
            for write in dfu_writes(device.platform, Path(file).read_bytes()):
                session.flash(write)
    return device.mode.value


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(DeviceId(sys.argv[1]), sys.argv[2:])) + "\n")
