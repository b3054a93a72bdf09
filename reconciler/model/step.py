"""Steps: one thing done to one device. A condition, an effect, and, in `execution/`, an action.

The condition says why the device would not take the step, or why we must not send it; the effect says what will be true
of the device's module versions afterwards. Both are pure; the guard checks the condition again on a fresh observation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.model.device import DeviceMode
from reconciler.model.fleet import Via
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.version import ApplicationVersion, DeviceOsVersion

ModuleVersions = Mapping[ModuleSlot, int]
"""The version in every slot that holds a module; a slot that is missing holds none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashModule:
    """Send one module of one release. `size` in bytes where known; `sha256` only where the file itself was seen.

    `boots_into` of a module that is written in DFU mode is what leaving DFU mode boots into, after all its writes.
    """

    module: Module
    device_os: DeviceOsVersion
    boots_into: DeviceMode
    size: int | None = None
    sha256: str | None = None
    via: Via = Via.CLOUD


@dataclass(frozen=True, slots=True, kw_only=True)
class LockApplication:
    """Lock a product's device to an application version; the cloud delivers it, now if the device is online."""

    application: ApplicationVersion
    size: int | None = None
    boots_into: DeviceMode = DeviceMode.NORMAL
    via: Via = Via.CLOUD


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashApplication:
    """Send an application binary to a device that takes no lock: a development device, or one without a product."""

    application: ApplicationVersion
    size: int | None = None
    sha256: str | None = None
    boots_into: DeviceMode = DeviceMode.NORMAL
    via: Via = Via.CLOUD


Step = FlashModule | LockApplication | FlashApplication

_IN_DFU_MODE: Final = frozenset({ModuleFunction.SYSTEM_PART, ModuleFunction.RADIO_STACK})


def goes_in_dfu_mode(function: ModuleFunction, via: Via) -> bool:
    """Whether a module of this kind is written in DFU mode, where the device checks nothing (facts 3.1, 4.5).

    Over USB, bootloaders and NCP firmware go through the running Device OS instead, under the rules of a transfer.
    """
    return via is Via.USB and function in _IN_DFU_MODE


def condition(step: FlashModule, versions: ModuleVersions) -> str | None:
    """Why this module must not be sent to a device with these versions, or None: it may.

    Upgrade-only, then the device's own acceptance by facts 4.3: the first dependency always, the second one unless it
    names a bootloader. A dependency on the module's own slot is read before the replacement, like every other. What is
    written in DFU mode is upgrade-only, and nothing else is checked.
    """
    module = step.module
    installed = versions.get(module.slot, 0)
    if module.version <= installed:
        return f"{module.slot} is already at {installed}, {module.version} is not higher"
    if goes_in_dfu_mode(module.slot.function, step.via):
        return None
    for dependency in enforced_on_transfer(module):
        if versions.get(dependency.slot, 0) < dependency.version:
            return f"{module} needs {dependency}, installed is {versions.get(dependency.slot, 0)}"
    return None


def effect(step: FlashModule, versions: ModuleVersions) -> dict[ModuleSlot, int]:
    """The versions after the device has taken this module."""
    return {**versions, step.module.slot: step.module.version}


def enforced_on_transfer(module: Module) -> tuple[Dependency, ...]:
    """The dependencies that a device checks before it accepts the module over the air (facts 4.3, rules 2 and 3)."""
    if module.slot.function is ModuleFunction.USER_PART:
        return ()
    first, second = module.first_dependency, module.second_dependency
    enforced: tuple[Dependency, ...] = () if first is None else (first,)
    if second is not None and second.slot.function is not ModuleFunction.BOOTLOADER:
        enforced += (second,)
    return enforced
