"""A census: many devices as the few kinds that planning tells apart.

A million devices fall into a few thousand kinds. One device stands for each kind; of the others only the ids are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.model.device import DeviceId, ObservedDevice, Product
from reconciler.model.instant import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Devices that differ in nothing that planning looks at.

    `device` is one of them. `marks` says which of the manifests' own lists of devices name them: a bit for each list.
    `ids` are all of them, ascending.
    """

    device: ObservedDevice
    marks: int
    ids: Sequence[DeviceId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """What one look at the world showed, by kinds. The fields are those of an Observation."""

    observed_at: Instant
    source: str
    kinds: tuple[Kind, ...]
    complete: bool = True
    findings: tuple[str, ...] = ()
    products: tuple[Product, ...] = ()
