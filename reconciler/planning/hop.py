"""One hop: every way to bring a device to one release with that release's own modules.

Within a hop only modules of that very release are sent, each at most once and none that is not higher than what is
there, all its system parts among them (contracts 4, points 1 and 2). What is unmet after a set of modules has been sent
does not depend on their order, so the search runs over sets. Cheapest is the order with the fewest boots into safe
mode, then the one that sends bootloaders first (higher index first), then NCP firmware, radio stack, system parts.

Over USB, system parts and radio stack are written in DFU mode: unchecked, and without a boot until DFU mode is left for
a module of another kind or at the end of the hop (facts 4.5, 7.4). So there the search also knows whether it is in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from reconciler.firmware.catalog import Catalog
from reconciler.model.device import DeviceMode
from reconciler.model.fleet import Via
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform
from reconciler.model.release import Release, ReleaseModule
from reconciler.model.step import FlashModule, enforced_on_transfer, goes_in_dfu_mode

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
    """An order of some modules. The last `unbooted` of the steps say normal mode until the next boot is known."""

    safe_mode_boots: int
    ranks: tuple[tuple[int, int], ...]
    steps: tuple[FlashModule, ...]
    unbooted: int = 0


class Hops:
    """The hops of one platform by one hand, each worked out once."""

    def __init__(self, platform: Platform, catalog: Catalog, via: Via = Via.CLOUD) -> None:
        self.slots = tuple(
            sorted(bounds.slot for bounds in platform.layout if bounds.slot.function is not ModuleFunction.USER_PART)
        )
        self._position = {slot: position for position, slot in enumerate(self.slots)}
        self._platform = platform
        self._catalog = catalog
        self._via = via
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

    def writes_unchecked(self, module: Module) -> bool:
        """Whether this module is written in DFU mode."""
        return goes_in_dfu_mode(module.slot.function, self._via)

    def enforced(self, module: Module) -> tuple[Dependency, ...]:
        """The needs that must hold before this module is sent (facts 4.3; nothing in DFU mode, 4.5)."""
        return () if self.writes_unchecked(module) else enforced_on_transfer(module)

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
        sendable = self._sendable(versions, release)
        everything = (1 << len(sendable)) - 1
        required = everything if full else sum(1 << i for i, s in enumerate(sendable) if s.module.slot in parts)
        best: dict[tuple[int, bool], _Partial] = {(0, False): _Partial(0, (), ())}
        ends = []
        for mask in range(everything + 1):
            booted, writing = best.get((mask, False)), best.get((mask, True))
            here = self._after(versions, sendable, mask)
            if writing is not None:
                left = _booted(writing, into_safe_mode=bool(self._unmet_after(here, sendable, mask, unmet)))
                booted = left if booted is None else min(booted, left, key=_worth)
            if booted is None:
                continue
            if mask and mask & required == required:
                ends.append(self._end(booted, sendable, mask, here, unmet))
            for i in (i for i in range(len(sendable)) if not mask & 1 << i):
                shipped, then = sendable[i], mask | 1 << i
                key = then, self.writes_unchecked(shipped.module)
                for partial in self._ready(shipped.module, here, booted, writing):
                    candidate = _sent(partial, shipped, release, self._via)
                    if not self.writes_unchecked(shipped.module):
                        after = self._unmet_after(self._after(here, [shipped], 1), sendable, then, unmet)
                        candidate = _booted(candidate, into_safe_mode=bool(after))
                    best[key] = min(best.get(key, candidate), candidate, key=_worth)
        return tuple(ends)

    def _sendable(self, versions: Versions, release: Release) -> list[ReleaseModule]:
        """What the release ships and the device has not, in the order in which it is sent wherever that is legal."""
        sendable = [
            shipped
            for shipped in release.modules
            if not self._platform.bounds[shipped.module.slot].encrypted
            and shipped.module.version > self.installed(versions, shipped.module.slot)
        ]
        return sorted(sendable, key=lambda shipped: _rank(shipped.module.slot))

    def _ready(self, module: Module, here: Versions, booted: _Partial, writing: _Partial | None) -> list[_Partial]:
        """The orders that this module may follow: in DFU mode it joins the writes there, else the device checks it."""
        if not self.writes_unchecked(module):
            return [booted] if all(self.holds(here, need) for need in self.enforced(module)) else []
        # Two writes in a row are one visit to DFU mode: there is no boot between them.
        after_a_write = bool(booted.steps) and self.writes_unchecked(booted.steps[-1].module)
        return [partial for partial in (writing, None if after_a_write else booted) if partial is not None]

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


def _sent(partial: _Partial, shipped: ReleaseModule, release: Release, via: Via) -> _Partial:
    step = FlashModule(
        module=shipped.module,
        device_os=release.version,
        boots_into=DeviceMode.NORMAL,
        size=shipped.size,
        sha256=shipped.sha256,
        via=via,
    )
    ranks = (*partial.ranks, _rank(shipped.module.slot))
    return _Partial(partial.safe_mode_boots, ranks, (*partial.steps, step), partial.unbooted + 1)


def _booted(partial: _Partial, *, into_safe_mode: bool) -> _Partial:
    """The device boots: what was sent since the last boot shows in which mode."""
    if not into_safe_mode:
        return replace(partial, unbooted=0)
    there = len(partial.steps) - partial.unbooted
    steps = (
        *partial.steps[:there],
        *(replace(step, boots_into=DeviceMode.SAFE_MODE) for step in partial.steps[there:]),
    )
    return _Partial(partial.safe_mode_boots + 1, partial.ranks, steps)


def _worth(partial: _Partial) -> tuple[int, tuple[tuple[int, int], ...]]:
    """The less the better."""
    return partial.safe_mode_boots, partial.ranks
