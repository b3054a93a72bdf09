"""Module binaries: bytes in, everything that they say of themselves out; or a refusal that names the place.

The rules, in this order (facts 1.1 to 1.9):
1. The prefix stands where it is documented for the platform, function and index that it names.
2. The file is exactly as long as the prefix's addresses say.
3. The CRC over everything in front of it holds.
4. Suffix and extensions fit into the file and into each other.
5. The SHA-256 holds for user, system and bootloader modules; the vendor's radio stacks and NCP images carry a
   placeholder there.

Why so strict: what a device would refuse, or what we do not understand, must never be sent. The work is linear in the
size of the input, whatever it holds.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from reconciler.firmware.compression import CompressionHeader, inflate, read_compression_header
from reconciler.firmware.extension import EndExtension, Extension, ProductData, read_extensions
from reconciler.firmware.prefix import CRC_SIZE, OFFSETS, PREFIX_SIZE, Candidate, ModuleFlags, Prefix, candidates
from reconciler.model.error import FirmwareError
from reconciler.model.module import Module, ModuleFunction

SUFFIX_SIZE_MIN: Final = 36
SHA256_SIZE: Final = 32
RAW_PRODUCT_SIZE: Final = 4
NO_PRODUCT: Final = 0xFFFF
_SHA_HOLDS_FOR: Final = (ModuleFunction.USER_PART, ModuleFunction.SYSTEM_PART, ModuleFunction.BOOTLOADER)
_FILE_SIZE_MIN: Final = PREFIX_SIZE + SUFFIX_SIZE_MIN + CRC_SIZE
_FETCH_AGAIN: Final = "Get the file from its source again, and compare its checksum there."


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedModule:
    """All that one module says of itself.

    - `offset` is where it begins in its file, `size` how many bytes it has with its CRC.
    - `prefix_offset` counts from `offset`; `prefix_size` is 24 plus the prefix extensions.
    - `suffix_size` counts as the module does: from the first suffix extension to the CRC.
    - `product_id` and `product_version` are the two u16 in front of the suffix base as they stand there (0xffff: none;
      see `product`), and None in a suffix too short for them.
    - `sha256` is the hash stored in the suffix (hexadecimal), not the hash of the file; `crc` is stored and right.
    - `compression` is there when the payload is compressed.
    """

    offset: int
    size: int
    prefix: Prefix
    prefix_offset: int
    prefix_extensions: tuple[Extension, ...]
    prefix_size: int
    suffix_extensions: tuple[Extension, ...]
    suffix_size: int
    reserved: int
    product_id: int | None
    product_version: int | None
    sha256: str
    crc: int
    compression: CompressionHeader | None

    @property
    def module(self) -> Module:
        """Slot, version and dependencies."""
        return self.prefix.module

    @property
    def platform_id(self) -> int:
        """The platform it was built for; 0 for assets."""
        return self.prefix.platform_id

    @property
    def flags(self) -> ModuleFlags:
        """The flags of its prefix."""
        return self.prefix.flags

    @property
    def payload_offset(self) -> int:
        """Where in the module the bytes between the prefix with its extensions and the suffix begin."""
        return self.prefix_offset + self.prefix_size

    @property
    def suffix_offset(self) -> int:
        """Where in the module the suffix begins."""
        return self.size - CRC_SIZE - self.suffix_size

    @property
    def product(self) -> tuple[int, int] | None:
        """Product id and version, or None. Zeros mean none in everything but applications (facts 1.6)."""
        if self.product_id is None or self.product_version is None:
            return None
        if NO_PRODUCT in (self.product_id, self.product_version):
            return None
        is_application = self.module.slot.function in (ModuleFunction.USER_PART, ModuleFunction.MONO_FIRMWARE)
        if not is_application and (self.product_id, self.product_version) == (0, 0):
            return None
        return self.product_id, self.product_version


def parse_module(data: bytes) -> ParsedModule:
    """Read a file that holds one module.

    Raises:
        FirmwareError: PFR4001 to PFR4010, each naming what is wrong and at which offset.
    """
    parsed = _parsed_at(data, 0, alone=True)
    if parsed.flags & ModuleFlags.COMBINED:
        raise FirmwareError(
            "PFR4010",
            "the flags say that another module follows, and none does",
            next_step="Get the whole combined file, or the module that is meant to stand alone.",
        )
    return parsed


def parse_file(data: bytes) -> tuple[ParsedModule, ...]:
    """Read a file that holds one module, or several of which all but the last say that another follows (facts 1.9).

    Raises:
        FirmwareError: PFR4001 to PFR4010.
    """
    found: list[ParsedModule] = []
    offset = 0
    while not found or found[-1].flags & ModuleFlags.COMBINED:
        if found and offset == len(data):
            raise FirmwareError(
                "PFR4010",
                f"the module at offset {found[-1].offset:#x} says that another follows, and the file ends",
                next_step="The file is cut off; get it from its source again.",
            )
        parsed = _parsed_at(data, offset, alone=False)
        found.append(parsed)
        offset += parsed.size
    if offset != len(data):
        raise FirmwareError(
            "PFR4003",
            f"{len(data) - offset} bytes follow the last module, which ends at offset {offset:#x}",
            next_step="The file is padded, or a module in front lacks the flag that another follows.",
        )
    return tuple(found)


def uncompressed(parsed: ParsedModule, data: bytes) -> bytes:
    """What was compressed: the complete original module, or its payload alone if it drops its module information.

    `data` is the file that `parsed` was read from. The stated size is a hard limit.

    Raises:
        FirmwareError: PFR4009 when nothing is compressed here, when the stream cannot be used, or when the module
            inside is another one than the module around it; PFR4001 to PFR4010 when there is no module inside.
    """
    header = parsed.compression
    if header is None:
        raise FirmwareError("PFR4009", f"{parsed.module} is not compressed", next_step="Use the file as it is.")
    content = inflate(data[header.stream_offset : header.stream_offset + header.stream_size], header)
    if parsed.flags & ModuleFlags.DROP_MODULE_INFO:
        return content
    inner = parse_module(content)
    if (inner.module, inner.platform_id) != (parsed.module, parsed.platform_id) or inner.compression is not None:
        raise FirmwareError(
            "PFR4009",
            f"{parsed.module} of platform {parsed.platform_id} holds another module: {inner.module} of platform "
            f"{inner.platform_id}",
            next_step=_FETCH_AGAIN,
        )
    return content


def _parsed_at(data: bytes, base: int, *, alone: bool) -> ParsedModule:
    prefix, prefix_offset = _found_prefix(data, base, alone=alone)
    end = base + prefix.module_size
    crc = _checked_crc(data, base, end)
    prefix_end = base + prefix_offset + PREFIX_SIZE
    suffix_start = _suffix_start(data, prefix_end, end)
    prefix_extensions, payload = _prefix_extensions(data, prefix, prefix_end, suffix_start)
    suffix_extensions = _suffix_extensions(data, suffix_start, end)
    stored_sha = data[end - CRC_SIZE - 2 - SHA256_SIZE : end - CRC_SIZE - 2]
    _check_sha256(data, base, end, prefix, stored_sha)
    suffix_size = end - CRC_SIZE - suffix_start
    has_product = suffix_size >= SUFFIX_SIZE_MIN + RAW_PRODUCT_SIZE
    product_id, product_version, reserved = struct.unpack_from("<HHH", data, end - 44)
    return ParsedModule(
        offset=base,
        size=end - base,
        prefix=prefix,
        prefix_offset=prefix_offset,
        prefix_extensions=prefix_extensions,
        prefix_size=payload - base - prefix_offset,
        suffix_extensions=suffix_extensions,
        suffix_size=suffix_size,
        reserved=reserved,
        product_id=product_id if has_product else None,
        product_version=product_version if has_product else None,
        sha256=stored_sha.hex(),
        crc=crc,
        compression=(
            read_compression_header(data, payload, suffix_start) if prefix.flags & ModuleFlags.COMPRESSED else None
        ),
    )


def _found_prefix(data: bytes, base: int, *, alone: bool) -> tuple[Prefix, int]:
    left = len(data) - base
    if left < _FILE_SIZE_MIN:
        raise FirmwareError(
            "PFR4001",
            f"{left} bytes at offset {base:#x} are too few: the smallest module has {_FILE_SIZE_MIN}",
            next_step="The file is empty or cut off; get it from its source again.",
        )
    seen = tuple(candidates(data, base))
    fitting = []
    for candidate in seen:
        if (prefix := candidate.prefix) is not None:
            # What follows a combined module is another one, so only there may the file go on.
            may_go_on = not alone and bool(prefix.flags & ModuleFlags.COMBINED)
            smallest = candidate.offset + _FILE_SIZE_MIN
            if prefix.module_size >= smallest and (
                prefix.module_size == left or (may_go_on and prefix.module_size < left)
            ):
                fitting.append((prefix, candidate.offset))
    match fitting:
        case [found]:
            return found
        case []:
            raise _no_prefix(max(seen, key=lambda c: c.likeness), base, left)
        case _:
            places = ", ".join(f"{base + offset:#x}" for _, offset in fitting)
            raise FirmwareError(
                "PFR4002",
                f"more than one place holds a module prefix: {places}",
                next_step="No honest build makes such a file; get it from its source again.",
            )


_MODULE_LIKE: Final = 5
"""Likeness from which on it helps more to say what is wrong with a prefix than that there is none."""


def _no_prefix(best: Candidate, base: int, left: int) -> FirmwareError:
    place = f"offset {base + best.offset:#x}"
    if best.prefix is not None:
        prefix = best.prefix
        how = "padded, or not all of it is this module"
        if prefix.module_size > left:
            how = "cut off"
        elif prefix.module_size == left:
            how = "too short to hold prefix, suffix and CRC"
        return FirmwareError(
            "PFR4003",
            f"the prefix at {place} gives {prefix.module} from {prefix.start_address:#010x} to "
            f"{prefix.end_address:#010x}, which is {prefix.module_size} bytes; "
            f"the file has {left} there, so it is {how}",
            next_step=_FETCH_AGAIN,
        )
    if best.likeness >= _MODULE_LIKE:
        return FirmwareError(
            "PFR4006",
            f"the prefix at {place} is not one that we know: {best.problem}",
            next_step="If this is a real module of a new platform, the platform must be added first.",
        )
    places = ", ".join(f"{base + offset:#x}" for offset in OFFSETS)
    return FirmwareError(
        "PFR4002",
        f"nothing at the documented places of a module prefix ({places}) is one",
        next_step="This is no module binary; check what the file is.",
    )


def _checked_crc(data: bytes, base: int, end: int) -> int:
    place = end - CRC_SIZE
    stored = int.from_bytes(data[place:end], "big")
    computed = zlib.crc32(memoryview(data)[base:place])
    if stored != computed:
        raise FirmwareError(
            "PFR4004",
            f"the CRC at offset {place:#x} is {stored:08x}, the bytes in front of it give {computed:08x}",
            next_step=_FETCH_AGAIN,
        )
    return stored


def _suffix_start(data: bytes, prefix_end: int, end: int) -> int:
    place = end - CRC_SIZE - 2
    size = int.from_bytes(data[place : place + 2], "little")
    start = end - CRC_SIZE - size
    if size < SUFFIX_SIZE_MIN or start < prefix_end:
        raise FirmwareError(
            "PFR4007",
            f"the suffix size at offset {place:#x} is {size}; a suffix has at least {SUFFIX_SIZE_MIN} bytes, and "
            f"{end - CRC_SIZE - prefix_end} lie between prefix and CRC",
            next_step=_FETCH_AGAIN,
        )
    return start


def _check_sha256(data: bytes, base: int, end: int, prefix: Prefix, stored: bytes) -> None:
    if prefix.module.slot.function not in _SHA_HOLDS_FOR:
        return
    place = end - CRC_SIZE - 2 - SHA256_SIZE
    computed = hashlib.sha256(memoryview(data)[base:place]).digest()
    if stored != computed:
        raise FirmwareError(
            "PFR4005",
            f"the SHA-256 at offset {place:#x} is {stored.hex()[:12]}…, the bytes in front of it give "
            f"{computed.hex()[:12]}…",
            next_step="The module was changed after it was built, and only its CRC was repaired. Do not use it.",
        )


def _prefix_extensions(data: bytes, prefix: Prefix, start: int, end: int) -> tuple[tuple[Extension, ...], int]:
    if not prefix.flags & ModuleFlags.PREFIX_EXTENSIONS:
        return (), start
    extensions, behind = read_extensions(data, start, end)
    if not extensions or not isinstance(extensions[-1], EndExtension):
        raise FirmwareError(
            "PFR4008", f"the prefix extensions at offset {start:#x} have no END", next_step=_FETCH_AGAIN
        )
    return extensions, behind


def _suffix_extensions(data: bytes, start: int, module_end: int) -> tuple[Extension, ...]:
    """The last four bytes of the region are always product id and version (facts 1.6)."""
    end = module_end - CRC_SIZE - SUFFIX_SIZE_MIN
    if end - start in (0, RAW_PRODUCT_SIZE):
        return ()
    extensions, behind = read_extensions(data, start, end)
    match extensions[-1]:
        case EndExtension() if end - behind == RAW_PRODUCT_SIZE:
            return extensions
        case ProductData() if end == behind:
            return extensions
    raise FirmwareError(
        "PFR4007",
        f"the suffix extensions up to offset {behind:#x} end neither with PRODUCT_DATA nor with END and "
        f"{RAW_PRODUCT_SIZE} bytes of product data; {end - behind} bytes are left",
        next_step=_FETCH_AGAIN,
    )
