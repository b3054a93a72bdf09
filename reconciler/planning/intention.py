"""What the cloud itself intends for a device, and whether that leaves room for us.

A lock beats a release to a group, and that the product's default (facts 6.3); a development device gets nothing by
itself. The cloud lowers an application as readily as it raises one. So:

- A lock that was never ours is a person's word: the device is left alone.
- A lock of ours that somebody lowered or took away is put back, where the manifest corrects drift. Where the cloud
  would not move the device, there is nothing to put back.
- A higher version that somebody locked or released is never lowered, not even before the device has it.
- A release of a lower version stops nothing: our lock beats it, and settles what the cloud is about to do.
"""

from __future__ import annotations

from reconciler.model.device import ObservedDevice
from reconciler.model.fleet import DesiredApplication


def is_locked_by_another(device: ObservedDevice, wanted: int, *, correct_drift: bool) -> bool:
    """Whether somebody's lock to another version is to be respected."""
    lock = device.desired_application
    if lock is None or lock in (wanted, device.locked_by_us):
        return False
    return not (correct_drift and device.locked_by_us is not None and lock < wanted)


def is_released_higher(device: ObservedDevice, wanted: int) -> bool:
    """Whether the cloud is to bring the device a higher version than the desired one, by a release."""
    released = device.targeted_application
    return device.desired_application is None and not device.development and released is not None and released > wanted


def our_lock_is_gone(device: ObservedDevice, wanted: DesiredApplication | None) -> bool:
    """Whether a device that runs what it should would be moved down from it, because our lock is not there any more."""
    if wanted is None or device.development or device.locked_by_us is None:
        return False
    released = device.targeted_application
    return device.desired_application != wanted.version and released is not None and released < wanted.version
