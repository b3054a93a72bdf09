"""Applications that only a product in the cloud holds, for a bench: had once, and then named like any other file.

The rules:
- What is had must be what the manifests mean: an application for that platform, with the SHA-256 where they name one.
  What does not fit is left as it was, with a finding; the planner then refuses it by its own words.
- A pin is not looked at: it says no product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from reconciler.firmware.application import read_application
from reconciler.model.error import FirmwareError, WireError
from reconciler.model.fleet import ApplicationBinary, Desired, FleetSet
from reconciler.model.platform import platform_by_name
from reconciler.model.version import ApplicationVersion

Fetch = Callable[[str, ApplicationVersion], bytes | None]
"""Product and version to the bytes that the product holds, None: it holds none such. May raise WireError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductApplications:
    """The fleets with the applications that could be had; `contents` by the file names that they have now."""

    fleets: FleetSet
    contents: Mapping[str, bytes]
    findings: tuple[str, ...]


def application_file(product: str, version: ApplicationVersion) -> str:
    """The name that a product's application has among files, in a bundle too."""
    return f"applications/{product}/{version}.bin"


def held_by_products(fleets: FleetSet) -> bool:
    """Whether a fleet desires an application that only its product holds."""
    return any(
        _is_held(binary)
        for fleet in fleets.fleets
        if fleet.product is not None and fleet.desired.application is not None
        for binary in fleet.desired.application.binaries
    )


def with_product_applications(fleets: FleetSet, fetch: Fetch) -> ProductApplications:
    """Get them, each once."""
    contents: dict[str, bytes | str] = {}
    findings: dict[str, None] = {}

    def filled(desired: Desired, product: str) -> Desired:
        application = desired.application
        if application is None or not any(map(_is_held, application.binaries)):
            return desired
        name = application_file(product, application.version)
        if name not in contents:
            contents[name] = _content(fetch, product, application.version)
        content = contents[name]
        binaries = []
        for binary in application.binaries:
            found = _named(binary, name, content) if _is_held(binary) else binary
            if isinstance(found, str):
                findings[f"application {application.version} of product {product}: {found}"] = None
            binaries.append(binary if isinstance(found, str) else found)
        return replace(desired, application=replace(application, binaries=tuple(binaries)))

    complete = tuple(
        fleet if fleet.product is None else replace(fleet, desired=filled(fleet.desired, fleet.product))
        for fleet in fleets.fleets
    )
    named = {
        binary.file
        for fleet in complete
        if fleet.desired.application is not None
        for binary in fleet.desired.application.binaries
    }
    return ProductApplications(
        fleets=replace(fleets, fleets=complete),
        contents={name: had for name, had in contents.items() if isinstance(had, bytes) and name in named},
        findings=tuple(findings),
    )


def _is_held(binary: ApplicationBinary) -> bool:
    return binary.file is None and binary.url is None


def _content(fetch: Fetch, product: str, version: ApplicationVersion) -> bytes | str:
    """The bytes, or why there are none."""
    try:
        content = fetch(product, version)
    except WireError as error:
        return f"it cannot be had: {error.code} {error.message}"
    return "the product holds none such" if content is None else content


def _named(binary: ApplicationBinary, name: str, content: bytes | str) -> ApplicationBinary | str:
    """The binary as the file of that name, or why it is not the one that is meant."""
    if isinstance(content, str):
        return content
    try:
        built = read_application(content)
    except FirmwareError as error:
        return f"it cannot be read: {error.code} {error.message}"
    platform = platform_by_name(binary.platform)
    if platform is None or platform.id != built.platform_id:
        return f"it is for platform {built.platform_id}, not for {binary.platform}"
    if binary.sha256 is not None and binary.sha256.lower() != built.sha256:
        return f"it has the SHA-256 {built.sha256}, not {binary.sha256}"
    return replace(binary, file=name, built=built)
