"""Transfers to devices: what travels, how long, what becomes of it, and what goes wrong on the way.

    started --+--> all bytes there --+--> refused -----> failed, and the device recovers
              |                      `--> installed ---> success, restart
              +--> the connection breaks --> offline; what is there is kept; failed after the cloud's timeout
              +--> the device restarts ----> offline; what is there is kept; failed after the cloud's timeout
              `--> no byte arrives --------> failed after the timeout

From Device OS 3.0.0 on, from generation 3 on, a device keeps what it has of a transfer that broke off, as of its last
half minute, and a later transfer of the same bytes goes on from there (facts 6.2).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from reconciler.emulator.artifact import Artifact, Combined, Garbage, Payload, fingerprint
from reconciler.emulator.device import Device, Partial, Transfer, TransferError, boot_mode, install, transfer_error
from reconciler.emulator.faults import Faults
from reconciler.emulator.presence import RESTART_SECONDS, Presence
from reconciler.emulator.records import Moment
from reconciler.model.instant import Instant

BYTES_PER_SECOND: Final = {"wifi": 20_000.0, "cellular": 5_000.0}
"""How fast a transfer goes by the kind of connection; the vendor's own example is 373,462 bytes in 82 s (facts 6.1)."""

_FLASH_STATUS: Final = "spark/flash/status"
_LOST_FOR_SECONDS: Final = (300.0, 1200.0)
_TIMEOUT_SECONDS: Final = 300.0
_SYNC_SECONDS: Final = 30.0
_GENERATION_THAT_RESETS: Final = 2


