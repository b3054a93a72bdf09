"""The life of the devices over time: sessions, transfers, restarts, deliveries, and the healer.

    session --+--> application wanted that does not run? --> transfer
              +--> safe mode? --> the healer's next module --> transfer
              `--> nothing to do: the next session, sooner in safe mode

    transfer --+--> refused or failed --> Gen 2 resets, later ones reconnect --> session
               `--> installed --> offline, restart, boot check --> session

Durations follow from sizes, the kind of connection, and dice of the device's own.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from reconciler.emulator.artifact import Artifact, Payload
from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.emulator.clock import Agenda
from reconciler.emulator.describe import describe
from reconciler.emulator.device import Device, Transfer, TransferError, boot_mode, install, transfer_error
from reconciler.emulator.events import Event, Hub
from reconciler.emulator.faults import Faults
from reconciler.emulator.healer import remedy_for
from reconciler.emulator.products import Product
from reconciler.emulator.records import HistoryEntry, Moment, Versions
from reconciler.emulator.settlers import device_os_text
from reconciler.model.device import DeviceMode
from reconciler.model.instant import Instant

BYTES_PER_SECOND: Final = {"wifi": 20_000.0, "cellular": 5_000.0}
"""How fast a transfer goes by the kind of connection; the vendor's own example is 373,462 bytes in 82 s (facts 6.1)."""

_RESTART_SECONDS: Final = (10.0, 20.0)
_CONNECT_SECONDS: Final = (5.0, 30.0)
_SAFE_MODE_SESSION_SECONDS: Final = 600.0
_SESSION_DAYS: Final = (2.0, 7.0)
_CLOUD_ATTENDS_SECONDS: Final = (2.0, 6.0)
_LOST_FOR_SECONDS: Final = (300.0, 1200.0)
_TRANSFER_TIMEOUT_SECONDS: Final = 300.0
_GENERATION_THAT_RESETS: Final = 2
_DAY: Final = 86_400.0


