"""What this process itself saw or put on devices at the bench, for what cannot be read from a bootloader.

A module without its information in flash (radio stack), and one in another chip (network processor), are not to be seen
in DFU mode. What the running Device OS reported a moment ago, and what was written and read back since, is remembered
for a device until it is unplugged. Lost with the process: then everything is read anew.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from reconciler.model.device import DeviceId
from reconciler.model.module import Module, ModuleSlot


class BenchMemory:
    """Modules by device and slot. May be used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._intact: dict[DeviceId, dict[ModuleSlot, Module]] = {}
        self._doubted: dict[DeviceId, set[ModuleSlot]] = {}
        self._applications: dict[DeviceId, int] = {}

    def saw(self, device_id: DeviceId, modules: Iterable[Module]) -> None:
        """The running device itself has just listed all its intact modules."""
        with self._lock:
            self._intact[device_id] = {module.slot: module for module in modules}
            self._doubted.pop(device_id, None)

    def read(self, device_id: DeviceId, module: Module) -> None:
        """A module was read whole, or written and read back."""
        with self._lock:
            self._intact.setdefault(device_id, {})[module.slot] = module
            self._doubted.get(device_id, set()).discard(module.slot)

    def doubt(self, device_id: DeviceId, slot: ModuleSlot) -> None:
        """What lies in a slot may be broken: it is about to be written, or nobody saw the end of that."""
        with self._lock:
            self._intact.get(device_id, {}).pop(slot, None)
            self._doubted.setdefault(device_id, set()).add(slot)

    def forget(self, device_id: DeviceId) -> None:
        """It was unplugged: whatever comes back was perhaps changed elsewhere."""
        with self._lock:
            self._intact.pop(device_id, None)
            self._doubted.pop(device_id, None)
            self._applications.pop(device_id, None)

    def wrote_application(self, device_id: DeviceId, version: int | None) -> None:
        """An application of this version was written and read back; None: one is about to be written."""
        with self._lock:
            if version is None:
                self._applications.pop(device_id, None)
            else:
                self._applications[device_id] = version

    def application(self, device_id: DeviceId) -> int | None:
        """The application that was written last, where nothing else tells which one it is."""
        with self._lock:
            return self._applications.get(device_id)

    def intact(self, device_id: DeviceId) -> Mapping[ModuleSlot, Module]:
        """The modules of a device that need not be read again."""
        with self._lock:
            return dict(self._intact.get(device_id, {}))

    def is_doubted(self, device_id: DeviceId, slot: ModuleSlot) -> bool:
        """Whether nothing may be supposed of a slot."""
        with self._lock:
            return slot in self._doubted.get(device_id, ())
