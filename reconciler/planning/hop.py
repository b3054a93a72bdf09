"""One hop: every way to bring a device to one release with that release's own modules.

Within a hop only modules of that very release are sent, each at most once and none that is not higher than what is
there, all its system parts among them (contracts 4, points 1 and 2). What is unmet after a set of modules has been sent
does not depend on their order, so the search runs over sets. Cheapest is the order with the fewest boots into safe
mode, then the one that sends bootloaders first (higher index first), then NCP firmware, radio stack, system parts.

Over USB, system parts and radio stack are written in DFU mode: unchecked, and without a boot until DFU mode is left for
a module of another kind or at the end of the hop (facts 4.5, 7.4). So there the search also knows whether it is in it.
A device on which a system part is missing runs nothing that would take another kind: its parts go first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from reconciler.firmware.catalog import Catalog
from reconciler.model.device import DeviceMode
from reconciler.model.fleet import Via
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform
from reconciler.model.release import Release, ReleaseModule
from reconciler.model.step import FlashModule, enforced_on_transfer, goes_in_dfu_mode
from reconciler.model.version import DeviceOsVersion

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

_NOWHERE: Final = -1
"""The position of a slot that the platform has not: `_installed` has a 0 there."""


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
class _Offer:
    """One module of a release, prepared for the search: positions in place of slots.

    `needs` are its own ones with their positions, `enforced` those that must hold before it is sent. `steps`: sending
    it, by what the device boots into.
    """

    shipped: ReleaseModule
    position: int
    version: int
    is_part: bool
    is_unchecked: bool
    enforced: tuple[tuple[int, int], ...]
    needs: tuple[tuple[int, tuple[ModuleSlot, Dependency]], ...]
    steps: Mapping[DeviceMode, FlashModule]


class _Partial(NamedTuple):
    """Some modules in an order, the less the better: first the boots, then the order by its indexes.

    `safe` has a bit for each step, set where it boots into safe mode. The boot after the last `unbooted` steps is open.
    """

    safe_mode_boots: int
    order: tuple[int, ...]
    safe: int
    unbooted: int


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
        self._offered: dict[DeviceOsVersion, tuple[_Offer, ...]] = {}
        self._ends: dict[tuple[Versions, Unmet, DeviceOsVersion, bool], tuple[HopEnd, ...]] = {}
        self._parts = tuple(
            (self._position[slot], _first_number(slot, platform, catalog)) for slot in platform.system_parts
        )

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
        key = (versions, unmet, release.version, full)
        if key not in self._ends:
            self._ends[key] = self._search(versions, unmet, release, full=full)
        return self._ends[key]

    def cost_bytes(self, shipped: ReleaseModule) -> int:
        """The bytes that this module counts for in the cost of a route."""
        return shipped.size or self._catalog.largest_size(self._platform, shipped.module.slot)

    def _search(self, versions: Versions, unmet: Unmet, release: Release, *, full: bool) -> tuple[HopEnd, ...]:
        parts = [s.module for s in release.modules if s.module.slot in self._platform.system_parts]
        if any(self.installed(versions, part.slot) > part.version for part in parts):
            return ()
        sendable = [offer for offer in self._offers(release) if offer.version > versions[offer.position]]
        everything = (1 << len(sendable)) - 1
        required = everything if full else sum(1 << i for i, offer in enumerate(sendable) if offer.is_part)
        checked: dict[int, _Partial] = {0: _Partial(0, (), 0, 0)}
        written: dict[int, _Partial] = {}
        ends = []
        for mask in range(everything + 1):
            reached = [each for each in (checked.get(mask), written.get(mask)) if each is not None]
            if not reached:
                continue
            sent = [offer for i, offer in enumerate(sendable) if mask & 1 << i]
            here = _installed(versions, sent)
            lacking = self._lacking(here, sent, unmet)
            booted = min(_booted(each, into_safe_mode=bool(lacking)) for each in reached)
            if mask and mask & required == required:
                ends.append(self._end(booted, sendable, here, lacking))
            after_a_write = bool(booted.order) and sendable[booted.order[-1]].is_unchecked
            runs = self._via is Via.CLOUD or self._runs(here)
            for i, offer in enumerate(sendable):
                then = mask | 1 << i
                if then == mask or not (runs or offer.is_unchecked):
                    continue
                partials = written if offer.is_unchecked else checked
                for partial in _ready(offer, here, booted, written.get(mask), after_a_write=after_a_write):
                    candidate = _sent(partial, i)
                    partials[then] = min(partials.get(then, candidate), candidate)
        return tuple(ends)

    def _runs(self, here: list[int]) -> bool:
        """Whether all system parts are there, of those that the latest of them came with (facts 4.3: Electron)."""
        latest = max((here[position] for position, _ in self._parts), default=0)
        return latest > 0 and all(here[position] or latest < first for position, first in self._parts)

    def _offers(self, release: Release) -> tuple[_Offer, ...]:
        """What the release ships, in the order in which it is sent wherever that is legal."""
        if release.version not in self._offered:
            plain = [s for s in release.modules if not self._platform.bounds[s.module.slot].encrypted]
            plain.sort(key=lambda shipped: _rank(shipped.module.slot))
            self._offered[release.version] = tuple(self._offer(shipped, release) for shipped in plain)
        return self._offered[release.version]

    def _offer(self, shipped: ReleaseModule, release: Release) -> _Offer:
        module = shipped.module
        place = self._position
        return _Offer(
            shipped=shipped,
            position=place[module.slot],
            version=module.version,
            is_part=module.slot in self._platform.system_parts,
            is_unchecked=self.writes_unchecked(module),
            enforced=tuple((place.get(need.slot, _NOWHERE), need.version) for need in self.enforced(module)),
            needs=tuple((place.get(need.slot, _NOWHERE), (module.slot, need)) for need in module.dependencies),
            steps={
                mode: FlashModule(
                    module=module,
                    device_os=release.version,
                    boots_into=mode,
                    size=shipped.size,
                    sha256=shipped.sha256,
                    via=self._via,
                )
                for mode in DeviceMode
            },
        )

    def _lacking(self, here: list[int], sent: list[_Offer], unmet: Unmet) -> Unmet:
        """What is unmet when these were sent: of the needs before, and of their own."""
        lacking = [need for offer in sent for position, need in offer.needs if here[position] < need[1].version]
        if unmet:
            replaced = {offer.shipped.module.slot for offer in sent}
            lacking += [
                (slot, need)
                for slot, need in unmet
                if slot not in replaced and here[self._position.get(need.slot, _NOWHERE)] < need.version
            ]
        return frozenset(lacking)

    def _end(self, partial: _Partial, sendable: list[_Offer], here: list[int], lacking: Unmet) -> HopEnd:
        sent = [sendable[i] for i in partial.order]
        modes = [DeviceMode.SAFE_MODE if partial.safe & 1 << k else DeviceMode.NORMAL for k in range(len(sent))]
        return HopEnd(
            steps=tuple(offer.steps[mode] for offer, mode in zip(sent, modes, strict=True)),
            safe_mode_boots=partial.safe_mode_boots,
            cost_bytes=sum(self.cost_bytes(offer.shipped) for offer in sent),
            versions=tuple(here[:_NOWHERE]),
            unmet=lacking,
        )


def _first_number(slot: ModuleSlot, platform: Platform, catalog: Catalog) -> int:
    """The lowest number that any release's module has in a slot."""
    shipped = (each.module for release in catalog.releases(platform) for each in release.modules)
    return min((module.version for module in shipped if module.slot == slot), default=0)


