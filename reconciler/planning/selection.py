"""Which kinds of devices belong to which fleet. A device belongs to one fleet at most; two claims are an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.model.census import Census, Kind
from reconciler.model.error import ManifestError
from reconciler.model.fleet import DeviceOverride, Fleet, FleetSet, OverrideMode, Selector
from reconciler.model.instant import Instant
from reconciler.model.platform import platform_by_id
from reconciler.planning.naming import Naming


@dataclass(frozen=True, slots=True)
class Member:
    """A kind of a fleet's devices, with the override that is in force for it.

    `time_zone` is theirs by the fleet's rules; None: none matches, or no window goes by it.
    """

    kind: Kind
    override: DeviceOverride | None
    time_zone: str | None = None


class Selection:
    """Whose a kind of devices is, by the manifests' own words, at one moment.

    Raises ManifestError PFR1902 when a product cannot be told.
    """

    def __init__(self, fleets: FleetSet, census: Census, naming: Naming, *, now: Instant) -> None:
        products = _product_ids(fleets, census)
        self._naming = naming
        self._overrides = [each for each in fleets.overrides if each.expires is None or each.expires > now]
        self._found: dict[tuple[object, ...], tuple[Fleet, DeviceOverride | None, str | None] | None] = {}
        self._by_product: dict[int | None, list[Fleet]] = {}
        for fleet in fleets.fleets:
            number = None if fleet.product is None else products[fleet.product]
            self._by_product.setdefault(number, []).append(fleet)

    def of(self, kind: Kind) -> tuple[Fleet, Member] | None:
        """The fleet of these devices; None: they belong to none.

        Raises ManifestError: PFR1901 two fleets claim one device, PFR1903 two overrides name one device.
        """
        device = kind.device
        looked_at = (kind.marks, device.product_id, device.platform_id, device.groups)
        if looked_at not in self._found:
            self._found[looked_at] = self._find(kind)
        found = self._found[looked_at]
        return None if found is None else (found[0], Member(kind, *found[1:]))

    def _find(self, kind: Kind) -> tuple[Fleet, DeviceOverride | None, str | None] | None:
        """The fleet, the override in force and the time zone; looks at nothing of the kind but what `of` names."""
        override = _override_of(kind, self._naming, self._overrides)
        if override is not None and override.mode is OverrideMode.EXCLUDE:
            return None
        fleets = self._by_product.get(_product_of(kind), ())
        claims = [fleet for fleet in fleets if _claims(fleet, kind, self._naming)]
        if len(claims) > 1:
            raise _claimed_twice(kind, claims)
        return (claims[0], override, _zone_of(claims[0], kind, self._naming)) if claims else None


def members_by_fleet(fleets: FleetSet, census: Census, naming: Naming, *, now: Instant) -> Mapping[str, list[Member]]:
    """Every fleet's devices, in the order of the census. Raises ManifestError as `Selection` does."""
    selection = Selection(fleets, census, naming, now=now)
    members: dict[str, list[Member]] = {fleet.name: [] for fleet in fleets.fleets}
    for kind in census.kinds:
        found = selection.of(kind)
        if found is not None:
            members[found[0].name].append(found[1])
    return members


def _product_of(kind: Kind) -> int | None:
    """The product's number; None: the token's own device."""
    device = kind.device
    return None if device.product_id == device.platform_id else device.product_id


def _claims(fleet: Fleet, kind: Kind, naming: Naming) -> bool:
    if not matches(fleet.select, kind, naming):
        return False
    return fleet.exclude is None or not matches(fleet.exclude, kind, naming)


def _zone_of(fleet: Fleet, kind: Kind, naming: Naming) -> str | None:
    rules = fleet.time_zones if fleet.needs_device_zones else ()
    return next((rule.time_zone for rule in rules if matches(rule.select, kind, naming)), None)


def matches(selector: Selector, kind: Kind, naming: Naming) -> bool:
    """Every line that is given must match. For an exclusion the same: all of its lines together."""
    device = kind.device
    if selector.groups is not None and selector.groups.isdisjoint(device.groups):
        return False
    if selector.platforms is not None:
        platform = None if device.platform_id is None else platform_by_id(device.platform_id)
        if platform is None or platform.name not in selector.platforms:
            return False
    lists = (words for words in (selector.devices, selector.roster) if words is not None)
    return all(kind.marks & naming.bit(words) for words in lists)


def _override_of(kind: Kind, naming: Naming, overrides: list[DeviceOverride]) -> DeviceOverride | None:
    found = naming.overrides_of(kind.marks, overrides) if kind.marks else []
    if len(found) > 1:
        raise ManifestError(
            "PFR1903",
            f"{found[1].place}: override {found[1].name} names device {kind.ids[0]}, "
            f"and so does override {found[0].name} ({found[0].place})",
            next_step="leave the device in one of them",
        )
    return found[0] if found else None


def _product_ids(fleets: FleetSet, census: Census) -> Mapping[str, int]:
    """The number of every product that the manifests name, by the word they use for it.

    A slug needs a source that says whose it is. A snapshot without slugs tells it only where there is nothing to
    confuse: one product seen, one product named.
    """
    named = {fleet.product: fleet for fleet in fleets.fleets if fleet.product is not None}
    slugs = {product.slug: product.id for product in census.products}
    devices = [kind.device for kind in census.kinds]
    seen = {d.product_id for d in devices if d.product_id is not None and d.product_id != d.platform_id}
    numbers = {}
    for word, fleet in named.items():
        if word.isdecimal():
            numbers[word] = int(word)
        elif word in slugs:
            numbers[word] = slugs[word]
        elif not seen:
            numbers[word] = -1  # no product's device was seen, so the fleet has none
        elif len(seen) == 1 and len(named) == 1 and not slugs:
            numbers[word] = next(iter(seen))
        else:
            raise ManifestError(
                "PFR1902",
                f"{fleet.place}: the observation does not say which product {word!r} is; "
                f"it has {', '.join(map(str, sorted(seen)))}",
                next_step="write the product's number, or take the snapshot with this version's `observe`",
            )
    return numbers


def _claimed_twice(kind: Kind, claims: list[Fleet]) -> ManifestError:
    first, second = claims[:2]
    return ManifestError(
        "PFR1901",
        f"{second.place}: fleet {second.name} claims device {kind.ids[0]}, "
        f"and so does fleet {first.name} ({first.place})",
        next_step="narrow one of the two selections, or exclude the device there",
    )
