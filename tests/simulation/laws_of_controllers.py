"""Laws about controllers that run for long: what they take from a source, whom they hear, and what they leave alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.instant import Instant
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.revision import TakenIntent
from reconciler.model.rollout_entry import Halted, Resumed
from reconciler.model.step import Step
from tests.simulation.trace import Desired, Entry, Rested, SourceIs, Trace, Wrote

HEARD_WITHIN_SECONDS = 2.0
"""So long after a halt a request may still arrive whose intent was written down before."""


def taken(entry: Entry) -> TakenIntent | None:
    """The revision that becomes what is desired by a write."""
    what = entry.what
    if isinstance(what, Wrote) and what.method == "keep_intent":
        return cast(TakenIntent, what.given[0])
    return None


def agreed_name(intent: TakenIntent) -> str:
    """What attempts call a revision that was taken."""
    return f"{intent.revision.name}@{intent.revision.commit[:15]}"


def descends(trace: Trace) -> Iterator[str]:
    """S17: whatever is taken by nobody's word follows from what its process, or the one before, had taken."""
    last: TakenIntent | None = None
    of_run: dict[int, TakenIntent] = {}
    for entry in trace.entries:
        intent = taken(entry)
        if intent is None or trace.source is None:
            continue
        before = of_run.get(entry.run, last)
        if (
            before is not None
            and intent.by is None
            and not trace.source.follows(intent.revision, before.revision.commit)
        ):
            yield f"{intent.revision.text} does not follow from {before.revision.text}, and nobody wanted it"
        last = of_run[entry.run] = intent


def only_what_was_taken(trace: Trace) -> Iterator[str]:
    """C1: what is begun names the revision that its process took last, or one from before it, and a fleet of that."""
    if trace.source is None:
        return
    names: dict[str, TakenIntent] = {}
    of_run: dict[int, TakenIntent] = {}
    for entry in trace.entries:
        intent = taken(entry)
        if intent is not None:
            names[agreed_name(intent)] = of_run[entry.run] = intent
        attempt = entry.what
        if not isinstance(attempt, Attempt | ProductAttempt) or attempt.state is not AttemptState.INTENDED:
            continue
        named, latest = names.get(attempt.plan_id), of_run.get(entry.run)
        if named is None:
            yield f"{attempt.id} is for {attempt.plan_id}, which was not taken"
        elif latest is not None and agreed_name(latest) != attempt.plan_id:
            yield f"{attempt.id} is for {attempt.plan_id}, after {agreed_name(latest)} was taken"
        elif attempt.fleet not in named.fleets:
            yield f"{attempt.id} is for {attempt.fleet}, which is not in {attempt.plan_id}"


def agreed_steps(trace: Trace) -> Iterator[str]:
    """S20, where the gate agrees pass by pass: each step is one of the route that the same pass had planned.

    A pass that is overtaken by another controller tells of no plan; the next one begins by the right to write.
    """
    begun: dict[tuple[int, str], list[tuple[str, str, Step]]] = {}
    for entry in trace.entries:
        what = entry.what
        if isinstance(what, Wrote) and what.method == "take_epoch":
            for spec in trace.world.fleets:
                if what.given == (f"product {spec.product}",):
                    begun.pop((entry.run, spec.name), None)
        if isinstance(what, Attempt) and what.state is AttemptState.INTENDED:
            begun.setdefault((entry.run, what.fleet), []).append((what.id, what.device_id, what.step))
        elif isinstance(what, Rested):
            for plan in what.plans:
                steps = {device: route.steps for route in plan.routes for device in route.devices}
                for attempt_id, device_id, step in begun.pop((entry.run, plan.fleet.name), ()):
                    if step not in steps.get(device_id, ()):  # type: ignore[call-overload]  # ids are strings
                        yield f"{attempt_id} is no step of the plan of its pass"


def halts_are_heard(trace: Trace) -> Iterator[str]:
    """C2: no request arrives for a fleet that was halted two seconds before."""
    if trace.source is None:
        return
    halted: dict[str, Instant] = {}
    fleet_of: dict[str, str] = {}
    what_happened = sorted(
        [
            *((entry.ordinal, entry.at, entry.what) for entry in trace.entries),
            *((r.ordinal, r.at, r) for r in trace.sends()),
        ],
        key=lambda each: each[0],
    )
    for ordinal, at, what in what_happened:
        match what:
            case Halted(fleet=fleet):
                halted[fleet] = at
            case Resumed(fleet=fleet):
                halted.pop(fleet, None)
            case Attempt(state=AttemptState.INTENDED, device_id=device_id, fleet=fleet):
                fleet_of[device_id] = fleet
            case _ if (device := getattr(what, "device", None)) in fleet_of:
                since = halted.get(fleet_of[device])
                if since is not None and at - since > HEARD_WITHIN_SECONDS:
                    yield f"request {ordinal} to {device} arrives {at - since:.0f} s after its fleet was halted"
            case _:
                pass


def nothing_while_away(trace: Trace) -> Iterator[str]:
    """C3: as long as nobody can reach the source nothing is taken, and nothing else is desired than was before."""
    known, is_away = set[str](), False
    for entry in trace.entries:
        match entry.what:
            case SourceIs(reachable=reachable):
                is_away = not reachable
            case Desired(fleets=fleets) if is_away and fleets.digest not in known:
                yield f"at {entry.at - trace.world.begins_at:.0f} s something else is desired, while the source is away"
            case Wrote(method="keep_intent") if is_away:
                yield f"at {entry.at - trace.world.begins_at:.0f} s something is taken, while the source is away"
            case Wrote(method="keep_intent", given=(intent,)):
                known.add(intent.digest)
            case Desired(fleets=fleets):
                known.add(fleets.digest)
            case _:
                pass


def nothing_is_written_at_rest(trace: Trace) -> Iterator[str]:
    """C4: whoever has nothing more to do, of an unchanged fleet, writes nothing. What devices say anew is a change."""
    for entry in trace.entries:
        is_write = isinstance(entry.what, Wrote) and entry.what.method != "keep_report"
        if is_write and 0 < trace.last_run_ordinal < entry.ordinal < trace.last_run_ended:
            yield f"{str(entry.what)[:200]}, though nothing had changed"
