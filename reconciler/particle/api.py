"""The calls of the Particle API that this project makes, one thin method each (facts 5).

Ids and slugs go into paths as one quoted segment. A call for one thing answers None where the cloud says 404. All raise
the errors of `error.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from reconciler.particle.call import Upload
from reconciler.particle.error import GarbledError, MayHaveArrivedError, RefusedError
from reconciler.particle.http import CloudWire
from reconciler.particle.listing import DeviceListing, DevicePage, Page, PageReader, page_from
from reconciler.particle.records import DeviceRecord, decode_device

T = TypeVar("T")

PAGE_SIZE: Final = 100
"""No source says how large a page may be; 25 is the default (facts 5.3), and the vendor's own tools ask other lists for
100. A cloud with a smaller idea of a page is read as well. 100,000 devices are 1,000 requests: a tenth of the vendor's
limit for five minutes."""

PAGES_AT_ONCE: Final = 4
"""As many as hide the cloud's latency without a burst; the wire's budget keeps the rate."""

MODULE_BYTES_MAX: Final = 4 * 1024 * 1024
"""The largest module of any platform is below 1.6 MB (facts 3.2)."""


class TokenInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the token may do, as far as the cloud says it. `expires_at` is ISO 8601 or None: never."""

    expires_at: str | None = None
    scopes: tuple[str, ...] | None = None


class ProductRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One product."""

    id: int
    slug: str | None = None
    name: str | None = None
    platform_id: int | None = None


class _ProductAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A product alone or under `product`: the stored documentation shows both for different calls."""

    product: ProductRecord | None = None
    id: int | None = None
    slug: str | None = None
    name: str | None = None
    platform_id: int | None = None


class FirmwareRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One application version that a product holds (facts 5.5). `size` in bytes."""

    version: int
    title: str | None = None
    name: str | None = None
    size: int | None = None
    product_default: bool | None = None
    current: bool | None = None
    groups: tuple[str, ...] | None = None
    device_count: int | None = None
    uploaded_on: str | None = None


class _FirmwareUpdate(msgspec.Struct, frozen=True, kw_only=True):
    total: int


class _ImpactedDevices(msgspec.Struct, frozen=True, kw_only=True):
    firmware_update: _FirmwareUpdate


class _ImpactAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The cloud's preview of a change of groups (facts 5.7)."""

    devices: _ImpactedDevices


class VitalsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A device's vitals: the payload as sent, and when the cloud had it (facts 5.9)."""

    payload: msgspec.Raw
    updated_at: str | None = None


class _VitalsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    diagnostics: VitalsRecord


