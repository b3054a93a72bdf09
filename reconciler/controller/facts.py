"""What is kept beside every request that changes something: what was seen before it and at its attempt's end. Pure."""

from __future__ import annotations

from typing import assert_never

from reconciler.model.action import ProductAction, ReleaseApplication, UploadApplication
from reconciler.model.device import ObservedDevice, Product
from reconciler.model.external_write import Facts
from reconciler.model.instant import iso_from_instant


def facts_of(device: ObservedDevice) -> Facts:
    """What a request to a device may change of it."""
    handshake = device.last_handshake_at
    return {
        "observed_at": iso_from_instant(device.observed_at),
        "online": device.online,
        "mode": None if device.mode is None else device.mode.value,
        "device_os": device.device_os,
        "application": device.application,
        "lock": device.desired_application,
        "release": device.targeted_application,
        "last_handshake_at": None if handshake is None else iso_from_instant(handshake),
    }


def facts_of_product(product: Product, action: ProductAction) -> Facts:
    """What an action on a product may change of it."""
    held = product.held(action.application)
    match action:
        case UploadApplication():
            return {"holds": held is not None, "sha256": None if held is None else held.sha256}
        case ReleaseApplication(groups=groups, product_default=is_default):
            released: dict[str, int | None] = {f"group {group}": product.released_to(group) for group in groups}
            return {**released, "default": product.released_to(None)} if is_default else released
        case _:
            assert_never(action)