class Transfers:
    """Sends things to devices."""

    def __init__(self, presence: Presence, faults: Faults) -> None:
        self._presence = presence
        self._faults = faults

    def start(
        self, device: Device, payload: Payload, cause: int | None, now: Instant, *, by_person: bool = False
    ) -> TransferError | None:
        """Send something to an online device that is receiving nothing else. Returns why it does not even start."""
        assert device.online
        assert device.transfer is None
        if not device.takes_updates:
            return TransferError(code=-1380, words="Updates are disabled")
        offset = self._kept(device, payload)
        rate = BYTES_PER_SECOND.get(device.platform.connectivity, BYTES_PER_SECOND["cellular"])
        seconds = 2.0 + (payload.size - offset) / rate * device.dice.uniform(0.9, 1.2)
        device.transfer = Transfer(
            payload=payload, started_at=now, cause=cause, offset=offset, seconds=seconds, by_person=by_person
        )
        device.transfers += 1
        device.last_heard_at = now
        detail = f"goes on from byte {offset}" if offset else ""
        self._presence.remember(
            device,
            Moment.TRANSFER_STARTED,
            now,
            cause=cause,
            detail=detail,
            by_person=by_person,
            size=payload.size - offset,
        )
        self._presence.publish(device, _FLASH_STATUS, "started ", now)
        self._plan_end(device, now, seconds)
        return None

    def break_off(self, device: Device, now: Instant) -> None:
        """The device is about to go, if with a transfer under way: keep what is there of it."""
        transfer = device.transfer
        if transfer is None:
            return
        device.transfer = None
        received = self._receive(device, transfer, now)
        if device.keeps_partials and received > 0:
            device.partial = Partial(fingerprint=fingerprint(transfer.payload), received=received)
        self._presence.remember(
            device, Moment.TRANSFER_FAILED, now, cause=transfer.cause, detail=f"connection lost at byte {received}"
        )

    def crash(self, device: Device, now: Instant) -> None:
        """The application of a device that runs panics, and the device starts anew."""
        assert device.crashes is not None
        device.crashes += 1
        if device.transfer is not None:
            self.break_off(device, now)
            self._give_up_later(device, now)
        self._reboot(device, now, "panic, hard_fault")

    def _kept(self, device: Device, payload: Payload) -> int:
        """How many bytes of this very payload the device has from an earlier try."""
        partial, device.partial = device.partial, None
        if partial is None or not device.keeps_partials or partial.fingerprint != fingerprint(payload):
            return 0
        return partial.received

    def _dice_of(self, device: Device, payload: Payload) -> Callable[[str], bool]:
        """Whether a fault strikes the transfer of this to the device."""
        parts = payload.parts if isinstance(payload, Combined) else (payload,)
        versions = (part.product_version for part in parts if isinstance(part, Artifact) and part.is_application)
        return partial(self._faults.strikes, device_id=device.id, application=next(versions, None))

    def _plan_end(self, device: Device, now: Instant, seconds: float) -> None:
        later = self._presence.later
        assert device.transfer is not None
        strikes = self._dice_of(device, device.transfer.payload)
        part = seconds * device.dice.uniform(0.1, 0.9)
        if strikes("restart-before-transfer"):
            later(device, now, 1.0, self._restart)
        elif strikes("offline-during-transfer"):
            later(device, now, part, self._lose)
        elif strikes("restart-during-transfer"):
            later(device, now, part, self._restart)
        elif strikes("transfer-stalls"):
            later(device, now, part + _TIMEOUT_SECONDS, self._stall)
        else:
            later(device, now, seconds, self._end)

    def _end(self, device: Device, now: Instant) -> None:
        transfer = device.transfer
        assert transfer is not None
        payload = transfer.payload
        strikes = self._dice_of(device, payload)
        device.bytes_received += payload.size - transfer.offset
        device.last_heard_at = now
        error: TransferError | None
        if strikes("flash-fails"):
            error = TransferError(code=-1390, words="Transfer failed")
        elif transfer.offset and strikes("resume-corrupt"):
            error = TransferError(code=-1331, words="Integrity check of a resumed update failed")
        else:
            error = transfer_error(device, payload)
        device.transfer = None
        if error is not None or isinstance(payload, Garbage):
            self._fail(device, now, transfer.cause, str(error))
        elif strikes("success-not-applied"):
            detail = "success was said, and nothing was applied"
            self._presence.remember(device, Moment.TRANSFER_FAILED, now, cause=transfer.cause, detail=detail)
            self._presence.publish(device, _FLASH_STATUS, "success ", now)
            self._reboot(device, now, "update")
        else:
            self._install(device, now, transfer)

    def _install(self, device: Device, now: Instant, transfer: Transfer) -> None:
        payload = transfer.payload
        assert not isinstance(payload, Garbage)
        strikes = self._dice_of(device, payload)
        before, application_before = device.versions, device.application_version
        install(device, payload)
        said_so = not strikes("restart-after-transfer")
        self._presence.remember(
            device,
            Moment.INSTALLED,
            now,
            before=before,
            application_before=application_before,
            cause=transfer.cause,
            detail=str(payload),
            by_person=transfer.by_person,
        )
        if said_so:
            self._presence.publish(device, _FLASH_STATUS, "success ", now)
        else:
            self._give_up_later(device, now)
        if strikes("boot-crash"):
            device.crashing = True
        if _brings_application(payload):
            device.crashes = 0 if strikes("crash-loop") else None
            device.silent = strikes("silent-application")
        self._reboot(device, now, "update" if said_so else "power_down")

    def _fail(self, device: Device, now: Instant, cause: int | None, detail: str) -> None:
        self._presence.remember(device, Moment.TRANSFER_FAILED, now, cause=cause, detail=detail)
        self._presence.publish(device, _FLASH_STATUS, "failed ", now)
        self._recover(device, now, "update_error")

    def _stall(self, device: Device, now: Instant) -> None:
        """No byte has come for the length of the timeout; the device cancels the update (facts 6.2)."""
        transfer = device.transfer
        assert transfer is not None
        device.transfer = None
        self._receive(device, transfer, Instant(now - _TIMEOUT_SECONDS))
        self._presence.remember(device, Moment.TRANSFER_FAILED, now, cause=transfer.cause, detail="timeout")
        self._presence.publish(device, _FLASH_STATUS, "failed ", now)
        self._recover(device, now, "update_timeout")

    def _lose(self, device: Device, now: Instant) -> None:
        """The connection breaks in the middle of a transfer; the cloud notices after its timeout."""
        self.break_off(device, now)
        self._give_up_later(device, now)
        self._presence.leave(device, now)
        resets = device.platform.generation <= _GENERATION_THAT_RESETS
        device.restarts += resets
        seconds = device.dice.uniform(*_LOST_FOR_SECONDS)
        self._presence.back_after(device, now, seconds, "update_timeout" if resets else None)

    def _restart(self, device: Device, now: Instant) -> None:
        """The device loses its power for a moment; the cloud notices after its timeout."""
        self.break_off(device, now)
        self._give_up_later(device, now)
        self._reboot(device, now, "power_down")

    def _recover(self, device: Device, now: Instant, reset_reason: str) -> None:
        """After a failed transfer Gen 2 devices reset, later ones reconnect (facts 6.2)."""
        if device.platform.generation <= _GENERATION_THAT_RESETS:
            self._reboot(device, now, reset_reason)
        else:
            self._presence.leave(device, now)
            self._presence.back_after(device, now, 0.0, None)

    def _reboot(self, device: Device, now: Instant, reset_reason: str) -> None:
        self._presence.leave(device, now)
        device.restarts += 1
        if reset_reason == "update" and self._faults.strikes(
            "device-never-returns", device.id, device.application_version
        ):
            device.gone = True
            return
        device.mode = boot_mode(device)
        reason = "panic, hard_fault" if device.crashing else reset_reason
        self._presence.back_after(device, now, device.dice.uniform(*RESTART_SECONDS), reason)

    def _give_up_later(self, device: Device, now: Instant) -> None:
        """The cloud hears nothing more of a transfer, and says that it failed."""
        self._presence.publish_later(device, _FLASH_STATUS, "failed ", Instant(now + _TIMEOUT_SECONDS))

    def _receive(self, device: Device, transfer: Transfer, until: Instant) -> int:
        """Count the bytes that had come by then; returns how many the device has on record, as of its last sync."""
        left = transfer.payload.size - transfer.offset
        seconds = max(0.0, until - transfer.started_at)
        device.bytes_received += int(left * min(1.0, seconds / transfer.seconds))
        synced = seconds - seconds % _SYNC_SECONDS
        return transfer.offset + int(left * min(1.0, synced / transfer.seconds))


def _brings_application(payload: Artifact | Combined) -> bool:
    parts = payload.parts if isinstance(payload, Combined) else (payload,)
    return any(part.is_application for part in parts)
