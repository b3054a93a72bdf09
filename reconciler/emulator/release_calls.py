"""Calls about Device OS releases and their binaries (facts 5.11)."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Any, Final

from reconciler.emulator.message import Answer, ApiError, as_int, json_answer
from reconciler.emulator.state import Call, State
from reconciler.firmware.binary import parse_module
from reconciler.model.module import Dependency
from reconciler.model.platform import PLATFORMS, Platform, platform_by_id
from reconciler.model.release import Release
from reconciler.model.version import DeviceOsVersion

_PAGE_SIZE: Final = 25


def list_releases(call: Call) -> Answer:
    """GET /v1/device-os/versions: the published releases, the newest first."""
    query = call.request.query
    platforms = (_platform(query["platform_id"]),) if query.get("platform_id") else PLATFORMS
    number = as_int(query["internal_version"]) if query.get("internal_version") else None
    found = [
        _entry(platform, release)
        for platform in platforms
        for release in reversed(call.state.binaries.catalog.releases(platform))
        if release.published and number in (None, release.version.module_number)
    ]
    page, size = max(as_int(query.get("page", 1)), 1), max(as_int(query.get("per_page", _PAGE_SIZE)), 1)
    return json_answer(
        {
            "versions": found[(page - 1) * size : page * size],
            "meta": {"total_pages": -(-len(found) // size), "page": page, "per_page": size, "total": len(found)},
        }
    )


def get_release(call: Call) -> Answer:
    """GET /v1/device-os/versions/:v?platform_id=N, where :v is a version, a module number, or `latest`."""
    platform = _platform(call.request.query.get("platform_id", ""))
    release = _wanted(call.state, platform, call.parameters["version"])
    binaries = call.state.binaries
    modules = []
    for shipped in release.modules:
        binary = binaries.module(platform, release.version, shipped.module.slot)
        assert binary is not None
        name = binaries.file_name(platform, release.version, shipped.module.slot)
        modules.append({"filename": name, **_inside(binary)})
    base_url = f"{call.state.base_url}/v1/firmware/device-os/v{release.version}"
    return json_answer({**_entry(platform, release), "base_url": base_url, "modules": modules})


def get_module(call: Call) -> Answer:
    """GET /v1/firmware/device-os/v:version/:filename, for whoever asks."""
    version = DeviceOsVersion(call.parameters["version"])
    wanted = call.parameters["filename"]
    binaries = call.state.binaries
    for platform in PLATFORMS:
        release = binaries.catalog.release(platform, version)
        for shipped in release.modules if release else ():
            if binaries.file_name(platform, version, shipped.module.slot) == wanted:
                binary = binaries.module(platform, version, shipped.module.slot)
                assert binary is not None
                return Answer(status=200, body=binary, content_type="application/octet-stream")
    raise ApiError(404, "Not Found", f"No file {wanted}")


def _platform(text: str) -> Platform:
    platform = platform_by_id(as_int(text))
    if platform is None:
        raise ApiError(404, "Not Found", f"No platform {text}")
    return platform


def _wanted(state: State, platform: Platform, text: str) -> Release:
    published = [release for release in state.binaries.catalog.releases(platform) if release.published]
    if text == "latest":
        found = [release for release in published if not release.prerelease][-1:]
    elif text.isascii() and text.isdigit():
        found = [r for r in state.binaries.catalog.releases_of_system(platform, int(text)) if r.published][:1]
    else:
        found = [release for release in published if release.version.text == text]
    if not found:
        raise ApiError(404, "Not Found", f"No Device OS {text} for {platform}")
    return found[0]


def _entry(platform: Platform, release: Release) -> dict[str, Any]:
    return {
        "version": release.version.text,
        "platform_id": platform.id,
        "module_version": release.version.module_number,
        "prerelease": release.prerelease,
        "release_state": "preview" if release.prerelease else "released",
    }


@lru_cache(maxsize=512)
def _inside(binary: bytes) -> dict[str, Any]:
    """Prefix, suffix and checksum in the shape that the vendor's tools print (facts 1.11)."""
    parsed = parse_module(binary)
    prefix, module = parsed.prefix, parsed.module
    stored = f"{parsed.crc:08x}"
    return {
        "crc": {"ok": True, "storedCrc": stored, "actualCrc": f"{zlib.crc32(binary[:-4]):08x}"},
        "prefixInfo": {
            "moduleStartAddy": f"{prefix.start_address:x}",
            "moduleEndAddy": f"{prefix.end_address:x}",
            "reserved": prefix.mcu,
            "moduleFlags": int(prefix.flags),
            "moduleVersion": module.version,
            "platformID": prefix.platform_id,
            "moduleFunction": module.slot.function.label,
            "moduleIndex": module.slot.index,
            **_needs("dep", module.first_dependency),
            **_needs("dep2", module.second_dependency),
            "prefixSize": parsed.prefix_size,
            "prefixOffset": parsed.prefix_offset,
        },
        "suffixInfo": {
            "productId": -1 if parsed.product_id is None else parsed.product_id,
            "productVersion": -1 if parsed.product_version is None else parsed.product_version,
            "fwUniqueId": parsed.sha256,
            "reserved": parsed.reserved,
            "suffixSize": parsed.suffix_size,
            "crcBlock": stored,
        },
    }


def _needs(prefix: str, dependency: Dependency | None) -> dict[str, Any]:
    return {
        f"{prefix}ModuleFunction": dependency.slot.function.label if dependency else "none",
        f"{prefix}ModuleIndex": dependency.slot.index if dependency else 0,
        f"{prefix}ModuleVersion": dependency.version if dependency else 0,
    }
