"""Snapshots: an observation as a file, in the words of the API (contracts 2).

Accepted are the snapshot object, a bare array of device objects, and a product device list's `{"devices": […]}`, so
that a saved answer of the API is a snapshot. Wrong types inside a device object are findings, as they are from the
cloud; an element that is no device object, and a device that is there twice, are errors: a person made this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypedDict

import msgspec
from msgspec import UNSET, UnsetType

from reconciler.inventory.conversion import device_object, observed_device
from reconciler.model.device import DeviceId, HeldApplication, Observation, ObservedDevice, Product
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant, instant_from_iso, iso_from_instant
from reconciler.model.version import ApplicationVersion
from reconciler.particle.records import DeviceRecord, decode_device

FORMAT_VERSION: Final = "1.0"

_MAJOR: Final = "1."
_WRITE_AGAIN: Final = "write the file again with `reconciler observe --output FILE`, or correct it"


_UNFINISHED: Final = b'{"unfinished_observation":'
"""How the file of an observation begins that is going on (`inventory/page_log.py`)."""


class SnapshotError(OperatorError):
    """A file that is no snapshot. PFR6301 to PFR6306, PFR6308."""


class _Held(msgspec.Struct, frozen=True, omit_defaults=True):
    version: int
    groups: tuple[str, ...] = ()
    product_default: bool = False
    sha256: str | None = None


class _Product(msgspec.Struct, frozen=True, omit_defaults=True):
    id: int
    slug: str
    firmware: tuple[_Held, ...] | None = None


class SnapshotHead(msgspec.Struct, kw_only=True):
    """What a snapshot says beside its devices; UNSET: it does not say. Both readers of snapshots take it from here."""

    format_version: str | UnsetType | None = UNSET
    observed_at: str | UnsetType | None = UNSET
    source: str | UnsetType | None = UNSET
    complete: bool | UnsetType = UNSET
    findings: tuple[str, ...] | UnsetType = UNSET
    products: tuple[_Product, ...] | UnsetType = UNSET

    def is_readable(self) -> bool:
        """Whether its format is one that this program reads, or is not said."""
        return not isinstance(self.format_version, str) or self.format_version.startswith(_MAJOR)

    def time_of_observation(self, read_at: Instant) -> Instant:
        """When the devices were seen, `read_at` where it does not say. Raises ValueError for what is no time."""
        return instant_from_iso(self.observed_at) if isinstance(self.observed_at, str) else read_at

    def about(self) -> _About:
        """The rest, with what stands for what is not said."""
        return {
            "source": self.source or "snapshot",
            "complete": self.complete is not False,
            "findings": self.findings or (),
            "products": tuple(map(_product, self.products or ())),
        }


class _About(TypedDict):
    source: str
    complete: bool
    findings: tuple[str, ...]
    products: tuple[Product, ...]


class _Document(SnapshotHead, kw_only=True):
    devices: list[msgspec.Raw]


class SnapshotInventory:
    """Eyes on a saved observation: it shows what it showed then."""

    def __init__(self, observation: Observation) -> None:
        self._observation = observation
        self._by_id = {device.id: device for device in observation.devices}

    def observe(self) -> Observation:
        """The observation as it was saved."""
        return self._observation

    def observe_device(self, device_id: DeviceId) -> ObservedDevice | None:
        """One device of it."""
        return self._by_id.get(device_id)


def observation_from_document(content: bytes, *, name: str = "snapshot", read_at: Instant) -> Observation:
    """Read a snapshot.

    `read_at` is the time of the observation where the document says none. `name` is how errors call the file.

    Raises:
        SnapshotError: PFR6301 no JSON; PFR6302 JSON of another shape; PFR6303 a format of another major version;
            PFR6304 an element that is no device object, by its index; PFR6305 a device that is there twice, by its id;
            PFR6306 `observed_at` is no date and time; PFR6308 an observation that was interrupted.
    """
    document = _document(content.removeprefix(b"\xef\xbb\xbf"), name)
    if not document.is_readable():
        raise _error("PFR6303", f"{name} has the format version {document.format_version}, known is {FORMAT_VERSION}")
    observed_at = _observed_at(document, name, read_at)
    about = document.about()
    findings = list(about["findings"])
    places: dict[str, int] = {}
    devices: list[ObservedDevice] = []
    for index, raw in enumerate(document.devices):
        record, problems = _record(raw, index, name)
        if record.id in places:
            message = f"{name}: device {record.id} is there twice, at index {places[record.id]} and at index {index}"
            raise _error("PFR6305", message)
        places[record.id] = index
        converted = observed_device(record, observed_at)
        findings += [*problems, *converted.findings]
        devices.append(converted.device)
    about["findings"] = tuple(findings)
    in_order = tuple(sorted(devices, key=lambda device: device.id))
    return Observation(observed_at=observed_at, devices=in_order, **about)


def document_from_observation(observation: Observation) -> bytes:
    """The snapshot of an observation, one line a device. The same observation gives the same bytes."""
    return b"".join(document_pieces(observation, observation.devices, observation.findings))


def document_pieces(about: Observation, devices: Iterable[ObservedDevice], findings: Sequence[str]) -> Iterator[bytes]:
    """The snapshot piece by piece: what `about` says of the whole, and devices and findings in place of its own.

    The findings stand last and are asked for last: they may grow while the devices are taken.
    """
    head: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "observed_at": iso_from_instant(about.observed_at),
        "source": about.source,
    }
    if not about.complete:
        head["complete"] = False
    if about.products:
        head["products"] = [_product_record(product) for product in about.products]
    yield msgspec.json.encode(head)[:-1] + b',\n "devices": ['
    between = b"\n  "
    for device in devices:
        yield between + msgspec.json.encode(device_object(device))
        between = b",\n  "
    yield b"]"
    if findings:
        yield b',\n "findings": ' + msgspec.json.encode(list(findings))
    yield b"}\n"


def _product(record: _Product) -> Product:
    if record.firmware is None:
        return Product(id=record.id, slug=record.slug)
    held = (
        HeldApplication(
            version=ApplicationVersion(each.version),
            groups=each.groups,
            product_default=each.product_default,
            sha256=each.sha256,
        )
        for each in record.firmware
    )
    return Product(id=record.id, slug=record.slug, holds=tuple(held))


def _product_record(product: Product) -> _Product:
    if product.holds is None:
        return _Product(product.id, product.slug)
    held = (_Held(int(each.version), each.groups, each.product_default, each.sha256) for each in product.holds)
    return _Product(product.id, product.slug, tuple(held))


def _document(content: bytes, name: str) -> _Document:
    reason = ""
    if content.startswith(_UNFINISHED):
        message = f"{name} is an observation that was interrupted, with a part of the devices"
        raise SnapshotError("PFR6308", message, next_step="finish it: the same `observe` once more, with --resume")
    try:
        if content.lstrip(b" \t\r\n")[:1] == b"[":
            return _Document(devices=msgspec.json.decode(content, type=list[msgspec.Raw]))
        return msgspec.json.decode(content, type=_Document)
    except msgspec.ValidationError as error:
        reason = str(error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _error("PFR6301", f"{name} is no JSON: {error}") from None
    message = f"{name} is no snapshot: {reason}; wanted is an object with `devices`, or an array of devices"
    raise _error("PFR6302", message)


def _observed_at(document: _Document, name: str, read_at: Instant) -> Instant:
    try:
        return document.time_of_observation(read_at)
    except (ValueError, OverflowError):
        message = f"{name}: observed_at is no date and time: {str(document.observed_at)[:40]!r}"
        raise _error("PFR6306", message) from None


def _record(raw: msgspec.Raw, index: int, name: str) -> tuple[DeviceRecord, tuple[str, ...]]:
    decoded = decode_device(raw, f"index {index}")
    if decoded.record is None:
        raise _error("PFR6304", f"{name}: {'; '.join(decoded.findings).replace('left out: ', '')}")
    return decoded.record, decoded.findings


def _error(code: str, message: str) -> SnapshotError:
    return SnapshotError(code, message, next_step=_WRITE_AGAIN)
