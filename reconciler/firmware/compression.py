"""Compressed payloads: an 8-byte header and a raw Deflate stream behind the prefix (facts 1.8).

The header states the uncompressed size, and that is a hard limit: not one byte more is ever produced, so that a small
file cannot fill the memory.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from reconciler.model.error import FirmwareError

HEADER_SIZE: Final = 8
_HEADER: Final = struct.Struct("<HBBI")
_DEFLATE: Final = 0
_WINDOW_BITS_DEFAULT: Final = 15
_WINDOW_BITS: Final = (0, *range(8, 16))

UNCOMPRESSED_SIZE_MAX: Final = 4 * 1024 * 1024
"""Bytes. The largest place for a module or an asset on any platform has 1.5 MiB (facts 3.2); more is a lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionHeader:
    """Where the stream lies in the file, and what it claims. Sizes in bytes; `window_bits` 8 to 15."""

    stream_offset: int
    stream_size: int
    window_bits: int
    uncompressed_size: int


def read_compression_header(content: bytes, start: int, end: int) -> CompressionHeader:
    """Read the header at `start`; the stream goes from there to `end`, the beginning of the suffix.

    Raises:
        FirmwareError: PFR4009 for a header that the facts do not allow.
    """
    if end - start < HEADER_SIZE:
        raise _malformed(start, f"{end - start} bytes are left for it, it has {HEADER_SIZE}")
    header_size, method, window_bits, size = _HEADER.unpack_from(content, start)
    if header_size != HEADER_SIZE:
        raise _malformed(start, f"it says that it is {header_size} bytes long instead of {HEADER_SIZE}")
    if method != _DEFLATE:
        raise _malformed(start, f"its method is {method}, and only {_DEFLATE} (Deflate) exists")
    if window_bits not in _WINDOW_BITS:
        raise _malformed(start, f"its window is 2^{window_bits} bytes, and only 2^8 to 2^15 exist")
    if size > UNCOMPRESSED_SIZE_MAX:
        raise _malformed(start, f"it claims {size} uncompressed bytes, and no device has room for them")
    return CompressionHeader(
        stream_offset=start + HEADER_SIZE,
        stream_size=end - start - HEADER_SIZE,
        window_bits=window_bits or _WINDOW_BITS_DEFAULT,
        uncompressed_size=size,
    )


def inflate(stream: bytes, header: CompressionHeader) -> bytes:
    """The uncompressed bytes of the stream: exactly as many as the header states.

    Raises:
        FirmwareError: PFR4009 when the stream is broken, cut off, followed by anything, or not of the stated size.
    """
    # Raw Deflate knows no 256-byte window of its own; a larger one reads the same stream.
    inflater = zlib.decompressobj(-max(header.window_bits, 9))
    try:
        content = inflater.decompress(stream, header.uncompressed_size + 1)
    except zlib.error as error:
        raise _malformed(header.stream_offset, f"its stream is broken ({error})") from None
    if len(content) > header.uncompressed_size:
        raise _malformed(
            header.stream_offset, f"its stream holds more than the stated {header.uncompressed_size} bytes"
        )
    if not inflater.eof:
        raise _malformed(header.stream_offset, "its stream is cut off")
    if len(content) != header.uncompressed_size:
        raise _malformed(
            header.stream_offset, f"its stream holds {len(content)} bytes instead of {header.uncompressed_size}"
        )
    if inflater.unused_data:
        raise _malformed(header.stream_offset, f"{len(inflater.unused_data)} bytes follow its stream")
    return content


def deflate(content: bytes) -> bytes:
    """Header and raw Deflate stream of the content, with the default window."""
    deflater = zlib.compressobj(level=9, wbits=-_WINDOW_BITS_DEFAULT)
    return _HEADER.pack(HEADER_SIZE, _DEFLATE, 0, len(content)) + deflater.compress(content) + deflater.flush()


def _malformed(offset: int, reason: str) -> FirmwareError:
    return FirmwareError(
        "PFR4009",
        f"the compressed data at offset {offset:#x} cannot be used: {reason}",
        next_step="Get the file from its source again; if it is the same there, its builder must repair it.",
    )
