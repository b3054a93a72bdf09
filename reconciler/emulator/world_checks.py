"""What the schema of worlds cannot say: names that do not exist, and things that are there twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.emulator.faults import FAULTS
from reconciler.firmware.known import known_catalog
from reconciler.model.instant import instant_from_iso
from reconciler.model.module import ModuleSlot
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.version import DeviceOsVersion

_Line = Mapping[str, Any]
_PROTECTED_SINCE: Final = 6100
"""Module number of Device OS 6.1.0 (facts 4.5)."""


def contradictions(document: _Line) -> Iterator[str]:
    """Every problem of a document that keeps to the schema, each with its place."""
    yield from _doubles(document)
    products = {key: product for product in document.get("products", []) for key in (product["id"], product["slug"])}
    for index, product in enumerate(document.get("products", [])):
        yield from _in_place(f"products[{index}]", _of_product(product))
    for index, device in enumerate(document["devices"]):
        yield from _in_place(f"devices[{index}]", _of_device(device, products))
    for index, fault in enumerate(document.get("faults", [])):
        if fault["fault"] not in FAULTS:
            yield f"faults[{index}]: no fault is called {fault['fault']}; there are: {', '.join(sorted(FAULTS))}"
    if "start" in document:
        yield from _no_time("start", document["start"])
    yield from _of_rules(document.get("rules", {}), [token["name"] for token in document.get("tokens", [])])


def _of_rules(rules: _Line, tokens: list[str]) -> Iterator[str]:
    for name in ("windows", "halts"):
        for index, interval in enumerate(rules.get(name, [])):
            for side in ("from", "until"):
                if side in interval:
                    yield from _no_time(f"rules.{name}[{index}].{side}", interval[side])
    for person in rules.get("persons", []) if tokens else []:
        if person not in tokens:
            yield f"rules.persons: no token is called {person}"
    times = Counter(device for wave in rules.get("waves", []) for device in wave["devices"])
    for device in (device for device, count in times.items() if count > 1):
        yield f"rules.waves: {device} is there twice"


def _no_time(place: str, text: str) -> Iterator[str]:
    try:
        instant_from_iso(text)
    except ValueError:
        yield f"{place}: {text!r} is no date and time"


def _in_place(place: str, problems: Iterator[str]) -> Iterator[str]:
    return (f"{place}: {problem}" for problem in problems)


def _doubles(document: _Line) -> Iterator[str]:
    named = {
        "products": [key for product in document.get("products", []) for key in (product["id"], product["slug"])],
        "devices": [device["id"] for device in document["devices"] if "id" in device],
        "users": [user["username"] for user in document.get("users", [])],
        "clients": [client["id"] for client in document.get("clients", [])],
    }
    for where, names in named.items():
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            yield f"{where}: {name} is there twice"
    tokens = [token["token"] for token in document.get("tokens", [])]
    if len(set(tokens)) < len(tokens):
        yield "tokens: one token is there twice"


def _of_product(product: _Line) -> Iterator[str]:
    platform = platform_by_name(product["platform"])
    if platform is None:
        yield f"no platform is called {product['platform']}"
        return
    versions = [firmware["version"] for firmware in product.get("firmware", [])]
    for version in dict.fromkeys(version for version in versions if versions.count(version) > 1):
        yield f"firmware {version} is there twice"
    for firmware in product.get("firmware", []):
        yield from _unknown_release(platform, firmware["deviceOS"])
    for version in (product.get("default"), *product.get("releases", {}).values()):
        if version is not None and version not in versions:
            yield f"released version {version} is not among its firmware"
    for group in product.get("releases", {}):
        if group not in product.get("groups", []):
            yield f"release to group {group}, which the product does not have"


def _of_device(device: _Line, products: Mapping[object, _Line]) -> Iterator[str]:
    platform = platform_by_name(device["platform"])
    if platform is None:
        yield f"no platform is called {device['platform']}"
        return
    yield from _unknown_release(platform, device["deviceOS"])
    yield from _count(device)
    for slot in device.get("modules", {}):
        if not _has_slot(platform, slot):
            yield f"a {platform} has no module {slot}"
    online = device.get("online")
    if isinstance(online, dict) and online.get("forSeconds", 0) >= online.get("everySeconds", float("inf")):
        yield "a device that is online for as long as the time between never sleeps: leave everySeconds out"
    if device.get("protected") and (DeviceOsVersion(device["deviceOS"]).module_number or 0) < _PROTECTED_SINCE:
        yield "protected devices are on Device OS 6.1.0 or later"
    if "product" not in device:
        if "locked" in device or "groups" in device:
            yield "groups and locked are for devices of a product"
        if device.get("claimed") or device.get("quarantined"):
            yield "claimed and quarantined are for devices of a product"
    elif device["product"] not in products:
        yield f"no product is called {device['product']}"
    else:
        yield from _of_member(device, platform, products[device["product"]])


def _count(device: _Line) -> Iterator[str]:
    count, names = device.get("count", 1), device.get("names")
    if count > 1 and ("id" in device or "name" in device):
        yield f"id and name are for one device, count is {count}"
    if isinstance(names, list) and len(names) != count:
        yield f"{len(names)} names for {count} devices"


def _of_member(device: _Line, platform: Platform, product: _Line) -> Iterator[str]:
    if platform_by_name(product["platform"]) is not platform:
        yield f"product {product['slug']} is for {product['platform']}, not {platform}"
    if device.get("quarantined") and {"groups", "locked", "development", "claimed"} & device.keys():
        yield "a device in quarantine is not in the product yet, so it has no groups, lock, marks or owner"
    for group in device.get("groups", []):
        if group not in product.get("groups", []):
            yield f"product {product['slug']} has no group {group}"
    versions = {firmware["version"] for firmware in product.get("firmware", [])}
    if "locked" in device and device["locked"] not in versions:
        yield f"locked to version {device['locked']}, which product {product['slug']} does not have"


def _has_slot(platform: Platform, text: str) -> bool:
    try:
        return ModuleSlot.parse(text) in platform.bounds
    except ValueError:
        return False


def _unknown_release(platform: Platform, device_os: str) -> Iterator[str]:
    if known_catalog().release(platform, DeviceOsVersion(device_os)) is None:
        yield f"no Device OS {device_os} is known for {platform}"
