"""The plan as a comment for those who review a change: counts, verdict and warnings first, then tables, largest first.

What must never be cut is bounded: the counts, the verdict, and one line for every kind of warning with its counts. All
else is cut from the end when the comment would be larger than its host takes, and a line says how much was left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.plan import FleetPlan, Plan, Refused, Route, Waiting
from reconciler.render.change_text import WARNING
from reconciler.render.ink import counted, device_sample, duration, transfer_size
from reconciler.render.markdown import Section, fitted, row, safe, table_head
from reconciler.render.pace import delivery_in_words
from reconciler.render.plan_text import (
    WAVE_COLUMNS,
    actions_in_words,
    budget_in_words,
    change_in_words,
    cost_in_words,
    counts_in_words,
    desired_in_words,
    routes_together,
    step_rows,
    verdict_in_words,
    wave_rows,
)

BYTES_MAX: Final = 60_000
"""A comment on GitHub may have 65,536 characters; the rest is left to what a workflow puts around it."""
BYTES_MIN: Final = 6_000
"""The counts, the verdict and one line for every kind of warning need no more."""

_ELSEWHERE: Final = "`plan --output json` has them all"
_NAME_MAX: Final = 80
_LINE_MAX: Final = 1_000


def plan_markdown(
    plan: Plan, *, plan_id: str, bytes_max: int = BYTES_MAX, compared: Sequence[str] = (), at_bench: bool = False
) -> str:
    """The plan as Markdown of at most `bytes_max` bytes (UTF-8).

    `compared` is what it changes against a base, by `change_lines`: a heading and its lines. `at_bench` as in
    `plan_text`.

    Raises:
        ValueError: `bytes_max` is below BYTES_MIN.
    """
    if bytes_max < BYTES_MIN:
        message = f"a plan needs at least {BYTES_MIN} bytes, not {bytes_max}"
        raise ValueError(message)
    fleets = sorted(plan.fleets, key=lambda each: (-each.summary.devices, each.fleet.name))
    kinds = _kinds(fleets)
    sections = (
        _compared(compared),
        _findings(plan),
        _products(() if at_bench else fleets),
        _set_aside(fleets),
        _fleets(fleets, plan.source.observed_at, at_bench=at_bench),
        _waves(() if at_bench else fleets),
        _routes(kinds),
        _details(kinds),
    )
    return fitted(_core(plan, plan_id, compared), sections, bytes_max)


def _core(plan: Plan, plan_id: str, compared: Sequence[str]) -> str:
    summary = plan.summary
    verdict, _ = verdict_in_words(plan)
    source = f", manifests {safe(plan.source.revision, _NAME_MAX)}" if plan.source.revision else ""
    observed = f"Observed {iso_from_instant(plan.source.observed_at)}, valid until {iso_from_instant(plan.expires_at)}"
    lines = [
        f"## Plan {safe(plan_id, _NAME_MAX)}",
        "",
        f"**{counts_in_words(summary)}**, in {counted(len(plan.fleets), 'fleet')}",
        "",
        f"> {verdict}",
        "",
        f"{observed}{source}.",
    ]
    if plan.cost.requests:
        lines += ["", f"{budget_in_words(plan.cost)}."]
    warnings = [*_warnings_of_change(compared), *_warnings(plan)]
    if warnings:
        lines += ["", "**Warnings**", "", *(f"- {warning}" for warning in warnings)]
    return "\n".join([*lines, ""])


def _warnings(plan: Plan) -> list[str]:
    """One line for every kind of warning, whatever its number."""
    found = []
    if not plan.complete:
        found.append("**The observation is not complete:** devices that were not seen are not planned.")
    if plan.findings:
        found.append(f"**{counted(len(plan.findings), 'finding')}** of the observation and the waves.")
    refused = [entry for fleet in plan.fleets for entry in fleet.refused]
    waiting = [entry for fleet in plan.fleets for entry in fleet.waiting]
    for word, entries, what in (
        ("refused", refused, "Nothing is sent until the reason is gone."),
        ("waiting", waiting, "Nothing is sent now."),
    ):
        if entries:
            devices = sum(len(entry.devices) for entry in entries)
            found.append(f"**{counted(devices, 'device')} {word}:** {_by_reason(entries)}. {what}")
    actions = sum(len(fleet.actions) for fleet in plan.fleets)
    if actions:
        found.append(f"**{counted(actions, 'action')} on products:** uploads before, or releases after the devices.")
    cost = plan.cost
    if cost.bytes_unknown:
        unknown = counted(cost.bytes_unknown, "file")
        found.append(f"**{unknown} of unknown size:** more bytes are sent than the sum says.")
    if cost.safe_mode_boots:
        boots = counted(cost.safe_mode_boots, "boot")
        found.append(f"**{boots} into safe mode,** in which the application does not run.")
    held = sum(1 for fleet in plan.fleets if fleet.minutes is None)
    if held:
        found.append(f"**{counted(held, 'fleet')} held:** rollout.maxConcurrent is 0, nothing is started there.")
    return found


def _warnings_of_change(compared: Sequence[str]) -> list[str]:
    number = sum(1 for line in compared if line.startswith(WARNING))
    return (
        [f"**{counted(number, 'warning')} of the comparison:** a person must say that this is meant."] if number else []
    )


def _compared(compared: Sequence[str]) -> Section:
    total = max(0, len(compared) - 1)
    return Section(
        head=f"\n### {safe(compared[0], _NAME_MAX)}\n\n" if compared else "",
        items=[f"- {safe(line, _LINE_MAX)}\n" for line in compared[1:]],
        left_out=lambda shown: f"\n**… {counted(total - shown, 'line')} left out here**; {_ELSEWHERE}.\n",
    )


def _by_reason(entries: Sequence[Refused | Waiting]) -> str:
    counts: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        counts[entry.reason.code, entry.reason.reason] += len(entry.devices)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number:,} `{reason}` ({code})" for (code, reason), number in ordered)


def _findings(plan: Plan) -> Section:
    total = len(plan.findings)
    return Section(
        head="\n### Findings\n\n" + table_head(("Of the observation and the waves", False)),
        items=[row([safe(finding)]) for finding in plan.findings],
        left_out=lambda shown: f"\n**… {counted(total - shown, 'finding')} left out here**; {_ELSEWHERE}.\n",
    )


def _products(fleets: Sequence[FleetPlan]) -> Section:
    sentences = [(plan.fleet.name, sentence) for plan in fleets for sentence in actions_in_words(plan)]
    return Section(
        head="\n### Products\n\n"
        + table_head(("Fleet", False), ("What is done to its product, and what is not", False)),
        items=[row((safe(name, _NAME_MAX), safe(sentence, _LINE_MAX))) for name, sentence in sentences],
        left_out=lambda shown: f"\n**… {counted(len(sentences) - shown, 'line')} left out here**; {_ELSEWHERE}.\n",
    )


def _set_aside(fleets: Sequence[FleetPlan]) -> Section:
    entries: list[tuple[str, str, Refused | Waiting]] = [
        (word, fleet.fleet.name, entry)
        for word, which in (("refused", _refused), ("waiting", _waiting))
        for fleet in fleets
        for entry in which(fleet)
    ]
    # Refusals first: they need a person. Then the largest.
    entries.sort(key=lambda item: (item[0], -len(item[2].devices), item[1], item[2].reason.code, item[2].message))
    return Section(
        head="\n### Not now, and why\n\n"
        + table_head(
            ("Devices", True), ("", False), ("Fleet", False), ("Reason", False), ("Why", False), ("Which", False)
        ),
        items=[
            row(
                (
                    f"{len(entry.devices):,}",
                    word,
                    safe(fleet, _NAME_MAX),
                    f"`{entry.reason.reason}` {entry.reason.code}",
                    safe(entry.message),
                    _sample(entry.devices),
                )
            )
            for word, fleet, entry in entries
        ],
        left_out=_left_out("reason", [len(entry.devices) for _, _, entry in entries]),
    )


def _refused(fleet: FleetPlan) -> tuple[Refused | Waiting, ...]:
    return fleet.refused


def _waiting(fleet: FleetPlan) -> tuple[Refused | Waiting, ...]:
    return fleet.waiting


def _fleets(fleets: Sequence[FleetPlan], now: Instant, *, at_bench: bool) -> Section:
    counts = ("Devices", "To upgrade", "As desired", "Waiting", "Refused")
    items = []
    for plan in fleets:
        summary = plan.summary
        numbers = (summary.devices, summary.upgrade, summary.current, summary.waiting, summary.refused)
        sentences = delivery_in_words(plan, now=now, at_bench=at_bench)
        pace = "; ".join((*sentences, cost_in_words(plan.cost))) if plan.routes else "nothing to deliver"
        name = safe(plan.fleet.name, _NAME_MAX)
        items.append(row((name, safe(desired_in_words(plan.fleet.desired)), *(f"{n:,}" for n in numbers), safe(pace))))
    return Section(
        head="\n### Fleets\n\n"
        + table_head(("Fleet", False), ("Should run", False), *((name, True) for name in counts), ("Delivery", False)),
        items=items,
        left_out=_left_out("fleet", [plan.summary.devices for plan in fleets]),
    )


def _waves(fleets: Sequence[FleetPlan]) -> Section:
    rows = [(plan, cells) for plan in fleets for cells in wave_rows(plan)]
    return Section(
        head="\n### Waves\n\n" + table_head(("Fleet", False), *WAVE_COLUMNS),
        items=[row((safe(plan.fleet.name, _NAME_MAX), safe(cells[0], _NAME_MAX), *cells[1:])) for plan, cells in rows],
        left_out=lambda shown: f"\n**… {counted(len(rows) - shown, 'wave')} left out here**; {_ELSEWHERE}.\n",
    )


def _kinds(fleets: Sequence[FleetPlan]) -> list[tuple[str, list[Route]]]:
    """The name of a fleet and routes of it that read the same, the most devices first."""
    kinds = [(plan.fleet.name, routes) for plan in fleets for routes in routes_together(plan.routes)]
    # The sort is stable: what is equal stays in the order of its fleets.
    return sorted(kinds, key=lambda kind: -_devices(kind[1]))


def _devices(routes: Sequence[Route]) -> int:
    return sum(len(route.devices) for route in routes)


def _routes(kinds: Sequence[tuple[str, list[Route]]]) -> Section:
    items = []
    for fleet, routes in kinds:
        route = routes[0]
        cells = (
            f"{_devices(routes):,}",
            safe(fleet, _NAME_MAX),
            _change(route),
            f"{len(route.steps)}",
            transfer_size(route.bytes_known, route.bytes_unknown),
            f"{duration(route.minutes)}",
            f"{route.restarts}",
            f"**{route.safe_mode_boots}**" if route.safe_mode_boots else "0",
        )
        items.append(row(cells))
    numbers = ("Steps", "Transfer each", "Time each", "Restarts", "Safe-mode boots")
    return Section(
        head="\n### Routes\n\n"
        + table_head(("Devices", True), ("Fleet", False), ("Change", False), *((name, True) for name in numbers)),
        items=items,
        left_out=_left_out("kind of route", [_devices(routes) for _, routes in kinds], "kinds of route"),
    )


def _details(kinds: Sequence[tuple[str, list[Route]]]) -> Section:
    items = []
    for fleet, routes in kinds:
        title = f"{_devices(routes):,} of {safe(fleet, _NAME_MAX)}: {_change(routes[0])}"
        rows = "".join(row(cells) for cells in _steps(routes[0]))
        items.append(
            f"<details><summary>{title}</summary>\n\n{_STEPS_HEAD}{rows}\n"
            f"Devices: {_sample(device for route in routes for device in route.devices)}\n\n</details>\n\n"
        )
    return Section(
        head="\n### Steps\n\n",
        items=items,
        left_out=_left_out("list of steps", [_devices(routes) for _, routes in kinds], "lists of steps"),
    )


_STEPS_HEAD: Final = table_head(
    ("", True), ("Step", False), ("From", True), ("To", True), ("Release", False), ("Size", True), ("", False)
)


def _steps(route: Route) -> list[tuple[str, ...]]:
    """The rows of the text format, without the words that the head of the table says."""
    found = []
    for number, what, before, after, release, size, note in step_rows(route):
        words = (what, before, after.removeprefix("-> "), release.removeprefix("of Device OS "), size, note)
        found.append((number.removesuffix("."), *map(safe, words)))
    return found


def _change(route: Route) -> str:
    return safe(change_in_words(route).replace("->", "\N{RIGHTWARDS ARROW}"))


def _left_out(noun: str, devices: Sequence[int], plural: str = "") -> Callable[[int], str]:
    """The line that says how many of the largest-first items are missing, and of how many devices."""
    after = [0]
    for number in reversed(devices):
        after.append(after[-1] + number)

    def line(shown: int) -> str:
        missing = len(devices) - shown
        what = f"{counted(missing, noun, plural)} of {counted(after[missing], 'device')}"
        return f"\n**… {what} left out here**, the largest come first; {_ELSEWHERE}.\n"

    return line


def _sample(devices: Iterable[DeviceId]) -> str:
    return safe(device_sample(devices))
