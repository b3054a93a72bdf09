"""Builds valid module binaries for any slot of any platform, by the recipe of facts 1.10.

The emulator, the demonstration and the tests send these instead of the vendor's files. Prefix, suffix, hashes and
places are those of real modules; the code is filler that follows from the seed, cheap to make, and compresses about as
well as firmware does.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Final

from reconciler.firmware.binary import NO_PRODUCT, RAW_PRODUCT_SIZE, SUFFIX_SIZE_MIN, parse_module
from reconciler.firmware.compression import deflate
from reconciler.firmware.extension import (
    DynamicLocation,
    EndExtension,
    Extension,
    HashExtension,
    NameExtension,
    ProductData,
    encode_extension,
)
from reconciler.firmware.prefix import CRC_SIZE, PREFIX_SIZE, ModuleFlags, Prefix
from reconciler.model.error import FirmwareError
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import ModuleBounds, Platform

_WITHOUT_PRODUCT: Final = (ModuleFunction.RADIO_STACK, ModuleFunction.NCP_FIRMWARE)
_ESP32: Final = 0x21
_STACK_POINTER: Final = 0x2003FC00
"""A RAM address: by this first word a device finds the prefix behind the vector table (facts 1.5)."""
_DEFAULT_CODE_SIZE: Final = 4096
_START_ALIGNMENT: Final = 8
_SYSTEM_MOVED_AT: Final = 6200
"""From this system part number on (Device OS 6.2.0) the nRF52840 system part lies at its second start address."""
_USER_256K_FROM: Final = 3103
"""Applications for Device OS 3.1.0 and later use the 256 KiB slot, index 2 (facts 3.2)."""
_TINKER_VERSION: Final = 6


def build_module(
    platform: Platform,
    module: Module,
    *,
    size: int | None = None,
    product: tuple[int, int] | None = None,
    seed: int = 0,
    prefix_extensions: Sequence[Extension] = (),
    suffix_extensions: Sequence[Extension] = (),
) -> bytes:
    """A valid module.

    Args:
        platform: The platform it is for.
        module: Its slot, version and dependencies.
        size: Bytes of the whole file; None for a small one.
        product: Product id and version, both of 16 bits, or None.
        seed: The same arguments give the same bytes, another seed gives other code.
        prefix_extensions: Written behind the prefix, with an END (Realtek applications).
        suffix_extensions: Written in front of the product data, with an END where the product data is raw.

    Raises:
        FirmwareError: PFR4020 when the platform has no such slot, or the size is too small or too large for it.
    """
    bounds = platform.bounds.get(module.slot)
    if bounds is None:
        raise _impossible(f"{platform} has no {module.slot}")
    if product is not None and module.slot.function in _WITHOUT_PRODUCT:
        raise _impossible(f"{module.slot} has no place for a product")
    behind_prefix = _prefix_extension_bytes(prefix_extensions)
    suffix_size = len(_suffix_head(platform, module, product, suffix_extensions, 0)) + SUFFIX_SIZE_MIN
    smallest = bounds.prefix_offset + PREFIX_SIZE + len(behind_prefix) + suffix_size + CRC_SIZE
    if size is None:
        size = -(-(smallest + _DEFAULT_CODE_SIZE) // _START_ALIGNMENT) * _START_ALIGNMENT
    if size < smallest or (bounds.size_max and size > bounds.size_max):
        raise _impossible(
            f"{size} bytes is no size for {module.slot} of {platform}: {smallest} to {bounds.size_max or 'any number'}"
        )
    start = _start_address(bounds, module, size)
    prefix = Prefix(
        start_address=start,
        end_address=start + size - CRC_SIZE,
        mcu=_ESP32 if module.slot.function is ModuleFunction.NCP_FIRMWARE else 0,
        flags=_flags(bounds, behind_prefix),
        platform_id=platform.id,
        module=module,
    )
    try:
        head = _vector_table(bounds.prefix_offset, start, size) + prefix.encode() + behind_prefix
    except struct.error:
        raise _impossible(f"{module} has numbers that its prefix cannot hold") from None
    tail = _suffix_head(platform, module, product, suffix_extensions, start)
    code = _filler(f"{platform.id} {module} {seed}", size - smallest)
    return _sealed(head + code + tail, suffix_size)


def application_module(platform: Platform, system_version: int) -> Module:
    """The application slot and dependency of a program built for the Device OS with this system part number.

    Applications need system part 2 where there are several system parts, and system part 1 elsewhere (facts 4.1). The
    module's own version is that of Tinker.

    Raises:
        FirmwareError: PFR4020 when the modules of the platform are not known.
    """
    if not platform.system_parts:
        raise _impossible(f"the modules of {platform} are not known")
    needed = max(slot for slot in platform.system_parts if slot.index <= 2)  # noqa: PLR2004  # facts 4.1: system 1 or 2
    users = [slot for slot in platform.bounds if slot.function is ModuleFunction.USER_PART]
    if len(users) > 1:
        users = [slot for slot in users if slot.index == (2 if system_version >= _USER_256K_FROM else 1)]
    return Module(slot=users[0], version=_TINKER_VERSION, first_dependency=Dependency(needed, system_version))


def build_application(
    platform: Platform, *, system_version: int, product: tuple[int, int] | None, size: int | None = None, seed: int = 0
) -> bytes:
    """An application built for the Device OS with this system part number, for a product id and version.

    Raises:
        FirmwareError: PFR4020, as for `build_module`.
    """
    module = application_module(platform, system_version)
    return build_module(platform, module, size=size, product=product, seed=seed)


def build_asset(name: str, content: bytes) -> bytes:
    """An asset module: the content compressed, with the hash and name by which applications ask for it (facts 1.7)."""
    extensions: tuple[Extension, ...] = (
        HashExtension(hash_type=0, digest=hashlib.sha256(content).digest()),
        NameExtension(name=name),
        ProductData(product_id=NO_PRODUCT, product_version=NO_PRODUCT),
    )
    tail = b"".join(map(encode_extension, extensions))
    payload = deflate(content)
    size = PREFIX_SIZE + len(payload) + len(tail) + SUFFIX_SIZE_MIN + CRC_SIZE
    prefix = Prefix(
        start_address=0,
        end_address=size - CRC_SIZE,
        mcu=0,
        flags=ModuleFlags.DROP_MODULE_INFO | ModuleFlags.COMPRESSED,
        platform_id=0,
        module=Module(slot=ModuleSlot(ModuleFunction.ASSET, 0), version=0),
    )
    return _sealed(prefix.encode() + payload + tail, len(tail) + SUFFIX_SIZE_MIN)


def compress_module(data: bytes) -> bytes:
    """The compressed form of a module (facts 1.8).

    Raises:
        FirmwareError: PFR4001 to PFR4010 when `data` is no valid module, PFR4020 when it is compressed already.
    """
    parsed = parse_module(data)
    if parsed.compression is not None:
        raise _impossible(f"{parsed.module} is compressed already")
    content = data
    if parsed.flags & ModuleFlags.DROP_MODULE_INFO:
        content = data[parsed.payload_offset : parsed.suffix_offset]
    behind_prefix = data[parsed.prefix_offset + PREFIX_SIZE : parsed.payload_offset]
    tail = data[parsed.suffix_offset : parsed.size - CRC_SIZE - SUFFIX_SIZE_MIN]
    payload = deflate(content)
    size = PREFIX_SIZE + len(behind_prefix) + len(payload) + parsed.suffix_size + CRC_SIZE
    prefix = Prefix(
        start_address=parsed.prefix.start_address,
        end_address=parsed.prefix.start_address + size - CRC_SIZE,
        mcu=parsed.prefix.mcu,
        flags=parsed.flags | ModuleFlags.COMPRESSED,
        platform_id=parsed.platform_id,
        module=parsed.module,
    )
    return _sealed(prefix.encode() + behind_prefix + payload + tail, parsed.suffix_size)


def combine_modules(modules: Iterable[bytes]) -> bytes:
    """One file of several modules, each but the last saying that another follows (facts 1.9).

    Raises:
        FirmwareError: PFR4001 to PFR4010 when one of them is no valid module, PFR4020 when there is none.
    """
    *firsts, last = tuple(modules) or (b"",)
    if not last:
        raise _impossible("there is nothing to combine")
    parse_module(last)
    return b"".join((*map(_with_another_behind, firsts), last))


def _with_another_behind(data: bytes) -> bytes:
    parsed = parse_module(data)
    flags_at = parsed.prefix_offset + 9
    flagged = data[:flags_at] + bytes((parsed.flags | ModuleFlags.COMBINED,)) + data[flags_at + 1 :]
    return _sealed(flagged[: -(CRC_SIZE + SUFFIX_SIZE_MIN)], parsed.suffix_size)


def _start_address(bounds: ModuleBounds, module: Module, size: int) -> int:
    if bounds.end_address is not None:
        return bounds.end_address + CRC_SIZE - size
    is_system = module.slot.function is ModuleFunction.SYSTEM_PART
    if is_system and len(bounds.start_addresses) > 1 and module.version >= _SYSTEM_MOVED_AT:
        return bounds.start_addresses[1]
    return bounds.start_addresses[0]


def _flags(bounds: ModuleBounds, behind_prefix: bytes) -> ModuleFlags:
    flags = ModuleFlags(0)
    if bounds.slot.function is ModuleFunction.RADIO_STACK:
        flags |= ModuleFlags.DROP_MODULE_INFO
    if bounds.encrypted:
        flags |= ModuleFlags.ENCRYPTED
    if behind_prefix:
        flags |= ModuleFlags.PREFIX_EXTENSIONS
    return flags


def _prefix_extension_bytes(extensions: Sequence[Extension]) -> bytes:
    """The extensions with an END that keeps what follows aligned."""
    if not extensions:
        return b""
    encoded = b"".join(map(encode_extension, extensions))
    end_size = len(encode_extension(EndExtension()))
    padding = -(len(encoded) + end_size) % _START_ALIGNMENT
    return encoded + encode_extension(EndExtension(padding=bytes(padding)))


def _suffix_head(
    platform: Platform,
    module: Module,
    product: tuple[int, int] | None,
    extensions: Sequence[Extension],
    start: int,
) -> bytes:
    """What stands in the suffix in front of its 36 bytes, product data last."""
    product_id, product_version = product or (NO_PRODUCT, NO_PRODUCT)
    if product is not None and not (0 <= product_id < NO_PRODUCT and 0 <= product_version < NO_PRODUCT):
        raise _impossible(f"product {product_id} version {product_version} does not fit into a module of {platform}")
    given = b"".join(map(encode_extension, extensions))
    if platform.mcu == "rtl872x":
        location = DynamicLocation(
            module_start_address=start, dynalib_load_address=start, dynalib_start_address=start + PREFIX_SIZE
        )
        data = ProductData(product_id=product_id, product_version=product_version)
        return given + encode_extension(location) + encode_extension(data)
    if module.slot.function in _WITHOUT_PRODUCT:
        return b""
    raw = struct.pack("<HH", product_id, product_version)
    assert len(raw) == RAW_PRODUCT_SIZE
    return given + (encode_extension(EndExtension()) if given else b"") + raw


def _vector_table(size: int, start: int, module_size: int) -> bytes:
    """Words as a vector table or image header has them: a stack pointer, then odd addresses inside the module."""
    words = size // 4
    inside = max(module_size - size, 4)
    entries = [start + size + (index * 8) % inside | 1 for index in range(words)]
    return struct.pack(f"<{words}I", _STACK_POINTER, *entries[1:]) if words else b""


def _filler(key: str, size: int) -> bytes:
    """Code: two thirds of it noise, the rest a page that repeats, so that Deflate saves about a third."""
    noise = hashlib.shake_128(key.encode()).digest(max(size * 2 // 3, min(size, 512)))
    page = noise[:512]
    repeats = -(-(size - len(noise)) // len(page)) if page else 0
    return noise + (page * repeats)[: size - len(noise)]


def _sealed(body: bytes, suffix_size: int) -> bytes:
    """The body with its last 36 bytes of suffix and the CRC; the hash first, because the CRC covers it."""
    body += bytes(2)  # the reserved field, which the hash covers too
    body += hashlib.sha256(body).digest() + struct.pack("<H", suffix_size)
    return body + struct.pack(">I", zlib.crc32(body))


def _impossible(reason: str) -> FirmwareError:
    return FirmwareError(
        "PFR4020", f"cannot build this module: {reason}", next_step="Ask for a module that the platform can have."
    )