class Life:
    """Moves devices through time. It owns no clock: every call says what time it is."""

    def __init__(
        self,
        *,
        products: dict[int, Product],
        binaries: EmulatedBinaries,
        hub: Hub,
        agenda: Agenda,
        faults: Faults,
        ordinal: Callable[[], int],
    ) -> None:
        self._products = products
        self._binaries = binaries
        self._hub = hub
        self._agenda = agenda
        self._faults = faults
        self._ordinal = ordinal
        self._dice: dict[str, random.Random] = {}
        self.on_moment: Callable[[Device, Instant], None] | None = None
        """Told of every moment of every device, after it is written down."""

    def begin(self, device: Device, now: Instant) -> None:
        """Let the life of a device begin."""
        self.remember(device, Moment.BORN, now)
        if device.online:
            self._plan_next_session(device, now, early=True)

    def start_transfer(self, device: Device, payload: Payload, cause: int | None, now: Instant) -> TransferError | None:
        """Send something to an online device that is receiving nothing else. Returns why it does not even start."""
        assert device.online
        assert device.transfer is None
        if not device.updates_enabled and not device.updates_forced:
            return TransferError(code=-1380, words="Updates are disabled")
        device.transfer = Transfer(payload=payload, started_at=now, cause=cause)
        device.transfers += 1
        self._touch(device, now)
        self.remember(device, Moment.TRANSFER_STARTED, now, cause=cause, size=payload.size)
        self._publish(device, "spark/flash/status", "started ", now)
        seconds = payload.size / BYTES_PER_SECOND.get(device.platform.connectivity, 5_000.0)
        seconds = 2.0 + seconds * self._die(device).uniform(0.9, 1.2)
        if self._faults.strikes("offline-during-transfer", device.id):
            self._later(device, now, seconds * self._die(device).uniform(0.1, 0.9), self._lose)
        else:
            self._later(device, now, seconds, self._end_transfer)
        return None

    def deliver(self, device: Device, now: Instant) -> bool:
        """Send the application that the cloud intends, if the device is there for it and runs another one."""
        product = self._products.get(device.product_id) if device.product_id is not None else None
        if product is None or device.development or not device.online or device.transfer is not None:
            return False
        if not device.updates_enabled and not device.updates_forced:
            return False
        intention = product.intention(device)
        firmware = product.firmware.get(intention.version) if intention else None
        if intention is None or firmware is None or self._runs(device, firmware.artifact):
            return False
        self._publish(device, "spark/status", "auto-update", now)
        return self.start_transfer(device, firmware.artifact, intention.cause, now) is None

    def set_online(self, device: Device, online: bool, now: Instant) -> None:
        """Let a device come or go, as if somebody pulled its plug."""
        if online == device.online or (online and device.gone):
            return
        if online:
            device.mode = boot_mode(device)
            self._session(device, now, reset_reason=None)
        else:
            if device.transfer is not None:
                cause, device.transfer = device.transfer.cause, None
                self.remember(device, Moment.TRANSFER_FAILED, now, cause=cause, detail="connection lost")
            self._offline(device, now)

    def remember(
        self,
        device: Device,
        moment: Moment,
        now: Instant,
        *,
        before: Versions | None = None,
        application_before: int | None = None,
        cause: int | None = None,
        detail: str = "",
        size: int = 0,
    ) -> None:
        """Write a moment into the device's history. `before` None: nothing changed; `size`: bytes of a transfer."""
        after = device.versions
        device.history.append(
            HistoryEntry(
                ordinal=self._ordinal(),
                at=now,
                moment=moment,
                before=after if before is None else before,
                after=after,
                application_before=device.application_version if before is None else application_before,
                application_after=device.application_version,
                marks=device.marks,
                cause=cause,
                detail=detail,
                bytes=size,
                unmet=device.unmet_in_words if moment in (Moment.BORN, Moment.INSTALLED) else (),
            )
        )
        if self.on_moment is not None:
            self.on_moment(device, now)

    def _end_transfer(self, device: Device, now: Instant) -> None:
        transfer = device.transfer
        assert transfer is not None
        device.bytes_received += transfer.payload.size
        self._touch(device, now)
        error: TransferError | None
        if self._faults.strikes("flash-fails", device.id):
            error = TransferError(code=-1390, words="Transfer failed")
        else:
            error = transfer_error(device, transfer.payload)
        device.transfer = None
        if error is not None:
            self.remember(device, Moment.TRANSFER_FAILED, now, cause=transfer.cause, detail=str(error))
            self._publish(device, "spark/flash/status", "failed ", now)
            self._recover(device, now)
            return
        assert isinstance(transfer.payload, Artifact)
        before, application_before = device.versions, device.application_version
        install(device, transfer.payload)
        self.remember(
            device,
            Moment.INSTALLED,
            now,
            before=before,
            application_before=application_before,
            cause=transfer.cause,
            detail=str(transfer.payload.module),
        )
        self._publish(device, "spark/flash/status", "success ", now)
        if self._faults.strikes("boot-crash", device.id):
            device.crashing = True
        self._offline(device, now)
        device.restarts += 1
        if self._faults.strikes("device-never-returns", device.id):
            device.gone = True
            return
        device.mode = boot_mode(device)
        self._return(device, now, self._die(device).uniform(*_RESTART_SECONDS), "update")

    def _lose(self, device: Device, now: Instant) -> None:
        """The connection breaks in the middle of a transfer; the cloud notices after its timeout."""
        transfer = device.transfer
        assert transfer is not None
        device.transfer = None
        self.remember(device, Moment.TRANSFER_FAILED, now, cause=transfer.cause, detail="connection lost")
        self._offline(device, now)
        self._agenda.at(
            Instant(now + _TRANSFER_TIMEOUT_SECONDS),
            lambda at: self._publish(device, "spark/flash/status", "failed ", at),
        )
        self._return(device, now, self._die(device).uniform(*_LOST_FOR_SECONDS), "update_timeout")

    def _recover(self, device: Device, now: Instant) -> None:
        """After a failed transfer Gen 2 devices reset, later ones reconnect (facts 6.2)."""
        self._offline(device, now)
        if device.platform.generation <= _GENERATION_THAT_RESETS:
            device.restarts += 1
            device.mode = boot_mode(device)
            self._return(device, now, self._die(device).uniform(*_RESTART_SECONDS), "update_error")
        else:
            self._return(device, now, 0.0, None)

    def _offline(self, device: Device, now: Instant) -> None:
        device.online = False
        device.session += 1
        self.remember(device, Moment.OFFLINE, now)
        self._publish(device, "spark/status", "offline", now)

    def _return(self, device: Device, now: Instant, seconds: float, reset_reason: str | None) -> None:
        seconds += self._die(device).uniform(*_CONNECT_SECONDS)
        self._later(device, now, seconds, lambda device, at: self._session(device, at, reset_reason=reset_reason))

    def _session(self, device: Device, now: Instant, *, reset_reason: str | None) -> None:
        """A handshake: what the device says of itself reaches the cloud, and the cloud attends to it."""
        device.session += 1
        device.online = True
        self._touch(device, now)
        device.last_handshake_at = now
        device.reported_device_os = device_os_text(self._binaries.catalog, device) or device.reported_device_os
        application = device.application
        if device.mode is DeviceMode.NORMAL:
            device.reported_application = device.application_version
            device.reported_product_id = application.product_id if application else None
        self.remember(device, Moment.SESSION, now, detail=device.mode.value)
        self._publish(device, "spark/status", "online", now)
        if reset_reason is not None:
            self._publish(device, "spark/device/last_reset", reset_reason, now)
        self._publish(device, "particle/device/updates/enabled", str(device.updates_enabled).lower(), now)
        if device.mode is DeviceMode.SAFE_MODE:
            self._publish(device, "spark/device/safemode", "", now)
            self._publish(device, "spark/status/safe-mode", describe(device), now)
        elif application is not None and application.sha256 is not None:
            self._publish(device, "spark/device/app-hash", application.sha256.upper(), now)
        self._plan_next_session(device, now)
        self._later(device, now, self._die(device).uniform(*_CLOUD_ATTENDS_SECONDS), self._attend)

    def _attend(self, device: Device, now: Instant) -> None:
        if device.transfer is not None or self.deliver(device, now):
            return
        if device.mode is not DeviceMode.SAFE_MODE or not device.healer:
            return
        remedy = remedy_for(device, self._binaries.catalog)
        if remedy is None:
            return
        artifact = Artifact(
            platform_id=device.platform.id,
            module=remedy.shipped.module,
            size=self._binaries.size(device.platform, remedy.shipped),
        )
        self.start_transfer(device, artifact, None, now)

    def _plan_next_session(self, device: Device, now: Instant, *, early: bool = False) -> None:
        die = self._die(device)
        if device.mode is DeviceMode.SAFE_MODE:
            seconds = _SAFE_MODE_SESSION_SECONDS * die.uniform(0.1 if early else 0.9, 1.1)
        else:
            seconds = die.uniform(*_SESSION_DAYS) * _DAY * (die.random() if early else 1.0)
        self._later(device, now, seconds, self._renew)

    def _renew(self, device: Device, now: Instant) -> None:
        if device.transfer is not None:
            self._later(device, now, _SAFE_MODE_SESSION_SECONDS, self._renew)
        else:
            self._session(device, now, reset_reason=None)

    def _runs(self, device: Device, wanted: Artifact) -> bool:
        """Whether the intended application is there, by what the cloud knows: the version, in safe mode the hash."""
        if device.mode is DeviceMode.NORMAL:
            return device.reported_application == wanted.product_version
        application = device.application
        return application is not None and application.sha256 == wanted.sha256

    def _later(
        self, device: Device, now: Instant, seconds: float, happening: Callable[[Device, Instant], None]
    ) -> None:
        """Let something happen, unless the device's session has ended by then."""
        session = device.session

        def happen(at: Instant) -> None:
            if device.session == session and not device.gone:
                happening(device, at)

        self._agenda.at(Instant(now + seconds), happen)

    def _touch(self, device: Device, now: Instant) -> None:
        device.last_heard_at = now

    def _die(self, device: Device) -> random.Random:
        die = self._dice.get(device.id)
        if die is None:
            die = self._dice[device.id] = self._faults.dice("life", device.id)
        return die

    def _publish(self, device: Device, name: str, data: str, now: Instant) -> None:
        version = device.application_version if device.mode is DeviceMode.NORMAL else 0
        self._hub.publish(
            Event(
                name=name,
                data=data,
                device_id=device.id,
                product_id=device.product_id,
                version=version or 0,
                at=now,
            )
        )
