"""From devices to kinds: what planning looks at is the key, and nothing else is kept of a device but its id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from operator import attrgetter
from typing import Final

from reconciler.model.census import Census, Kind
from reconciler.model.device import DeviceId, Observation, ObservedDevice
from reconciler.model.module import Module
from reconciler.planning.naming import Naming

_REPORTS_KEPT: Final = 4096
"""A fleet's devices report few different things."""

OBSERVED_FIELDS: Final = (
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
    "targeted_application",
    "updates_enabled",
    "updates_forced",
    "modules",
)
"""What an observation says of a device that planning looks at."""

_KNOWN_BY_US: Final = (
    "learnt",
    "locked_by_us",
    "arrived",
    "latched",
    "latched_why",
    "system_flash_refused_until",
)

kind_key = attrgetter(*OBSERVED_FIELDS, *_KNOWN_BY_US)
"""All that planning looks at. A field that it begins to look at must be added here: a law compares both ways."""

_all_but_modules = attrgetter(*OBSERVED_FIELDS[:-1])
_known_by_us = attrgetter(*_KNOWN_BY_US[1:])


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
    return digest_of_kinds(kind_digest(kind.device, kind.ids) for kind in census.kinds)


def kind_digest(device: ObservedDevice, ids: Iterable[DeviceId]) -> int:
    """A number that says which devices are of a kind, by their ids ascending, and what planning looks at of them."""
    return int.from_bytes(hashlib.sha256(f"{_kind_key_in_words(device)}{' '.join(ids)}".encode()).digest())


def _kind_key_in_words(device: ObservedDevice) -> str:
    """The text of `kind_key`: modules and `learnt` stand in the middle of it, and few devices differ in them."""
    before, after = repr(_all_but_modules(device)), repr(_known_by_us(device))
    return f"{before[:-1]}, {_modules_in_words(device.modules)}, {_modules_in_words(device.learnt)}, {after[1:]}"


@lru_cache(maxsize=_REPORTS_KEPT)
def _modules_in_words(modules: tuple[Module, ...] | None) -> str:
    return repr(modules)


def digest_of_kinds(digests: Iterable[int]) -> str:
    """The digest of them all: a sum, so that one kind's change needs no other kind."""
    return f"sha256:{sum(digests) % 2**256:064x}"
