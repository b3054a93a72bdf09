"""Eyes in the cloud: one product, or the devices of the token's owner.

A module report is attached only to a device in safe mode, and only when the report is not older than the device's last
handshake: each session in safe mode brings a report of its own (facts 4.6), and an older one tells of another boot.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

from reconciler.inventory.conversion import observed_device
from reconciler.inventory.hearing import Hearing
from reconciler.inventory.holdings import Holdings
from reconciler.model.device import DeviceId, DeviceMode, Observation, ObservedDevice, Product
from reconciler.model.instant import Instant
from reconciler.model.version import ApplicationVersion
from reconciler.particle.api import ParticleApi
from reconciler.particle.error import RefusedError
from reconciler.particle.records import DeviceRecord

REPORT_SLACK_SECONDS: Final = 5.0
"""A report and the handshake of its session are stamped by different machines of the cloud."""


class CloudInventory:
    """Devices as the Particle API shows them. `product` is an id or slug; None: the token's own devices.

    Own devices are those whose product is their platform (contracts 4); what the API lists besides belongs to products.
    Observations carry the time of the cloud's own answers, so that they compare with handshakes and events; `clock`,
    wall time, stands in where an answer is not dated. `hearing` may be None: then no device has reported modules.
    `contents_of` are the application versions of which is read what is in them.
    """

    def __init__(
        self,
        api: ParticleApi,
        *,
        product: str | None,
        hearing: Hearing | None,
        clock: Callable[[], Instant],
        contents_of: Collection[ApplicationVersion] = (),
    ) -> None:
        self._api = api
        self._product = product
        self._hearing = hearing
        self._clock = clock
        self._known: Product | None = None
        self._holdings = None if product is None else Holdings(api, product, contents_of)

    def observe(self) -> Observation:
        """All devices. Raises WireError when the cloud cannot be read; the time is that of the first answer."""
        started_at = self._clock()
        if self._product is None:
            listing = self._api.own_devices()
            records = [record for record in listing.records if _is_own(record)]
        else:
            listing = self._api.product_devices(self._product)
            records = list(listing.records)
        observed_at = started_at if listing.dated is None else listing.dated
        findings = list(listing.findings)
        devices: list[ObservedDevice] = []
        for record in records:
            converted = observed_device(record, observed_at)
            findings += converted.findings
            devices.append(self._with_report(converted.device))
        products, problems = self._products()
        return Observation(
            observed_at=observed_at,
            source="cloud",
            devices=tuple(devices),
            complete=listing.complete,
            findings=(*findings, *problems),
            products=products,
        )

    def observe_device(self, device_id: DeviceId) -> ObservedDevice | None:
        """One device. Raises WireError."""
        started_at = self._clock()
        found = self._api.device(device_id, self._product)
        if found is None:
            return None
        observed_at = started_at if found.dated is None else found.dated
        return self._with_report(observed_device(found.record, observed_at).device)

    def _products(self) -> tuple[tuple[Product, ...], tuple[str, ...]]:
        """The product with what it holds, and what could not be read. Number and slug never change: asked once."""
        if self._product is not None and self._known is None:
            try:
                record = self._api.product(self._product)
            except RefusedError:
                # A token may list the devices of a product and not see the product; then only its number is known.
                record = None
            if record is not None and record.slug is not None:
                self._known = Product(id=record.id, slug=record.slug)
        if self._known is None or self._holdings is None:
            return (), ()
        holds, problems = self._holdings.look()
        return (replace(self._known, holds=holds),), problems

    def _with_report(self, device: ObservedDevice) -> ObservedDevice:
        if device.mode is not DeviceMode.SAFE_MODE or self._hearing is None or device.last_handshake_at is None:
            return device
        report = self._hearing.module_report(device.id)
        if report is None or report.reported_at < device.last_handshake_at - REPORT_SLACK_SECONDS:
            return device
        return replace(device, modules=report.modules)


def _is_own(record: DeviceRecord) -> bool:
    return record.product_id is None or record.product_id == record.platform_id
