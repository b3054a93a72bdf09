"""Laws of planning: no version falls, every route arrives, to plan again on the way loses nothing, order is nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.firmware.known import known_catalog
from reconciler.model.device import DeviceId, DeviceMode, Observation, ObservedDevice
from reconciler.model.fleet import Desired, DesiredApplication, Fleet, FleetSet, Place, Selector
from reconciler.model.instant import Instant
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.plan import Knowledge, Plan, Route
from reconciler.model.platform import PLATFORMS, Platform
from reconciler.model.release import Release
from reconciler.model.step import FlashModule, Step
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from reconciler.planning.planner import plan_fleets
from reconciler.render.plan_json import plan_document, plan_json

NOW = Instant(1_795_338_000.0)
CATALOG = known_catalog()
RELEASES = {
    platform: [release for release in CATALOG.releases(platform) if release.published and not release.prerelease]
    for platform in PLATFORMS
    if any(release.published and not release.prerelease for release in CATALOG.releases(platform))
}
PRODUCT = 12345
DESIRED_APPLICATION = ApplicationVersion(44)


def fleet_of(name: str, desired: DeviceOsVersion | None, *, application: bool = True) -> Fleet:
    wanted = DesiredApplication(release="logger", version=DESIRED_APPLICATION) if application else None
    return Fleet(
        name=name,
        product=str(PRODUCT),
        select=Selector(groups=frozenset({name})),
        exclude=None,
        desired=Desired(device_os=desired, application=wanted),
        place=Place("fleet.yaml", 1, 1),
    )


def plan_of(fleets: Sequence[Fleet], devices: Sequence[ObservedDevice]) -> Plan:
    observation = Observation(observed_at=NOW, source="snapshot", devices=tuple(devices))
    fleet_set = FleetSet(fleets=tuple(fleets), digest="sha256:" + "0" * 64)
    return plan_fleets(fleet_set, observation, CATALOG, now=NOW, revision="main@sha1:00")


def device_of(number: int, platform: Platform, **fields: object) -> ObservedDevice:
    known: dict[str, object] = {
        "platform_id": platform.id,
        "product_id": PRODUCT,
        "application": 12,
        "online": True,
        "groups": ("a",),
        "observed_at": NOW,
    }
    return ObservedDevice(id=DeviceId(f"{number:024x}"), **(known | fields))  # type: ignore[arg-type]  # by name


@st.composite
def journeys(draw: st.DrawFn) -> tuple[Platform, Release, Release]:
    """A platform, the release that runs, and a later one that is desired."""
    platform = draw(st.sampled_from(sorted(RELEASES, key=lambda each: each.id)))
    releases = RELEASES[platform]
    first = draw(st.integers(0, len(releases) - 2))
    return platform, releases[first], releases[draw(st.integers(first + 1, len(releases) - 1))]


@st.composite
def any_devices(draw: st.DrawFn) -> tuple[list[Fleet], list[ObservedDevice]]:
    """Two fleets and devices in every condition, some of which no plan can help."""
    platforms = sorted(RELEASES, key=lambda each: each.id)
    every_release = sorted({release.version.text for releases in RELEASES.values() for release in releases})
    wished = st.sampled_from([None, *map(DeviceOsVersion, every_release)])
    fleets = [fleet_of("a", draw(wished)), fleet_of("b", draw(wished), application=draw(st.booleans()))]
    devices = []
    for number in range(draw(st.integers(0, 12))):
        platform = draw(st.sampled_from(platforms))
        runs = draw(st.sampled_from([*RELEASES[platform], *CATALOG.releases(platform)]))
        fields: dict[str, object] = {
            "device_os": draw(st.sampled_from([runs.version.text] * 6 + [None, "99.0.0"])),
            "application": draw(st.sampled_from([None, 12, 44, 50])),
            "online": draw(st.booleans()),
            "mode": draw(st.sampled_from([DeviceMode.NORMAL, DeviceMode.NORMAL, DeviceMode.SAFE_MODE, None])),
            "groups": draw(st.sampled_from([("a",), ("b",), ("c",)])),
            "development": draw(st.booleans()),
            "updates_enabled": draw(st.sampled_from([None, True, False])),
            "updates_forced": draw(st.booleans()),
            "quarantined": draw(st.sampled_from([False, False, True])),
            "desired_application": draw(st.sampled_from([None, 44, 7])),
        }
        if draw(st.booleans()):
            subset = draw(st.lists(st.sampled_from(runs.modules), unique=True)) if runs.modules else []
            fields["modules"] = tuple(shipped.module for shipped in subset)
        if draw(st.integers(0, 9)) == 0:
            fields["platform_id"] = draw(st.sampled_from([31, 999]))
        devices.append(device_of(number, platform, **fields))
    return fleets, devices


def routes_of(plan: Plan) -> list[Route]:
    return [route for fleet in plan.fleets for route in fleet.routes]


def after(modules: Sequence[Module], steps: Sequence[Step]) -> tuple[Module, ...]:
    installed = {module.slot: module for module in modules}
    installed |= {step.module.slot: step.module for step in steps if isinstance(step, FlashModule)}
    return tuple(installed[slot] for slot in sorted(installed))


def cost(steps: Sequence[Step], platform: Platform) -> tuple[int, int, int]:
    """Safe-mode boots, steps, bytes, an unknown size counted as the largest of its slot."""
    sizes = [
        CATALOG.largest_size(platform, step.module.slot) if step.size is None else step.size
        for step in steps
        if isinstance(step, FlashModule)
    ]
    return sum(step.boots_into is DeviceMode.SAFE_MODE for step in steps), len(steps), sum(sizes)


def mode_after(steps: Sequence[Step]) -> DeviceMode:
    return steps[-1].boots_into if steps else DeviceMode.NORMAL


def application_after(steps: Sequence[Step]) -> int:
    return next((step.application for step in steps if not isinstance(step, FlashModule)), 12)


@given(any_devices())
def test_every_device_of_every_fleet_is_placed_exactly_once(world: tuple[list[Fleet], list[ObservedDevice]]) -> None:
    fleets, devices = world
    for planned in plan_of(fleets, devices).fleets:
        places = (*planned.routes, *planned.refused, *planned.waiting)
        placed = [*planned.current, *(device for place in places for device in place.devices)]
        members = [device.id for device in devices if planned.fleet.name in device.groups]
        assert sorted(placed) == sorted(members)
        assert planned.summary.devices == len(members)


@given(any_devices())
def test_no_version_ever_falls_on_any_route(world: tuple[list[Fleet], list[ObservedDevice]]) -> None:
    fleets, devices = world
    by_id = {device.id: device for device in devices}
    for route in routes_of(plan_of(fleets, devices)):
        installed = {module.slot: module.version for module in route.situation.modules}
        for step in route.steps:
            if isinstance(step, FlashModule):
                assert step.module.version > installed.get(step.module.slot, 0)
                installed[step.module.slot] = step.module.version
            else:
                assert all((by_id[device].application or 0) < step.application for device in route.devices)


@given(any_devices(), st.randoms(use_true_random=False))
def test_the_same_inputs_in_any_order_give_the_same_bytes(
    world: tuple[list[Fleet], list[ObservedDevice]], dice: object
) -> None:
    fleets, devices = world
    mixed_fleets, mixed_devices = list(fleets), list(devices)
    dice.shuffle(mixed_fleets)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    dice.shuffle(mixed_devices)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    one, other = (
        plan_json(plan_document(plan, tool_version="0", show_current=True))
        for plan in (plan_of(fleets, devices), plan_of(mixed_fleets, mixed_devices))
    )
    assert one == other


@given(journeys(), st.booleans(), st.data())
def test_after_some_steps_the_new_plan_is_the_rest_of_the_old_one_or_cheaper(
    journey: tuple[Platform, Release, Release],
    learns: bool,
    data: st.DataObject,
) -> None:
    """The device reports its modules; or, with one system part, only the release, and our own steps are remembered."""
    platform, runs, desired = journey
    learns = learns and len(platform.system_parts) == 1
    reported = None if learns else tuple(shipped.module for shipped in runs.modules)
    fleet = fleet_of("a", desired.version)
    device = device_of(1, platform, device_os=runs.version.text, modules=reported)
    routes = routes_of(plan_of([fleet], [device]))
    assert routes or platform.name == "tracker"
    for route in routes:
        done = data.draw(st.integers(0, len(route.steps)))
        seen = _seen_after(platform, device, route, done, learns=learns)
        again = plan_of([fleet], [seen])
        left = route.steps[done:]
        if not left:
            assert again.fleets[0].current == (device.id,)
            continue
        (rest,) = routes_of(again)
        assert rest.steps == left or cost(rest.steps, platform) < cost(left, platform)


def _seen_after(platform: Platform, device: ObservedDevice, route: Route, done: int, *, learns: bool) -> ObservedDevice:
    steps = route.steps[:done]
    common = {"mode": mode_after(steps), "application": application_after(steps)}
    flashed = [step for step in steps if isinstance(step, FlashModule)]
    if not learns:
        modules = after(route.situation.modules, steps)
        return replace(device, **common, device_os=None, modules=modules)  # type: ignore[arg-type]  # by name
    system = [step.device_os.text for step in flashed if step.module.slot in platform.system_parts]
    learnt = tuple(step.module for step in flashed if step.module.slot not in platform.system_parts)
    last = {module.slot: module for module in learnt}
    device_os = system[-1] if system else device.device_os
    return replace(device, **common, device_os=device_os, learnt=tuple(last.values()))  # type: ignore[arg-type]  # by name


@given(journeys(), st.integers(0, 3))
def test_a_route_ends_at_the_desired_release_with_every_need_met(
    journey: tuple[Platform, Release, Release], forgotten: int
) -> None:
    """Also from a safe mode in which modules of the running release are missing, and with an application's needs."""
    platform, runs, desired = journey
    whole = [shipped.module for shipped in runs.modules]
    other = [module for module in whole if module.slot.function is not ModuleFunction.SYSTEM_PART]
    modules = [module for module in whole if module not in other[:forgotten]]
    user_part = Module(
        slot=ModuleSlot(ModuleFunction.USER_PART, 1),
        version=6,
        first_dependency=next(Dependency(m.slot, m.version) for m in whole if m.slot == platform.system_parts[0]),
    )
    device = device_of(1, platform, mode=DeviceMode.SAFE_MODE, modules=(*modules, user_part))
    routes = routes_of(plan_of([fleet_of("a", desired.version)], [device]))
    assert routes or platform.name == "tracker"
    for route in routes:
        assert route.situation.knowledge is Knowledge.REPORTED
        at_the_end = {module.slot: module for module in after((*modules, user_part), route.steps)}
        for shipped in desired.modules:
            if shipped.module.slot in platform.system_parts:
                assert at_the_end[shipped.module.slot].version == shipped.module.version
        for module in at_the_end.values():
            for dependency in module.dependencies:
                assert at_the_end[dependency.slot].version >= dependency.version


@settings(max_examples=25)
@given(st.lists(journeys(), max_size=6))
def test_a_fleet_that_is_as_desired_has_an_empty_plan(journey: list[tuple[Platform, Release, Release]]) -> None:
    fleets = [replace(fleet_of(f"fleet-{number}", there.version)) for number, (_, _, there) in enumerate(journey)]
    devices = [
        device_of(number, platform, device_os=there.version.text, application=44, groups=(f"fleet-{number}",))
        for number, (platform, _, there) in enumerate(journey)
    ]
    plan = plan_of(fleets, devices)
    assert (plan.summary.current, plan.summary.devices) == (len(devices), len(devices))
