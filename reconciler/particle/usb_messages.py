"""The protobuf messages of control requests that we use, each with the fields that we use (facts 7.3).

Names and numbers of fields are facts of the protocol, read in the vendor's definitions; a field that is not here is
skipped by the library. They are put together at import, so that no compiler of protobuf is needed (ADR 0043).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from reconciler.particle.usb_error import UsbGarbledError


class RequestKind(IntEnum):
    """The numbers of the requests (facts 7.3)."""

    DEVICE_ID = 20
    SERIAL_NUMBER = 21
    SYSTEM_VERSION = 30
    SYSTEM_CAPABILITIES = 32
    RESET = 40
    DFU_MODE = 50
    SAFE_MODE = 60
    START_LISTENING = 70
    STOP_LISTENING = 71
    DEVICE_MODE = 72
    PROTECTED_STATE = 76
    MODULE_INFO = 90
    START_UPDATE = 250
    FINISH_UPDATE = 251
    CANCEL_UPDATE = 252
    UPDATE_DATA = 253
    CLOUD_STATUS = 300
    CLOUD_CONNECT = 301
    CLOUD_DISCONNECT = 302


_TYPES: Final = {
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    "fixed32": descriptor_pb2.FieldDescriptorProto.TYPE_FIXED32,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "uint32": descriptor_pb2.FieldDescriptorProto.TYPE_UINT32,
}
_PACKAGE: Final = "reconciler.usb"

_MESSAGES: Final[dict[str, tuple[tuple[int, str, str], ...]]] = {
    "DeviceIdReply": ((1, "id", "string"),),
    "SerialNumberReply": ((1, "serial", "string"),),
    "SystemVersionReply": ((1, "version", "string"),),
    "SystemCapabilitiesReply": ((1, "flags", "fixed32"),),
    "DeviceModeReply": ((1, "mode", "uint32"),),
    "ProtectedStateReply": ((1, "state", "bool"), (2, "overridden", "bool")),
    "CloudStatusReply": ((1, "status", "uint32"),),
    "Dependency": ((1, "type", "uint32"), (2, "index", "uint32"), (3, "version", "uint32")),
    "OldModule": (
        (1, "type", "uint32"),
        (2, "index", "uint32"),
        (3, "version", "uint32"),
        (4, "size", "uint32"),
        (5, "validity", "uint32"),
        (6, "dependencies", "Dependency"),
    ),
    "Module": (
        (1, "type", "uint32"),
        (2, "index", "uint32"),
        (3, "version", "uint32"),
        (4, "store", "uint32"),
        (5, "max_size", "uint32"),
        (6, "checked_flags", "fixed32"),
        (7, "passed_flags", "fixed32"),
        (8, "hash", "bytes"),
        (9, "dependencies", "Dependency"),
        (11, "size", "uint32"),
    ),
    "ModuleInfoReply": ((1, "old_modules", "OldModule"), (2, "modules", "Module")),
    "StartUpdateRequest": ((1, "size", "uint32"),),
    "StartUpdateReply": ((1, "chunk_size", "uint32"),),
    "UpdateDataRequest": ((1, "data", "bytes"),),
    "FinishUpdateRequest": ((1, "validate_only", "bool"),),
}
"""Message -> number, name and type of each field; a type that is a message is a repeated field. Enums of the vendor are
read as numbers, so that one that is new to us is seen and named."""


def encode(message: str, **fields: object) -> bytes:
    """A message with these fields."""
    encoded: bytes = _CLASSES[message](**fields).SerializeToString()
    return encoded


def decode(message: str, data: bytes) -> Any:
    """Read a message. Raises UsbGarbledError for bytes that are none."""
    try:
        return _CLASSES[message].FromString(data)
    except (DecodeError, RecursionError):
        raise UsbGarbledError(f"{len(data)} bytes are no {message}") from None


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="usb_messages.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, kind in fields:
            added = message.field.add(name=field, number=number)
            if kind in _TYPES:
                added.type = _TYPES[kind]
                added.label = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
            else:
                added.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
                added.type_name = f".{_PACKAGE}.{kind}"
                added.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


_CLASSES: Final = _classes()