def _rank(slot: ModuleSlot) -> tuple[int, int]:
    index = -slot.index if slot.function is ModuleFunction.BOOTLOADER else slot.index
    return _ORDER.index(slot.function), index


def _installed(versions: Versions, sent: list[_Offer]) -> list[int]:
    """The versions when these were sent, and a 0 for slots that the platform has not."""
    here = [*versions, 0]
    for offer in sent:
        here[offer.position] = offer.version
    return here


def _ready(
    offer: _Offer, here: list[int], booted: _Partial, writing: _Partial | None, *, after_a_write: bool
) -> list[_Partial]:
    """The orders that this module may follow: in DFU mode it joins the writes there, else the device checks it."""
    if not offer.is_unchecked:
        return [booted] if all(here[position] >= version for position, version in offer.enforced) else []
    # Two writes in a row are one visit to DFU mode: there is no boot between them.
    return [partial for partial in (writing, None if after_a_write else booted) if partial is not None]


def _sent(partial: _Partial, index: int) -> _Partial:
    return _Partial(partial.safe_mode_boots, (*partial.order, index), partial.safe, partial.unbooted + 1)


def _booted(partial: _Partial, *, into_safe_mode: bool) -> _Partial:
    """The device boots, if something was sent since the last boot: what that was shows in which mode."""
    safe_mode_boots, order, safe, unbooted = partial
    if into_safe_mode and unbooted:
        last = (1 << unbooted) - 1 << len(order) - unbooted
        return _Partial(safe_mode_boots + 1, order, safe | last, 0)
    return _Partial(safe_mode_boots, order, safe, 0)
