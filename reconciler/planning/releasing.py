"""What is done to a product as a whole: uploads before, and a release after, so that the console agrees with Git.

The rules:
- Nothing is planned where it is not known what the product holds.
- Uploaded is a version that a route locks to, that the product lacks, and of which the manifests name a file.
- Released is the application of a fleet that is selected by groups, to these groups; of one that is selected by nothing
  but its platform, as the product's default. A narrower selection is one that a release cannot say.
- Nobody outside the fleet may be moved: whom a release would reach runs that version already, is locked, or is marked
  as development (facts 6.3). Pinned devices count as outside.
- What is released is never lowered, and nothing is released to a group in which the fleet has no device: the cloud
  wants to have seen it run, and the group may not even exist.

A release that cannot be is no refusal: the devices have what they should. The plan says why in a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from reconciler.model.action import ReleaseApplication, UploadApplication
from reconciler.model.device import ObservedDevice, Product
from reconciler.model.fleet import ApplicationBinary, DesiredApplication, Fleet, FleetSet, Releasing, Via
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan
from reconciler.model.step import LockApplication
from reconciler.model.version import ApplicationVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """So many devices like this one, and the fleet that wants of them what it wants of all its devices, if any."""

    device: ObservedDevice
    devices: int
    fleet: str | None


class Crowd:
    """All devices that were observed, by product and group. Put in order only if somebody asks."""

    def __init__(self, standing: Iterable[Standing]) -> None:
        self._standing = standing
        self._places: dict[tuple[int | None, str | None], list[Standing]] | None = None

    def at(self, product: Product, group: str | None) -> Sequence[Standing]:
        """The devices of a product's group, or, for None, of the whole product."""
        if self._places is None:
            self._places = {}
            for each in self._standing:
                for place in (None, *each.device.groups):
                    self._places.setdefault((each.device.product_id, place), []).append(each)
        return self._places.get((product.id, group), ())


def product_of(fleet: Fleet, products: Iterable[Product]) -> Product | None:
    """The fleet's product as it was observed; None: nothing was seen of it, or the fleet has none."""
    return next((product for product in products if fleet.product in (product.slug, str(product.id))), None)


def with_product_actions(
    plan: FleetPlan,
    fleets: FleetSet,
    products: Sequence[Product],
    crowd: Crowd,
    *,
    complete: bool,
    now: Instant,
) -> FleetPlan:
    """The plan of a fleet with what is done to its product.

    `crowd` are all devices that were observed; unless that is `complete` nobody knows whom a release would reach.
    """
    fleet = plan.fleet
    product = product_of(fleet, products)
    if fleet.product is None or fleet.delivery.via is not Via.CLOUD:
        return plan
    preparation = () if product is None or product.holds is None else tuple(_uploads(plan, fleets, product))
    wanted = fleet.desired.application
    if wanted is None or fleet.delivery.release is Releasing.NEVER or not plan.summary.devices:
        return replace(plan, preparation=preparation)
    if product is None or product.holds is None:
        return replace(plan, unreleased=(f"what product {fleet.product} holds is not known",))
    if not complete:
        return replace(plan, preparation=preparation, unreleased=("not all devices of the product were seen",))
    conclusion, unreleased = _conclusion(fleet, wanted.version, product, crowd, now)
    return replace(plan, preparation=preparation, conclusion=conclusion, unreleased=unreleased)


def _uploads(plan: FleetPlan, fleets: FleetSet, product: Product) -> Iterator[UploadApplication]:
    locks = {
        (step.application, route.situation.platform)
        for route in plan.routes
        for step in route.steps
        if isinstance(step, LockApplication) and product.held(step.application) is None
    }
    for version, platform in sorted(locks):
        binary = _binary(plan.fleet, fleets, version, platform)
        if binary is not None and binary.sha256 is not None:
            assert plan.fleet.product is not None
            yield UploadApplication(
                product=plan.fleet.product,
                application=version,
                platform=platform,
                sha256=binary.sha256.lower(),
                size=binary.size if binary.built is None else binary.built.size,
                bundle=binary.built is not None and binary.built.bundle,
            )


def _binary(fleet: Fleet, fleets: FleetSet, version: ApplicationVersion, platform: str) -> ApplicationBinary | None:
    """The file of a version, by the fleet's own word or that of a pin."""
    pins = (override.pin.application for override in fleets.overrides if override.pin is not None)
    for application in (fleet.desired.application, *pins):
        if application is not None and application.version == version and is_uploadable(application, platform):
            return application.binary_for(platform)
    return None


def is_uploadable(application: DesiredApplication, platform: str) -> bool:
    """Whether the manifests name a file of the application for this platform."""
    binary = application.binary_for(platform)
    return binary is not None and (binary.file is not None or binary.url is not None)


def _conclusion(
    fleet: Fleet, version: ApplicationVersion, product: Product, crowd: Crowd, now: Instant
) -> tuple[ReleaseApplication | None, tuple[str, ...]]:
    if _is_suspended(fleet, now):
        return None, ()
    too_narrow = _too_narrow(fleet)
    if too_narrow is not None:
        return None, (too_narrow,)
    places: Sequence[str | None] = [None] if fleet.select.groups is None else sorted(fleet.select.groups)
    reached: list[str | None] = []
    unreleased = []
    for place in places:
        released = product.released_to(place)
        if released == version:
            continue
        there = crowd.at(product, place)
        if not any(each.fleet == fleet.name for each in there):
            continue
        why = _why_not(place, released, version, _moved(fleet, version, there))
        if why is None:
            reached.append(place)
        else:
            unreleased.append(why)
    if not reached:
        return None, tuple(unreleased)
    assert fleet.product is not None
    release = ReleaseApplication(
        product=fleet.product,
        application=version,
        groups=tuple(group for group in reached if group is not None),
        product_default=None in reached,
    )
    return release, tuple(unreleased)


def _is_suspended(fleet: Fleet, now: Instant) -> bool:
    return fleet.suspension is not None and (fleet.suspension.until is None or fleet.suspension.until > now)


def _too_narrow(fleet: Fleet) -> str | None:
    given = {
        "select.devices": fleet.select.devices,
        "select.roster": fleet.select.roster,
        "select.exclude": fleet.exclude,
    }
    narrow = [name for name, value in given.items() if value is not None]
    return f"a release cannot say {' and '.join(narrow)}" if narrow else None


def _why_not(place: str | None, released: int | None, version: int, moved: int) -> str | None:
    where = "the product's default" if place is None else f"group {place}"
    if released is not None and released > version:
        return f"{where} has application {released}, which is higher"
    if moved:
        noun = "device" if moved == 1 else "devices"
        return f"{moved} {noun} outside the fleet would be moved by a release to {where}"
    return None


def _moved(fleet: Fleet, version: int, there: Iterable[Standing]) -> int:
    """How many of these devices are outside the fleet and would be moved by a release to all of them."""
    return sum(each.devices for each in there if each.fleet != fleet.name and _is_moved(each.device, version))


def _is_moved(device: ObservedDevice, version: int) -> bool:
    """Whether a release of this version may reach the device: releases pass by what is marked, locked or not ours."""
    passed_by = device.development or device.quarantined or device.desired_application is not None
    return not passed_by and device.application != version
