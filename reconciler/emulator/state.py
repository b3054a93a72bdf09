"""All that the pretend cloud knows and does, for the calls of the API to work on; and one call as they see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from reconciler.emulator.artifact import Payload
from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.emulator.device import Device
from reconciler.emulator.events import Hub
from reconciler.emulator.faults import Faults
from reconciler.emulator.life import Life
from reconciler.emulator.message import Answer, ApiError, Body, Request, read_body
from reconciler.emulator.products import Product
from reconciler.emulator.records import ArtifactNote, RequestKind
from reconciler.emulator.register import Register
from reconciler.emulator.world import SystemFlash, TokenLine
from reconciler.model.instant import Instant


@dataclass(slots=True, kw_only=True)
class State:
    """The cloud's state. `products` by number; `base_url` is how clients reach the cloud."""

    tokens: tuple[TokenLine, ...]
    products: dict[int, Product]
    devices: Register
    life: Life
    hub: Hub
    faults: Faults
    binaries: EmulatedBinaries
    direct_system_flash: SystemFlash = SystemFlash.ALLOWED
    base_url: str = ""

    def product(self, id_or_slug: str) -> Product:
        """A product by number or slug. Raises ApiError 404."""
        for product in self.products.values():
            if id_or_slug in (str(product.id), product.slug):
                return product
        raise ApiError(404, "Product not found", f"No product {id_or_slug}")


@dataclass(slots=True, kw_only=True)
class Call:
    """One request on its way through the API, and what the log will say of it. `payload`: what it sends to a device."""

    request: Request
    ordinal: int
    now: Instant
    state: State
    token: TokenLine | None
    parameters: dict[str, str] = field(default_factory=dict)
    kind: RequestKind = RequestKind.OTHER
    device_id: str | None = None
    shows: tuple[str, ...] = ()
    artifact: ArtifactNote | None = None
    lock_version: int | None = None
    flash_now: bool = False
    reaches: tuple[str, ...] = ()
    payload: Payload | None = None
    _body: Body | None = None

    @property
    def body(self) -> Body:
        """What the body says. Raises ApiError 400."""
        if self._body is None:
            self._body = read_body(self.request)
        return self._body

    @property
    def product(self) -> Product | None:
        """The product of the path; None: the path is about devices of the token's owner. Raises ApiError 404."""
        name = self.parameters.get("product")
        return self.state.product(name) if name is not None else None

    @property
    def device(self) -> Device:
        """The device of the path, if it belongs where the path says. Raises ApiError 404."""
        device = self.state.devices.get(self.parameters["device"].lower())
        product = self.product
        if device is None or device.product_id != (product.id if product else None):
            raise ApiError(404, "Device not found", "No such device here")
        return device


Handler = Callable[[Call], Answer]
