"""Eyes in the cloud: one product, or the devices of the token's owner.

A module report is attached only to a device in safe mode, and only when the report is not older than the device's last
handshake: each session in safe mode brings a report of its own (facts 4.6), and an older one tells of another boot.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

import msgspec

from reconciler.inventory.conversion import observed_device
from reconciler.inventory.hearing import Hearing
from reconciler.inventory.holdings import Holdings
from reconciler.model.device import DeviceId, DeviceMode, Observation, ObservedDevice, Product
from reconciler.model.instant import Instant
from reconciler.model.version import ApplicationVersion
from reconciler.particle.api import ParticleApi
from reconciler.particle.error import RefusedError
from reconciler.particle.listing import Page, PageReader
from reconciler.particle.records import DeviceRecord

REPORT_SLACK_SECONDS: Final = 5.0
"""A report and the handshake of its session are stamped by different machines of the cloud."""

Keep = Callable[[int, Callable[[], Page]], Page]
"""A page by its number, and how to read it now."""


class CloudInventory:
    """Devices as the Particle API shows them. `product` is an id or slug; None: the token's own devices.

    `keep` stands before the reading of each page and may answer with one that was read before.
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
        keep: Keep | None = None,
        contents_of: Collection[ApplicationVersion] = (),
    ) -> None:
        self._api = api
        self._product = product
        self._hearing = hearing
        self._clock = clock
        self._keep = keep
        self._known: Product | None = None
        self._holdings = None if product is None else Holdings(api, product, contents_of)
        self._requests_a_look = 1

    @property
    def requests_a_look(self) -> int:
        """How many requests the last look at all devices took."""
        return self._requests_a_look

    def observe(self) -> Observation:
        """All devices. Raises WireError when the cloud cannot be read; the time is that of the oldest page."""
        records: dict[str, DeviceRecord] = {}
        seen = self.read_into(lambda page: records.update((record.id, record) for record in page.records))
        findings = list(seen.findings)
        devices: list[ObservedDevice] = []
        self._requests_a_look = max(1, -(-len(records) // self._api.page_size)) if self._product is not None else 1
        for device_id in sorted(records):
            converted = observed_device(records[device_id], seen.observed_at)
            findings += converted.findings
            devices.append(self._with_report(converted.device))
        return replace(seen, devices=tuple(devices), findings=tuple(findings))

    def read_into(self, take: Callable[[Page], None]) -> Observation:
        """Give every page of devices to `take`, in turn; what the observation is besides its devices. Raises WireError.

        A device may come twice: the last time counts.
        """
        started_at = self._clock()
        products, problems = self._products()
        if self._product is None:
            ending = PageReader(self._kept(lambda number: _own(self._api.own_page(number)))).read_into(take)
        else:
            ending = self._api.pages_through(self._kept(self._page_of_product)).read_into(take)
        return Observation(
            observed_at=started_at if ending.dated is None else ending.dated,
            source="cloud",
            devices=(),
            complete=ending.complete,
            findings=(*ending.findings, *problems),
            products=products,
        )

    def _kept(self, read: Callable[[int], Page]) -> Callable[[int], Page]:
        keep = self._keep
        return read if keep is None else lambda number: keep(number, lambda: read(number))

    def _page_of_product(self, number: int) -> Page:
        assert self._product is not None
        return self._of_product(self._api.product_page(self._product, number))

    def _of_product(self, page: Page) -> Page:
        """As far as the product's number is known, the devices that do not say that they are of another one."""
        if self._product is not None and self._product.isdecimal():
            return _of_product(page, int(self._product))
        return page if self._known is None else _of_product(page, self._known.id)

    def observe_device(self, device_id: DeviceId) -> ObservedDevice | None:
        """One device; None also when it says that it is of another product. Raises WireError."""
        started_at = self._clock()
        found = self._api.device(device_id, self._product)
        if found is None:
            return None
        observed_at = started_at if found.dated is None else found.dated
        ours = self._of_product(Page(records=(found.record,))).records
        return self._with_report(observed_device(ours[0], observed_at).device) if ours else None

    @property
    def page_size(self) -> int | None:
        """Devices on a page of the list, in the order of their ids; None: there is one page, with all of them."""
        return None if self._product is None else self._api.page_size

    def observe_page(self, number: int) -> Observation:
        """The devices on one page of the list, counted from 1, as it is now. Raises WireError."""
        started_at = self._clock()
        page = self._page_of_product(number) if self._product is not None else _own(self._api.own_page(number))
        observed_at = started_at if page.dated is None else page.dated
        converted = [observed_device(record, observed_at) for record in page.records]
        return Observation(
            observed_at=observed_at,
            source="cloud",
            devices=tuple(self._with_report(each.device) for each in converted),
            complete=not page.left_out,
            findings=(*page.findings, *(finding for each in converted for finding in each.findings)),
        )

    def observe_products(self) -> tuple[tuple[Product, ...], tuple[str, ...]]:
        """The product with what it holds now, and what of it could not be read. Raises WireError."""
        return self._products()

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


def _own(page: Page) -> Page:
    """Without the devices of products, which the cloud lists besides."""
    return msgspec.structs.replace(
        page,
        records=tuple(each for each in page.records if each.product_id is None or each.product_id == each.platform_id),
    )


def _of_product(page: Page, product_id: int) -> Page:
    """As a product's list: who does not say whose it is belongs to the product; who says another one is left out."""
    records = []
    findings = list(page.findings)
    for record in page.records:
        if record.product_id is None:
            records.append(msgspec.structs.replace(record, product_id=product_id))
        elif record.product_id == product_id:
            records.append(record)
        else:
            whose = f"it is listed by product {product_id} and says that it is of {record.product_id}"
            findings.append(f"device {record.id} left out: {whose}")
    return msgspec.structs.replace(
        page,
        records=tuple(records),
        left_out=page.left_out + len(page.records) - len(records),
        findings=tuple(findings),
    )
