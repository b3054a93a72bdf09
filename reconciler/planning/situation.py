"""From a device to its situation: which modules it has, and how we know.

- `reported`: the device listed its modules itself; they win over every version field.
- `inferred`: it runs release X in normal mode. So its system parts are X's and all dependencies hold; every other
  module is assumed at the lowest version that X's dependencies allow, with what that module needs (contracts 4,
  point 6). Modules that our own verified steps put there raise that lower bound.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final

from reconciler.firmware.catalog import Catalog
from reconciler.firmware.known import BOOTLOADER, NEVER_SENT
from reconciler.model.device import DeviceMode, ObservedDevice
from reconciler.model.module import Module, ModuleFunction, ModuleSlot
from reconciler.model.plan import Knowledge, RefusalReason, Refused, Situation, Waiting, WaitingReason
from reconciler.model.platform import Platform, platform_by_id
from reconciler.model.release import Release
from reconciler.model.version import DeviceOsVersion, published_bootloader_numbers
from reconciler.planning.standing import MixedPartsError, release_number, standing_of

INFERRED_KEPT: Final = 4096
"""Three times the releases of all platforms: each is inferred once."""


def situation_of(device: ObservedDevice, catalog: Catalog) -> Situation | Refused | Waiting:
    """The device's situation, or why none can be told: never a guess."""
    platform = None if device.platform_id is None else platform_by_id(device.platform_id)
    if device.platform_id is not None and (platform is None or not platform.system_parts):
        return _refused(device, RefusalReason.UNKNOWN_PLATFORM, f"platform {platform or device.platform_id} is unknown")
    if platform is None or (
        device.device_os is None and not device.modules and device.mode is not DeviceMode.SAFE_MODE
    ):
        return _waiting(device, WaitingReason.NEVER_REPORTED, "has never reported what it runs")
    if device.mode is None:
        return _waiting(device, WaitingReason.UNKNOWN_STATUS, "reports a status that is neither normal nor safe mode")
    if device.modules:
        situation = _reported(device, device.mode, platform, device.modules, catalog)
    elif device.mode is DeviceMode.SAFE_MODE:
        message = "is in safe mode and has not reported its modules; its next safe-mode session will"
        return _waiting(device, WaitingReason.MODULES_UNKNOWN, message)
    else:
        situation = _inferred(device, platform, catalog)
    if isinstance(situation, Situation):
        own = device.product_id is None or device.product_id == device.platform_id
        return replace(situation, application=device.application, development=device.development, own=own)
    return situation


@lru_cache(maxsize=INFERRED_KEPT)
def inferred_situation(platform: Platform, device_os: DeviceOsVersion, catalog: Catalog) -> Situation:
    """The situation of a device that runs this release in normal mode. Raises KeyError for an unknown release."""
    release = catalog.release(platform, device_os)
    if release is None:
        raise KeyError(device_os.text)
    installed = {
        shipped.module.slot: shipped.module
        for shipped in release.modules
        if shipped.module.slot.function is ModuleFunction.SYSTEM_PART
    }
    needed = list(installed.values())
    while needed:
        for dependency in needed.pop().dependencies:
            there = installed.get(dependency.slot)
            if there is None or there.version < dependency.version:
                installed[dependency.slot] = _build(platform, dependency.slot, dependency.version, release, catalog)
                needed.append(installed[dependency.slot])
    return Situation(
        platform=platform.name,
        device_os=device_os,
        application=None,
        mode=DeviceMode.NORMAL,
        knowledge=Knowledge.INFERRED,
        modules=_ascending(installed),
    )


def _build(platform: Platform, slot: ModuleSlot, version: int, release: Release, catalog: Catalog) -> Module:
    """The module with this number: the release's own build, else any release's, else one that needs nothing known."""
    for shipped in release.modules:
        if shipped.module.slot == slot and shipped.module.version == version:
            return shipped.module
    builds = catalog.modules(platform, slot, version)
    return builds[0] if builds else Module(slot=slot, version=version)


def _inferred(device: ObservedDevice, platform: Platform, catalog: Catalog) -> Situation | Refused:
    assert device.device_os is not None
    release = catalog.release(platform, DeviceOsVersion(device.device_os))
    if release is None or not release_number(platform, release):
        message = f"runs Device OS {device.device_os}, of which nothing is known for {platform}"
        return _refused(device, RefusalReason.UNKNOWN_RELEASE, message)
    return _with_learnt(inferred_situation(platform, release.version, catalog), platform, device)


def _with_learnt(situation: Situation, platform: Platform, device: ObservedDevice) -> Situation:
    """Raise the inferred lower bounds to what our verified steps put there.

    The cloud shows the version of one system part only. When that one is lower than what we once put there,
    somebody has flashed the device since: then nothing that we learnt before counts.
    """
    if not device.learnt:
        return situation
    learnt = {module.slot: module for module in device.learnt}
    installed = {module.slot: module for module in situation.modules}
    shown = platform.shown_part
    if shown in learnt and learnt[shown].version > installed[shown].version:
        return situation
    for slot, module in learnt.items():
        if slot not in installed or installed[slot].version < module.version:
            installed[slot] = module
    return replace(situation, modules=_ascending(installed))


def _reported(
    device: ObservedDevice, mode: DeviceMode, platform: Platform, modules: tuple[Module, ...], catalog: Catalog
) -> Situation | Refused:
    installed: dict[ModuleSlot, Module] = {}
    user_part = None
    for module in modules:
        if module.slot.function is ModuleFunction.USER_PART:
            user_part = module
        elif not _is_known(platform, module, catalog):
            message = f"reports {module}, which is in no known release for {platform}"
            return _refused(device, RefusalReason.UNKNOWN_MODULE, message)
        else:
            installed[module.slot] = _with_dependencies(platform, module, catalog)
    try:
        number = standing_of(platform, {slot: m.version for slot, m in installed.items()}, catalog).complete
    except MixedPartsError as error:
        return _refused(device, RefusalReason.UNKNOWN_MODULE, f"has system parts of more than two releases: {error}")
    complete = catalog.releases_of_system(platform, number)
    named = [release for release in complete if release.version.text == device.device_os]
    return Situation(
        platform=platform.name,
        device_os=(named or complete)[0].version if complete else None,
        application=None,
        mode=mode,
        knowledge=Knowledge.REPORTED,
        modules=_ascending(installed),
        user_part=user_part,
    )


def _is_known(platform: Platform, module: Module, catalog: Catalog) -> bool:
    bounds = platform.bounds.get(module.slot)
    if bounds is None:
        return False
    is_bootloader = module.slot == BOOTLOADER
    return (
        bounds.encrypted
        or (is_bootloader and module.version in published_bootloader_numbers())
        or module.version in NEVER_SENT.get(module.slot, ())
        or bool(catalog.modules(platform, module.slot, module.version))
    )


def _with_dependencies(platform: Platform, module: Module, catalog: Catalog) -> Module:
    """The module with what it needs: as it reported, or, when it reported no needs, as its strictest known build."""
    if module.dependencies:
        return module
    builds = catalog.modules(platform, module.slot, module.version)
    return max(builds, key=lambda build: [d.version for d in build.dependencies], default=module)


def _ascending(installed: dict[ModuleSlot, Module]) -> tuple[Module, ...]:
    return tuple(installed[slot] for slot in sorted(installed))


def _refused(device: ObservedDevice, reason: RefusalReason, message: str) -> Refused:
    return Refused(reason=reason, message=message, devices=(device.id,))


def _waiting(device: ObservedDevice, reason: WaitingReason, message: str) -> Waiting:
    return Waiting(reason=reason, message=message, devices=(device.id,))
