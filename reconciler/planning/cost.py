"""What a route costs: bytes, restarts, minutes, requests. Estimates say what they stand on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Final, assert_never

from reconciler.firmware.catalog import Catalog
from reconciler.model.fleet import Via
from reconciler.model.platform import Platform
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step, goes_in_dfu_mode

BYTES_PER_SECOND: Final = 4_550
"""Measured by the vendor on a cellular Boron: 373,462 bytes in 82 s (facts 6.1). No figure is known for Wi-Fi."""

USB_BYTES_PER_SECOND: Final = 16_000
"""Written and read back, over a full-speed port; an assumption, no source measures it."""

USB_RESTART_SECONDS: Final = 10
"""Restart and enumeration at the bench; an assumption, no source measures it."""

RESTART_SECONDS: Final = 75
"""Restart, connection and handshake after every module; an assumption, no source measures it."""

_APPLICATION_BYTES: Final = 128 * 1024
"""What an application of unknown size counts for: the smallest slot that platforms have for one."""


def bytes_known(steps: Iterable[Step]) -> int:
    """The sum over the steps whose size is known."""
    return sum(step.size or 0 for step in steps)


def bytes_unknown(steps: Iterable[Step]) -> int:
    """The number of steps whose size is not known."""
    return sum(1 for step in steps if step.size is None)


def bytes_at_most(platform: Platform, steps: Iterable[Step], catalog: Catalog) -> int:
    """The sum in which an unknown size counts as the largest known one of that module on that platform."""
    return sum(_bytes_at_most(platform, step, catalog) for step in steps)


def restarts(steps: tuple[Step, ...]) -> int:
    """How often the device boots: after every step, but not between two writes of one hop in DFU mode."""
    return len(steps) - sum(1 for step, following in pairwise(steps) if _are_written_together(step, following))


def minutes(platform: Platform, steps: tuple[Step, ...], catalog: Catalog) -> int:
    """The expected time on the device, rounded up."""
    over_usb = any(step.via is Via.USB for step in steps)
    rate, restart = (USB_BYTES_PER_SECOND, USB_RESTART_SECONDS) if over_usb else (BYTES_PER_SECOND, RESTART_SECONDS)
    seconds = bytes_at_most(platform, steps, catalog) / rate + restart * restarts(steps)
    return math.ceil(seconds / 60)


def _are_written_together(step: Step, following: Step) -> bool:
    if not (_is_written_in_dfu_mode(step) and _is_written_in_dfu_mode(following)):
        return False
    match step, following:
        case FlashModule(), FlashModule():
            return step.device_os is following.device_os
    return isinstance(following, FlashApplication)


def _is_written_in_dfu_mode(step: Step) -> bool:
    match step:
        case FlashModule():
            return goes_in_dfu_mode(step.module.slot.function, step.via)
        case FlashApplication():
            return step.via is Via.USB
        case LockApplication():
            return False
        case _:
            assert_never(step)


def _bytes_at_most(platform: Platform, step: Step, catalog: Catalog) -> int:
    if step.size is not None:
        return step.size
    if isinstance(step, FlashModule):
        return catalog.largest_size(platform, step.module.slot)
    return _APPLICATION_BYTES
