"""Which namespace a product belongs to: the one whose fleet named it first. Pure.

The token's own devices count as one more product: the journal has one right to write for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from reconciler.kube.resource import Resource

CLAIMED: Final = "PFR6951"


def owners(fleets: Iterable[Resource], number_of: Callable[[str, str], str]) -> Mapping[str, Resource]:
    """For every product the oldest fleet that names it; of two of the same second the first by name.

    `number_of` has the number of a product by a namespace and the word that its fleet has for it, or that word.
    """
    found: dict[str, Resource] = {}
    for fleet in sorted(fleets, key=lambda each: (each.created, each.namespace, each.name)):
        found.setdefault(product_of(fleet, number_of), fleet)
    return found


def product_of(fleet: Resource, number_of: Callable[[str, str], str]) -> str:
    """The product of a fleet, empty for the token's own devices."""
    word = fleet.spec.get("product")
    return "" if word is None else number_of(fleet.namespace, str(word))
