"""The life of the devices over time: sessions, sleep, deliveries, and the healer.

    session --+--> application wanted that does not run? --> transfer (`transfers.py`) --> restart --> session
              +--> safe mode? --> the healer's next module --> transfer
              +--> a sleeper in normal mode --> offline for a while --> resumed, or a new session
              `--> nothing to do: the next session in days, in safe mode in minutes

A session is a handshake: what the device says of itself reaches the cloud then, and the cloud attends to it. A sleeper
that resumes its session says nothing, and only what is to be done at once is done (facts 6.3). Durations follow from
sizes, the kind of connection, and dice of the device's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reconciler.emulator.artifact import Artifact, Payload
from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.emulator.clock import Agenda
from reconciler.emulator.describe import describe
from reconciler.emulator.device import Device, TransferError, boot_mode
from reconciler.emulator.events import Hub
from reconciler.emulator.faults import Faults
from reconciler.emulator.healer import remedy_artifact, with_company
from reconciler.emulator.presence import Presence, Step
from reconciler.emulator.products import Intention, Product
from reconciler.emulator.records import Moment
from reconciler.emulator.settlers import device_os_text
from reconciler.emulator.transfers import Transfers
from reconciler.model.device import DeviceMode
from reconciler.model.instant import Instant

_SAFE_MODE_SESSION_SECONDS: Final = 600.0
_SESSION_DAYS: Final = (2.0, 7.0)
_CLOUD_ATTENDS_SECONDS: Final = (2.0, 6.0)
_STAYS_AWAKE_SECONDS: Final = 30.0
_DAY: Final = 86_400.0
_RUNS_FINE_SECONDS: Final = 300.0
"""How long an application that will crash in a loop runs at first."""
_CRASHES_AFTER_SECONDS: Final = (20.0, 60.0)
_FIRST_WORD_SECONDS: Final = (1.0, 5.0)


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
        self._presence = Presence(hub=hub, agenda=agenda, ordinal=ordinal)
        self._presence.on_return = self._return
        self._transfers = Transfers(self._presence, faults)
        self.remember = self._presence.remember

    def on_moment(self, told: Step) -> None:
        """Let somebody be told of every moment of every device, after it is written down."""
        self._presence.on_moment = told

    def begin(self, device: Device, now: Instant) -> None:
        """Let the life of a device begin."""
        self.remember(device, Moment.BORN, now)
        if device.online:
            self._run_application(device, now, early=True)
            self._plan_next_session(device, now, early=True)
            self._plan_sleep(device, now, early=True)
        elif device.sleep is not None and device.last_handshake_at is not None and not device.gone:
            asleep = device.sleep.every_seconds - device.sleep.for_seconds
            self._presence.later(device, now, device.dice.uniform(0.0, asleep), self._wake)

    def start_transfer(self, device: Device, payload: Payload, cause: int | None, now: Instant) -> TransferError | None:
        """Send something to an online device that is receiving nothing else. Returns why it does not even start."""
        error = self._transfers.start(device, payload, cause, now)
        if error is not None:
            self._publish(device, "particle/device/updates/pending", "true", now)
        return error

    def deliver(self, device: Device, now: Instant) -> bool:
        """Send the application that the cloud intends, if the device is there for it and runs another one."""
        if not device.online or device.transfer is not None:
            return False
        wanted = self._wanted(device)
        if wanted is None:
            return False
        if not device.takes_updates:
            self._publish(device, "particle/device/updates/pending", "true", now)
            return False
        intention, application = wanted
        self._publish(device, "spark/status", "auto-update", now)
        payload = with_company(device, application, self._binaries)
        error = self._transfers.start(device, payload, intention.cause, now, by_person=intention.by_person)
        return error is None

    def set_online(self, device: Device, online: bool, now: Instant) -> None:
        """Let a device come or go, as if somebody pulled its plug."""
        if online == device.online or (online and device.gone):
            return
        if online:
            device.mode = boot_mode(device)
            self._session(device, now, reset_reason="power_down")
        else:
            self._transfers.break_off(device, now)
            self._presence.leave(device, now)

    def set_updates_enabled(self, device: Device, enabled: bool, now: Instant) -> None:
        """Let the application allow or refuse updates; what had to be done at once is done then (facts 6.3)."""
        device.updates_enabled = enabled
        self.remember(device, Moment.MARKED, now, detail=f"the application has set updates to {enabled}")
        if device.online:
            self._publish(device, "particle/device/updates/enabled", str(enabled).lower(), now)
            self._deliver_at_once(device, now)

    def _return(self, device: Device, now: Instant, reset_reason: str | None) -> None:
        self._session(device, now, reset_reason=reset_reason)

    def _session(self, device: Device, now: Instant, *, reset_reason: str | None) -> None:
        """A handshake: what the device says of itself reaches the cloud, and the cloud attends to it."""
        device.session += 1
        device.online = True
        device.last_heard_at = device.last_handshake_at = now
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
        if device.updates_forced:
            self._publish(device, "particle/device/updates/forced", "true", now)
        if device.mode is DeviceMode.SAFE_MODE:
            self._publish(device, "spark/device/safemode", "", now)
            self._publish(device, "spark/status/safe-mode", describe(device), now)
        elif application is not None and application.sha256 is not None:
            self._publish(device, "spark/device/app-hash", application.sha256.upper(), now)
        self._run_application(device, now)
        self._plan_next_session(device, now)
        self._plan_sleep(device, now)
        self._presence.later(device, now, device.dice.uniform(*_CLOUD_ATTENDS_SECONDS), self._attend)

    def _run_application(self, device: Device, now: Instant, *, early: bool = False) -> None:
        """What the application does of itself while the session lasts: it publishes, and it may be about to crash."""
        if device.mode is not DeviceMode.NORMAL:
            return
        if device.crashes is not None:
            crashes_after = device.dice.uniform(*_CRASHES_AFTER_SECONDS) if device.crashes else _RUNS_FINE_SECONDS
            self._presence.later(device, now, crashes_after, self._transfers.crash)
        if device.publishes is not None:
            seconds = device.dice.uniform(*((0.0, device.publishes.every_seconds) if early else _FIRST_WORD_SECONDS))
            self._presence.later(device, now, seconds, self._say)

    def _say(self, device: Device, now: Instant) -> None:
        assert device.publishes is not None
        if not device.silent:
            self._publish(device, device.publishes.event, str(device.application_version or 0), now)
        self._presence.later(device, now, device.publishes.every_seconds, self._say)

    def _attend(self, device: Device, now: Instant) -> None:
        if device.transfer is not None or self.deliver(device, now):
            return
        if device.mode is not DeviceMode.SAFE_MODE or not device.healer or not device.takes_updates:
            return
        remedy = remedy_artifact(device, self._binaries)
        if remedy is not None:
            self._transfers.start(device, remedy, None, now)

    def _plan_next_session(self, device: Device, now: Instant, *, early: bool = False) -> None:
        if device.mode is DeviceMode.SAFE_MODE:
            seconds = _SAFE_MODE_SESSION_SECONDS * device.dice.uniform(0.1 if early else 0.9, 1.1)
        else:
            seconds = device.dice.uniform(*_SESSION_DAYS) * _DAY * (device.dice.random() if early else 1.0)
        device.session_ends_at = Instant(now + seconds)
        if device.sleep is None or device.mode is DeviceMode.SAFE_MODE:
            self._presence.later(device, now, seconds, self._renew)

    def _renew(self, device: Device, now: Instant) -> None:
        if device.transfer is not None:
            self._presence.later(device, now, _SAFE_MODE_SESSION_SECONDS, self._renew)
        else:
            self._session(device, now, reset_reason=None)

    def _plan_sleep(self, device: Device, now: Instant, *, early: bool = False) -> None:
        """The application sends a sleeper to sleep; in safe mode no application runs."""
        if device.sleep is not None and device.mode is DeviceMode.NORMAL:
            seconds = device.sleep.for_seconds * (device.dice.random() if early else 1.0)
            self._presence.later(device, now, seconds, self._fall_asleep)

    def _fall_asleep(self, device: Device, now: Instant) -> None:
        sleep = device.sleep
        assert sleep is not None
        if device.transfer is not None:
            self._presence.later(device, now, _STAYS_AWAKE_SECONDS, self._fall_asleep)
            return
        self._presence.leave(device, now, "asleep")
        asleep = (sleep.every_seconds - sleep.for_seconds) * device.dice.uniform(0.95, 1.05)
        self._presence.later(device, now, asleep, self._wake)

    def _wake(self, device: Device, now: Instant) -> None:
        """A sleeper is back: with its old session while that lasts, without a word of itself."""
        sleep, ends_at = device.sleep, device.session_ends_at
        assert sleep is not None
        if not sleep.resumes or ends_at is None or now >= ends_at:
            self._session(device, now, reset_reason=None)
            return
        device.session += 1
        device.online = True
        device.last_heard_at = now
        self.remember(device, Moment.RESUMED, now)
        self._publish(device, "spark/status", "online", now)
        self._run_application(device, now)
        self._plan_sleep(device, now)
        self._deliver_at_once(device, now)

    def _deliver_at_once(self, device: Device, now: Instant) -> None:
        """What an intelligent release brings does not wait for a handshake."""
        wanted = self._wanted(device)
        if wanted is not None and wanted[0].immediate:
            self.deliver(device, now)

    def _wanted(self, device: Device) -> tuple[Intention, Artifact] | None:
        """What the cloud intends for a device that runs something else; None: nothing to deliver."""
        product = self._products.get(device.product_id) if device.product_id is not None else None
        if product is None or device.development:
            return None
        intention = product.intention(device)
        firmware = product.firmware.get(intention.version) if intention else None
        if intention is None or firmware is None or _runs(device, firmware.artifact):
            return None
        return intention, firmware.artifact

    def _publish(self, device: Device, name: str, data: str, now: Instant) -> None:
        self._presence.publish(device, name, data, now)


def _runs(device: Device, wanted: Artifact) -> bool:
    """Whether the intended application is there, by what the cloud knows: the version, in safe mode the hash."""
    if device.mode is DeviceMode.NORMAL:
        return device.reported_application == wanted.product_version
    application = device.application
    return application is not None and application.sha256 == wanted.sha256
