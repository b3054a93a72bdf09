"""What the emulator writes down: every request, and the life of every device. The referee judges from these alone.

Requests, moments in a device's life and deliveries of events share one running ordinal, so that "before" and "after"
have one meaning even within the same second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.module import ModuleSlot

Versions = Mapping[ModuleSlot, int]


class RequestKind(StrEnum):
    """What a request means to a device.

    FLASH, LOCK and RELEASE are effectful, READ shows devices, UPLOAD brings a binary, OTHER is all the rest.
    """

    READ = "read"
    FLASH = "flash"
    LOCK = "lock"
    RELEASE = "release"
    UPLOAD = "upload"
    OTHER = "other"


class Origin(StrEnum):
    """Whether what was sent is what the cloud itself holds under that name: a release's module, a product's version.

    UNKNOWN: the cloud holds nothing to compare it with.
    """

    HELD = "held"
    OTHER_BYTES = "other_bytes"
    NO_RELEASE = "no_release"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactNote:
    """What a client sent. All None: it was no module at all."""

    platform_id: int | None = None
    slot: ModuleSlot | None = None
    version: int | None = None
    product_id: int | None = None
    product_version: int | None = None
    origin: Origin = Origin.UNKNOWN

    def document(self) -> dict[str, Any]:
        """For the control door."""
        return {
            "platform_id": self.platform_id,
            "slot": str(self.slot) if self.slot else None,
            "version": self.version,
            "product_id": self.product_id,
            "product_version": self.product_version,
            "origin": self.origin.value,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request. `token` is the token's name, never the token. `bytes` is the size of the request's body.

    - `status`: what was answered; None: nothing, or a broken connection.
    - `answered`: whether the client could read the answer; False for a lost, broken or garbled one.
    - `shows`: the devices that the answer showed, where the answer was readable.
    - `artifact`, `lock_version`, `flash_now`: what was sent, or asked for.
    - `reaches`: the devices for which the cloud now intends an application by this request.
    - `product_id`, `product_platform_id`: of the product that the path names.
    """

    ordinal: int
    at: Instant
    method: str
    path: str
    token: str | None
    status: int | None
    bytes: int
    kind: RequestKind = RequestKind.OTHER
    device: str | None = None
    answered: bool = True
    shows: tuple[str, ...] = ()
    artifact: ArtifactNote | None = None
    lock_version: int | None = None
    flash_now: bool = False
    reaches: tuple[str, ...] = ()
    product_id: int | None = None
    product_platform_id: int | None = None
    fault: str | None = None

    def document(self) -> dict[str, Any]:
        """For the control door and the journal file."""
        document: dict[str, Any] = {
            "ordinal": self.ordinal,
            "time": iso_from_instant(self.at),
            "method": self.method,
            "path": self.path,
            "token": self.token,
            "status": self.status,
            "device": self.device,
            "bytes": self.bytes,
            "kind": self.kind.value,
            "answered": self.answered,
        }
        if self.artifact is not None:
            document["artifact"] = self.artifact.document()
        if self.kind is RequestKind.LOCK:
            document["desired_firmware_version"] = self.lock_version
            document["flash"] = self.flash_now
        if self.reaches:
            document["reaches"] = len(self.reaches)
        if self.fault is not None:
            document["fault"] = self.fault
        return document


class Moment(StrEnum):
    """What happened to a device."""

    BORN = "born"
    MARKED = "marked"
    TRANSFER_STARTED = "transfer_started"
    TRANSFER_FAILED = "transfer_failed"
    INSTALLED = "installed"
    SESSION = "session"
    RESUMED = "resumed"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What about a device says that it should be left alone, and what it is.

    `locked`: the version that it is locked to; `locked_by_person`: the same when a person in the console did it.
    `reported`: it has been online before. `device_os`: the release that it reported; None where none has its number.
    """

    platform_id: int
    product_id: int | None
    slots: frozenset[ModuleSlot]
    development: bool = False
    updates_enabled: bool = True
    updates_forced: bool = False
    locked: int | None = None
    locked_by_person: int | None = None
    reported: bool = True
    device_os: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One moment of one device: its modules before and after, and the application's version before and after.

    - `cause`: the ordinal of the request that brought it about; None: the cloud or the device by itself.
    - `by_person`: a person in the console did it, or released or locked what was delivered.
    - `bytes`: the size of what is transferred, when a transfer starts.
    - `unmet`: which dependencies the modules leave unmet, at birth and after an installation.
    """

    ordinal: int
    at: Instant
    moment: Moment
    before: Versions
    after: Versions
    application_before: int | None
    application_after: int | None
    marks: Marks
    cause: int | None = None
    detail: str = ""
    by_person: bool = False
    bytes: int = 0
    unmet: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """For the control door."""
        return {
            "ordinal": self.ordinal,
            "time": iso_from_instant(self.at),
            "what": self.moment.value,
            "before": versions_document(self.before),
            "after": versions_document(self.after),
            "cause": self.cause,
            "detail": self.detail,
            "by_person": self.by_person,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Stations:
    """Releases that no device may pass over the cloud: by platform id, the number of their system parts and a name."""

    of_platform: Mapping[int, tuple[tuple[int, str], ...]] = field(default_factory=dict)


def versions_document(versions: Versions) -> dict[str, int]:
    """Module versions by the slot's text, in order."""
    return {str(slot): versions[slot] for slot in sorted(versions)}
