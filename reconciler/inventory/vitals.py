"""Have devices report their vitals: what the cloud has is read, and who has nothing newer is asked (facts 5.9)."""

from __future__ import annotations

from reconciler.inventory.signs import Signs
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant, instant_from_iso
from reconciler.particle.api import ParticleApi


class CloudVitals:
    """Vitals of one product's devices (None: the token's own), read into `signs`. Two requests a device at most."""

    def __init__(self, api: ParticleApi, *, product: str | None, signs: Signs) -> None:
        self._api = api
        self._product = product
        self._signs = signs

    def ask(self, device_id: DeviceId, newer_than: Instant) -> None:
        """Read the last report; unless it is newer, ask the device for one, which comes as an event.

        Raises WireError.
        """
        last = self._api.last_vitals(device_id, self._product)
        dated = None if last is None else _instant(last.updated_at)
        if last is not None and dated is not None and dated > newer_than:
            self._signs.keep_vitals(device_id, bytes(last.payload).decode("utf-8", errors="replace"), dated)
        else:
            self._api.refresh_vitals(device_id, self._product)


def _instant(text: str | None) -> Instant | None:
    try:
        return None if text is None else instant_from_iso(text)
    except (ValueError, OverflowError):
        return None
