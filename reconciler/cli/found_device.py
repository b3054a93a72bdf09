"""One device by its id or its name, among those that were observed."""

from __future__ import annotations

from reconciler.model.device import Observation, ObservedDevice
from reconciler.model.error import OperatorError


def find_device(observation: Observation, name: str) -> ObservedDevice:
    """The device with this id, in any case, or of this name. Raises OperatorError PFR6703, PFR6704."""
    # An id wins: a device may be named like another's id.
    found = [device for device in observation.devices if device.id == name.lower()]
    found = found or [device for device in observation.devices if device.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(device.id for device in found)
        raise OperatorError("PFR6704", f"{len(found)} devices are called {name!r}: {ids}", next_step="give the id")
    raise OperatorError(
        "PFR6703",
        f"no device is called {name!r} among the {len(observation.devices)} observed",
        next_step="give its 24-digit id or its exact name; devices outside the manifests' products are not looked at",
    )
