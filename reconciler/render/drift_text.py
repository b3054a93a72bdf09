"""Where desired and observed differ, fleet by fleet, and what others changed in the console.

Devices that cannot be brought to what is desired now are listed apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from reconciler.model.console import ConsoleChange
from reconciler.model.device import DeviceId
from reconciler.model.plan import FleetPlan, Plan, Refused, Waiting, WaitingReason
from reconciler.render.console_text import between, change_with_undoing
from reconciler.render.ink import Page, Style, counted, device_sample, harmless
from reconciler.render.plan_text import change_in_words, desired_in_words

_LEFT_ALONE: Final = frozenset({WaitingReason.DRIFTED, WaitingReason.FIGHT})
"""Devices that differ and could be brought there, were it not for the manifest's word or a fight."""


def drifted_devices(plan: Plan) -> int:
    """The number of devices that differ from what is desired and could be brought there."""
    return sum(map(_drifted_in, plan.fleets))


def _drifted_in(plan: FleetPlan) -> int:
    """The same of one fleet."""
    left_alone = (len(waiting.devices) for waiting in plan.waiting if waiting.reason in _LEFT_ALONE)
    return plan.summary.upgrade + sum(left_alone)


def has_drift(plan: Plan, changes: Sequence[ConsoleChange] = ()) -> bool:
    """Whether devices differ from Git, or others changed in the console what Git declares: `drift` exits with 2."""
    return drifted_devices(plan) > 0 or any(change.concerns_git for change in changes)


def drift_text(plan: Plan, changes: Sequence[ConsoleChange] = (), *, width: int = 100, colour: bool = False) -> str:
    """The differences as text, then what others changed in the console, one line of verdict last."""
    page = Page(width=width, colour=colour)
    lines: list[str] = []
    for fleet in sorted(plan.fleets, key=lambda each: each.fleet.name):
        of_fleet = [change for change in changes if change.fleet == fleet.fleet.name]
        lines += [*_fleet(page, fleet), *_console(page, of_fleet), ""]
    return "\n".join([*lines, _verdict(page, plan, changes), ""])


def _console(page: Page, changes: Sequence[ConsoleChange]) -> list[str]:
    """Equal changes together, with the time in which all of them were made."""
    alike: defaultdict[tuple[bool, str], list[ConsoleChange]] = defaultdict(list)
    for change in changes:
        alike[not change.concerns_git, change_with_undoing(change)].append(change)
    lines = ["  Changed in the console:"] if alike else []
    for (agrees, what), made in sorted(alike.items()):
        first, last = min(change.not_before for change in made), max(change.seen_at for change in made)
        sentence = f"{len(made):,} {what}, {between(first, last)}" + ("; no matter of Git" if agrees else "")
        wrapped = page.wrapped(sentence, indent=4, hanging=2)
        lines += wrapped if agrees else [page.ink(line, Style.CHANGE) for line in wrapped]
        lines += page.wrapped(device_sample(change.device_id for change in made), indent=6, hanging=2)
    return lines


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
    elif not _drifted_in(plan):
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


def _verdict(page: Page, plan: Plan, changes: Sequence[ConsoleChange]) -> str:
    summary = plan.summary
    rest = f"{summary.current:,} as desired, {summary.waiting:,} waiting, {summary.refused:,} refused."
    if has_drift(plan, changes):
        against = {change.device_id for change in changes if change.concerns_git}
        changed = f", {len(against):,} changed in the console against Git" if against else ""
        return page.ink(
            f"Drift: {drifted_devices(plan):,} of {counted(summary.devices, 'device')} differ{changed}; {rest}",
            Style.CHANGE,
        )
    if not summary.devices:
        return page.ink("No drift: no device matches the manifests.", Style.WAITING)
    return page.ink(f"No drift: {rest}", Style.GOOD)
