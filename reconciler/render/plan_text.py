"""The plan for the owner of a fleet.

What would happen to how many devices, in which order, at which cost, and what would not happen and why. Devices that
take the same steps from the same release stand together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, assert_never

from reconciler.model.action import ProductAction, ReleaseApplication, UploadApplication
from reconciler.model.allowance import REQUESTS
from reconciler.model.device import DeviceMode
from reconciler.model.fleet import Desired
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.module import ModuleSlot
from reconciler.model.plan import Cost, FleetPlan, Plan, Refused, Route, RouteReason, Situation, Waiting
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step
from reconciler.model.summary import Summary
from reconciler.render.ink import (
    Page,
    Style,
    byte_size,
    counted,
    device_sample,
    duration,
    harmless,
    table,
    transfer_size,
)
from reconciler.render.pace import delivery_in_words

_WHY: Final = {
    RouteReason.BELOW_DESIRED_DEVICE_OS: "",
    RouteReason.BELOW_DESIRED_APPLICATION: "",
    RouteReason.DEPENDENCIES_UNMET: "to repair modules whose needs are not met",
    RouteReason.LOCK_CHANGED: "to put our lock back, which somebody changed",
}


_SECONDS_SHOWN_MAX: Final = 120
"""Longer times are said in minutes."""


def plan_text(
    plan: Plan,
    *,
    plan_id: str,
    width: int = 100,
    colour: bool = False,
    compared: Sequence[str] = (),
    at_bench: bool = False,
) -> str:
    """The whole plan as text, the summary first and the verdict last.

    `compared` is what it changes against a base, by `change_lines`: a heading and its lines. `at_bench` leaves out what
    holds over the cloud only.
    """
    page = Page(width=width, colour=colour)
    fleets = sorted(plan.fleets, key=lambda each: each.fleet.name)
    lines = [
        page.ink(f"Plan {plan_id}: {counted(len(fleets), 'fleet')}, {counts_in_words(plan.summary)}", Style.TITLE),
        f"Observed {iso_from_instant(plan.source.observed_at)}, valid until {iso_from_instant(plan.expires_at)}"
        + (f", manifests {harmless(plan.source.revision)}" if plan.source.revision else ""),
    ]
    if not plan.complete:
        lines += [page.ink("The observation is not complete: devices that were not seen are not planned.", Style.BAD)]
    for finding in plan.findings:
        lines += page.wrapped(f"! {finding}", hanging=2)
    if compared:
        lines += ["", *_compared(page, compared)]
    for fleet in fleets:
        lines += ["", *_fleet(page, fleet, plan.source.observed_at, at_bench=at_bench)]
    budget = page.wrapped(budget_in_words(plan.cost), hanging=2) if plan.cost.requests else []
    return "\n".join([*lines, "", *budget, *_verdict(page, plan), ""])


def _compared(page: Page, compared: Sequence[str]) -> list[str]:
    lines = [page.ink(compared[0], Style.TITLE)]
    for line in compared[1:]:
        style = Style.BAD if line.startswith("! ") else None
        wrapped = page.wrapped(line, indent=2, hanging=2)
        lines += wrapped if style is None else [page.ink(each, style) for each in wrapped]
    return lines


def desired_in_words(desired: Desired) -> str:
    """`Device OS 6.3.4 and application logger 44`."""
    parts = []
    if desired.device_os is not None:
        parts.append(f"Device OS {desired.device_os}" + (" (every module)" if desired.completeness == "full" else ""))
    if desired.application is not None:
        parts.append(f"application {desired.application.release} {desired.application.version}")
    return harmless(" and ".join(parts)) or "nothing"


def change_in_words(route: Route) -> str:
    """`boron in safe mode, Device OS 1.5.2 -> 6.3.4, application 12 -> 44`."""
    situation = route.situation
    before = "incomplete" if situation.device_os is None else situation.device_os.text
    releases = [before, *(hop.text for hop in route.hops if hop is not situation.device_os)]
    parts = [
        situation.platform + (" in safe mode" if situation.mode is DeviceMode.SAFE_MODE else ""),
        "Device OS " + " -> ".join(releases),
    ]
    applications = [step.application for step in route.steps if not isinstance(step, FlashModule)]
    if applications:
        application = "unknown" if situation.application is None else situation.application
        rises = situation.application != applications[-1]
        parts.append(f"application {application}" + (f" -> {applications[-1]}" if rises else ""))
    why = _WHY[route.reason]
    return ", ".join(parts) + (f", {why}" if why else "")


def counts_in_words(summary: Summary) -> str:
    """`789 devices: 38 to upgrade, 700 as desired, 44 waiting, 7 refused`."""
    return (
        f"{counted(summary.devices, 'device')}: {summary.upgrade:,} to upgrade, {summary.current:,} as desired, "
        f"{summary.waiting:,} waiting, {summary.refused:,} refused"
    )


def _fleet(page: Page, plan: FleetPlan, now: Instant, *, at_bench: bool) -> list[str]:
    lines = [
        page.ink(f"Fleet {harmless(plan.fleet.name)} should run {desired_in_words(plan.fleet.desired)}", Style.TITLE),
        f"  {counts_in_words(plan.summary)}",
    ]
    if plan.routes:
        sentences = delivery_in_words(plan, now=now, at_bench=at_bench)
        for sentence in (*sentences, f"In all {cost_in_words(plan.cost)}"):
            lines += page.wrapped(sentence, indent=2, hanging=2)
    if not at_bench:
        for sentence in actions_in_words(plan):
            lines += page.wrapped(sentence, indent=2, hanging=2)
        lines += _waves(page, plan)
    for routes in routes_together(plan.routes):
        lines += ["", *_routes(page, routes)]
    for title, style, entries in (
        ("Waiting: nothing is sent now", Style.WAITING, plan.waiting),
        ("Refused: nothing is sent until the reason is gone", Style.BAD, plan.refused),
    ):
        if entries:
            lines += ["", f"  {page.ink(title, style)}", *_set_aside(page, entries)]
    return lines


def _waves(page: Page, plan: FleetPlan) -> list[str]:
    rows = wave_rows(plan)
    if not rows:
        return []
    right = frozenset(number for number, (_, is_number) in enumerate(WAVE_COLUMNS) if is_number)
    head, *lines = table([tuple(name for name, _ in WAVE_COLUMNS), *rows], indent=2, right=right)
    return ["", page.ink(head, Style.TITLE), *lines]


def actions_in_words(plan: FleetPlan) -> list[str]:
    """What is done to the product before the devices, and after them; and what is not, and why."""
    lines = [f"Before a device needs it: {action_in_words(action)}" for action in plan.preparation]
    if plan.conclusion is not None:
        when = "Every device is there" if plan.may_conclude else "When every device of the fleet is there"
        lines.append(f"{when}: {action_in_words(plan.conclusion)}")
    return lines + [f"Not released: {harmless(why)}" for why in plan.unreleased]


def action_in_words(action: ProductAction) -> str:
    """`release application 44 of product cold-chain to group eu`."""
    match action:
        case UploadApplication():
            size = "" if action.size is None else f" ({byte_size(action.size)})"
            words = f"upload application {action.application} for {action.platform} to product {action.product}{size}"
        case ReleaseApplication():
            noun = "group" if len(action.groups) == 1 else "groups"
            places = [f"{noun} {', '.join(action.groups)}"] if action.groups else []
            places += ["everybody as the product's default"] if action.product_default else []
            to = " and ".join(places)
            words = f"release application {action.application} of product {action.product} to {to}"
        case _:
            assert_never(action)
    return harmless(words)


WAVE_COLUMNS: Final = (
    ("Wave", False),
    ("Devices", True),
    ("Now", True),
    ("Halts at", True),
    ("Soak", True),
    ("Approval", False),
    ("At least", True),
)
"""The columns of `wave_rows`, and whether they hold numbers."""


def wave_rows(plan: FleetPlan) -> list[tuple[str, ...]]:
    """Name, devices, those with a route, failures that halt, soak, approval, time; nothing where all go together."""
    if len(plan.waves) < 2 and not plan.fleet.rollout.waves:  # noqa: PLR2004  # one wave of all is none
        return []
    rows: list[tuple[str, ...]] = []
    columns = zip(plan.waves, plan.wave_minutes, plan.wave_routed, plan.wave_failures_that_halt, strict=False)
    for planned, minutes, routed, limit in columns:
        wave = planned.wave
        rows.append(
            (
                harmless(planned.name),
                f"{len(planned.devices):,}",
                f"{routed:,}",
                "fleet's limit" if limit is None else f"{limit:,} failed",
                duration(wave.soak_seconds / 60) if wave.soak_seconds else "none",
                "required" if wave.approval_required else "no",
                "held" if minutes is None else duration(minutes) if minutes else "none",
            )
        )
    return rows


def cost_in_words(cost: Cost) -> str:
    """`66 steps, 66 requests, 9.6 MB, 66 restarts`."""
    return ", ".join(
        [
            counted(cost.steps, "step"),
            counted(cost.requests, "request"),
            transfer_size(cost.bytes_known, cost.bytes_unknown),
            counted(cost.restarts, "restart"),
        ]
    )


def budget_in_words(cost: Cost) -> str:
    """How much of the API calls that we allow ourselves it takes, and how long by that alone."""
    requests = cost.requests_with_looks
    seconds = math.ceil(REQUESTS.seconds_at_least(requests))
    least = f"{seconds} s" if seconds < _SECONDS_SHOWN_MAX else duration(seconds / 60)
    share = requests / REQUESTS.requests
    return (
        f"API budget: about {counted(requests, 'request')} (each step and a look before it), "
        + (f"{max(0.01, share):.0%} of the " if share <= 1 else "at ")
        + f"{REQUESTS.requests:,} in {duration(REQUESTS.window_seconds / 60)}"
        + (f", at least {least}" if seconds else "")
    )


def routes_together(routes: Iterable[Route]) -> list[list[Route]]:
    """Routes that read the same to a person, the largest group first, then by platform and release."""
    groups: dict[tuple[str, tuple[tuple[str, ...], ...]], list[Route]] = {}
    for route in routes:
        key = (change_in_words(route), tuple(step_rows(route)))
        groups.setdefault(key, []).append(route)
    return [group for _, group in sorted(groups.items(), key=lambda item: (-_devices(item[1]), item[0]))]


def _devices(routes: list[Route]) -> int:
    return sum(len(route.devices) for route in routes)


def _routes(page: Page, routes: list[Route]) -> list[str]:
    route = routes[0]
    lines = [f"  {page.ink(f'{_devices(routes):,} {change_in_words(route)}', Style.CHANGE)}"]
    cost = [
        counted(len(route.steps), "step"),
        transfer_size(route.bytes_known, route.bytes_unknown),
        f"about {duration(route.minutes)} each",
        counted(route.restarts, "restart"),
    ]
    if route.safe_mode_boots:
        cost.append(f"{counted(route.safe_mode_boots, 'boot')} into safe mode, in which the application does not run")
    lines += page.wrapped(", ".join(cost), indent=4)
    rows = step_rows(route)
    lines += table(rows, indent=4, right=frozenset({0, 2, 5}))
    return lines + page.wrapped(
        device_sample(device for each in routes for device in each.devices), indent=4, hanging=2
    )


def step_rows(route: Route) -> list[tuple[str, ...]]:
    """Number (none: the cloud does it), what, version before, version after, release, size, and what is special."""
    versions = {module.slot: module.version for module in route.situation.modules}
    rows: list[tuple[str, ...]] = []
    for number, step in enumerate((*route.steps, *route.healed_by_cloud), start=1):
        size = "size unknown" if step.size is None else byte_size(step.size)
        notes = ["by the cloud's healer"] if number > len(route.steps) else []
        notes += ["boots into safe mode"] if step.boots_into is DeviceMode.SAFE_MODE else []
        ordinal = f"{number}." if number <= len(route.steps) else ""
        rows.append((ordinal, *_step_cells(step, versions, route.situation), size, ", ".join(notes)))
        if isinstance(step, FlashModule):
            versions[step.module.slot] = step.module.version
    return rows


def _step_cells(step: Step, versions: dict[ModuleSlot, int], situation: Situation) -> tuple[str, str, str, str]:
    application = "unknown" if situation.application is None else str(situation.application)
    match step:
        case FlashModule():
            before, after = str(versions.get(step.module.slot, "none")), step.module.version
            what, release = f"flash {step.module.slot}", f"of Device OS {step.device_os}"
        case LockApplication():
            before, after, what, release = application, int(step.application), "lock to application", ""
        case FlashApplication():
            before, after, what, release = application, int(step.application), "flash application", ""
        case _:
            assert_never(step)
    return what, before, f"-> {after}", release


def _set_aside(page: Page, entries: Iterable[Refused | Waiting]) -> list[str]:
    lines = []
    for entry in sorted(entries, key=lambda each: (each.reason.code, each.message)):
        lines += page.wrapped(
            f"{len(entry.devices):,} {entry.reason.reason} ({entry.reason.code}): {entry.message}", indent=4, hanging=2
        )
        lines += page.wrapped(device_sample(entry.devices), indent=6, hanging=2)
    return lines


def _verdict(page: Page, plan: Plan) -> list[str]:
    sentence, style = verdict_in_words(plan)
    return [page.ink(line, style) for line in page.wrapped(sentence, hanging=2)]


def verdict_in_words(plan: Plan) -> tuple[str, Style]:
    """What comes of the plan in one sentence, and what that means to the reader."""
    summary = plan.summary
    concluding = [fleet.conclusion for fleet in plan.fleets if fleet.may_conclude and fleet.conclusion is not None]
    others = [(summary.waiting, "waiting"), (summary.refused, "refused")]
    rest = ", ".join(f"{number:,} {what}" for number, what in others if number)
    if not summary.devices:
        return "Nothing to do: no observed device belongs to a fleet.", Style.WAITING
    if not summary.upgrade and concluding:
        done = f"{summary.current:,} as desired" + (f", {rest}" if rest else "")
        return f"Plan: {'; '.join(map(action_in_words, concluding))}. {done}.", Style.CHANGE
    if not summary.upgrade and not rest:
        return f"Nothing to do: {counted(summary.devices, 'device')}, all as desired.", Style.GOOD
    if not summary.upgrade:
        return f"Nothing to do now: {summary.current:,} as desired, {rest}.", Style.WAITING
    boots = plan.cost.safe_mode_boots
    sentence = (
        f"Plan: {summary.upgrade:,} of {counted(summary.devices, 'device')} to upgrade, {cost_in_words(plan.cost)}, "
        f"{counted(boots, 'boot') if boots else 'no boot'} into safe mode"
    )
    return sentence + (f"; {rest}." if rest else "."), Style.CHANGE
