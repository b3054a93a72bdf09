"""What a bootloader says of its memory: the configuration descriptor, and the text that each alternate setting has.

The text is ST's (facts 7.4): `@Internal Flash   /0x08000000/03*016Ka,01*016Kg`, that is a name, a start address, and
rows of sectors: how many, how large, and a letter whose bits say readable (1), erasable (2), writable (4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from reconciler.particle.usb import Segment
from reconciler.particle.usb_error import UsbGarbledError

_CONFIGURATION: Final = 2
_INTERFACE: Final = 4
_DFU_FUNCTIONAL: Final = 0x21
_CONFIGURATION_BYTES: Final = 9
_DFU_CLASS: Final = (0xFE, 0x01)
_TRANSFER_BYTES: Final = range(64, 4096 + 1)
"""What a bootloader may ask for: at least a packet, at most what a control transfer carries."""

_ADDRESSES: Final = 1 << 32
_TEXT: Final = re.compile(r"@(?P<name>[^/]*)(?P<regions>(?:/[^/]+/[^/]+)+)")
_REGION: Final = re.compile(r"/\s*0x(?P<start>[0-9A-Fa-f]{1,8})\s*/(?P<rows>[^/]+)")
_ROW: Final = re.compile(
    r"\s*(?P<count>[0-9]{1,6})\s*\*\s*(?P<size>[0-9]{1,6})\s?(?P<unit>[ BKM]?)\s*(?P<kind>[a-g])\s*", re.ASCII
)
_UNITS: Final = {"": 1, " ": 1, "B": 1, "K": 1 << 10, "M": 1 << 20}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternate:
    """One alternate setting of the DFU interface: its number and the number of its text; 0: it has none."""

    number: int
    text_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DfuInterface:
    """What the configuration descriptor says: the settings, and how many bytes one transfer may carry."""

    alternates: tuple[Alternate, ...]
    transfer_bytes: int


def parse_configuration(data: bytes) -> DfuInterface:
    """Read a configuration descriptor (USB 2.0, 9.6.3; DFU 1.1, 4.1.3) for its DFU interface, number 0.

    Raises:
        UsbGarbledError: It is no configuration, is broken, or has no DFU interface with a sensible transfer size.
    """
    if len(data) < _CONFIGURATION_BYTES or data[1] != _CONFIGURATION:
        raise UsbGarbledError("the configuration descriptor is broken")
    alternates: list[Alternate] = []
    transfer_bytes = 0
    offset = data[0]
    while offset + 2 <= len(data):
        size, kind = data[offset], data[offset + 1]
        body = data[offset : offset + size]
        if size < 2 or len(body) < size:  # noqa: PLR2004  # length and type
            raise UsbGarbledError(f"the descriptor at byte {offset} of the configuration is broken")
        if kind == _INTERFACE and size >= 9 and (body[2], *body[5:7]) == (0, *_DFU_CLASS):  # noqa: PLR2004  # USB 9.6.5
            alternates.append(Alternate(number=body[3], text_number=body[8]))
        elif kind == _DFU_FUNCTIONAL and size >= 7:  # noqa: PLR2004  # DFU 4.1.3, up to wTransferSize
            transfer_bytes = int.from_bytes(body[5:7], "little")
        offset += size
    if not alternates or transfer_bytes not in _TRANSFER_BYTES:
        raise UsbGarbledError(f"no DFU interface, or one that wants {transfer_bytes} bytes a transfer")
    return DfuInterface(alternates=tuple(alternates), transfer_bytes=transfer_bytes)


def is_layout(text: str) -> bool:
    """Whether a text means to describe memory."""
    return text.startswith("@")


def parse_layout(text: str) -> tuple[str, tuple[Segment, ...]]:
    """Read the name and the rows of sectors.

    Raises:
        UsbGarbledError: The text is another, or names sectors without a size or outside of 32 bits.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise UsbGarbledError(f"{text[:80]!r} describes no memory")
    segments: list[Segment] = []
    for region in _REGION.finditer(found["regions"]):
        address = int(region["start"], 16)
        for row in region["rows"].rstrip(", ").split(","):
            segment = _segment(row, address, text)
            segments.append(segment)
            address = segment.end
    if not segments or found["regions"].count("/") != 2 * len(_REGION.findall(found["regions"])):
        raise UsbGarbledError(f"{text[:80]!r} describes no memory")
    return found["name"].strip(), tuple(segments)


def _segment(row: str, address: int, text: str) -> Segment:
    found = _ROW.fullmatch(row)
    size = int(found["size"]) * _UNITS[found["unit"]] if found else 0
    end = address + size * (int(found["count"]) if found else 0)
    if found is None or not address < end <= _ADDRESSES:
        raise UsbGarbledError(f"{text[:80]!r} describes no memory: {row[:20]!r}")
    bits = ord(found["kind"]) - ord("a") + 1
    return Segment(
        start=address,
        end=end,
        sector_bytes=size,
        readable=bool(bits & 1),
        erasable=bool(bits & 2),
        writable=bool(bits & 4),
    )
