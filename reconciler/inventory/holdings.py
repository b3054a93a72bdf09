"""What a product in the cloud holds: its application versions, to whom they are released, and what is in them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Final

from reconciler.model.device import HeldApplication
from reconciler.model.version import ApplicationVersion
from reconciler.particle.api import FirmwareRecord, ParticleApi
from reconciler.particle.error import GarbledError, NoAnswerError, OversizedError, RefusedError

_UNREADABLE: Final = (RefusedError, GarbledError, OversizedError, NoAnswerError)
"""The devices were just listed: what of the product cannot be read is said, and does not stop them."""


class Holdings:
    """Eyes on one product's firmware list: one request a look.

    Of the versions in `contents_of`, which are those that manifests name files for, the binary is read as well, once: a
    version is never given other bytes while it is there.
    """

    def __init__(self, api: ParticleApi, product: str, contents_of: Collection[ApplicationVersion] = ()) -> None:
        self._api = api
        self._product = product
        self._contents_of = frozenset(contents_of)
        self._hashes: dict[ApplicationVersion, str] = {}

    def look(self) -> tuple[tuple[HeldApplication, ...] | None, tuple[str, ...]]:
        """The versions, ascending, and what could not be read; None: nothing is known. Raises WireError."""
        try:
            records = self._api.product_firmware(self._product)
        except _UNREADABLE as error:
            return None, (f"what product {self._product} holds cannot be read: {error.message}",)
        there = {ApplicationVersion(record.version): record for record in records}
        for gone in self._hashes.keys() - there.keys():
            del self._hashes[gone]
        findings = [finding for version in sorted(there) if (finding := self._read_content(version)) is not None]
        return tuple(self._held(version, record) for version, record in sorted(there.items())), tuple(findings)

    def _held(self, version: ApplicationVersion, record: FirmwareRecord) -> HeldApplication:
        return HeldApplication(
            version=version,
            groups=tuple(sorted(record.groups or ())),
            product_default=record.product_default is True or record.current is True,
            sha256=self._hashes.get(version),
        )

    def _read_content(self, version: ApplicationVersion) -> str | None:
        if version not in self._contents_of or version in self._hashes:
            return None
        try:
            binary = self._api.product_firmware_binary(self._product, version)
        except _UNREADABLE as error:
            return f"application {version} of product {self._product} cannot be read back: {error.message}"
        if binary is not None:
            self._hashes[version] = hashlib.sha256(binary).hexdigest()
        return None
