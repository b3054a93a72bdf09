"""`delivery.order: application-first`: the application goes first, and the cloud's safe mode healer brings Device OS.

The rules (facts 4.6, 6.3):
- The device takes an application that needs a later Device OS and boots into safe mode. The healer then sends what is
  needed, one module a session, until the device boots normally.
- The healer brings no more than the application needs. So the application must be built with the desired release, and
  its file must have been read: from the product's own copy nobody can tell.
- The healer knows no stations and no intermediate releases. So one hop must do, every module of it accepted in turn.
- It is a lock that starts it, so the device must be one that takes a lock.

Which build of a module the healer takes is its own affair; the plan counts the desired release's.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.firmware.catalog import Catalog
from reconciler.model.device import DeviceMode
from reconciler.model.fleet import BuiltApplication, Completeness, Desired, Via
from reconciler.model.plan import RefusalReason, Refused, Situation
from reconciler.model.platform import Platform
from reconciler.model.step import FlashModule
from reconciler.planning.application import built_for, device_os_of_need
from reconciler.planning.proof import prove
from reconciler.planning.route import NoRoute, RouteSearch


@dataclass(frozen=True, slots=True)
class Healing:
    """What the healer is expected to send after the application, in order."""

    modules: tuple[FlashModule, ...]


def healing_of(
    platform: Platform, situation: Situation, desired: Desired, via: Via, search: RouteSearch, catalog: Catalog
) -> Healing | Refused:
    """What the healer would do for a device that is below the desired release; a refusal when it cannot do it alone."""
    why = _not_by_lock(situation, via) or _nothing_to_heal_with(platform, situation, desired, catalog)
    if why is not None:
        return _unsupported(why)
    assert desired.application is not None
    assert desired.device_os is not None
    built = built_for(platform, desired.application)
    assert built is not None
    found = search.find_in_one_hop(
        situation, built.module, desired.device_os, full=desired.completeness is Completeness.FULL
    )
    if isinstance(found, NoRoute):
        return _unsupported(found.because)
    if any(step.boots_into is DeviceMode.NORMAL for step in found.steps[:-1]):
        return _unsupported("the healer would stop on the way, as soon as the device boots normally")
    prove(platform, situation, desired.device_os, found.steps, found.hops, catalog, application=built.module)
    return Healing(found.steps)


def _not_by_lock(situation: Situation, via: Via) -> str | None:
    if via is Via.USB:
        return "over USB Device OS goes first"
    if situation.development:
        return "the cloud delivers nothing to a development device"
    if situation.own:
        return "only a device of a product takes a lock"
    return None


def _nothing_to_heal_with(platform: Platform, situation: Situation, desired: Desired, catalog: Catalog) -> str | None:
    wanted = desired.application
    if wanted is None:
        return "no application is desired, and nothing else makes the healer bring Device OS"
    if situation.application == wanted.version:
        return f"application {wanted.version} runs already, so nothing makes the healer bring Device OS"
    built = built_for(platform, wanted)
    if built is None:
        return f"nobody can tell what application {wanted.version} needs: the manifests name no file of it"
    return _brings_less(platform, built, desired, catalog)


def _brings_less(platform: Platform, built: BuiltApplication, desired: Desired, catalog: Catalog) -> str | None:
    """The healer stops at what the application needs, which is the desired release only when it was built with it."""
    assert desired.device_os is not None
    release = catalog.release(platform, desired.device_os)
    shipped = {} if release is None else {s.module.slot: s.module.version for s in release.modules}
    needs = {need.slot: need.version for need in built.module.dependencies if need.slot in platform.system_parts}
    if any(shipped.get(slot) == version for slot, version in needs.items()):
        return None
    device_os = device_os_of_need(platform, built, catalog)
    built_with = f"Device OS {device_os}" if device_os else ", ".join(f"{s} >= {v}" for s, v in needs.items())
    return f"the healer brings no more than the application needs: {built_with or 'nothing'}, not {desired.device_os}"


def _unsupported(why: str) -> Refused:
    message = f"application-first is not possible: {why}"
    return Refused(reason=RefusalReason.ORDER_UNSUPPORTED, message=message, devices=())
