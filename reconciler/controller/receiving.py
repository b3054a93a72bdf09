"""Devices to which something is being transferred by the cloud itself, or by somebody else: no attempt of ours."""

from __future__ import annotations

from collections.abc import Collection

from reconciler.inventory.hearing import Hearing
from reconciler.model.device import DeviceId, Observation
from reconciler.model.fleet import RolloutPolicy


def receiving(
    hearing: Hearing, of_interest: Collection[DeviceId], observation: Observation, rollout: RolloutPolicy
) -> frozenset[DeviceId]:
    """The devices of which the stream has told the beginning of a transfer and not yet its end.

    A session that began since, or the time of a step, ends it too: events get lost.
    """
    began = {
        device.id: since
        for device in observation.devices
        if device.id in of_interest
        and (since := hearing.receiving_since(device.id)) is not None
        and since > (device.last_handshake_at or 0.0)
    }
    now, deadline = observation.observed_at, rollout.step_deadline_seconds
    return frozenset(device_id for device_id, since in began.items() if now - since <= deadline)
