"""What a fleet's waves ask for themselves: devices by id, by name, or by a selection. Pure.

Selections are matched against kinds of devices, as a fleet's own selection is, so that a million devices cost no more
than their kinds. The plan and a running rollout both ask here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from reconciler.manifests.problem import did_you_mean
from reconciler.model.census import Kind
from reconciler.model.device import DeviceId, Observation, is_device_id
from reconciler.model.fleet import Fleet, FleetSet
from reconciler.planning.census import census_of
from reconciler.planning.naming import Naming
from reconciler.planning.selection import matches

_HALF_ID: Final = 12
"""A slip of the hand leaves one half of an id as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What is behind the words of a fleet's waves.

    `names` are the names of the devices that a wave names by name. `selected` are the devices that a wave's selection
    matches, by the wave's name, whatever else becomes of them.
    """

    names: Mapping[DeviceId, str] = field(default_factory=dict)
    selected: Mapping[str, frozenset[DeviceId]] = field(default_factory=dict)


def claims_of(fleet: Fleet, kinds: Sequence[Kind], naming: Naming) -> Claims:
    """The claims of a fleet's waves on devices of these kinds."""
    return Claims(
        names=_names(fleet, kinds, naming),
        selected={
            wave.name: frozenset(chain.from_iterable(kind.ids for kind in kinds if matches(wave.select, kind, naming)))
            for wave in fleet.rollout.waves
            if wave.select is not None
        },
    )


def claims_in(fleet: Fleet, observation: Observation) -> Claims:
    """The claims of a fleet's waves on what was observed; nothing is looked at where an id or a size says all."""
    if all(wave.select is None and all(map(is_device_id, wave.devices)) for wave in fleet.rollout.waves):
        return Claims()
    naming = Naming(FleetSet(fleets=(fleet,)))
    return claims_of(fleet, census_of(observation, naming).kinds, naming)


def claim_findings(fleet: Fleet, kinds: Sequence[Kind], claims: Claims) -> tuple[str, ...]:
    """What the fleet's waves name or select and no device of it is: a slip there must not pass in silence."""
    unknown = set(_words(fleet)).difference(claims.names.values())
    for kind in kinds if unknown else ():
        unknown.difference_update(kind.ids)
    named = (
        f"fleet {fleet.name}: wave {wave.name} names {word}, which is no device of the fleet{_suggestion(word, kinds)}"
        for wave in fleet.rollout.waves
        for word in sorted(wave.devices & unknown)
    )
    selected = (
        f"fleet {fleet.name}: the selection of wave {wave.name} matches no device of the fleet"
        for wave in fleet.rollout.waves
        if wave.select is not None and not claims.selected[wave.name]
    )
    return (*named, *selected)


def _names(fleet: Fleet, kinds: Iterable[Kind], naming: Naming) -> Mapping[DeviceId, str]:
    """The names of those devices that the fleet's waves name by their names."""
    bits = {naming.bit(frozenset({word})): word for word in _words(fleet) if not is_device_id(word)}
    if not bits:
        return {}
    return {
        device_id: word
        for kind in kinds
        if kind.marks
        for bit, word in bits.items()
        if kind.marks & bit
        for device_id in kind.ids
    }


def _words(fleet: Fleet) -> Iterable[str]:
    return (word for wave in fleet.rollout.waves for word in wave.devices)


def _suggestion(word: str, kinds: Sequence[Kind]) -> str:
    """For what is spelt like an id: names of devices are not kept."""
    if not is_device_id(word):
        return ""
    start, end = word[:_HALF_ID], word[-_HALF_ID:]
    alike = (each for kind in kinds for each in kind.ids if each.startswith(start) or each.endswith(end))
    meant = did_you_mean(word, alike)
    return f"; {meant}" if meant else ""
