"""One hop: every way to bring a device to one release with that release's own modules.

Within a hop only modules of that very release are sent, each at most once and none that is not higher than what is
there, all its system parts among them (contracts 4, points 1 and 2). What is unmet after a set of modules has been sent
does not depend on their order, so the search runs over sets. Cheapest is the order with the fewest boots into safe
mode, then the one that sends bootloaders first (higher index first), then NCP firmware, radio stack, system parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.firmware.catalog import Catalog
from reconciler.model.device import DeviceMode
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform
from reconciler.model.release import Release, ReleaseModule
from reconciler.model.step import FlashModule

Unmet = frozenset[tuple[ModuleSlot, Dependency]]
"""Needs that do not hold: the slot of the module that has the need, and the need."""

Versions = tuple[int, ...]
"""The version in each of the platform's slots, in the order of `Hops.slots`; 0: nothing there."""

_ORDER: Final = (
    ModuleFunction.BOOTLOADER,
    ModuleFunction.NCP_FIRMWARE,
    ModuleFunction.RADIO_STACK,
    ModuleFunction.SYSTEM_PART,
)


@dataclass(frozen=True, slots=True)
class HopEnd:
    """One way to make a hop: what is sent in which order, what it costs, and what is true afterwards.

    `cost_bytes` counts an unknown size as the largest known one of that module on that platform.
    """

    steps: tuple[FlashModule, ...]
    safe_mode_boots: int
    cost_bytes: int
    versions: Versions
    unmet: Unmet


@dataclass(frozen=True, slots=True)
class _Partial:
    safe_mode_boots: int
    ranks: tuple[tuple[int, int], ...]
    steps: tuple[FlashModule, ...]


