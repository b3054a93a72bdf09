"""The planning domain that both planners get: one platform's releases, and pairs of them to plan between.

What the two share: releases are hops made of their own modules, a device takes a module by facts 4.3, every boot is a
normal boot, stations are not passed by, nothing of the running release is sent. What only ours has, and the other is
not asked for: boots into safe mode where nothing else is possible, bytes, ties, repair, USB, explanations.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reconciler.firmware.catalog import Catalog
from reconciler.model.device import DeviceMode
from reconciler.model.fleet import Via
from reconciler.model.module import Dependency, ModuleFunction, ModuleSlot
from reconciler.model.plan import Situation
from reconciler.model.platform import Platform
from reconciler.model.release import Release, ReleaseModule
from reconciler.model.step import FlashModule, enforced_on_transfer
from reconciler.planning.proof import prove
from reconciler.planning.situation import inferred_situation
from reconciler.planning.standing import release_number

_ORDER = (
    ModuleFunction.BOOTLOADER,
    ModuleFunction.NCP_FIRMWARE,
    ModuleFunction.RADIO_STACK,
    ModuleFunction.SYSTEM_PART,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """From a device that runs `start` in normal mode to `goal`."""

    start: Release
    goal: Release
    situation: Situation


@dataclass(frozen=True, kw_only=True)
class Domain:
    """One platform's published stable releases, ascending."""

    platform: Platform
    catalog: Catalog

    @cached_property
    def releases(self) -> tuple[Release, ...]:
        return tuple(
            release
            for release in self.catalog.releases(self.platform)
            if release.published and not release.version.prerelease
        )

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Every release to every later one."""
        return tuple(
            Pair(start=start, goal=goal, situation=inferred_situation(self.platform, start.version, self.catalog))
            for index, start in enumerate(self.releases)
            for goal in self.releases[index + 1 :]
        )

    def sample(self, count: int, *, seed: int) -> tuple[Pair, ...]:
        """`count` of the pairs, or all when there are not so many; in their order."""
        if count >= len(self.pairs):
            return self.pairs
        chosen = random.Random(seed).sample(range(len(self.pairs)), count)
        return tuple(self.pairs[index] for index in sorted(chosen))

    def document(self) -> dict[str, Any]:
        """The domain as `planner.cjs` reads it. Modules stand in the order of the contract, bootloaders first."""
        stations = (
            self.catalog.release(self.platform, version)
            for version in self.catalog.stations(self.platform, Via.CLOUD.value)
        )
        return {
            "systemParts": [_name(slot) for slot in self.platform.system_parts],
            "stations": [self.number(release) for release in stations if release is not None],
            "releases": [
                {
                    "version": release.version.text,
                    "number": self.number(release),
                    "modules": [_module_document(shipped) for shipped in self._sendable(release)],
                }
                for release in self.releases
            ],
        }

    def question(self, pair: Pair) -> dict[str, Any]:
        """State and target of a pair. `running` never changes: nothing of that release is sent."""
        running = self.number(pair.start)
        return {
            "state": {
                "running": running,
                "release": running,
                "modules": {_name(module.slot): module.version for module in pair.situation.modules},
            },
            "target": {
                "release": self.number(pair.goal),
                "modules": {
                    _name(shipped.module.slot): shipped.module.version
                    for shipped in pair.goal.modules
                    if shipped.module.slot in self.platform.system_parts
                },
            },
        }

    def checked_bytes(self, pair: Pair, steps: list[list[str]]) -> int:
        """Replay somebody's steps, each a release and a slot, by the device's rules; the bytes that they count for.

        Raises BugError when a device would not take one, a boot is not normal, or the route does not arrive.
        """
        flashes = tuple(self._step(release, slot) for release, slot in steps)
        hops = tuple(dict.fromkeys(step.device_os for step in flashes))
        prove(self.platform, pair.situation, pair.goal.version, flashes, hops, self.catalog)
        return sum(step.size or self.catalog.largest_size(self.platform, step.module.slot) for step in flashes)

    def number(self, release: Release) -> int:
        return release_number(self.platform, release)

    def _step(self, version: str, name: str) -> FlashModule:
        release = next(release for release in self.releases if release.version.text == version)
        shipped = next(shipped for shipped in release.modules if _name(shipped.module.slot) == name)
        return FlashModule(
            module=shipped.module, device_os=release.version, boots_into=DeviceMode.NORMAL, size=shipped.size
        )

    def _sendable(self, release: Release) -> list[ReleaseModule]:
        sendable = [s for s in release.modules if not self.platform.bounds[s.module.slot].encrypted]
        return sorted(sendable, key=lambda s: (_ORDER.index(s.module.slot.function), _index(s.module.slot)))


def named_steps(steps: tuple[FlashModule, ...]) -> list[list[str]]:
    """Our steps as the release and the slot of each, as `check` reads them."""
    return [[step.device_os.text, _name(step.module.slot)] for step in steps]


def _index(slot: ModuleSlot) -> int:
    return -slot.index if slot.function is ModuleFunction.BOOTLOADER else slot.index


def _module_document(shipped: ReleaseModule) -> dict[str, Any]:
    module = shipped.module
    return {
        "slot": _name(module.slot),
        "version": module.version,
        "enforced": [_need(need) for need in enforced_on_transfer(module)],
        "needs": [_need(need) for need in module.dependencies],
    }


def _need(dependency: Dependency) -> list[str | int]:
    return [_name(dependency.slot), dependency.version]


def _name(slot: ModuleSlot) -> str:
    """A slash would be a path to the other planner."""
    return f"{slot.function.label}-{slot.index}"
