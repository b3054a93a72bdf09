"""One observation of several: what was seen of each product, together."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.device import DeviceId, Observation, ObservedDevice, Product
from reconciler.model.instant import Instant


def merged(observations: Sequence[Observation], *, now: Instant) -> Observation:
    """One observation; its time is the earliest (`now` when there is none).

    A device of two products is shown once, as the last of them shows it, and is a finding. A product that was looked at
    twice, by its number and by its slug, is none.
    """
    devices: dict[DeviceId, ObservedDevice] = {}
    products: dict[int, Product] = {}
    findings: list[str] = []
    for observation in observations:
        findings += observation.findings
        products |= {product.id: product for product in observation.products}
        for device in observation.devices:
            if device.id in devices and devices[device.id].product_id != device.product_id:
                findings.append(f"device {device.id} was seen in two products")
            devices[device.id] = device
    return Observation(
        observed_at=min((observation.observed_at for observation in observations), default=now),
        source="cloud",
        devices=tuple(devices[device_id] for device_id in sorted(devices)),
        complete=all(observation.complete for observation in observations),
        findings=tuple(findings),
        products=tuple(products[product_id] for product_id in sorted(products)),
    )
