"""The planner's search against the oracle from devices that reported their modules: repaired, half done, mixed up."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.firmware.known import known_catalog
from reconciler.model.device import DeviceMode
from reconciler.model.fleet import Completeness, Via
from reconciler.model.module import Dependency, ModuleSlot
from reconciler.model.module import Module as ModelModule
from reconciler.model.plan import Knowledge, Situation
from reconciler.model.platform import platform_by_name
from reconciler.model.version import DeviceOsVersion
from reconciler.planning.route import Found, find_route
from tests.planning.oracle import (
    NOTHING,
    Answer,
    Device,
    Module,
    Need,
    Step,
    boots_normally,
    bytes_for_cost,
    cheapest_routes,
    platforms,
    publishable,
    runs,
    shipped,
)


@st.composite
def reported_devices(draw: st.DrawFn) -> tuple[str, str, Device, bool]:
    """Platform, running release, modules, safe mode: system parts of one release, anything else of any release."""
    platform = draw(st.sampled_from(platforms()))
    running = draw(st.sampled_from(publishable(platform)))
    builds: dict[str, set[Module]] = {}
    for modules in shipped()[platform].values():
        for module in modules.values():
            builds.setdefault(module.slot, set()).add(module)
    device = {m for m in shipped()[platform][running].values() if m.slot.startswith("system_part/")}
    for slot in sorted(builds):
        own = shipped()[platform][running].get(slot)
        chosen = draw(st.sampled_from([own, own, None, *sorted(builds[slot], key=repr)]))
        if not slot.startswith("system_part/") and chosen is not None:
            device.add(chosen)
    whole = frozenset(device)
    return platform, running, whole, not boots_normally(whole) or draw(st.booleans())


@st.composite
def broken_devices(draw: st.DrawFn) -> tuple[str, str, Device]:
    """The same, found in DFU mode without one, some or all of its system parts; without any its release is unknown."""
    platform, running, device, _ = draw(reported_devices())
    parts = sorted(module for module in device if module.slot.startswith("system_part/"))
    lost = draw(st.sets(st.sampled_from(parts), min_size=1))
    return platform, running if len(lost) < len(parts) else NOTHING, device - lost


def model_module(module: Module) -> ModelModule:
    def dependency(need: Need | None) -> Dependency | None:
        return None if need is None else Dependency(ModuleSlot.parse(need[0]), need[1])

    return ModelModule(
        slot=ModuleSlot.parse(module.slot),
        version=module.version,
        first_dependency=dependency(module.first),
        second_dependency=dependency(module.second),
    )


def planned(
    platform: str, running: str, device: Device, desired: str, *, via: str, safe_mode: bool, full: bool
) -> Found | None:
    known = platform_by_name(platform)
    assert known is not None
    modules = sorted(map(model_module, device), key=lambda module: module.slot)
    situation = Situation(
        platform=platform,
        device_os=DeviceOsVersion(running) if runs(platform, device) else None,
        application=None,
        mode=DeviceMode.SAFE_MODE if safe_mode else DeviceMode.NORMAL,
        knowledge=Knowledge.REPORTED,
        modules=tuple(modules),
    )
    found = find_route(
        known,
        situation,
        DeviceOsVersion(desired),
        known_catalog(),
        via=Via(via),
        completeness=Completeness.FULL if full else Completeness.REQUIRED,
        allow_prerelease=False,
    )
    return found if isinstance(found, Found) else None


@settings(max_examples=100, deadline=None)
@given(reported_devices(), st.sampled_from(["cloud", "usb"]), st.booleans(), st.data())
def test_the_planner_and_the_oracle_agree_whatever_modules_are_there(
    reported: tuple[str, str, Device, bool], via: str, full: bool, data: st.DataObject
) -> None:
    platform, running, device, safe_mode = reported
    answers = cheapest_routes(platform, running, via=via, device=device, safe_mode=safe_mode, full=full)
    releases = publishable(platform)
    later = releases[releases.index(running) + (not safe_mode) :]
    for desired in data.draw(st.lists(st.sampled_from(later), max_size=5)) if later else ():
        found = planned(platform, running, device, desired, via=via, safe_mode=safe_mode, full=full)
        agree(platform, desired, found, answers.get(desired))


@settings(max_examples=25, deadline=None)
@given(broken_devices(), st.booleans(), st.data())
def test_the_planner_and_the_oracle_agree_on_what_repairs_a_device_on_which_nothing_runs(
    broken: tuple[str, str, Device], full: bool, data: st.DataObject
) -> None:
    platform, of_parts, device = broken
    answers = cheapest_routes(platform, of_parts, via="usb", device=device, safe_mode=True, full=full)
    releases = publishable(platform)
    later = releases if of_parts == NOTHING else releases[releases.index(of_parts) :]
    for desired in data.draw(st.lists(st.sampled_from(later), max_size=5)):
        found = planned(platform, of_parts, device, desired, via="usb", safe_mode=True, full=full)
        agree(platform, desired, found, answers.get(desired))


def agree(platform: str, desired: str, found: Found | None, answer: Answer | None) -> None:
    cost = None
    if found is not None:
        steps = [Step(s.device_os.text, Module(str(s.module.slot), s.module.version)) for s in found.steps]
        size = sum(bytes_for_cost(platform, step) for step in steps)
        hops = tuple(hop.text for hop in found.hops)
        cost = (found.safe_mode_boots, len(steps), size, len(hops), hops)
    assert cost == (None if answer is None else answer[:5]), (desired, found, answer)
