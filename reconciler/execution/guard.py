"""The guard in front of every send: is the step still right, on an observation made just now?

It is the second of three checks that an upgrade never goes back, and shares no code with the search. It compares the
device as it was planned on with the device as it is, and says no at the slightest doubt: the next pass plans anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.firmware.catalog import Catalog
from reconciler.model.device import DeviceMode, ObservedDevice
from reconciler.model.fleet import Via
from reconciler.model.module import ModuleSlot
from reconciler.model.plan import Situation
from reconciler.model.platform import platform_by_id
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step, condition
from reconciler.model.version import DeviceOsVersion


@dataclass(frozen=True, slots=True)
class Blocked:
    """The step must not be sent now; `why` says what the fresh observation showed."""

    why: str


def check(
    step: Step, situation: Situation, planned_on: ObservedDevice, fresh: ObservedDevice | None, catalog: Catalog
) -> Blocked | None:
    """None: send it. `situation` is the one that the step was planned for, `planned_on` the device as it was then."""
    if fresh is None:
        return Blocked("the device is no longer there")
    why = _changed(planned_on, fresh) or _locked_since(step, planned_on, fresh) or _not_willing(step, fresh)
    if why is None:
        match step:
            case FlashModule():
                why = _module_would_fall(step, fresh, catalog) or condition(step, _versions(situation))
            case LockApplication() | FlashApplication():
                why = _application_would_fall(step, fresh)
    return None if why is None else Blocked(why)


def _changed(planned_on: ObservedDevice, fresh: ObservedDevice) -> str | None:
    for name in ("platform_id", "product_id", "device_os", "application", "mode", "development", "last_handshake_at"):
        before, after = getattr(planned_on, name), getattr(fresh, name)
        if before != after:
            return f"{name} changed from {before} to {after} since it was planned"
    return None


def _locked_since(step: Step, planned_on: ObservedDevice, fresh: ObservedDevice) -> str | None:
    """A person's lock forbids every step from the moment at which it is there; what was planned did not know of it."""
    lock = fresh.desired_application
    ours = None if isinstance(step, FlashModule) else step.application
    if lock == planned_on.desired_application or lock in (None, ours, fresh.locked_by_us):
        return None
    return f"somebody has locked it to application {lock} since it was planned"


def _not_willing(step: Step, fresh: ObservedDevice) -> str | None:
    if not fresh.online:
        return "the device is offline"
    if fresh.quarantined:
        return "the device is quarantined"
    if step.via is Via.CLOUD and fresh.updates_enabled is False and not fresh.updates_forced:
        return "its application has disabled updates"
    if not isinstance(step, LockApplication):
        return None
    if fresh.development:
        return "the device is marked as development: the cloud ignores locks"
    lock, released = fresh.desired_application, fresh.targeted_application
    if lock not in (None, step.application, fresh.locked_by_us) and (
        # A lock of ours that somebody lowered may be put back; one that was never ours, or is higher, may not.
        fresh.locked_by_us is None or lock > step.application
    ):
        return f"somebody has locked it to application {lock}"
    if lock is None and released is not None and released > step.application:
        return f"the cloud is to bring it application {released}, {step.application} is lower"
    return None


def _module_would_fall(step: FlashModule, fresh: ObservedDevice, catalog: Catalog) -> str | None:
    for module in fresh.modules or ():
        if module.slot == step.module.slot and module.version >= step.module.version:
            return f"{module.slot} is at {module.version}, {step.module.version} is not higher"
    platform = None if fresh.platform_id is None else platform_by_id(fresh.platform_id)
    running = None if platform is None or fresh.device_os is None else DeviceOsVersion(fresh.device_os)
    if platform is None or running is None or fresh.mode is not DeviceMode.NORMAL:
        return None
    release = catalog.release(platform, running)
    if release is None:
        return f"it runs {running}, of which nothing is known"
    shown = [s.module for s in release.modules if s.module.slot == step.module.slot == platform.shown_part]
    if any(module.version >= step.module.version for module in shown):
        return f"it runs {running}, {step.module} of {step.device_os} is not higher"
    return None


def _application_would_fall(step: LockApplication | FlashApplication, fresh: ObservedDevice) -> str | None:
    if _is_put_back(step, fresh):
        # It stays what it is; our lock keeps the cloud from moving it, and nobody sets one that is there.
        is_there = fresh.desired_application == step.application
        return f"it is locked to application {step.application} already" if is_there else None
    if fresh.application is not None and fresh.application >= step.application:
        return f"it runs application {fresh.application}, {step.application} is not higher"
    return None


def _is_put_back(step: LockApplication | FlashApplication, fresh: ObservedDevice) -> bool:
    is_lock_of_ours = isinstance(step, LockApplication) and fresh.locked_by_us is not None
    return is_lock_of_ours and fresh.application == step.application


def _versions(situation: Situation) -> dict[ModuleSlot, int]:
    return {module.slot: module.version for module in situation.modules}
