"""`python -m tests.usb_ask SERIAL`: where a device is and how many modules it has, or the code of the error."""

from __future__ import annotations

import json
import sys

from reconciler.model.device import DeviceId
from reconciler.particle.usb import UsbMode
from reconciler.particle.usb_bus import LibusbBus
from reconciler.particle.usb_error import UsbError


def ask(serial: DeviceId) -> list[object]:
    try:
        device = LibusbBus().find(serial, mode=UsbMode.NORMAL, within_seconds=5)
        with device.control() as session:
            return [device.port, len(session.modules().modules)]
    except UsbError as error:
        return [error.code]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(ask(DeviceId(sys.argv[1]))) + "\n")
