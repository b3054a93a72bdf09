"""Device objects as the API sends them, decoded once and tolerantly (facts 5.3).

The rules: a field that is missing is None; a field of a wrong type is None and a finding; unknown fields are not kept;
an object without a usable id is dropped with a finding. The names of the fields are the API's own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from reconciler.model.device import is_device_id

_SHOWN_MAX: Final = 60


class DeviceRecord(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One device object. `modules` is the `m` list of a system describe where the source has one: snapshots do."""

    id: str
    name: str | None = None
    platform_id: int | None = None
    product_id: int | None = None
    system_firmware_version: str | None = None
    firmware_version: int | None = None
    online: bool | None = None
    connected: bool | None = None
    status: str | None = None
    last_heard: str | None = None
    last_handshake_at: str | None = None
    groups: tuple[str, ...] | None = None
    development: bool | None = None
    quarantined: bool | None = None
    desired_firmware_version: int | None = None
    targeted_firmware_release_version: int | None = None
    firmware_updates_enabled: bool | None = None
    firmware_updates_forced: bool | None = None
    modules: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """One device object as far as it can be read. `record` None: there is no usable id, and `findings` say so."""

    record: DeviceRecord | None
    findings: tuple[str, ...] = ()


_STRICT: Final = msgspec.json.Decoder(DeviceRecord)
_FIELD_TYPES: Final = {field.name: field.type for field in msgspec.structs.fields(DeviceRecord)}
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_device(raw: msgspec.Raw | bytes, place: str) -> Decoded:
    """Read one device object. `place` is how findings call it until its id is known, for example `page 2, device 7`."""
    try:
        record = _STRICT.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _field_by_field(raw, place)
    return _with_usable_id(record, (), place)


def usable_device_id(text: str) -> str | None:
    """The id in its one spelling, 24 lower-case hexadecimal digits, or None."""
    lowered = text.lower()
    return lowered if is_device_id(lowered) else None


def decode_devices(raws: Iterable[msgspec.Raw], place: str) -> tuple[tuple[DeviceRecord, ...], tuple[str, ...]]:
    """Read many; the records that can be read and all findings, both in the order of the source."""
    records: list[DeviceRecord] = []
    findings: list[str] = []
    for index, raw in enumerate(raws):
        decoded = decode_device(raw, f"{place}, device {index}")
        findings += decoded.findings
        if decoded.record is not None:
            records.append(decoded.record)
    return tuple(records), tuple(findings)


def _field_by_field(raw: msgspec.Raw | bytes, place: str) -> Decoded:
    try:
        fields = _OBJECT.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Decoded(record=None, findings=(f"{place}: left out: it is no JSON object",))
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for name, wanted in _FIELD_TYPES.items():
        if name not in fields:
            continue
        try:
            values[name] = msgspec.json.decode(fields[name], type=wanted)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            shown = bytes(fields[name])[:_SHOWN_MAX].decode("utf-8", errors="replace")
            wrong.append(f"{name} cannot be read: {shown}")
            if name == "status":
                # Not None: a status that is left out means normal, one that we cannot read means unknown.
                values[name] = shown
    if not isinstance(values.get("id"), str):
        return Decoded(record=None, findings=(f"{place}: left out: it has no usable id",))
    named = f"device {values['id']}"
    return _with_usable_id(DeviceRecord(**values), tuple(f"{named}: {problem}" for problem in wrong), place)


def _with_usable_id(record: DeviceRecord, findings: tuple[str, ...], place: str) -> Decoded:
    device_id = usable_device_id(record.id)
    if device_id is None:
        return Decoded(record=None, findings=(f"{place}: left out: {record.id[:_SHOWN_MAX]!r} is no device id",))
    # Pages of a million devices repeat few versions and groups: equal text is kept once.
    return Decoded(
        record=msgspec.structs.replace(
            record,
            id=device_id,
            system_firmware_version=_interned(record.system_firmware_version),
            status=_interned(record.status),
            groups=None if record.groups is None else tuple(map(sys.intern, record.groups)),
        ),
        findings=findings,
    )


def _interned(text: str | None) -> str | None:
    return None if text is None else sys.intern(text)