class Hops:
    """The hops of one platform, each worked out once."""

    def __init__(self, platform: Platform, catalog: Catalog) -> None:
        self.slots = tuple(
            sorted(bounds.slot for bounds in platform.layout if bounds.slot.function is not ModuleFunction.USER_PART)
        )
        self._position = {slot: position for position, slot in enumerate(self.slots)}
        self._platform = platform
        self._catalog = catalog
        self._ends: dict[tuple[Versions, Unmet, Release, bool], tuple[HopEnd, ...]] = {}

    def versions_of(self, modules: tuple[Module, ...]) -> Versions:
        """The versions of these modules by slot."""
        versions = {module.slot: module.version for module in modules}
        return tuple(versions.get(slot, 0) for slot in self.slots)

    def installed(self, versions: Versions, slot: ModuleSlot) -> int:
        """The version in a slot; 0: nothing there."""
        position = self._position.get(slot)
        return 0 if position is None else versions[position]

    def holds(self, versions: Versions, dependency: Dependency) -> bool:
        """Whether a need is met."""
        return self.installed(versions, dependency.slot) >= dependency.version

    def raised(self, versions: Versions, module: Module) -> Versions:
        """The versions after this module was taken; one that is not higher changes nothing."""
        position = self._position[module.slot]
        return (*versions[:position], max(versions[position], module.version), *versions[position + 1 :])

    def ends(self, versions: Versions, unmet: Unmet, release: Release, *, full: bool = False) -> tuple[HopEnd, ...]:
        """Every different outcome of a hop to this release, each by its cheapest order; empty: it cannot be made.

        `full`: send every module of the release that is higher than what is there.
        """
        key = (versions, unmet, release, full)
        if key not in self._ends:
            self._ends[key] = self._search(versions, unmet, release, full=full)
        return self._ends[key]

    def cost_bytes(self, shipped: ReleaseModule) -> int:
        """The bytes that this module counts for in the cost of a route."""
        return shipped.size or self._catalog.largest_size(self._platform, shipped.module.slot)

    def _search(self, versions: Versions, unmet: Unmet, release: Release, *, full: bool) -> tuple[HopEnd, ...]:
        parts = {
            s.module.slot: s.module.version for s in release.modules if s.module.slot in self._platform.system_parts
        }
        if any(self.installed(versions, slot) > version for slot, version in parts.items()):
            return ()
        sendable = [
            shipped
            for shipped in release.modules
            if not self._platform.bounds[shipped.module.slot].encrypted
            and shipped.module.version > self.installed(versions, shipped.module.slot)
        ]
        sendable.sort(key=lambda shipped: _rank(shipped.module.slot))
        everything = (1 << len(sendable)) - 1
        required = everything if full else sum(1 << i for i, s in enumerate(sendable) if s.module.slot in parts)
        best: dict[int, _Partial] = {0: _Partial(0, (), ())}
        ends = []
        for mask in range(everything + 1):
            partial = best.get(mask)
            if partial is None:
                continue
            versions_here = self._after(versions, sendable, mask)
            if mask and mask & required == required:
                ends.append(self._end(partial, sendable, mask, versions_here, unmet))
            for i, shipped in enumerate(sendable):
                if mask & 1 << i or not self._accepts(versions_here, shipped.module):
                    continue
                after = self._unmet_after(self._after(versions_here, [shipped], 1), sendable, mask | 1 << i, unmet)
                candidate = _extended(partial, shipped, release, boots_into_safe_mode=bool(after))
                known = best.get(mask | 1 << i)
                if known is None or _better(candidate, known):
                    best[mask | 1 << i] = candidate
        return tuple(ends)

    def _end(
        self, partial: _Partial, sendable: list[ReleaseModule], mask: int, versions: Versions, unmet: Unmet
    ) -> HopEnd:
        return HopEnd(
            steps=partial.steps,
            safe_mode_boots=partial.safe_mode_boots,
            cost_bytes=sum(self.cost_bytes(shipped) for i, shipped in enumerate(sendable) if mask & 1 << i),
            versions=versions,
            unmet=self._unmet_after(versions, sendable, mask, unmet),
        )

    def _after(self, versions: Versions, sendable: list[ReleaseModule], mask: int) -> Versions:
        after = list(versions)
        for i, shipped in enumerate(sendable):
            if mask & 1 << i:
                after[self._position[shipped.module.slot]] = shipped.module.version
        return tuple(after)

    def _accepts(self, versions: Versions, module: Module) -> bool:
        """Whether the device takes this module (facts 4.3): not the second dependency when it is on a bootloader."""
        first, second = module.first_dependency, module.second_dependency
        if first is not None and not self.holds(versions, first):
            return False
        return second is None or second.slot.function is ModuleFunction.BOOTLOADER or self.holds(versions, second)

    def _unmet_after(self, versions: Versions, sendable: list[ReleaseModule], mask: int, unmet: Unmet) -> Unmet:
        sent = [shipped.module for i, shipped in enumerate(sendable) if mask & 1 << i]
        replaced = {module.slot for module in sent}
        still = {(slot, need) for slot, need in unmet if slot not in replaced and not self.holds(versions, need)}
        fresh = {
            (module.slot, need) for module in sent for need in module.dependencies if not self.holds(versions, need)
        }
        return frozenset(still | fresh)


def _rank(slot: ModuleSlot) -> tuple[int, int]:
    index = -slot.index if slot.function is ModuleFunction.BOOTLOADER else slot.index
    return _ORDER.index(slot.function), index


def _extended(partial: _Partial, shipped: ReleaseModule, release: Release, *, boots_into_safe_mode: bool) -> _Partial:
    step = FlashModule(
        module=shipped.module,
        device_os=release.version,
        boots_into=DeviceMode.SAFE_MODE if boots_into_safe_mode else DeviceMode.NORMAL,
        size=shipped.size,
        sha256=shipped.sha256,
    )
    return _Partial(
        partial.safe_mode_boots + boots_into_safe_mode,
        (*partial.ranks, _rank(shipped.module.slot)),
        (*partial.steps, step),
    )


def _better(candidate: _Partial, known: _Partial) -> bool:
    return (candidate.safe_mode_boots, candidate.ranks) < (known.safe_mode_boots, known.ranks)
