"""Fleets of any size as snapshots, spread as real ones are: a few releases hold most devices, many hold the rest.

One product a platform. Of every product's devices 80 % follow the vendor (newer releases are likelier), 3 % are in safe
mode, most of those with their modules reported, 10 % are offline, 1 % are development devices, and a handful are
quarantined or have never reported. The device objects have the fields of the API, those that planning does not read
included, so that a file is as large as a saved answer. The same arguments give the same bytes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from reconciler.firmware.known import known_catalog
from reconciler.model.platform import PLATFORMS, Platform
from reconciler.model.release import Release
from reconciler.particle.describe import entries_from_modules
from reconciler.planning.situation import inferred_situation

PLATFORM_SHARES = {
    "boron": 30,
    "b5som": 14,
    "bsom": 12,
    "photon": 10,
    "tracker": 9,
    "electron": 8,
    "argon": 6,
    "p2": 5,
    "p1": 4,
    "msom": 1,
    "asom": 1,
}
"""Out of 100 devices."""

APPLICATIONS = 24
"""Versions of its application that a product has released; the fleet desires the last one."""

OBSERVED_AT = "2026-11-22T09:00:00Z"
_FIRST_PRODUCT = 20001
_ALREADY_THERE = 0.25


def write_snapshot(path: Path, devices: int, *, seed: int = 7, shares: Mapping[str, int] = PLATFORM_SHARES) -> None:
    """Write a snapshot of so many devices, one line a device."""
    # The same seed gives the same fleet; it is no secret.
    dice = random.Random(seed)
    products = [{"id": _product(name), "slug": name} for name in PLATFORM_SHARES]
    head = {"format_version": "1.0", "observed_at": OBSERVED_AT, "source": "cloud", "products": products}
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head)[:-1] + ', "devices": [')
        for number, device in enumerate(_devices(devices, dice, shares)):
            file.write(("," if number else "") + "\n" + json.dumps(device))
        file.write("]}\n")


def write_manifests(folder: Path) -> None:
    """One fleet a product, each with the newest release published for its platform and the newest application."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PLATFORM_SHARES:
        newest = _releases(name)[-1].version.text
        (folder / f"{name}.yaml").write_text(
            "apiVersion: fleet.reconciler.dev/v1alpha1\nkind: DeviceFleet\n"
            f"metadata: {{name: {name}-fleet}}\n"
            f"spec:\n  product: {name}\n  select: {{platforms: [{name}]}}\n"
            f'  desired:\n    deviceOS: "{newest}"\n'
            f"    application: {{release: {name}-app, version: {APPLICATIONS}}}\n"
            "---\napiVersion: fleet.reconciler.dev/v1alpha1\nkind: ApplicationRelease\n"
            f"metadata: {{name: {name}-app}}\n"
            f"spec:\n  product: {name}\n  versions:\n    - version: {APPLICATIONS}\n"
            f"      binaries: [{{platform: {name}, source: product}}]\n",
            encoding="utf-8",
        )


def _devices(count: int, dice: random.Random, shares: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    names = dice.choices(list(shares), weights=list(shares.values()), k=count)
    for number, name in enumerate(names):
        yield _device(number, name, dice)


def _device(number: int, name: str, dice: random.Random) -> dict[str, Any]:
    platform = _platform(name)
    releases = _releases(name)
    # Squared: the newer half of the releases holds seven devices of ten.
    place = len(releases) - 1 if dice.random() < _ALREADY_THERE else int(len(releases) * dice.random() ** 0.5)
    release = releases[place]
    application = APPLICATIONS if dice.random() < _ALREADY_THERE else 1 + int(APPLICATIONS * dice.random() ** 0.7)
    safe_mode = dice.random() < 0.03
    never_reported = dice.random() < 0.005
    product = _product(name)
    return {
        "id": f"{0xE00FCE68 if platform.generation != 2 else 0x3F0045:08x}{dice.getrandbits(32):08x}{number:08x}",
        "name": f"{name}-{number}",
        "owner": "fleet-operator@example.com",
        "last_ip_address": f"10.{dice.randrange(256)}.{dice.randrange(256)}.{dice.randrange(256)}",
        "last_heard": f"2026-11-22T0{dice.randrange(9)}:{dice.randrange(60):02}:00.{dice.randrange(1000):03}Z",
        "last_handshake_at": f"2026-11-{dice.randrange(1, 22):02}T0{dice.randrange(9)}:{dice.randrange(60):02}:00.000Z",
        "product_id": product,
        "platform_id": platform.id,
        "online": dice.random() < 0.9,
        "cellular": platform.connectivity == "cellular",
        "status": "safe_mode" if safe_mode else "normal",
        "serial_number": f"{name[:4].upper()}{number:012}",
        "iccid": f"8934076500002{dice.randrange(10**6):06}",
        "imei": f"35215310{dice.randrange(10**7):07}",
        "functions": ["reboot", "sample"],
        "variables": {"temperature": "double", "battery": "double"},
        "system_firmware_version": None if never_reported else release.version.text,
        "firmware_product_id": product,
        "firmware_version": None if never_reported else application,
        "desired_firmware_version": application if dice.random() < 0.02 else None,
        "targeted_firmware_release_version": APPLICATIONS,
        "firmware_updates_enabled": dice.random() >= 0.01,
        "firmware_updates_forced": False,
        "groups": [("eu", "us", "apac")[number % 3], *(["pilot"] if dice.random() < 0.05 else [])],
        "development": dice.random() < 0.01,
        "quarantined": dice.random() < 0.001,
        "denied": False,
        "modules": _modules(name, release.version.text) if safe_mode and dice.random() < 0.8 else None,
    }


def _product(name: str) -> int:
    return _FIRST_PRODUCT + list(PLATFORM_SHARES).index(name)


@cache
def _platform(name: str) -> Platform:
    return next(platform for platform in PLATFORMS if platform.name == name)


@cache
def _releases(name: str) -> tuple[Release, ...]:
    """Published releases without prereleases, ascending."""
    return tuple(
        release
        for release in known_catalog().releases(_platform(name))
        if release.published and not release.version.prerelease
    )


@cache
def _modules(name: str, device_os: str) -> list[dict[str, object]]:
    """What a device would report that got this release's system parts and nothing else since the one before."""
    releases = _releases(name)
    place = next(index for index, release in enumerate(releases) if release.version.text == device_os)
    before = inferred_situation(_platform(name), releases[max(0, place - 1)].version, known_catalog())
    installed = {module.slot: module for module in before.modules}
    for shipped in releases[place].modules:
        if shipped.module.slot in _platform(name).system_parts:
            installed[shipped.module.slot] = shipped.module
    return entries_from_modules([installed[slot] for slot in sorted(installed)])
