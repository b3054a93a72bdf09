"""The udev rules that let a person of this machine's desktop, or of the group `plugdev`, open Particle devices."""

from __future__ import annotations

from typing import Final

from reconciler.model.usb_ids import USB_IDS

RULES_FILE: Final = "/etc/udev/rules.d/50-particle.rules"


def udev_rules() -> str:
    """One line for each vendor and product id (facts 3). `MODE` for machines without a seat manager."""
    lines = [
        "# Particle devices in normal and DFU mode, for whoever sits at this machine and for the group plugdev.",
        f"# Put this into {RULES_FILE}, then: udevadm control --reload && udevadm trigger",
    ]
    seen = set()
    for ids in USB_IDS:
        for product_id in (ids.product_id, ids.dfu_product_id):
            if product_id is not None and (ids.vendor_id, product_id) not in seen:
                seen.add((ids.vendor_id, product_id))
                device = f'ATTRS{{idVendor}}=="{ids.vendor_id:04x}", ATTRS{{idProduct}}=="{product_id:04x}"'
                lines.append(f'SUBSYSTEM=="usb", {device}, MODE="0660", GROUP="plugdev", TAG+="uaccess"')
    return "\n".join(lines) + "\n"
