"""Extensions: the typed records behind a module's prefix and in its suffix (facts 1.7).

Each record is a u16 type, a u16 length that counts these four bytes, and a body. A list of them ends with END, or at
the end of its region. Types that nobody documented are kept as `UnknownExtension`: their length is enough to step over
them. Everything else that does not fit is refused, with the offset in the file at which it stands.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final

from reconciler.model.error import FirmwareError
from reconciler.model.module import Dependency, ModuleFunction, ModuleSlot

HEADER_SIZE: Final = 4
_HEADER: Final = struct.Struct("<HH")
_PRODUCT: Final = struct.Struct("<HHH")
_LOCATION: Final = struct.Struct("<III")
_DEPENDENCY: Final = struct.Struct("<BBHI")
_ASSET_TYPE: Final = struct.Struct("<BB")
_FUNCTIONS: Final = frozenset(int(function) for function in ModuleFunction)
_LENGTH_MAX: Final = 0xFFFF
_SHA256: Final = 0
_SHA256_SIZE: Final = 32


class ExtensionType(IntEnum):
    """The documented types."""

    END = 0x0000
    PRODUCT_DATA = 0x0001
    DYNAMIC_LOCATION = 0x0002
    DEPENDENCY = 0x0003
    HASH = 0x0010
    NAME = 0x0011
    ASSET_DEPENDENCY = 0x0012
    SECURITY_MODE = 0x0013
    ASSET_TYPE = 0x0014
    INVALID = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class EndExtension:
    """The end of a list; `padding` bytes count in its length."""

    type: ClassVar[int] = ExtensionType.END
    padding: bytes = b""

    @property
    def body(self) -> bytes:
        """What stands behind type and length."""
        return self.padding


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductData:
    """The product that an application belongs to, and its version; all ones: none.

    The vendor's header declares a 32-bit id here, but real files and the vendor's tools have 0xffff in its first two
    bytes (`unused`) and the id in the other two, where the raw form has it (facts 1.6; seen in every Realtek file).
    """

    type: ClassVar[int] = ExtensionType.PRODUCT_DATA
    product_id: int
    product_version: int
    unused: int = 0xFFFF

    @property
    def body(self) -> bytes:
        """What stands behind type and length."""
        return _PRODUCT.pack(self.unused, self.product_id, self.product_version)


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicLocation:
    """Flash addresses of a module whose start may move (Realtek)."""

    type: ClassVar[int] = ExtensionType.DYNAMIC_LOCATION
    module_start_address: int
    dynalib_load_address: int
    dynalib_start_address: int

    @property
    def body(self) -> bytes:
        """What stands behind type and length."""
        return _LOCATION.pack(self.module_start_address, self.dynalib_load_address, self.dynalib_start_address)


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyExtension:
    """One more dependency; `target_id` is kept as it is."""

    type: ClassVar[int] = ExtensionType.DEPENDENCY
    dependency: Dependency
    target_id: int

    @property
    def body(self) -> bytes:
        """What stands behind type and length."""
        slot, version = self.dependency
        return _DEPENDENCY.pack(slot.function, slot.index, version, self.target_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class HashExtension:
    """A hash of raw asset data; `hash_type` 0 is SHA-256."""

    type: ClassVar[int] = ExtensionType.HASH
    hash_type: int
    digest: bytes

    @property
    def body(self) -> bytes:
        """What stands behind type and length."""
        return bytes((self.hash_type, len(self.digest))) + self.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class NameExtension:
    """The name of an asset."""

    type: ClassVar[int] = ExtensionType.NAME
    name: str

    @property
    def body(self) -> bytes:
        """What stands behind type and length."""
        return self.name.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetDependency:
    """An asset that an application needs: the hash of its raw data, and its name."""

    type: ClassVar[int] = ExtensionType.ASSET_DEPENDENCY
    hash_type: int
    digest: bytes
    name: str

    @property
    def body(self) -> bytes:
        """What stands behind type and length."""
        return bytes((self.hash_type, len(self.digest))) + self.digest + self.name.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityMode:
    """`mode` 1 is protected; `certificate` is DER, empty where there is none."""

    type: ClassVar[int] = ExtensionType.SECURITY_MODE
    mode: int
    certificate: bytes = b""

    @property
    def body(self) -> bytes:
        """What stands behind type and length."""
        return bytes((self.mode,)) + self.certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetType:
    """0 default, 1 application environment, 2 environment snapshot."""

    type: ClassVar[int] = ExtensionType.ASSET_TYPE
    kind: int
    reserved: int = 0

    @property
    def body(self) -> bytes:
        """What stands behind type and length."""
        return _ASSET_TYPE.pack(self.kind, self.reserved)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownExtension:
    """A type that the facts do not list."""

    type: int
    body: bytes


Extension = (
    EndExtension
    | ProductData
    | DynamicLocation
    | DependencyExtension
    | HashExtension
    | NameExtension
    | AssetDependency
    | SecurityMode
    | AssetType
    | UnknownExtension
)


def encode_extension(extension: Extension) -> bytes:
    """The bytes of one extension.

    Raises:
        FirmwareError: PFR4008 when it is longer than its length field can say.
    """
    if HEADER_SIZE + len(extension.body) > _LENGTH_MAX:
        message = f"an extension has at most {_LENGTH_MAX} bytes, this one {HEADER_SIZE + len(extension.body)}"
        raise FirmwareError("PFR4008", message, next_step="Shorten its name or its content.")
    return _HEADER.pack(extension.type, HEADER_SIZE + len(extension.body)) + extension.body


def read_extensions(data: bytes, start: int, end: int) -> tuple[tuple[Extension, ...], int]:
    """Read the extensions of `data[start:end]`, up to an END or the end of the region.

    Returns:
        The extensions, and the offset behind the last one.

    Raises:
        FirmwareError: PFR4008, with the offset of the extension that does not fit.
    """
    found: list[Extension] = []
    offset = start
    while offset < end:
        if end - offset < HEADER_SIZE:
            raise _malformed(offset, f"{end - offset} bytes are left, an extension needs {HEADER_SIZE}")
        kind, length = _HEADER.unpack_from(data, offset)
        if kind == ExtensionType.INVALID:
            raise _malformed(offset, "its type is 0xffff, which marks erased flash")
        if not HEADER_SIZE <= length <= end - offset:
            raise _malformed(
                offset, f"type {kind:#06x} says that it is {length} bytes long, {end - offset} bytes are left for it"
            )
        extension = _decoded(kind, bytes(data[offset + HEADER_SIZE : offset + length]), offset)
        found.append(extension)
        offset += length
        if isinstance(extension, EndExtension):
            break
    return tuple(found), offset


def _decoded(kind: int, body: bytes, offset: int) -> Extension:
    decode = _DECODERS.get(kind)
    return UnknownExtension(type=kind, body=body) if decode is None else decode(body, offset)


def _decoded_product(body: bytes, offset: int) -> ProductData:
    unused, product_id, product_version = _exactly(_PRODUCT, "PRODUCT_DATA", body, offset)
    return ProductData(product_id=product_id, product_version=product_version, unused=unused)


def _decoded_location(body: bytes, offset: int) -> DynamicLocation:
    module, load, start = _exactly(_LOCATION, "DYNAMIC_LOCATION", body, offset)
    return DynamicLocation(module_start_address=module, dynalib_load_address=load, dynalib_start_address=start)


def _decoded_dependency(body: bytes, offset: int) -> DependencyExtension:
    function, index, version, target_id = _exactly(_DEPENDENCY, "DEPENDENCY", body, offset)
    if function not in _FUNCTIONS:
        raise _malformed(offset, f"it depends on a module of the unknown function {function}")
    slot = ModuleSlot(ModuleFunction(function), index)
    return DependencyExtension(dependency=Dependency(slot, version), target_id=target_id)


def _decoded_hash(body: bytes, offset: int) -> HashExtension:
    hash_type, digest, rest = _hash(body, offset)
    if rest:
        raise _malformed(offset, f"{len(rest)} bytes follow its hash")
    return HashExtension(hash_type=hash_type, digest=digest)


def _decoded_asset_dependency(body: bytes, offset: int) -> AssetDependency:
    hash_type, digest, rest = _hash(body, offset)
    return AssetDependency(hash_type=hash_type, digest=digest, name=_text(rest, offset))


def _decoded_security(body: bytes, offset: int) -> SecurityMode:
    if not body:
        raise _malformed(offset, "a security mode has at least one byte, this one has none")
    return SecurityMode(mode=body[0], certificate=body[1:])


def _decoded_asset_type(body: bytes, offset: int) -> AssetType:
    kind, reserved = _exactly(_ASSET_TYPE, "ASSET_TYPE", body, offset)
    return AssetType(kind=kind, reserved=reserved)


_DECODERS: Final[Mapping[int, Callable[[bytes, int], Extension]]] = {
    ExtensionType.END: lambda body, _offset: EndExtension(padding=body),
    ExtensionType.PRODUCT_DATA: _decoded_product,
    ExtensionType.DYNAMIC_LOCATION: _decoded_location,
    ExtensionType.DEPENDENCY: _decoded_dependency,
    ExtensionType.HASH: _decoded_hash,
    ExtensionType.NAME: lambda body, offset: NameExtension(name=_text(body, offset)),
    ExtensionType.ASSET_DEPENDENCY: _decoded_asset_dependency,
    ExtensionType.SECURITY_MODE: _decoded_security,
    ExtensionType.ASSET_TYPE: _decoded_asset_type,
}


def _exactly(layout: struct.Struct, name: str, body: bytes, offset: int) -> tuple[int, ...]:
    if len(body) != layout.size:
        raise _malformed(
            offset, f"{name} is {HEADER_SIZE + layout.size} bytes long, this one {HEADER_SIZE + len(body)}"
        )
    return layout.unpack(body)


def _hash(body: bytes, offset: int) -> tuple[int, bytes, bytes]:
    if len(body) < 2:  # noqa: PLR2004  # hash type and hash length, one byte each
        raise _malformed(offset, "it ends before its hash begins")
    hash_type, size = body[0], body[1]
    if hash_type == _SHA256 and size != _SHA256_SIZE:
        raise _malformed(offset, f"a SHA-256 has {_SHA256_SIZE} bytes, this one {size}")
    if size > len(body) - 2:
        raise _malformed(offset, f"its hash is said to be {size} bytes long, {len(body) - 2} are left")
    return hash_type, body[2 : 2 + size], body[2 + size :]


def _text(body: bytes, offset: int) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed(offset, "its name is not UTF-8") from None


def _malformed(offset: int, reason: str) -> FirmwareError:
    return FirmwareError(
        "PFR4008",
        f"the extension at offset {offset:#x} cannot be read: {reason}",
        next_step="Get the file from its source again; if it is the same there, its builder must repair it.",
    )
