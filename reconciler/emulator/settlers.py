"""The beginning of a world: products with their binaries, and devices as the description has them.

What the description leaves open (ids, who is online, when each was last heard) follows from the seed alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Final

from reconciler.emulator.artifact import Artifact, read_payload
from reconciler.emulator.binaries import EmulatedBinaries, application_module
from reconciler.emulator.device import Device, Installed, Loadout, boot_mode
from reconciler.emulator.dice import Dice
from reconciler.emulator.products import Intention, Product, ProductFirmware
from reconciler.emulator.world import DeviceLine, FirmwareLine, ProductLine, World, WorldError
from reconciler.firmware.catalog import Catalog
from reconciler.model.instant import Instant
from reconciler.model.module import Dependency, Module, ModuleSlot
from reconciler.model.platform import Platform

ReadFile = Callable[[str], bytes]
"""Reads a file that the world names; raises OSError."""

ID_PREFIX: Final = "e00fce68"
_DAY: Final = 86_400.0


def product_of(line: ProductLine, binaries: EmulatedBinaries, read_file: ReadFile, now: Instant) -> Product:
    """A product with its binaries.

    Raises:
        WorldError: PFR6204 a named file cannot be read, or is no such application.
    """
    product = Product(id=line.id, slug=line.slug, name=line.name, platform=line.platform, groups={})
    product.add_groups(line.groups)
    for firmware in line.firmware:
        binary = _binary(line, firmware, binaries, read_file)
        artifact = read_payload(binary)
        if not isinstance(artifact, Artifact) or not artifact.is_application:
            raise _unusable(line, firmware, "it is no application binary")
        if artifact.platform_id != line.platform.id or artifact.product_version != firmware.version:
            words = f"it is version {artifact.product_version} for platform {artifact.platform_id}"
            raise _unusable(line, firmware, words)
        product.firmware[firmware.version] = ProductFirmware(
            version=firmware.version,
            title=firmware.title or f"{line.slug} {firmware.version}",
            binary=binary,
            artifact=artifact,
            uploaded_at=now,
        )
    if line.default is not None:
        product.default = Intention(version=line.default, cause=None)
    product.releases = {group: Intention(version=version, cause=None) for group, version in line.releases.items()}
    for version, held in product.firmware.items():
        held.ever_released = version in (line.default, *line.releases.values())
    return product


def _binary(line: ProductLine, firmware: FirmwareLine, binaries: EmulatedBinaries, read_file: ReadFile) -> bytes:
    if firmware.file is None:
        return binaries.application(
            line.platform, firmware.device_os, product=(line.id, firmware.version), size=firmware.size
        )
    try:
        return read_file(firmware.file)
    except OSError as error:
        raise _unusable(line, firmware, error.strerror or "it cannot be read") from error


def _unusable(line: ProductLine, firmware: FirmwareLine, words: str) -> WorldError:
    return WorldError(
        "PFR6204",
        f"firmware {firmware.version} of product {line.slug}, file {firmware.file}: {words}",
        next_step="Name a binary of that product, version and platform, or leave `file` out for a synthetic one.",
    )


def settle(
    world: World,
    products: dict[int, Product],
    binaries: EmulatedBinaries,
    *,
    claimed: dict[str, None],
    seed: int,
    now: Instant,
) -> Iterator[Device]:
    """Every device of a world, in the order of the description. Whom the owner has claimed is added to `claimed`."""
    dice = random.Random(f"{seed}/settlers")  # noqa: S311  # a replayable world, no secrets
    taken = {line.id for line in world.devices if line.id}
    for line in world.devices:
        product = products[line.product_id] if line.product_id is not None else None
        loadout = Loadout(installed=_modules(line, product, binaries))
        for number in range(line.count):
            device_id = line.id
            while device_id is None or (line.id is None and device_id in taken):
                device_id = f"{ID_PREFIX}{dice.getrandbits(64):016x}"
            taken.add(device_id)
            device = Device(
                id=device_id,
                name=line.names[number] if line.names else None,
                platform=line.platform,
                product_id=None if line.quarantined else line.product_id,
                loadout=loadout,
                dice=Dice(f"{seed}/life/{device_id}"),
                groups=line.groups,
                development=line.development,
                locked=line.locked,
                locked_by_person=line.locked is not None,
                updates_enabled=line.updates_enabled,
                updates_forced=line.updates_forced,
                healer=line.healer,
                protected=line.protected,
                crashing=line.crashing,
                publishes=line.publishes,
            )
            if line.quarantined and product is not None:
                product.quarantine[device_id] = False
            elif product is None or line.claimed:
                claimed[device_id] = None
            _wake(device, line, binaries.catalog, dice, now)
            yield device


def _wake(device: Device, line: DeviceLine, catalog: Catalog, dice: random.Random, now: Instant) -> None:
    """What the cloud remembers of the time before the world began."""
    device.mode = boot_mode(device)
    heard_ago, handshake_ago, online = dice.uniform(1, 600), dice.uniform(600, _DAY), dice.random() < line.online
    if not line.reported:
        return
    device.online = online
    if online and line.sleep is not None:
        device.sleep = line.sleep
        device.online = dice.random() < line.sleep.for_seconds / line.sleep.every_seconds
        if not device.online:
            heard_ago = dice.uniform(1, line.sleep.every_seconds)
    if not online:
        heard_ago = dice.uniform(1, 90) * _DAY
        handshake_ago += heard_ago
    device.last_heard_at = Instant(now - heard_ago)
    device.last_handshake_at = Instant(now - max(handshake_ago, heard_ago))
    device.reported_device_os = device_os_text(catalog, device)
    application = device.application
    device.reported_application = device.application_version
    device.reported_product_id = application.product_id if application else None


def device_os_text(catalog: Catalog, device: Device) -> str | None:
    """The Device OS version by the number in the hello message, as the cloud looks it up (facts 2)."""
    number = device.system_number
    releases = catalog.releases_of_system(device.platform, number) if number is not None else ()
    return releases[0].version.text if releases else None


def _modules(line: DeviceLine, product: Product | None, binaries: EmulatedBinaries) -> dict[ModuleSlot, Installed]:
    release = binaries.catalog.release(line.platform, line.device_os)
    assert release is not None
    modules = {m.module.slot: m.module for m in release.modules}
    # Some prereleases need what they do not ship; a device that runs them has it from before.
    for module in tuple(modules.values()):
        for need in module.dependencies:
            if need.slot not in modules:
                modules[need.slot] = _build_of(binaries.catalog, line.platform, need)
    for slot, version in line.modules.items():
        modules.pop(slot, None)
        if version > 0:
            modules[slot] = _build_of(binaries.catalog, line.platform, Dependency(slot, version))
    installed = {slot: Installed(module=module) for slot, module in modules.items()}
    application = _application(line, product, binaries)
    installed[application.module.slot] = application
    return installed


def _build_of(catalog: Catalog, platform: Platform, wanted: Dependency) -> Module:
    """A module of this very version, with its dependencies where a release ships it."""
    builds = catalog.modules(platform, wanted.slot, wanted.version)
    return builds[0] if builds else Module(slot=wanted.slot, version=wanted.version)


def _application(line: DeviceLine, product: Product | None, binaries: EmulatedBinaries) -> Installed:
    """The product's own binary of that version; else one that was built for the release that the device runs."""
    firmware = product.firmware.get(line.application) if product and line.application is not None else None
    if firmware is not None:
        artifact = firmware.artifact
        return Installed(
            module=artifact.module,
            product_id=artifact.product_id,
            product_version=artifact.product_version,
            sha256=artifact.sha256,
        )
    identity = None
    if line.application is not None:
        identity = (product.id if product else line.platform.id, line.application)
    binary = binaries.application(line.platform, line.device_os, product=identity)
    artifact_or_garbage = read_payload(binary)
    assert isinstance(artifact_or_garbage, Artifact)
    return Installed(
        module=application_module(binaries.catalog, line.platform, line.device_os),
        product_id=identity[0] if identity else None,
        product_version=identity[1] if identity else None,
        sha256=artifact_or_garbage.sha256,
    )
