"""Devices to which something is being transferred by the cloud itself, or by somebody else: no attempt of ours."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from reconciler.inventory.hearing import Hearing
from reconciler.model.device import DeviceId, ObservedDevice
from reconciler.model.fleet import RolloutPolicy
from reconciler.model.instant import Instant


def receiving(
    hearing: Hearing,
    of_interest: Collection[DeviceId],
    devices: Mapping[DeviceId, ObservedDevice],
    rollout: RolloutPolicy,
    *,
    now: Instant,
) -> frozenset[DeviceId]:
    """The devices of which the stream has told the beginning of a transfer and not yet its end.

    A session that began since, or the time of a step, ends it too: events get lost.
    """
    began = {
        device_id: since
        for device_id in of_interest
        if (since := hearing.receiving_since(device_id)) is not None
        and since > (devices[device_id].last_handshake_at or 0.0)
    }
    deadline = rollout.step_deadline_seconds
    return frozenset(device_id for device_id, since in began.items() if now - since <= deadline)
