"""Laws about single devices that only the client's own record shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from operator import itemgetter

from reconciler.controller.settle import FOUND_OPEN
from reconciler.emulator.evidence import Violation
from reconciler.emulator.records import RequestKind, RequestRecord
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.instant import Instant
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.step import FlashApplication, FlashModule, LockApplication
from tests.simulation.laws_of_controllers import agreed_steps
from tests.simulation.theatre import LATENCY_SECONDS
from tests.simulation.trace import Looked, RunBegan, Trace


def one_open_attempt_each(trace: Trace) -> Iterator[str]:
    """S5, by the journal: nothing is begun on a device while something is open on it."""
    open_on: dict[str, str] = {}
    for _, attempt in trace.of(Attempt):
        other = open_on.get(attempt.device_id)
        if attempt.state is AttemptState.INTENDED and other not in (None, attempt.id):
            yield f"{attempt.id} begins on {attempt.device_id} while {other} is open"
        if attempt.is_open:
            open_on[attempt.device_id] = attempt.id
        elif other == attempt.id:
            del open_on[attempt.device_id]


def crossed_by_a_person(trace: Trace, violation: Violation) -> bool:
    """Whether an application fell because somebody at the console acted between our last look and our request.

    They bring a higher one; our lock, that was right by all that we could see, takes it back. The cloud has no request
    that is conditional on what was seen, so that looking once more makes the time shorter and never zero.
    """
    named = re.search(r"the application fell from .* request (\d+)", violation.detail)
    if named is None:
        return False
    request = int(named[1])
    shown = (each.ordinal for each in trace.requests if each.token == "operator" and violation.device in each.shows)
    seen = max((ordinal for ordinal in shown if ordinal < request), default=0)
    return any(seen < act < request for act in trace.acts_at_the_console)


def journal_before_send(trace: Trace) -> Iterator[str]:  # noqa: C901  # one case for every kind of change
    """S6: whenever a request that changes something arrives, an attempt for just that is intended and not yet sent.

    Who takes over may have disowned the attempt while the request was on its way.
    """
    intended: dict[str, Attempt] = {}
    disowned: dict[str, tuple[Attempt, Instant]] = {}
    on_product: dict[str, bool] = {}
    changes: list[tuple[int, Instant, Attempt | ProductAttempt | RequestRecord]] = []
    changes += [(entry.ordinal, entry.at, each) for entry, each in trace.of(Attempt)]
    changes += [(entry.ordinal, entry.at, each) for entry, each in trace.of(ProductAttempt)]
    changes += [(request.ordinal, request.at, request) for request in trace.effects()]
    for ordinal, at, what in sorted(changes, key=itemgetter(0)):
        match what:
            case Attempt(state=AttemptState.INTENDED):
                intended[what.device_id] = what
            case Attempt():
                begun = intended.pop(what.device_id, None)
                if begun is not None and what.detail == FOUND_OPEN:
                    disowned[what.device_id] = begun, at
            case ProductAttempt():
                on_product[what.product] = what.state is AttemptState.INTENDED
            case RequestRecord(device=None):
                if not any(on_product.values()):
                    yield f"request {ordinal} to a product was in no journal"
            case RequestRecord():
                begun = intended.get(what.device or "")
                if begun is None and what.device in disowned and at - disowned[what.device][1] <= LATENCY_SECONDS:
                    begun = disowned[what.device][0]
                if begun is None:
                    yield f"request {ordinal} to {what.device} was in no journal"
                elif not _is_for(begun, what):
                    yield f"request {ordinal} is another one than {begun.id} intends"


def _is_for(attempt: Attempt, request: RequestRecord) -> bool:
    match attempt.step:
        case FlashModule(module=module):
            sent = request.artifact
            return sent is not None and (sent.slot, sent.version) == (module.slot, module.version)
        case LockApplication(application=application):
            return request.lock_version == application
        case FlashApplication():
            return request.kind is RequestKind.FLASH


def unknown_ends_by_a_look(trace: Trace) -> Iterator[str]:
    """S7, by the journal: what was sent ends as verified or failed only after a look that came after the sending."""
    last_look = 0
    begun_at: dict[str, int] = {}
    answered: set[str] = set()
    for entry in trace.entries:
        what = entry.what
        if isinstance(what, Looked):
            last_look = entry.ordinal
        elif isinstance(what, Attempt):
            if what.state is AttemptState.INTENDED:
                begun_at[what.id] = entry.ordinal
            elif what.is_open:
                answered.add(what.id)
            elif what.id in answered and last_look < begun_at[what.id]:
                yield f"{what.id} became {what.state} before anybody looked"


def every_send_is_explained(trace: Trace) -> Iterator[str]:
    """S20: the plan of every attempt is kept and names the device and its fleet, and the step was agreed to.

    The plan id of a controller that runs for long is a revision (C1).
    """
    if trace.source is not None:
        yield from agreed_steps(trace)
        return
    began = {entry.run: each for entry, each in trace.of(RunBegan)}
    for entry, attempt in trace.of(Attempt):
        if attempt.state is not AttemptState.INTENDED:
            continue
        kept = trace.journal.plan(attempt.plan_id)
        if kept is None:
            yield f"{attempt.id} is for plan {attempt.plan_id}, which nobody kept"
        elif attempt.device_id not in kept.text or f'"{attempt.fleet}"' not in kept.text:
            yield f"plan {attempt.plan_id} of {attempt.id} names neither {attempt.device_id} nor {attempt.fleet}"
        run = began.get(entry.run)
        if run is not None and attempt.step not in run.agreement.steps.get(attempt.device_id, frozenset()):
            yield f"nobody agreed to the step of {attempt.id}"
