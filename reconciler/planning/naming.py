"""The lists in which manifests name devices one by one, each with a bit, so that a device's marks are two look-ups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import filterfalse

from reconciler.model.device import DeviceId, is_device_id
from reconciler.model.fleet import DeviceOverride, FleetSet


class Naming:
    """Which lists name a device: `devices` of selections, overrides and zones by id or name, rosters by id.

    Of the names that waves give every one is a list of its own, so that one that nobody has can be told. An id in a
    wave needs no list: ids are kept.

    A word that is spelt like an id is an id: whoever may rename a device must not be able to take another's place.
    """

    def __init__(self, fleets: FleetSet) -> None:
        self._bits: dict[frozenset[str], int] = {}
        self._by_id: defaultdict[str, int] = defaultdict(int)
        self._by_name: defaultdict[str, int] = defaultdict(int)
        selectors = [selector for fleet in fleets.fleets for selector in (fleet.select, fleet.exclude) if selector]
        for selector in selectors:
            self._add(selector.devices)
            self._add(selector.roster)
        for rule in (rule for fleet in fleets.fleets for rule in fleet.time_zones):
            self._add(rule.select.devices)
        for override in fleets.overrides:
            self._add(override.devices)
        for wave in (wave for fleet in fleets.fleets for wave in fleet.rollout.waves):
            if wave.select is not None:
                self._add(wave.select.devices)
                self._add(wave.select.roster)
            for word in filterfalse(is_device_id, wave.devices):
                self._add(frozenset({word}))
        self.names_nobody = not self._bits
        """Whether no manifest names a device: then every device's marks are 0."""

    def marks(self, device_id: DeviceId, name: str | None) -> int:
        """The bits of all lists that name this device."""
        by_id = self._by_id.get(device_id, 0)
        return by_id if name is None else by_id | self._by_name.get(name, 0)

    def bit(self, words: frozenset[str]) -> int:
        """The bit of one list."""
        return self._bits[words]

    def overrides_of(self, marks: int, overrides: Iterable[DeviceOverride]) -> list[DeviceOverride]:
        """Those overrides that name a device with these marks."""
        return [override for override in overrides if marks & self._bits[override.devices]]

    def _add(self, words: frozenset[str] | None) -> None:
        if words is None or words in self._bits:
            return
        bit = self._bits[words] = 1 << len(self._bits)
        for word in words:
            if is_device_id(word):
                self._by_id[word] |= bit
            else:
                self._by_name[word] |= bit
