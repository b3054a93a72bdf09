"""Judge a given route by the rules of the contract ("What a route may be"), one small function for each rule.

Each function yields sentences, one for each breach; no sentence means that the rule is kept. Uses the oracle only.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, permutations
from typing import NamedTuple

from tests.planning.oracle import (
    NEVER_SENT,
    Answer,
    Device,
    Module,
    Step,
    after,
    boots_normally,
    bytes_for_cost,
    cheapest_routes,
    has_arrived,
    inferred,
    installed_version,
    is_complete,
    is_later,
    is_stable,
    is_written_in_dfu_mode,
    published,
    shipped,
    station_between,
    takes,
)


class Case(NamedTuple):
    """A route as it was given, and what it starts from."""

    platform: str
    start: str
    desired: str
    steps: tuple[Step, ...]
    device: Device
    via: str = "cloud"
    safe_mode: bool = False
    full: bool = False


def check_route(
    platform: str,
    start: str,
    desired: str,
    steps: tuple[Step, ...],
    *,
    device: Device | None = None,
    via: str = "cloud",
    safe_mode: bool = False,
    full: bool = False,
) -> list[str]:
    """Every breach of the rules 1 to 9 by a route between two releases, as sentences. `device` None: inferred."""
    first = device if device is not None else inferred(platform, start)
    case = Case(platform, start, desired, steps, first, via, safe_mode, full)
    rules = (
        rule_1_a_hop_is_one_release_s_own_modules,
        rule_1_hops_go_strictly_upward_through_published_releases,
        rule_1_all_system_parts_before_the_next_hop,
        rule_1_only_needed_modules_are_sent,
        rule_1_no_version_falls_or_is_sent_again,
        rule_2_the_device_takes_every_step,
        rule_3_every_boot_is_normal_where_it_can_be,
        rule_4_no_station_is_passed_by,
        rule_5_no_other_route_is_cheaper,
        rule_5_the_order_within_a_hop,
        rule_7_radio_stack_and_ncp_firmware,
        rule_8_nothing_of_the_running_release_in_normal_mode,
        rule_9_the_route_arrives,
    )
    return [f"{rule.__name__}: {breach}" for rule in rules for breach in rule(case)]


def before_each(case: Case) -> Iterator[tuple[Device, Step]]:
    """Each step with the device as it is just before."""
    device = case.device
    for step in case.steps:
        yield device, step
        device = after(device, step.module)


def at_the_end(device: Device, steps: tuple[Step, ...]) -> Device:
    for step in steps:
        device = after(device, step.module)
    return device


def hops_of(steps: tuple[Step, ...]) -> list[tuple[str, tuple[Step, ...]]]:
    """The hops in order, each with its steps; a release that comes twice is two hops."""
    found: list[tuple[str, tuple[Step, ...]]] = []
    for step in steps:
        if found and found[-1][0] == step.device_os:
            found[-1] = (step.device_os, (*found[-1][1], step))
        else:
            found.append((step.device_os, (step,)))
    return found


def boots_after(steps: tuple[Step, ...], index: int, via: str) -> bool:
    """Whether the device boots after this step: not between two writes of one hop in DFU mode."""
    if not is_written_in_dfu_mode(via, steps[index].module.slot) or index + 1 == len(steps):
        return True
    following = steps[index + 1]
    return following.device_os != steps[index].device_os or not is_written_in_dfu_mode(via, following.module.slot)


def safe_mode_boots(device: Device, steps: tuple[Step, ...], via: str) -> int:
    boots = 0
    for index, step in enumerate(steps):
        device = after(device, step.module)
        boots += boots_after(steps, index, via) and not boots_normally(device)
    return boots


def rule_1_a_hop_is_one_release_s_own_modules(case: Case) -> Iterator[str]:
    for step in case.steps:
        if shipped()[case.platform].get(step.device_os, {}).get(step.module.slot) != step.module:
            yield f"{step.device_os} does not ship {step.module}"
        if step.module.slot == NEVER_SENT:
            yield f"{step.module.slot} is never sent"


def rule_1_hops_go_strictly_upward_through_published_releases(case: Case) -> Iterator[str]:
    hops = [hop for hop, _ in hops_of(case.steps)]
    repaired = case.safe_mode and hops[:1] == [case.start]
    for earlier, later in pairwise(hops if repaired else [case.start, *hops]):
        if not is_later(later, earlier):
            yield f"{later} is not later than {earlier}"
    for hop in hops[1:] if repaired else hops:
        if (case.platform, hop) not in published():
            yield f"{hop} was never published for {case.platform}"
        if is_later(hop, case.desired):
            yield f"{hop} is above the desired {case.desired}"
        if not is_stable(hop) and hop != case.desired:
            yield f"{hop} on the way is a prerelease"


def rule_1_all_system_parts_before_the_next_hop(case: Case) -> Iterator[str]:
    device = case.device
    for hop, steps in hops_of(case.steps):
        device = at_the_end(device, steps)
        if not is_complete(case.platform, device, hop):
            yield f"the hop to {hop} ends before all its system parts are there"


def rule_1_only_needed_modules_are_sent(case: Case) -> Iterator[str]:
    """A step is not needed if the route without it is one that the device takes and that arrives as well off."""
    for index, step in enumerate(case.steps):
        rest = case._replace(steps=case.steps[:index] + case.steps[index + 1 :])
        unharmed = safe_mode_boots(case.device, rest.steps, case.via) <= safe_mode_boots(
            case.device, case.steps, case.via
        )
        breaches = (
            *rule_2_the_device_takes_every_step(rest),
            *rule_1_all_system_parts_before_the_next_hop(rest),
            *rule_4_no_station_is_passed_by(rest),
            *rule_9_the_route_arrives(rest),
        )
        if unharmed and not breaches:
            yield f"{step.device_os} {step.module.slot} is not needed"


def rule_1_no_version_falls_or_is_sent_again(case: Case) -> Iterator[str]:
    for device, step in before_each(case):
        installed = installed_version(device, step.module.slot)
        if step.module.version <= installed:
            yield f"{step.module.slot} {step.module.version} is sent to a device that has {installed}"


def rule_2_the_device_takes_every_step(case: Case) -> Iterator[str]:
    for device, step in before_each(case):
        if not takes(case.platform, device, step.module, case.via):
            yield f"the device refuses {step.device_os} {step.module}, it has {sorted(device)}"


def rule_3_every_boot_is_normal_where_it_can_be(case: Case) -> Iterator[str]:
    boots = safe_mode_boots(case.device, case.steps, case.via)
    best = cheapest(case)
    if best is not None and boots > best[0]:
        yield f"{boots} boots into safe mode, {best[0]} would do"


def rule_4_no_station_is_passed_by(case: Case) -> Iterator[str]:
    for earlier, later in pairwise([case.start, *(hop for hop, _ in hops_of(case.steps))]):
        station = station_between(case.platform, case.via, earlier, later)
        if station is not None:
            yield f"the route goes from {earlier} to {later} past the station {station}"


def rule_5_no_other_route_is_cheaper(case: Case) -> Iterator[str]:
    hops = tuple(hop for hop, _ in hops_of(case.steps))
    cost = (
        safe_mode_boots(case.device, case.steps, case.via),
        len(case.steps),
        sum(bytes_for_cost(case.platform, step) for step in case.steps),
        len(hops),
        hops,
    )
    best = cheapest(case)
    if best is not None and cost != best:
        yield f"costs {cost}, there is one for {best}"


def rule_5_the_order_within_a_hop(case: Case) -> Iterator[str]:
    """Wherever legal: bootloaders (higher index first), NCP firmware, radio stack, system parts."""
    device = case.device
    for hop, steps in hops_of(case.steps):
        boots = safe_mode_boots(device, steps, case.via)
        legal = [
            order
            for order in permutations(steps)
            if not [*rule_2_the_device_takes_every_step(case._replace(device=device, steps=order))]
            and safe_mode_boots(device, order, case.via) == boots
        ]
        preferred = min(([place_in_hop(step.module) for step in order] for order in legal), default=None)
        if preferred is not None and [place_in_hop(step.module) for step in steps] != preferred:
            yield f"in the hop to {hop} {[step.module.slot for step in steps]} could be sent in a better order"
        device = at_the_end(device, steps)


def rule_7_radio_stack_and_ncp_firmware(case: Case) -> Iterator[str]:
    for step in case.steps:
        only = {"radio_stack/0": 202, "ncp_firmware/0": 7}.get(step.module.slot, step.module.version)
        if step.module.version != only:
            yield f"{step.module.slot} {step.module.version} is never sent"


def rule_8_nothing_of_the_running_release_in_normal_mode(case: Case) -> Iterator[str]:
    for step in case.steps:
        if step.device_os == case.start and not case.safe_mode:
            yield f"{step.module.slot} of the running {case.start} is sent to a device in normal mode"


def rule_9_the_route_arrives(case: Case) -> Iterator[str]:
    if not has_arrived(case.platform, at_the_end(case.device, case.steps), case.desired, full=case.full):
        yield f"the route does not end at {case.desired} with every need met"


def cheapest(case: Case) -> tuple[int, int, int, int, tuple[str, ...]] | None:
    """The cost of the oracle's own route, or None when there is none."""
    known = _ANSWERS.setdefault(case._replace(steps=(), desired=""), {})
    if not known:
        known.update(
            cheapest_routes(
                case.platform,
                case.start,
                via=case.via,
                device=case.device,
                safe_mode=case.safe_mode,
                full=case.full,
            )
        )
    answer = known.get(case.desired)
    return None if answer is None else answer[:5]


_ANSWERS: dict[Case, dict[str, Answer]] = {}


def place_in_hop(module: Module) -> tuple[int, int]:
    function, _, index = module.slot.partition("/")
    rank = ("bootloader", "ncp_firmware", "radio_stack", "system_part").index(function)
    return rank, -int(index) if function == "bootloader" else 0
