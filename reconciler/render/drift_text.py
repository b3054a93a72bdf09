"""Where desired and observed differ, fleet by fleet. Devices that cannot be brought there now are listed apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from reconciler.model.device import DeviceId
from reconciler.model.plan import FleetPlan, Plan, Refused, Waiting
from reconciler.render.ink import Page, Style, counted, device_sample, harmless
from reconciler.render.plan_text import change_in_words, desired_in_words


def drifted_devices(plan: Plan) -> int:
    """The number of devices that differ from what is desired and can be brought there: `drift` exits with 2 above 0."""
    return plan.summary.upgrade


def drift_text(plan: Plan, *, width: int = 100, colour: bool = False) -> str:
    """The differences as text, one line of verdict last."""
    page = Page(width=width, colour=colour)
    lines: list[str] = []
    for fleet in sorted(plan.fleets, key=lambda each: each.fleet.name):
        lines += [*_fleet(page, fleet), ""]
    return "\n".join([*lines, _verdict(page, plan), ""])


def _fleet(page: Page, plan: FleetPlan) -> list[str]:
    summary = plan.summary
    mode = "" if plan.fleet.correct_drift else "; drift is only reported, not corrected"
    lines = [
        page.ink(
            f"Fleet {harmless(plan.fleet.name)} should run {desired_in_words(plan.fleet.desired)}{mode}", Style.TITLE
        )
    ]
    if not summary.devices:
        lines.append("  no device matches its selection")
    elif not summary.upgrade:
        lines.append(f"  no drift: {summary.current:,} of {counted(summary.devices, 'device')} as desired")
    differences: defaultdict[str, list[DeviceId]] = defaultdict(list)
    for route in plan.routes:
        differences[change_in_words(route)] += route.devices
    for change, devices in sorted(differences.items(), key=lambda item: (-len(item[1]), item[0])):
        verb = "differs" if len(devices) == 1 else "differ"
        lines.append(f"  {page.ink(f'{len(devices):,} {verb}', Style.CHANGE)}: {change}")
        lines += page.wrapped(device_sample(devices), indent=6, hanging=2)
    lines += _apart(page, "waiting", Style.WAITING, plan.waiting)
    return lines + _apart(page, "refused", Style.BAD, plan.refused)


def _apart(page: Page, word: str, style: Style, entries: Iterable[Refused | Waiting]) -> list[str]:
    lines: list[str] = []
    for entry in sorted(entries, key=lambda each: (each.reason.code, each.message)):
        sentence = f"{len(entry.devices):,} {word}, {entry.reason.reason} ({entry.reason.code}): {entry.message}"
        lines += [page.ink(line, style) for line in page.wrapped(sentence, indent=2, hanging=4)]
        lines += page.wrapped(device_sample(entry.devices), indent=6, hanging=2)
    return lines


def _verdict(page: Page, plan: Plan) -> str:
    summary = plan.summary
    rest = f"{summary.current:,} as desired, {summary.waiting:,} waiting, {summary.refused:,} refused."
    if drifted_devices(plan):
        return page.ink(
            f"Drift: {summary.upgrade:,} of {counted(summary.devices, 'device')} differ; {rest}", Style.CHANGE
        )
    if not summary.devices:
        return page.ink("No drift: no device matches the manifests.", Style.WAITING)
    return page.ink(f"No drift: {rest}", Style.GOOD)
