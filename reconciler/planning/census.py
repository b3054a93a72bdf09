"""From devices to kinds: what planning looks at is the key, and nothing else is kept of a device but its id."""

from __future__ import annotations

import hashlib
from operator import attrgetter

from reconciler.model.census import Census, Kind
from reconciler.model.device import DeviceId, Observation, ObservedDevice
from reconciler.planning.naming import Naming

kind_key = attrgetter(
    "platform_id",
    "product_id",
    "device_os",
    "application",
    "online",
    "mode",
    "groups",
    "development",
    "quarantined",
    "desired_application",
    "updates_enabled",
    "updates_forced",
    "modules",
    "learnt",
    "locked_by_us",
)
"""All that planning looks at. A field that it begins to look at must be added here: a law compares both ways."""


def census_of(observation: Observation, naming: Naming) -> Census:
    """The kinds of these devices."""
    members: dict[tuple[object, ...], tuple[ObservedDevice, int, list[DeviceId]]] = {}
    for device in observation.devices:
        marks = naming.marks(device.id, device.name)
        key = (marks, *kind_key(device))
        members.setdefault(key, (device, marks, []))[2].append(device.id)
    return Census(
        observed_at=observation.observed_at,
        source=observation.source,
        kinds=tuple(Kind(device=device, marks=marks, ids=sorted(ids)) for device, marks, ids in members.values()),
        complete=observation.complete,
        findings=observation.findings,
        products=observation.products,
    )


def census_digest(census: Census) -> str:
    """`sha256:…` over all that planning looks at of all devices, in whatever order they were seen."""
    digest = hashlib.sha256()
    for kind in sorted(census.kinds, key=lambda kind: kind.ids[0]):
        digest.update(repr(kind_key(kind.device)).encode())
        digest.update(" ".join(kind.ids).encode())
    return "sha256:" + digest.hexdigest()
