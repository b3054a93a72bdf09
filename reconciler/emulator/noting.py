"""What the log says of a request beside what came of it: whose bytes it brought, and what the cloud intends since.

Only the cloud knows these two at the moment of the request, so they are written down then; the referee, who comes later
and sees the log alone, has them from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from reconciler.emulator.artifact import Artifact, read_payload
from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.emulator.device import Device
from reconciler.emulator.message import ApiError
from reconciler.emulator.products import Intention, Product
from reconciler.emulator.records import ArtifactNote, Origin, RequestKind, Stations
from reconciler.emulator.state import Call, State
from reconciler.firmware.catalog import Catalog
from reconciler.model.module import ModuleFunction
from reconciler.model.platform import PLATFORMS, platform_by_id
from reconciler.model.release import Release

Intentions = Mapping[str, Intention | None]
"""By device id, what the cloud intends; None: nothing."""


class Noting:
    """Notes what requests attempt. It remembers of binaries that it has seen where they are from."""

    def __init__(self, binaries: EmulatedBinaries) -> None:
        self._binaries = binaries
        self._origins: dict[bytes, Origin] = {}

    def note_more(self, call: Call) -> None:
        """Note what a request attempts, before anything comes of it or goes wrong with it."""
        match call.kind, call.request.method:
            case RequestKind.FLASH, _:
                if isinstance(call.payload, Artifact) and call.artifact is not None:
                    call.artifact = replace(call.artifact, origin=self._origin(call, call.payload))
            case RequestKind.OTHER, "PUT" if call.request.path.endswith("/firmware/release"):
                call.kind = RequestKind.RELEASE
            case RequestKind.OTHER, "POST" if call.request.path.endswith("/firmware"):
                call.kind = RequestKind.UPLOAD
                call.artifact = _uploaded(call)

    def _origin(self, call: Call, artifact: Artifact) -> Origin:
        content = next((file for file in call.body.files if len(file) == artifact.size), None)
        if content is None:
            return Origin.UNKNOWN
        if artifact.is_application:
            product = product_named(call)
            held = product.firmware.get(artifact.product_version or 0) if product else None
            if held is None or artifact.product_version is None:
                return Origin.UNKNOWN
            return Origin.HELD if held.binary == content else Origin.OTHER_BYTES
        key = hashlib.sha256(content).digest()
        if key not in self._origins:
            self._origins[key] = self._origin_of_module(artifact, content)
        return self._origins[key]

    def _origin_of_module(self, artifact: Artifact, content: bytes) -> Origin:
        """Compressed modules cannot be compared: what the cloud holds is not compressed."""
        platform = platform_by_id(artifact.platform_id)
        if platform is None or artifact.compressed:
            return Origin.UNKNOWN
        slot, version = artifact.module.slot, artifact.module.version
        shipping = [
            release.version
            for release in self._binaries.catalog.releases(platform)
            if any((m.module.slot, m.module.version) == (slot, version) for m in release.modules)
        ]
        if not shipping:
            return Origin.NO_RELEASE
        same = any(self._binaries.module(platform, release, slot) == content for release in shipping)
        return Origin.HELD if same else Origin.OTHER_BYTES


def cloud_stations(catalog: Catalog) -> Stations:
    """The stations of transfers over the cloud, as the catalog has them."""
    found = {}
    for platform in PLATFORMS:
        releases = (catalog.release(platform, version) for version in catalog.stations(platform, "cloud"))
        found[platform.id] = tuple((_number(release), release.version.text) for release in releases if release)
    return Stations(of_platform=found)


def _number(release: Release) -> int:
    parts = (m.module for m in release.modules if m.module.slot.function is ModuleFunction.SYSTEM_PART)
    return max((part.version for part in parts), default=0)


def _uploaded(call: Call) -> ArtifactNote | None:
    try:
        files = call.body.files
    except ApiError:
        # The call itself will say so.
        return None
    return read_payload(files[0]).note() if files else None


def product_named(call: Call) -> Product | None:
    """The product that the path names, if there is one."""
    try:
        return call.product
    except ApiError:
        return None


def intentions(call: Call) -> Intentions:
    """What the cloud intends for the devices for which a request could change it."""
    product = product_named(call)
    if product is None or call.request.method == "GET":
        return {}
    return {device.id: _intention(product, device) for device in _within_reach(call.state, call, product)}


def reached(before: Intentions, after: Intentions) -> tuple[str, ...]:
    """The devices for which the cloud now intends something, and something else than before or by another request."""
    return tuple(device for device, now in after.items() if now is not None and now != before.get(device))


def _within_reach(state: State, call: Call, product: Product) -> Sequence[Device]:
    if call.device_id is not None:
        device = state.devices.get(call.device_id)
        return [device] if device is not None and device.product_id == product.id else []
    return state.members(product)


def _intention(product: Product, device: Device) -> Intention | None:
    return None if device.development else product.intention(device)
