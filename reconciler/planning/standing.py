"""Which release's system parts are complete on a device, and which release a hop has begun to bring.

A release is complete when every system part that it ships is there at its number or a later one: an Electron before
0.6.0 has two system parts, later ones have three (facts 4.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.firmware.catalog import Catalog
from reconciler.model.module import ModuleSlot
from reconciler.model.platform import Platform
from reconciler.model.release import Release


@dataclass(frozen=True, slots=True)
class Standing:
    """Numbers of releases: the last complete one (0: none), and the one in progress (None: no hop has begun)."""

    complete: int
    begun: int | None


class MixedPartsError(ValueError):
    """System parts of more than two releases: no upgrade leaves a device like that."""


def standing_of(platform: Platform, versions: Mapping[ModuleSlot, int], catalog: Catalog) -> Standing:
    """Where the system parts stand. Raises MixedPartsError."""
    parts = {slot: versions.get(slot, 0) for slot in platform.system_parts}
    numbers = sorted({number for number in parts.values() if number})
    if len(numbers) > 2:  # noqa: PLR2004  # a hop begun and the release before it
        raise MixedPartsError(", ".join(f"{slot} {number or 'none'}" for slot, number in parts.items()))
    complete = [number for number in numbers if _is_complete(platform, parts, number, catalog)]
    last = complete[-1] if complete else 0
    begun = numbers[-1] if numbers and numbers[-1] != last else None
    return Standing(last, begun)


def release_number(platform: Platform, release: Release) -> int:
    """The number that the release's system parts carry; 0: no system part of it is known, so it cannot be planned."""
    numbers = (s.module.version for s in release.modules if s.module.slot in platform.system_parts)
    return max(numbers, default=0)


def _is_complete(platform: Platform, parts: Mapping[ModuleSlot, int], number: int, catalog: Catalog) -> bool:
    releases = catalog.releases_of_system(platform, number)
    shipped = [s.module.slot for release in releases[:1] for s in release.modules if s.module.slot in parts]
    return all(parts[slot] >= number for slot in shipped or parts)
