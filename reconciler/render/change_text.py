"""What a change of the manifests adds to a plan, in sentences; text and Markdown set them each in its own way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from reconciler.model.change import Change, Crossing, FleetChange, Rerouted
from reconciler.model.device import DeviceId
from reconciler.render.ink import byte_size, counted, device_sample, harmless
from reconciler.render.plan_text import change_in_words, desired_in_words

WARNING: Final = "! "
"""How a line begins that must not be overlooked."""

_COMMIT_DIGITS: Final = 10


def change_lines(change: Change) -> list[str]:
    """The change in lines of plain text, free of control characters, of any length.

    The first one is the heading. Warnings follow (they begin with `WARNING`), then the sums, then fleet by fleet.
    """
    algorithm, _, digits = change.commit.partition(":")
    heading = f"Compared with {change.revision} ({algorithm}:{digits[:_COMMIT_DIGITS]})"
    lines = [f"{WARNING}{finding.code}: {finding.message}" for finding in change.findings]
    lines += _sums(change)
    for fleet in change.fleets:
        lines += _fleet(fleet, frozenset(each.renamed_from for each in change.fleets))
    return [harmless(line) for line in (heading, *lines)]


def _sums(change: Change) -> list[str]:
    if not change.fleets:
        return ["Nothing changes: the plan is the same as with those manifests."]
    gone = sum(len(fleet.no_longer_targeted) for fleet in change.fleets)
    other = sum(len(rerouted.devices) for fleet in change.fleets for rerouted in fleet.rerouted)
    later = change.blast_radius_later
    parts = [f"{counted(change.blast_radius, 'more device', 'more devices')} to upgrade now"]
    parts += [f"{later:,} more when what they wait for has come"] if later else []
    parts += [f"{other:,} by other steps than before"] if other else []
    parts += [f"{gone:,} no longer"] if gone else []
    before = sum(fleet.bytes_before for fleet in change.fleets)
    after = sum(fleet.bytes_after for fleet in change.fleets)
    parts += [f"{byte_size(after)} to send instead of {byte_size(before)}"] if after != before else []
    lines = [f"Blast radius: {', '.join(parts)}."]
    joined, left = change.joined, change.left
    if joined:
        lines.append(f"{counted(len(joined), 'device')} new in the fleets: {device_sample(joined)}.")
    if left:
        what = "is in no fleet any more and is" if len(left) == 1 else "are in no fleet any more and are"
        lines.append(f"{counted(len(left), 'device')} {what} left alone from then on: {device_sample(left)}.")
    return lines


def _fleet(fleet: FleetChange, renamed: frozenset[str | None]) -> list[str]:
    if fleet.name in renamed:
        return []  # told under its new name
    parts = [*_what(fleet), *_membership(fleet)]
    for devices, what in (
        (fleet.newly_targeted, "more to upgrade now"),
        (fleet.targeted_later, "more to upgrade when what they wait for has come"),
        (fleet.no_longer_targeted, "no longer to upgrade"),
    ):
        parts += [f"{len(devices):,} {what}"] if devices else []
    parts += _rerouted(fleet.rerouted)
    for refused in fleet.newly_refused:
        reason = refused.reason
        parts.append(f"{len(refused.devices):,} newly refused, {reason.reason} ({reason.code}): {refused.message}")
    return [f"Fleet {fleet.name}: {'; '.join(parts)}."]


def _what(fleet: FleetChange) -> list[str]:
    """What the fleet itself is and asks for, where that changes."""
    before, after = fleet.desired_before, fleet.desired_after
    if after is None:
        return ["is removed"]
    if before is None:
        return [f"is new and should run {desired_in_words(after)}"]
    name = [f"is the new name of {fleet.renamed_from}"] if fleet.renamed_from is not None else []
    if before == after:
        return name
    was, now = desired_in_words(before), desired_in_words(after)
    if was == now:
        return [*name, f"should run {now} as before, but its application's binaries or the rules for releases differ"]
    return [*name, f"should run {now} instead of {was}"]


def _membership(fleet: FleetChange) -> list[str]:
    joined = [each for each in fleet.joined if fleet.renamed_from is None or each.other != fleet.renamed_from]
    kept = sum(len(each.devices) for each in fleet.joined) if len(joined) < len(fleet.joined) else 0
    return [
        *([f"keeps its {counted(kept, 'device')}"] if kept else []),
        *(_crossing(each, "joins" if len(each.devices) == 1 else "join", "from") for each in joined),
        *(_crossing(each, "leaves" if len(each.devices) == 1 else "leave", "to") for each in fleet.left),
    ]


def _crossing(crossing: Crossing, verb: str, way: str) -> str:
    other = "no fleet" if crossing.other is None else crossing.other
    return f"{counted(len(crossing.devices), 'device')} {verb} {way} {other} ({device_sample(crossing.devices)})"


def _rerouted(entries: Iterable[Rerouted]) -> list[str]:
    """Routes that read the same stand together, the largest group first."""
    counts: Counter[str] = Counter()
    samples: dict[str, list[DeviceId]] = {}
    for entry in entries:
        before, after = len(entry.before.steps), len(entry.after.steps)
        steps = counted(after, "other step") if after == before else f"{counted(after, 'step')} instead of {before}"
        what = f"by {steps}: {change_in_words(entry.after)}"
        counts[what] += len(entry.devices)
        samples.setdefault(what, []).extend(entry.devices)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [f"{count:,} {what} ({device_sample(samples[what])})" for what, count in ordered]
