"""Hands on a product as a whole: upload an application version, release one (facts 5.5, 5.7).

Nothing is sent twice, and what came of it is shown by a later look at what the product holds: see `judge_on_product`.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Final, Protocol, assert_never

from reconciler.execution.binaries import BinaryStore
from reconciler.execution.executor import Accepted, MayHaveArrived, NotSent, SendOutcome, not_sent, told
from reconciler.firmware.application import read_application
from reconciler.model.action import ProductAction, ReleaseApplication, UploadApplication
from reconciler.model.attempt import AttemptState, FailureClass
from reconciler.model.device import Product
from reconciler.model.error import FirmwareError, ManifestError, OperatorError, WireError
from reconciler.model.instant import Instant
from reconciler.model.platform import platform_by_name
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.version import ApplicationVersion
from reconciler.particle.api import ParticleApi
from reconciler.particle.error import MayHaveArrivedError

SHOWN_WITHIN_SECONDS: Final = 300.0
"""A list that was read so long after the intent shows the effect, or the request never arrived: longer than a request
takes with its whole answer."""


class ProductHands(Protocol):
    """Hands of one kind on one product."""

    def send(self, action: ProductAction, product: Product) -> SendOutcome:
        """Do it, once; `product` is what was just seen of it. Failures of the world are outcomes."""

    def impact(self, action: ReleaseApplication, product: Product) -> int | None:
        """How many devices the cloud says a release would update; None: it cannot tell. Raises WireError."""


class CloudProductHands:
    """Sends through the Particle API. `product` is the id or slug."""

    def __init__(self, api: ParticleApi, *, product: str, binaries: BinaryStore) -> None:
        self._api = api
        self._product = product
        self._binaries = binaries

    def send(self, action: ProductAction, product: Product) -> SendOutcome:
        """See `ProductHands.send`."""
        with self._api.wire.noting_writes() as writes:
            outcome = self._send(action, product)
        return replace(outcome, writes=tuple(writes))

    def _send(self, action: ProductAction, product: Product) -> SendOutcome:
        try:
            match action:
                case UploadApplication():
                    return self._upload(action)
                case ReleaseApplication():
                    groups, is_default = _afterwards(action, product)
                    self._api.release_product_firmware(
                        self._product, action.application, groups=groups, product_default=is_default
                    )
                    return Accepted(detail=f"released {action.application}")
                case _:
                    assert_never(action)
        except MayHaveArrivedError as error:
            return MayHaveArrived(detail=told(error))
        except FirmwareError as error:
            failure = FailureClass.INTEGRITY if error.code == "PFR4401" else FailureClass.REFUSED
            return NotSent(failure=failure, detail=told(error))
        except WireError as error:
            return not_sent(error)
        except (ManifestError, OperatorError) as error:
            return NotSent(failure=FailureClass.REFUSED, detail=told(error))

    def impact(self, action: ReleaseApplication, product: Product) -> int | None:
        """See `ProductHands.impact`."""
        groups, is_default = _afterwards(action, product)
        return self._api.release_impact(self._product, action.application, groups=groups, product_default=is_default)

    def _upload(self, action: UploadApplication) -> SendOutcome:
        binary = self._binaries.application(action.platform, action.application, action.sha256)
        if binary is None:
            detail = f"no file of application {action.application} for {action.platform} can be read"
            return NotSent(failure=FailureClass.REFUSED, detail=detail)
        _verify(binary, action)
        title = f"{action.application}"
        self._api.upload_product_firmware(self._product, action.application, title=title, binary=binary)
        return Accepted(detail=f"uploaded {action.application}")


def judge_on_product(attempt: ProductAttempt, product: Product, now: Instant) -> ProductAttempt:
    """The attempt after a look at the product at `now`: verified, failed, or as it was when nothing is proven yet."""
    if attempt.state is AttemptState.INTENDED or product.holds is None or now <= attempt.began_at:
        return attempt
    action = attempt.action
    is_late = now - attempt.began_at >= SHOWN_WITHIN_SECONDS
    match action:
        case ReleaseApplication():
            if not missing_places(action, product):
                return attempt.verified(now)
            not_there = "the product does not show the release"
        case UploadApplication():
            held = product.held(action.application)
            if held is not None and (action.bundle or held.sha256 == action.sha256):
                return attempt.verified(now)
            if held is not None and held.sha256 is not None:
                other = f"product {action.product} holds other bytes than were sent as version {action.application}"
                return attempt.failed(FailureClass.INTEGRITY, f"{other}: SHA-256 {held.sha256}", now)
            if held is not None and is_late:
                return attempt.failed(FailureClass.REFUSED, "what the product holds cannot be read back", now)
            not_there = "the product does not hold it"
        case _:
            assert_never(action)
    return attempt.failed(FailureClass.TRANSPORT, not_there, now) if is_late else attempt


def missing_places(action: ReleaseApplication, product: Product) -> list[str | None]:
    """The groups (None: the default) of a release that the product does not show to have this version."""
    places: list[str | None] = [*action.groups, *([None] if action.product_default else [])]
    return [place for place in places if product.released_to(place) != action.application]


def _afterwards(action: ReleaseApplication, product: Product) -> tuple[tuple[str, ...], bool]:
    """All groups, and whether the default, that have the version after the release: none that has it loses it."""
    held = product.held(action.application)
    before: tuple[str, ...] = () if held is None else held.groups
    is_default = action.product_default or (held is not None and held.product_default)
    return tuple(sorted({*before, *action.groups})), is_default


def _verify(binary: bytes, action: UploadApplication) -> None:
    """Raise FirmwareError PFR4401 unless these bytes are the planned application, for its platform, of its version."""
    what = f"the file of application {action.application} for {action.platform}"
    if hashlib.sha256(binary).hexdigest() != action.sha256:
        raise _integrity(f"{what} has another SHA-256 than the plan")
    try:
        built = read_application(binary)
    except FirmwareError as error:
        raise _integrity(f"{what} is no usable application: {error.code} {error.message}") from error
    platform = platform_by_name(action.platform)
    if platform is None or built.platform_id != platform.id:
        raise _integrity(f"{what} is for platform {built.platform_id}")
    if built.product_version is None or ApplicationVersion(built.product_version) != action.application:
        # The cloud would hold it under a number that no device ever reports, and send it again and again (facts 5.5).
        raise _integrity(f"{what} says that it is version {built.product_version}")


def _integrity(message: str) -> FirmwareError:
    return FirmwareError("PFR4401", message, next_step="nothing was sent; find out where these bytes come from")
