"""What each platform is on the USB bus, one row each: vendor and product ids, and quirks.

Source: facts section 3 and `facts/platforms.json`; a test compares every row with that file. To add a platform, add a
row. Ids without a row are no Particle device to us, and are never touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.model.platform import Platform, platform_by_name

_PARTICLE: Final = 0x2B04
_OPENMOKO: Final = 0x1D50


@dataclass(frozen=True, slots=True, kw_only=True)
class UsbIds:
    """The ids of one platform.

    - `product_id` is that of normal mode and safe mode, `dfu_product_id` that of the bootloader; None: it has none.
    - `out_needs_data`: a transfer to the device without a single byte of data is never answered; one byte goes along.
    - `control_requests`: False for a device that does not know the vendor's requests at all.
    """

    platform: Platform
    vendor_id: int
    product_id: int
    dfu_product_id: int | None
    out_needs_data: bool = False
    control_requests: bool = True


def _row(name: str, product_id: int, dfu_product_id: int | None, *, vendor_id: int = _PARTICLE) -> UsbIds:
    platform = platform_by_name(name)
    assert platform is not None
    return UsbIds(
        platform=platform,
        vendor_id=vendor_id,
        product_id=product_id,
        dfu_product_id=dfu_product_id,
        out_needs_data=platform.mcu == "rtl872x",
        control_requests=platform.generation > 1,
    )


USB_IDS: Final = (
    _row("core", 0x607D, 0x607F, vendor_id=_OPENMOKO),
    _row("photon", 0xC006, 0xD006),
    _row("p1", 0xC008, 0xD008),
    _row("electron", 0xC00A, 0xD00A),
    _row("argon", 0xC00C, 0xD00C),
    _row("boron", 0xC00D, 0xD00D),
    _row("xenon", 0xC00E, 0xD00E),
    _row("esomx", 0xC00F, 0xD00F),
    _row("asom", 0xC016, 0xD016),
    _row("bsom", 0xC017, 0xD017),
    _row("xsom", 0xC018, 0xD018),
    _row("b5som", 0xC019, 0xD019),
    _row("tracker", 0xC01A, 0xD01A),
    _row("trackerm", 0xC01C, 0xD01C),
    _row("p2", 0xC020, 0xD020),
    _row("msom", 0xC023, 0xD023),
    _row("electron2", 0xC025, 0xD025),
    _row("sulu", 0xC026, 0xD026),
    _row("tachyon", 0xC02A, None),
)

_NORMAL: Final = {(ids.vendor_id, ids.product_id): ids for ids in USB_IDS}
_DFU: Final = {(ids.vendor_id, ids.dfu_product_id): ids for ids in USB_IDS}
_BY_PLATFORM: Final = {ids.platform.id: ids for ids in USB_IDS}


def ids_in_normal_mode(vendor_id: int, product_id: int) -> UsbIds | None:
    """Whose ids these are in normal mode, or None."""
    return _NORMAL.get((vendor_id, product_id))


def ids_in_dfu_mode(vendor_id: int, product_id: int) -> UsbIds | None:
    """Whose ids these are in DFU mode, or None."""
    return _DFU.get((vendor_id, product_id))


def ids_of(platform: Platform) -> UsbIds | None:
    """The ids of a platform; None: it has no USB of its own."""
    return _BY_PLATFORM.get(platform.id)
