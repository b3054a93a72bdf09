"""The proof: every route is replayed by the device's own rules before anyone sees it.

It shares no code with the search. It raises `BugError` PFR9002 when a route is not upgrade-only, when a device would
not take a step, when a boot is not the one that the step says, when a hop mixes releases or leaves a system part out,
or when the route does not arrive.

Over USB, what is written in DFU mode has one boot, at the end of those writes or of the hop (facts 7.4).
"""

from __future__ import annotations

from itertools import groupby, pairwise

from reconciler.firmware.catalog import Catalog
from reconciler.model.device import DeviceMode
from reconciler.model.error import BugError
from reconciler.model.fleet import Via
from reconciler.model.module import Module, ModuleFunction, ModuleSlot
from reconciler.model.plan import Situation
from reconciler.model.platform import Platform
from reconciler.model.release import Release
from reconciler.model.step import FlashModule, condition, effect, goes_in_dfu_mode
from reconciler.model.version import DeviceOsVersion

_Installed = dict[ModuleSlot, Module]


def prove(
    platform: Platform,
    start: Situation,
    desired: DeviceOsVersion,
    steps: tuple[FlashModule, ...],
    hops: tuple[DeviceOsVersion, ...],
    catalog: Catalog,
    *,
    application: Module | None = None,
) -> None:
    """Raise BugError unless these steps bring the situation to the desired release by legal hops.

    `application`: the application module that is there before the first step, in place of the one that was.
    """
    replay = _Replay(platform, start)
    if application is not None:
        replay.replace_application(application)
    legs = [(device_os, tuple(leg)) for device_os, leg in groupby(steps, key=lambda step: step.device_os)]
    if tuple(device_os for device_os, _ in legs) != hops:
        raise replay.broken(f"mixes its hops: {', '.join(step.device_os.text for step in steps)}")
    if not all(earlier < later for earlier, later in pairwise(hops)):
        raise replay.broken(f"does not ascend: {', '.join(map(str, hops))}")
    for device_os, leg in legs:
        release = catalog.release(platform, device_os)
        if release is None:
            raise replay.broken(f"has a hop to {device_os}, which is unknown")
        for step in leg:
            replay.take(step, release)
        replay.boot()
        replay.check_complete(release)
    goal = catalog.release(platform, desired)
    assert goal is not None
    replay.check_complete(goal)
    if replay.unmet():
        raise replay.broken("ends with unmet needs")


class _Replay:
    """A device that takes steps. What ran in normal mode at the start has its needs met by that."""

    def __init__(self, platform: Platform, start: Situation) -> None:
        self._platform = platform
        self._start = start
        self._installed: _Installed = {module.slot: module for module in start.modules}
        if start.user_part is not None:
            self._installed[start.user_part.slot] = start.user_part
        self._trusted = dict(self._installed) if start.mode is DeviceMode.NORMAL else {}
        self._versions = {slot: module.version for slot, module in self._installed.items()}
        self._unbooted: list[FlashModule] = []

    def replace_application(self, application: Module) -> None:
        for slot in [slot for slot in self._installed if slot.function is ModuleFunction.USER_PART]:
            del self._installed[slot], self._versions[slot]
        self._installed[application.slot] = application
        self._versions[application.slot] = application.version

    def take(self, step: FlashModule, release: Release) -> None:
        in_dfu_mode = goes_in_dfu_mode(step.module.slot.function, step.via)
        if not in_dfu_mode:
            self.boot()
            if step.via is Via.USB and not any(self._versions.get(slot) for slot in self._platform.system_parts):
                raise self.broken(f"sends {step.module} to a device on which no Device OS runs")
        refusal = condition(step, self._versions)
        if refusal is not None:
            raise self.broken(f"has an illegal step {step.module}: {refusal}")
        if not any(shipped.module == step.module for shipped in release.modules):
            raise self.broken(f"sends {step.module}, which {release.version} does not ship")
        self._versions = effect(step, self._versions)
        self._installed[step.module.slot] = step.module
        self._unbooted.append(step)
        if not in_dfu_mode:
            self.boot()

    def boot(self) -> None:
        boots_into = DeviceMode.SAFE_MODE if self.unmet() else DeviceMode.NORMAL
        for step in self._unbooted:
            if boots_into is not step.boots_into:
                raise self.broken(f"boots into {boots_into} after {step.module}, not {step.boots_into}")
        self._unbooted.clear()

    def unmet(self) -> bool:
        return any(
            self._versions.get(need.slot, 0) < need.version
            for slot, module in self._installed.items()
            if self._trusted.get(slot) is not module
            for need in module.dependencies
        )

    def check_complete(self, release: Release) -> None:
        for shipped in release.modules:
            module = shipped.module
            if module.slot in self._platform.system_parts and self._versions.get(module.slot) != module.version:
                raise self.broken(f"leaves {module.slot} at {self._versions.get(module.slot)} in {release.version}")

    def broken(self, why: str) -> BugError:
        message = f"a route of {self._start.platform} from {self._start.device_os} {why}"
        return BugError("PFR9002", message, next_step="nothing was sent; please report this with the plan's inputs")
