"""The promise of every pair of eyes."""

from __future__ import annotations

from typing import Protocol

from reconciler.model.device import DeviceId, Observation, ObservedDevice


class Inventory(Protocol):
    """Somewhere that devices can be seen."""

    def observe(self) -> Observation:
        """All devices, each once, in the order of their ids. Raises OperatorError when nothing can be seen at all."""

    def observe_device(self, device_id: DeviceId) -> ObservedDevice | None:
        """One device as it is now, or None when there is none such. Raises OperatorError when it cannot be seen."""
