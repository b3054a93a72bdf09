"""Protobuf by hand, as far as a device needs it: numbers, fixed numbers and bytes, in and out.

The device's side of a conversation must not share its reading with the host's, or both would share their mistakes.
"""

from __future__ import annotations

import struct
from typing import Final

_VARINT: Final = 0
_BYTES: Final = 2
_FIXED32: Final = 5
_VARINT_BYTES_MAX: Final = 10


class ProtobufError(Exception):
    """Bytes that are no message."""


def varint(number: int, value: int) -> bytes:
    """A field with a number; a zero is left out, as proto3 does."""
    return _raw(number << 3 | _VARINT) + _raw(value) if value else b""


def fixed32(number: int, value: int) -> bytes:
    """A field with a number of four bytes."""
    return _raw(number << 3 | _FIXED32) + struct.pack("<I", value) if value else b""


def blob(number: int, content: bytes) -> bytes:
    """A field with bytes, a text or a message."""
    return _raw(number << 3 | _BYTES) + _raw(len(content)) + content


def fields(data: bytes) -> dict[int, int | bytes]:
    """The fields of a message by number; of several with one number, the last."""
    found: dict[int, int | bytes] = {}
    offset = 0
    while offset < len(data):
        tag, offset = _read(data, offset)
        value: int | bytes
        match tag & 7:
            case 0:
                value, offset = _read(data, offset)
            case 2:
                size, offset = _read(data, offset)
                value, offset = data[offset : offset + size], offset + size
            case 5:
                value, offset = int.from_bytes(data[offset : offset + 4], "little"), offset + 4
            case other:
                raise ProtobufError(f"wire type {other}")
        if offset > len(data):
            raise ProtobufError("cut off")
        found[tag >> 3] = value
    return found


def number(message: dict[int, int | bytes], field: int) -> int:
    """A field that should be a number; 0 when it is not there."""
    value = message.get(field, 0)
    if isinstance(value, bytes):
        raise ProtobufError(f"field {field} is no number")
    return value


def _raw(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:  # noqa: PLR2004  # seven bits a byte
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read(data: bytes, offset: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[offset : offset + _VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:  # noqa: PLR2004  # the last byte has no mark
            return value, offset + index + 1
    raise ProtobufError("cut off")
