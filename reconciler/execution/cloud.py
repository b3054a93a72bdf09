"""Hands in the cloud: modules and applications by flash, a product's application by lock and flash (facts 5.4, 5.6).

The lock is the durable intent: it survives our crash and the device's sleep. Nothing is sent twice; a request whose
answer is lost is `MayHaveArrived`, and only a newer observation of the device tells.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Final, assert_never

from reconciler.execution.binaries import BinaryStore, verify_application
from reconciler.execution.executor import Accepted, MayHaveArrived, NotSent, SendOutcome, not_sent, told
from reconciler.model.attempt import FailureClass
from reconciler.model.device import ObservedDevice
from reconciler.model.error import FirmwareError, ManifestError, OperatorError, WireError
from reconciler.model.platform import Platform, platform_by_id
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step
from reconciler.model.version import ApplicationVersion
from reconciler.particle.api import ParticleApi
from reconciler.particle.error import MayHaveArrivedError, RefusedError

_MAY_MEAN_THE_ACT: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.UNPROCESSABLE_ENTITY}
)
"""Not 401, which is the token; nor 404 and 409, which are the device's connection and another transfer."""

_UPDATE_SCOPE: Final = "devices:update"


class CloudExecutor:
    """Sends through the Particle API. `product` is an id or slug; None: the token's own devices. For many threads."""

    def __init__(self, api: ParticleApi, *, product: str | None, binaries: BinaryStore) -> None:
        self._api = api
        self._product = product
        self._binaries = binaries
        self._lock = threading.Lock()
        self._held_by_product: set[ApplicationVersion] = set()

    def send(self, device: ObservedDevice, step: Step) -> SendOutcome:
        """Do the step, once. Everything up to the one request that changes something is safe to do again."""
        with self._api.wire.noting_writes() as writes:
            outcome = self._send(device, step)
        return replace(outcome, writes=tuple(writes))

    def fetch(self, device: ObservedDevice, step: Step) -> None:
        """Have a Device OS module at hand before its intent is written down, so that `send` is one request and no more.

        What is wrong with the module itself `send` tells. Raises WireError when it cannot be had now.
        """
        platform = _platform(device)
        if isinstance(step, FlashModule) and platform is not None:
            with suppress(FirmwareError, ManifestError, OperatorError):
                self._binaries.module(platform, step)

    def _send(self, device: ObservedDevice, step: Step) -> SendOutcome:
        try:
            match step:
                case FlashModule():
                    return self._flash_module(device, step)
                case LockApplication():
                    return self._lock_application(device, step)
                case FlashApplication():
                    return self._flash_application(device, step)
                case _:
                    assert_never(step)
        except FirmwareError as error:
            # PFR4401: these are not the planned bytes. Otherwise: there are no bytes.
            failure = FailureClass.INTEGRITY if error.code == "PFR4401" else FailureClass.REFUSED
            return NotSent(failure=failure, detail=told(error))
        except WireError as error:
            # Of the reads before the write: the write has not left.
            return not_sent(error)
        except (ManifestError, OperatorError) as error:
            # A file of the manifests that cannot be read any more, or is another one by now.
            return NotSent(failure=FailureClass.REFUSED, detail=told(error))

    def _flash_module(self, device: ObservedDevice, step: FlashModule) -> SendOutcome:
        platform = _platform(device)
        if platform is None:
            return _unknown_platform(device)
        return self._flash(device, self._binaries.module(platform, step), is_system=True)

    def _flash_application(self, device: ObservedDevice, step: FlashApplication) -> SendOutcome:
        platform = _platform(device)
        if platform is None:
            return _unknown_platform(device)
        binary = self._binaries.application(platform.name, step.application, step.sha256)
        if binary is None and self._product is not None:
            binary = self._api.product_firmware_binary(self._product, step.application)
        if binary is None:
            return _no_application(step.application, self._product)
        verify_application(binary, platform, step.application, step.sha256)
        return self._flash(device, binary)

    def _flash(self, device: ObservedDevice, binary: bytes, *, is_system: bool = False) -> SendOutcome:
        try:
            return Accepted(detail=self._api.flash(device.id, binary, product=self._product))
        except MayHaveArrivedError as error:
            return MayHaveArrived(detail=told(error))
        except RefusedError as error:
            if is_system and self._product is not None and not device.development:
                return self._refused_system_flash(device, self._product, error)
            return _offline_or_refused(error)

    def _refused_system_flash(self, device: ObservedDevice, product: str, error: RefusedError) -> NotSent:
        """What a no to a Device OS module means: is it about the device's connection, our token, or the act itself?

        Which status the cloud would answer with is not known (facts 5.12, 8). Before a 403 stops the whole product, it
        is asked whether it takes the token elsewhere.
        """
        if error.status not in _MAY_MEAN_THE_ACT:
            return _offline_or_refused(error)
        about_token = error.status == HTTPStatus.FORBIDDEN or "token" in error.words.lower()
        if about_token and not self._token_is_good(device, product):
            return NotSent(failure=FailureClass.UNAUTHORISED, detail=told(error))
        return NotSent(failure=FailureClass.REFUSED, detail=told(error), refuses_system_flash=True)

    def _token_is_good(self, device: ObservedDevice, product: str) -> bool:
        """Whether the token may update devices, as far as its scopes and a read of one tell; in doubt it may not."""
        try:
            scopes = self._api.token_info().scopes
        except WireError:
            scopes = None
        if scopes and not any(scope == _UPDATE_SCOPE or "*" in scope for scope in scopes):
            return False
        try:
            return self._api.device(device.id, product) is not None
        except WireError:
            return False

    def _lock_application(self, device: ObservedDevice, step: LockApplication) -> SendOutcome:
        if self._product is None:
            detail = f"device {device.id} belongs to no product, and only products hold versions to lock to"
            return NotSent(failure=FailureClass.REFUSED, detail=detail)
        if not self._product_holds(self._product, step.application):
            return _no_application(step.application, self._product)
        try:
            # What runs already is only locked: nothing is to be sent again.
            flash = device.application != step.application
            detail = self._api.lock(device.id, step.application, product=self._product, flash=flash)
        except MayHaveArrivedError as error:
            return MayHaveArrived(detail=told(error))
        return Accepted(detail=detail)

    def _product_holds(self, product: str, application: ApplicationVersion) -> bool:
        """Asked once for each version that is there; one that is missing may be uploaded at any time."""
        with self._lock:
            if application in self._held_by_product:
                return True
        if self._api.product_firmware_version(product, application) is None:
            return False
        with self._lock:
            self._held_by_product.add(application)
        return True


def _platform(device: ObservedDevice) -> Platform | None:
    return None if device.platform_id is None else platform_by_id(device.platform_id)


def _unknown_platform(device: ObservedDevice) -> NotSent:
    detail = f"device {device.id} has the unknown platform {device.platform_id}"
    return NotSent(failure=FailureClass.INCOMPATIBLE, detail=detail)


def _no_application(application: ApplicationVersion, product: str | None) -> NotSent:
    where = "the manifests name no binary of" if product is None else f"product {product} has no firmware with"
    return NotSent(failure=FailureClass.REFUSED, detail=f"{where} application version {application}")


def _offline_or_refused(error: RefusedError) -> NotSent:
    """A flash of a device that was just seen: 404 means that it is not connected (facts 5.4, 5.12)."""
    if error.status == HTTPStatus.NOT_FOUND:
        return NotSent(failure=FailureClass.OFFLINE, detail=told(error))
    return not_sent(error)
