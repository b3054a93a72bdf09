"""A pretend compiler: sources in, a valid synthetic application for the release that was asked for out.

It reads no program. Of a source it takes the PRODUCT_ID and PRODUCT_VERSION that it declares, and an `#error` in it is
one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.emulator.message import ApiError, Body, as_bool, as_int
from reconciler.firmware.binary import NO_PRODUCT
from reconciler.model.instant import Instant
from reconciler.model.platform import Platform
from reconciler.model.release import Release

KEPT_SECONDS: Final = 3600.0
_BINARY: Final = (".bin", ".zip")
_PRODUCT: Final = re.compile(rb"^\s*PRODUCT_(ID|VERSION)\s*\(\s*(\d{1,5})\s*\)", re.MULTILINE)
_ERROR: Final = re.compile(rb"^\s*#\s*error\b[ \t]*(.*)$", re.MULTILINE)
_TINKER_VERSION: Final = 3
"""Product version of most of the vendor's own Tinker binaries; its product is the platform (facts 1.6)."""
_RAM: Final = 10_000
"""What a small application is said to take, in bytes."""


class CompileError(Exception):
    """Sources that cannot be compiled; one text for every error."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A compiled application, for as long as the cloud keeps it."""

    id: str
    binary: bytes
    release: Release
    expires_at: Instant

    @property
    def size_info(self) -> str:
        """What the linker's `size` would print; the vendor's tools read the first two lines of it."""
        text, data, ram = len(self.binary) - 200, 200, _RAM
        total = text + data + ram
        return (
            "   text\t   data\t    bss\t    dec\t    hex\tfilename\n"
            f"  {text}\t    {data}\t   {ram}\t {total}\t  {total:x}\t"
        )


def is_source(body: Body) -> bool:
    """Whether a form brings sources, and no binary (facts 5.4). The vendor's own client names no file type."""
    if not body.files or body.fields.get("file_type") == "binary":
        return False
    return not any(name.endswith(_BINARY) for name in body.file_names)


def compile_sources(binaries: EmulatedBinaries, platform: Platform, body: Body, now: Instant) -> Compiled:
    """Compile the files of a form for a platform.

    Raises:
        ApiError: 400 when there is no such release to compile for.
        CompileError: the sources are at fault.
    """
    release = _release(binaries, platform, body.fields)
    errors = [
        f"{name}: error: #error {match[1].decode(errors='replace').strip()}"
        for name, content in zip(body.file_names, body.files, strict=True)
        for match in _ERROR.finditer(content)
    ]
    declared = {match[1]: int(match[2]) for content in body.files for match in _PRODUCT.finditer(content)}
    asked = body.fields.get("product_id")
    product = (as_int(asked) if asked else declared.get(b"ID", platform.id), declared.get(b"VERSION", 0))
    errors += [f"{number} does not fit into 16 bits" for number in product if number >= NO_PRODUCT]
    if errors:
        raise CompileError(errors)
    binary = binaries.application(platform, release.version, product=product if b"VERSION" in declared else None)
    return Compiled(
        id=hashlib.sha256(binary + b"".join(body.files)).hexdigest()[:24],
        binary=binary,
        release=release,
        expires_at=Instant(now + KEPT_SECONDS),
    )


def known_application(binaries: EmulatedBinaries, platform: Platform, name: str, device_os: str | None) -> bytes:
    """A known application, for the release that the device runs. Raises ApiError 400: only `tinker` is known."""
    if name != "tinker":
        raise ApiError(400, "invalid_request", f"No application is known as {name}")
    releases = [release for release in binaries.catalog.releases(platform) if release.version.text == device_os]
    if not releases:
        raise ApiError(400, "invalid_request", "The device has not reported which Device OS it runs")
    return binaries.application(platform, releases[0].version, product=(platform.id, _TINKER_VERSION))


def _release(binaries: EmulatedBinaries, platform: Platform, fields: Mapping[str, Any]) -> Release:
    published = [release for release in binaries.catalog.releases(platform) if release.published]
    wanted = fields.get("build_target_version")
    if wanted and not as_bool(fields.get("latest", False)):
        published = [release for release in published if release.version.text == wanted]
    else:
        published = [release for release in published if not release.prerelease]
    if not published:
        raise ApiError(400, "invalid_request", f"Invalid build target version {wanted or 'latest'} for {platform}")
    return published[-1]
