"""A device as others notice it: its history, its events, its coming and going, and what it has planned.

`later` is bound to a session: when the device goes, all that was planned for it is void.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reconciler.emulator.clock import Agenda
from reconciler.emulator.device import Device
from reconciler.emulator.events import Event, Hub
from reconciler.emulator.records import HistoryEntry, Moment, Versions
from reconciler.model.device import DeviceMode
from reconciler.model.instant import Instant

RESTART_SECONDS: Final = (10.0, 20.0)
_CONNECT_SECONDS: Final = (5.0, 30.0)

Step = Callable[[Device, Instant], None]
"""Something that happens to a device at an instant."""


@dataclass(slots=True)
class _Planned:
    """A step that a device has planned, unless its session has ended by then."""

    device: Device
    session: int
    step: Step

    def __call__(self, at: Instant) -> None:
        if self.device.session == self.session and not self.device.gone:
            self.step(self.device, at)


class Presence:
    """Tells the world of devices. `on_return` is told of a device that is back, and of its reset reason if it reset."""

    def __init__(self, *, hub: Hub, agenda: Agenda, ordinal: Callable[[], int]) -> None:
        self._hub = hub
        self._agenda = agenda
        self._ordinal = ordinal
        self.on_return: Callable[[Device, Instant, str | None], None] | None = None
        self.on_moment: Step | None = None

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
        by_person: bool = False,
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
                by_person=by_person,
                bytes=size,
                unmet=device.unmet_in_words if moment in (Moment.BORN, Moment.INSTALLED) else (),
            )
        )
        if self.on_moment is not None:
            self.on_moment(device, now)

    def publish(self, device: Device, name: str, data: str, now: Instant) -> None:
        """Publish an event of a device, if anybody listens."""
        if not self._hub.listener_count:
            return
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

    def publish_later(self, device: Device, name: str, data: str, at: Instant) -> None:
        """Publish an event of the cloud's own about a device, whatever has become of the device by then."""
        self._agenda.at(at, lambda now: self.publish(device, name, data, now))

    def later(self, device: Device, now: Instant, seconds: float, step: Step) -> None:
        """Let something happen to a device, unless its session has ended by then."""
        self._agenda.at(Instant(now + seconds), _Planned(device, device.session, step))

    def leave(self, device: Device, now: Instant, detail: str = "") -> None:
        """Let a device go offline; what it had planned is void."""
        device.online = False
        device.session += 1
        self.remember(device, Moment.OFFLINE, now, detail=detail)
        self.publish(device, "spark/status", "offline", now)

    def back_after(self, device: Device, now: Instant, seconds: float, reset_reason: str | None) -> None:
        """Let a device be back after so many seconds and the time that it needs to connect."""
        on_return = self.on_return
        assert on_return is not None
        seconds += device.dice.uniform(*_CONNECT_SECONDS)
        self.later(device, now, seconds, lambda device, at: on_return(device, at, reset_reason))