class ModulePrefix(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the catalogue says of a module's prefix (facts 1.11, 5.11); numbers may come as text."""

    module_function: str | int | None = None
    module_index: str | int | None = None
    module_version: str | int | None = None


class ReleaseModuleRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One module of a Device OS release as the cloud's catalogue lists it."""

    filename: str
    prefix_info: ModulePrefix | None = msgspec.field(default=None, name="prefixInfo")


class DeviceOsReleaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One Device OS release for one platform. Module files are at `base_url`/`filename`, for everybody."""

    version: str
    base_url: str
    modules: tuple[ReleaseModuleRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OneDevice:
    """One device object, when the cloud says that it made it, and what could not be read of it."""

    record: DeviceRecord
    dated: Instant | None = None
    findings: tuple[str, ...] = ()


class ParticleApi:
    """Typed calls over one wire. `product` is a product's id or slug everywhere; None: the token's own devices."""

    def __init__(self, wire: CloudWire, *, page_size: int = PAGE_SIZE) -> None:
        self.wire = wire
        self.page_size = page_size

    def own_devices(self) -> DeviceListing:
        """All devices of the token's owner, those in products included. The cloud has no pages for them."""
        return PageReader(self.own_page).read_all()

    def product_devices(self, product: str) -> DeviceListing:
        """All devices of a product, page by page, each once, in the order of their ids."""
        return self.pages_through(lambda number: self.product_page(product, number)).read_all()

    def pages_through(self, read: Callable[[int], Page]) -> PageReader:
        """A reader of a product's pages, some at a time; `read` is `product_page`, or what stands before it."""
        return PageReader(read, page_size=self.page_size, at_once=PAGES_AT_ONCE)

    def own_page(self, number: int = 1) -> Page:
        """The one page of the token's own devices; what follows it is empty."""
        if number > 1:
            return Page(records=(), total_pages=1)
        raws = self.wire.read_json("/v1/devices", list[msgspec.Raw])
        page = page_from(DevicePage(devices=raws), self.wire.answered_at, place="own devices")
        return msgspec.structs.replace(page, total_pages=1)

    def product_page(self, product: str, number: int) -> Page:
        """One page of a product's devices, counted from 1."""
        # The documentation says perPage, the vendor's own client sends per_page; a stable order keeps pages still.
        query: dict[str, str | int] = {
            "page": number,
            "perPage": self.page_size,
            "per_page": self.page_size,
            "sortAttr": "deviceId",
            "sortDir": "asc",
        }
        answer = self.wire.read_json(f"/v1/products/{_segment(product)}/devices", DevicePage, query=query)
        return page_from(answer, self.wire.answered_at, place=f"page {number}")

    def device(self, device_id: DeviceId, product: str | None = None) -> OneDevice | None:
        """One device, or None when the cloud knows none."""
        path = _device_path(device_id, product)
        fields = _none_if_missing(lambda: self.wire.read_json(path, dict[str, msgspec.Raw], device_id=device_id))
        if fields is None:
            return None
        decoded = decode_device(msgspec.json.encode(fields), f"device {device_id}")
        if decoded.record is None or decoded.record.id != device_id:
            message = f"asked for device {device_id}, the cloud answered with another one or none"
            raise GarbledError(message)
        return OneDevice(record=decoded.record, dated=self.wire.answered_at, findings=decoded.findings)

    def ping(self, device_id: DeviceId, product: str | None = None) -> bool:
        """Whether the device answers right now. It changes nothing, and costs a round trip to the device."""
        path = f"{_device_path(device_id, product)}/ping"
        answer = _none_if_missing(lambda: self.wire.write("PUT", path, json={}, device_id=device_id))
        return answer is not None and answer.get("online") is True

    def flash(self, device_id: DeviceId, binary: bytes, *, product: str | None = None) -> str:
        """Send a binary to an online device; the cloud's word for it, such as `Update started`. It proves no more."""
        upload = Upload(part="file", file_name="firmware.bin", content=binary, fields={"file_type": "binary"})
        answer = self.wire.write("PUT", _device_path(device_id, product), upload=upload, device_id=device_id)
        return self.wire.token.redacted(str(answer.get("status") or answer.get("message") or "accepted"))

    def lock(self, device_id: DeviceId, version: ApplicationVersion, *, product: str, flash: bool) -> str:
        """Lock a product's device to an application version; with `flash` the cloud delivers it now if it is online."""
        body: dict[str, object] = {"desired_firmware_version": int(version)}
        if flash:
            body["flash"] = True
        answer = self.wire.write("PUT", _device_path(device_id, product), json=body, device_id=device_id)
        return self.wire.token.redacted(f"locked to {answer.get('desired_firmware_version', version)}")

    def last_vitals(self, device_id: DeviceId, product: str | None = None) -> VitalsRecord | None:
        """The last vitals that the cloud has of a device, or None when it has none (facts 5.9)."""
        path = f"{_vitals_path(device_id, product)}/last"
        answer = _none_if_missing(lambda: self.wire.read_json(path, _VitalsAnswer, device_id=device_id))
        return None if answer is None else answer.diagnostics

    def refresh_vitals(self, device_id: DeviceId, product: str | None = None) -> bool:
        """Ask a device for its vitals; they come as an event. False: it is not connected."""
        path = f"{_vitals_path(device_id, product)}/update"
        return _none_if_missing(lambda: self.wire.write("POST", path, json={}, device_id=device_id)) is not None

    def product(self, product: str) -> ProductRecord | None:
        """A product by its id or slug."""
        path = f"/v1/products/{_segment(product)}"
        answer = _none_if_missing(lambda: self.wire.read_json(path, _ProductAnswer))
        if answer is None or answer.product is not None:
            return None if answer is None else answer.product
        if answer.id is None:
            message = f"product {product}: the answer is not of the promised shape (no id)"
            raise GarbledError(message)
        return ProductRecord(id=answer.id, slug=answer.slug, name=answer.name, platform_id=answer.platform_id)

    def product_firmware(self, product: str) -> tuple[FirmwareRecord, ...]:
        """Every application version that the product holds."""
        path = f"/v1/products/{_segment(product)}/firmware"
        return self.wire.read_json(path, tuple[FirmwareRecord, ...])

    def product_firmware_version(self, product: str, version: ApplicationVersion) -> FirmwareRecord | None:
        """One application version of the product, or None when it holds none such."""
        path = f"/v1/products/{_segment(product)}/firmware/{int(version)}"
        return _none_if_missing(lambda: self.wire.read_json(path, FirmwareRecord))

    def product_firmware_binary(self, product: str, version: ApplicationVersion) -> bytes | None:
        """The binary of one application version, or None when the product holds none such."""
        path = f"/v1/products/{_segment(product)}/firmware/{int(version)}/binary"
        return _none_if_missing(lambda: self.wire.read_bytes(path, bytes_max=MODULE_BYTES_MAX))

    def upload_product_firmware(
        self, product: str, version: ApplicationVersion, *, title: str, binary: bytes
    ) -> FirmwareRecord:
        """Give the product an application version. It must be the version inside the binary (facts 5.5)."""
        fields = {"version": str(int(version)), "title": title}
        upload = Upload(part="binary", file_name="firmware.bin", content=binary, fields=fields)
        answer = self.wire.write("POST", f"/v1/products/{_segment(product)}/firmware", upload=upload)
        try:
            return msgspec.convert(answer, FirmwareRecord)
        except msgspec.ValidationError as error:
            why = self.wire.token.redacted(str(error))
            message = f"firmware {version} of product {product}: the answer is no firmware object ({why})"
            del answer  # it may echo what we sent, and would stand among the locals of a traceback
            raise MayHaveArrivedError(message) from None

    def release_product_firmware(
        self, product: str, version: ApplicationVersion, *, groups: Sequence[str], product_default: bool
    ) -> None:
        """Release a version to these groups and, if wished, as the product's default; never `intelligent` (facts 5.5).

        Whether groups that are left out lose it is not documented: name those that have it already, too.
        """
        body: dict[str, object] = {
            "version": int(version),
            "product_default": product_default,
            "groups": list(groups),
            "intelligent": False,
        }
        self.wire.write("PUT", f"/v1/products/{_segment(product)}/firmware/release", json=body)

    def release_impact(
        self, product: str, version: ApplicationVersion, *, groups: Sequence[str], product_default: bool
    ) -> int | None:
        """How many devices would be updated by such a release, in the cloud's own words; None: it cannot tell (404)."""
        path = f"/v1/products/{_segment(product)}/impact"
        query: dict[str, str | int] = {
            "action": "edit_groups_for_firmware",
            "firmware_version": int(version),
            "groups": ",".join(groups),
            "product_default": "true" if product_default else "false",
        }
        answer = _none_if_missing(lambda: self.wire.read_json(path, _ImpactAnswer, query=query))
        return None if answer is None else answer.devices.firmware_update.total

    def token_info(self) -> TokenInfo:
        """What the cloud says of the token in use. Raises UnauthorisedError for one that it does not take."""
        return self.wire.read_json("/v1/access_tokens/current", TokenInfo)

    def device_os_release(self, version: DeviceOsVersion, platform_id: int) -> DeviceOsReleaseRecord | None:
        """A Device OS release as the cloud's catalogue has it, or None when it has none for this platform."""
        path = f"/v1/device-os/versions/{_segment(version.text)}"
        query: dict[str, str | int] = {"platform_id": platform_id}
        return _none_if_missing(lambda: self.wire.read_json(path, DeviceOsReleaseRecord, query=query))

    def device_os_module(self, release: DeviceOsReleaseRecord, module: ReleaseModuleRecord) -> bytes:
        """The file of one module, at most 4 MiB. The token does not go to that address."""
        address = f"{release.base_url.rstrip('/')}/{_segment(module.filename)}"
        return self.wire.read_bytes(address, bytes_max=MODULE_BYTES_MAX, authorised=False)


def _device_path(device_id: DeviceId, product: str | None) -> str:
    device = f"devices/{_segment(device_id)}"
    return f"/v1/{device}" if product is None else f"/v1/products/{_segment(product)}/{device}"


def _vitals_path(device_id: DeviceId, product: str | None) -> str:
    device = f"diagnostics/{_segment(device_id)}"
    return f"/v1/{device}" if product is None else f"/v1/products/{_segment(product)}/{device}"


def _segment(text: str) -> str:
    """One path segment. HTTP libraries resolve `.` and `..` even when quoted, so these name nothing."""
    if text in {"", ".", ".."}:
        message = f"{text!r} names nothing that the cloud could have"
        raise RefusedError(message, status=HTTPStatus.NOT_FOUND, words="not asked")
    return quote(text, safe="")


def _none_if_missing(call: Callable[[], T]) -> T | None:
    try:
        return call()
    except RefusedError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return None
