"""The last step: which application, and whether it can run where the route ends.

What the file of the application says of itself decides, where it was read: its platform, its slot and size, the
product and version inside, and the Device OS that it needs. What only the product in the cloud holds is not known here;
the device finds out at its boot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.firmware.catalog import Catalog
from reconciler.model.device import HeldApplication
from reconciler.model.fleet import ApplicationBinary, BuiltApplication, DesiredApplication, Via
from reconciler.model.module import ModuleFunction, ModuleSlot
from reconciler.model.plan import RefusalReason, Refused, Situation
from reconciler.model.platform import Platform, platform_by_id
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, effect
from reconciler.model.version import DeviceOsVersion

ApplicationStep = LockApplication | FlashApplication

_LARGE_SLOT: Final = ModuleSlot(ModuleFunction.USER_PART, 2)
_LARGE_SLOT_SINCE: Final = 3103
"""System part of Device OS 3.1.0: from there on nRF52840 devices have the 256 KiB slot, index 2 (facts 3.2)."""

_LOW_16_BITS: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Holding:
    """What a product (by the manifests' word for it) is known to hold of an application version; None: nothing."""

    product: str
    held: HeldApplication | None


def application_step(
    platform: Platform,
    situation: Situation,
    wanted: DesiredApplication | None,
    *,
    product_id: int | None,
    holding: Holding | None = None,
    via: Via = Via.CLOUD,
) -> ApplicationStep | Refused | None:
    """A lock for a product's device; a direct flash for one that takes no lock (facts 5.6, 8); None: it runs already.

    Over USB every application is flashed, from a file that the manifests name, or that was had from the product.
    `product_id` is the product of the device where it is known, None where it is not.
    """
    if wanted is None or situation.application == wanted.version:
        return None
    binary = wanted.binary_for(platform.name)
    name = f"application {wanted.release} {wanted.version}"
    if wanted.binaries and binary is None:
        return _unavailable(f"{name} has no binary for {platform}")
    takes_lock = via is Via.CLOUD and not situation.own and not situation.development
    if binary is not None and binary.built is not None:
        expected = platform.id if situation.own else product_id
        unfit = _misfit(platform, wanted, binary.built, expected)
        if unfit is not None:
            return Refused(reason=RefusalReason.APPLICATION_UNFIT, message=f"{name}: {unfit}", devices=())
        if binary.built.bundle and not takes_lock:
            return _unavailable(f"{name} is a bundle with assets, which only a product can deliver: name its .bin file")
        if binary.built.product_version is None and not takes_lock:
            message = f"{name}: its binary carries no version, so nobody could tell afterwards that it runs"
            return Refused(reason=RefusalReason.APPLICATION_UNFIT, message=message, devices=())
    size = _size(binary)
    if takes_lock:
        unlockable = None if holding is None else _not_to_be_locked(name, binary, holding)
        return unlockable or LockApplication(application=wanted.version, size=size)
    if (situation.own or via is Via.USB) and (binary is None or (binary.file is None and binary.url is None)):
        if via is Via.USB and not situation.own:
            return _unavailable(f"{name} is held by the product alone: give a token or a bundle, or name a file of it")
        whose = "sent over USB" if via is Via.USB else "in no product"
        return _unavailable(f"{name} is {whose}: its release must name a file")
    return FlashApplication(application=wanted.version, size=size, sha256=_sha256(binary), via=via)


def is_held_by_product(platform_name: str, wanted: DesiredApplication | None) -> bool:
    """Whether the manifests say of this platform's binary that the product has it."""
    binary = None if wanted is None else wanted.binary_for(platform_name)
    return binary is not None and binary.file is None and binary.url is None


def _not_to_be_locked(name: str, binary: ApplicationBinary | None, holding: Holding) -> Refused | None:
    """Why the product cannot deliver the version, by what it holds: it lacks it for good, or it is another one."""
    held, sha256 = holding.held, _sha256(binary)
    has_file = binary is not None and (binary.file is not None or binary.url is not None)
    if held is None:
        message = f"{name} is not in product {holding.product}, and the manifests name no file of it to upload"
        if not has_file:
            return _unavailable(message)
        if binary is not None and binary.built is not None and binary.built.product_version is None:
            message = f"{name}: its binary carries no version, and a product must not hold such a one"
            return Refused(reason=RefusalReason.APPLICATION_UNFIT, message=message, devices=())
        return None
    is_bundle = binary is not None and binary.built is not None and binary.built.bundle
    if not has_file or is_bundle or held.sha256 is None or sha256 is None or held.sha256 == sha256:
        return None
    message = f"{name}: product {holding.product} holds other bytes as version {held.version} than the manifests name"
    return Refused(reason=RefusalReason.APPLICATION_DIFFERS, message=message, devices=())


def needs_later(
    platform: Platform,
    situation: Situation,
    wanted: DesiredApplication,
    steps: tuple[FlashModule, ...],
    desired: DeviceOsVersion | None,
    catalog: Catalog,
) -> Refused | None:
    """Why the application would not run at the end of the route: it needs more than is there then."""
    built = built_for(platform, wanted)
    if built is None:
        return None
    versions = _at_the_end(situation, steps)
    for need in built.module.dependencies:
        there = versions.get(need.slot, 0)
        if there < need.version:
            device_os = device_os_of_need(platform, built, catalog)
            built_with = f"is built for Device OS {device_os}" if device_os else f"needs {need}"
            where = "no deviceOS is desired, and it has" if desired is None else f"the desired {desired} brings"
            message = f"application {wanted.release} {wanted.version} {built_with}: {where} {need.slot} {there}"
            return Refused(reason=RefusalReason.APPLICATION_NEEDS_LATER, message=message, devices=())
    return None


def built_for(platform: Platform, wanted: DesiredApplication) -> BuiltApplication | None:
    """What the application's file for this platform says; None where nobody has read one."""
    binary = wanted.binary_for(platform.name)
    return None if binary is None else binary.built


def device_os_of_need(platform: Platform, built: BuiltApplication, catalog: Catalog) -> DeviceOsVersion | None:
    """The release that the application was built with, by the system part that it needs (facts 4.1)."""
    for need in built.module.dependencies:
        releases = catalog.releases_of_system(platform, need.version) if need.slot in platform.system_parts else ()
        if releases:
            return releases[0].version
    return None


def _misfit(
    platform: Platform, wanted: DesiredApplication, built: BuiltApplication, product_id: int | None
) -> str | None:
    """Why these bytes are not this application of this product for this platform."""
    if built.platform_id != platform.id:
        other = platform_by_id(built.platform_id)
        return f"its binary for {platform} is built for {other or f'platform {built.platform_id}'}"
    bounds = platform.bounds.get(built.module.slot)
    if bounds is None:
        return f"{platform} has no {built.module.slot}"
    if bounds.size_max and built.module_size > bounds.size_max:
        return f"it has {built.module_size:,} bytes, {built.module.slot} of {platform} holds {bounds.size_max:,}"
    if not _has_its_slot(platform, built):
        return "it is built for the 256 KiB slot of Device OS 3.1.0 and later, and does not ask for that Device OS"
    if built.product_version is not None and built.product_version != wanted.version:
        return f"its binary says that it is version {built.product_version}"
    # A platform's id in place of a product's means none, as in the vendor's own applications (facts 1.6).
    named = None if built.product_id == platform.id else built.product_id
    if named is not None and product_id is not None and named != product_id & _LOW_16_BITS:
        whose = "is in no product" if product_id == platform.id else f"is in product {product_id}"
        return f"its binary says that it is for product {named}, and the device {whose}"
    return None


def _has_its_slot(platform: Platform, built: BuiltApplication) -> bool:
    """Where there are two slots, the large one needs a Device OS that knows it."""
    if built.module.slot != _LARGE_SLOT or len(_user_slots(platform)) == 1:
        return True
    return any(
        need.slot in platform.system_parts and need.version >= _LARGE_SLOT_SINCE for need in built.module.dependencies
    )


def _user_slots(platform: Platform) -> list[ModuleSlot]:
    return [slot for slot in platform.bounds if slot.function is ModuleFunction.USER_PART]


def _at_the_end(situation: Situation, steps: tuple[FlashModule, ...]) -> Mapping[ModuleSlot, int]:
    versions = {module.slot: module.version for module in situation.modules}
    for step in steps:
        versions = effect(step, versions)
    return versions


def _size(binary: ApplicationBinary | None) -> int | None:
    """The file itself knows better than the manifest."""
    if binary is None:
        return None
    return binary.size if binary.built is None else binary.built.size


def _sha256(binary: ApplicationBinary | None) -> str | None:
    return None if binary is None else binary.content_sha256


def _unavailable(message: str) -> Refused:
    return Refused(reason=RefusalReason.APPLICATION_UNAVAILABLE, message=message, devices=())
