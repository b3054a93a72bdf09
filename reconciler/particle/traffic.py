"""What went over the wire: counted, for the report at the end of `apply`."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from reconciler.model.device import DeviceId


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTraffic:
    """Requests that named one device, and the bytes of their bodies."""

    requests: int = 0
    bytes_sent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """All requests that were tried, repeated reads included. Bytes are those of bodies, without headers."""

    requests: int = 0
    writes: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    devices: Mapping[DeviceId, DeviceTraffic]

    def since(self, earlier: Traffic) -> Traffic:
        """What has come on top of an earlier count, by device too."""
        before = earlier.devices
        return Traffic(
            requests=self.requests - earlier.requests,
            writes=self.writes - earlier.writes,
            bytes_sent=self.bytes_sent - earlier.bytes_sent,
            bytes_received=self.bytes_received - earlier.bytes_received,
            devices={
                device_id: DeviceTraffic(
                    requests=traffic.requests - before.get(device_id, DeviceTraffic()).requests,
                    bytes_sent=traffic.bytes_sent - before.get(device_id, DeviceTraffic()).bytes_sent,
                )
                for device_id, traffic in self.devices.items()
            },
        )


class TrafficCount:
    """Counts from many threads. `by_device`: by devices too; who asks for months would come to know all of them."""

    def __init__(self) -> None:
        self.by_device = True
        self._lock = threading.Lock()
        self._total = Traffic(devices={})
        self._devices: dict[DeviceId, DeviceTraffic] = {}

    def sent(self, *, write: bool, body_bytes: int, device_id: DeviceId | None) -> None:
        """A request is about to leave."""
        with self._lock:
            total = self._total
            self._total = replace(
                total,
                requests=total.requests + 1,
                writes=total.writes + write,
                bytes_sent=total.bytes_sent + body_bytes,
            )
            if device_id is not None and self.by_device:
                known = self._devices.get(device_id, DeviceTraffic())
                self._devices[device_id] = DeviceTraffic(
                    requests=known.requests + 1, bytes_sent=known.bytes_sent + body_bytes
                )

    def received(self, body_bytes: int) -> None:
        """So many bytes of an answer's body have come in."""
        with self._lock:
            self._total = replace(self._total, bytes_received=self._total.bytes_received + body_bytes)

    def totals(self) -> Traffic:
        """The counts so far, not told apart by devices."""
        with self._lock:
            return self._total

    def snapshot(self) -> Traffic:
        """The counts so far."""
        with self._lock:
            return replace(self._total, devices=dict(self._devices))
