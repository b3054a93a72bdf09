"""The yardstick: a process that decodes a snapshot with msgspec into typed records, and does nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec


class Device(msgspec.Struct, frozen=True, gc=False):
    """The fields that planning reads, as the API names them."""

    id: str
    name: str | None = None
    platform_id: int | None = None
    product_id: int | None = None
    system_firmware_version: str | None = None
    firmware_version: int | None = None
    online: bool | None = None
    connected: bool | None = None
    status: str | None = None
    last_heard: str | None = None
    last_handshake_at: str | None = None
    groups: tuple[str, ...] | None = None
    development: bool | None = None
    quarantined: bool | None = None
    desired_firmware_version: int | None = None
    targeted_firmware_release_version: int | None = None
    firmware_updates_enabled: bool | None = None
    firmware_updates_forced: bool | None = None
    modules: Any = None


class Snapshot(msgspec.Struct):
    """A snapshot's devices."""

    devices: list[Device]


if __name__ == "__main__":
    snapshot = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Snapshot)
    sys.stdout.write(f"{len(snapshot.devices)}\n")
