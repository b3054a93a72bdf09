"""All that the pretend cloud knows and does, for the calls of the API to work on; and one call as they see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reconciler.emulator.artifact import Payload
from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.emulator.clock import Agenda
from reconciler.emulator.compiler import Compiled
from reconciler.emulator.device import Device
from reconciler.emulator.events import Hub
from reconciler.emulator.faults import Faults
from reconciler.emulator.keyring import Credential, Keyring
from reconciler.emulator.life import Life
from reconciler.emulator.message import Answer, ApiError, Body, Request, read_body
from reconciler.emulator.products import Product
from reconciler.emulator.records import ArtifactNote, RequestKind
from reconciler.emulator.register import Register
from reconciler.emulator.vitals import VitalsBook
from reconciler.emulator.world import SystemFlash
from reconciler.model.instant import Instant


@dataclass(slots=True, kw_only=True)
class State:
    """The cloud's state.

    - `products` by number, `compiled` by the id of the binary; `organisation` is the slug of the one that there is.
    - `claimed`: the devices that the token's owner has claimed, in products and outside.
    - `base_url`: how clients reach the cloud.
    """

    keyring: Keyring
    organisation: str
    products: dict[int, Product]
    devices: Register
    claimed: dict[str, None]
    life: Life
    hub: Hub
    agenda: Agenda
    faults: Faults
    binaries: EmulatedBinaries
    direct_system_flash: SystemFlash = SystemFlash.ALLOWED
    vitals: VitalsBook = field(default_factory=VitalsBook)
    compiled: dict[str, Compiled] = field(default_factory=dict)
    base_url: str = ""

    def members(self, product: Product) -> Sequence[Device]:
        """The devices of a product, by id."""
        return self.devices.of(product.id)

    def move(self, device: Device, product: Product | None) -> None:
        """Let a device belong to a product, or to none."""
        device.product_id = product.id if product else None
        self.devices.touched(device)

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
    token: Credential | None
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
    def path_without_secrets(self) -> str:
        """The path for the log: one that ends with a token ends with stars."""
        token = self.parameters.get("token")
        return self.request.path if token is None else self.request.path.replace(token, "***")

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
    def member_of(self) -> Product:
        """The product of the path, where the path must have one."""
        product = self.product
        assert product is not None
        return product

    @property
    def device(self) -> Device:
        """The device of the path, if it belongs where the path says. Raises ApiError 404, and 403 for quarantine."""
        device = self.state.devices.get(self.parameters["device"].lower())
        product = self.product
        if product is not None and device is not None and device.id in product.quarantine:
            raise ApiError(403, "forbidden", "The device is in quarantine")
        if device is None or not self._belongs(device):
            raise ApiError(404, "Device not found", "No such device here")
        return device

    def _belongs(self, device: Device) -> bool:
        if "org" in self.parameters:
            return device.product_id is not None
        product = self.product
        return device.id in self.state.claimed if product is None else device.product_id == product.id


Handler = Callable[[Call], Answer]
