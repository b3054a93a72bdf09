"""The hall: all ports of the bench. Whoever is plugged in gets a seat and a thread; whoever is unplugged gives it up.

Any number of devices at once: nobody waits for anybody but at the bus itself. A device that restarts is away for a
moment, and may come back on another port: its seat is kept by its id.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor as Pool
from concurrent.futures import Future
from dataclasses import replace

from reconciler.controller.bench import Bench
from reconciler.controller.seat import Seat, SeatState
from reconciler.inventory.usb import UsbInventory
from reconciler.model.device import DeviceId
from reconciler.particle.usb import UsbDevice, UsbProgress
from reconciler.particle.usb_error import UsbError

AWAY_SECONDS = 5.0
"""For how long a device that is at rest must not be seen before its seat is free: a restart is shorter."""


class Hall:
    """Call `look_around` again and again. `now` is any steady clock, in seconds; `only`: ids to serve, None: all."""

    def __init__(
        self,
        bench: Callable[[Callable[[Seat], None]], Bench],
        eyes: UsbInventory,
        pool: Pool,
        *,
        now: Callable[[], float],
        show: Callable[[Seat], None] = lambda _seat: None,
        only: frozenset[DeviceId] | None = None,
    ) -> None:
        self._bench = bench(self._shown)
        self._eyes = eyes
        self._pool = pool
        self._now = now
        self._show = show
        self._only = only
        self._lock = threading.Lock()
        self._seats: dict[str, Seat] = {}
        self._serving: dict[str, Future[Seat]] = {}
        self._absent_since: dict[str, float | None] = {}
        self._mute: dict[str, str] = {}

    def look_around(self) -> None:
        """Seat whoever has come, and free the seats of those who left. Raises UsbMissingError, and JournalError."""
        self._collect()
        there = self._eyes.on_bus()
        now = self._now()
        for device in there:
            key = device.serial or f"port {device.port}"
            is_new = key not in self._absent_since or self._has_left(key, now)
            self._absent_since[key] = None
            if self._only is not None and device.serial not in self._only:
                continue
            if key not in self._serving and (is_new or self._is_gone(key) or self._has_changed(key, device)):
                self._begin(key, device)
        here = {device.serial or f"port {device.port}" for device in there}
        for key, since in [*self._absent_since.items()]:
            if key in here:
                continue
            self._absent_since[key] = now if since is None else since
            if key not in self._serving and self._has_left(key, now):
                self._free(key)

    def seats(self) -> Sequence[Seat]:
        """Everyone who sits, by port."""
        with self._lock:
            return sorted(self._seats.values(), key=lambda seat: _port_order(seat.port))

    def of(self) -> Mapping[DeviceId, Seat]:
        """The seats of devices that say who they are."""
        return {seat.device_id: seat for seat in self.seats() if seat.device_id is not None}

    def progressed(self, device_id: DeviceId, progress: UsbProgress) -> None:
        """A transfer to a device has come further."""
        with self._lock:
            seat = self._seats.get(device_id)
            if seat is None or not progress.total_bytes:
                return
            seat = replace(seat, share=progress.done_bytes / progress.total_bytes, phase=progress.phase)
            self._seats[device_id] = seat

    @property
    def is_at_rest(self) -> bool:
        """Whether nobody is being served."""
        return all(future.done() for future in self._serving.values())

    def wait(self) -> None:
        """Until everyone who is being served is at rest. Raises as `look_around`."""
        for future in list(self._serving.values()):
            future.result()
        self._collect()

    def _begin(self, key: str, device: UsbDevice) -> None:
        seat = Seat(
            port=device.port, device_id=device.serial, platform=device.platform.display_name, state=SeatState.LOOKING
        )
        if device.serial is None:
            trouble = device.trouble
            self._mute[key] = "" if trouble is None else trouble.code
            seat = replace(seat, state=SeatState.TROUBLE, code=None if trouble is None else trouble.code)
            self._shown(replace(seat, message=_words(trouble)))
            return
        with self._lock:
            self._seats.pop(f"port {device.port}", None)  # of the time when it could not be read
        self._shown(seat)
        self._serving[key] = self._pool.submit(self._bench.serve, seat)

    def _collect(self) -> None:
        for key in [key for key, future in self._serving.items() if future.done()]:
            self._serving.pop(key).result()

    def _is_gone(self, key: str) -> bool:
        """Whether it was unplugged in the middle, and is there again."""
        with self._lock:
            seat = self._seats.get(key)
        return seat is not None and seat.state is SeatState.GONE

    def _has_changed(self, key: str, device: UsbDevice) -> bool:
        """Whether a port whose device could not be read has another trouble by now."""
        return key in self._mute and self._mute[key] != ("" if device.trouble is None else device.trouble.code)

    def _has_left(self, key: str, now: float) -> bool:
        since = self._absent_since.get(key)
        return since is not None and now - since > AWAY_SECONDS

    def _free(self, key: str) -> None:
        with self._lock:
            seat = self._seats.get(key)
            if seat is None or seat.state is SeatState.GONE:
                return  # a person must see that it was not finished
            del self._seats[key]
        self._absent_since.pop(key, None)
        self._mute.pop(key, None)
        if seat.device_id is not None:
            self._eyes.memory.forget(seat.device_id)

    def _shown(self, seat: Seat) -> None:
        with self._lock:
            self._seats[seat.device_id or f"port {seat.port}"] = seat
        self._show(seat)


def _words(trouble: UsbError | None) -> str:
    return "" if trouble is None else f"{trouble.message}; {trouble.next_step}"


def _port_order(port: str) -> tuple[tuple[int, str], ...]:
    """`1-10` after `1-2`."""
    parts = port.replace("-", ".").split(".")
    return tuple((int(part), "") if part.isdecimal() else (0, part) for part in parts)
