"""What a pass does to the product as a whole: uploads before the devices, and a release after them.

As with devices: the intent is durable before the request leaves, one attempt at a time is open, and a newer look at
what the product holds says what came of it. Only what was agreed to is done, and nothing in a fleet that is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from reconciler.controller.facts import facts_of_product
from reconciler.controller.run import Run, Scope
from reconciler.execution.executor import Accepted, MayHaveArrived, NotSent
from reconciler.execution.product import SHOWN_WITHIN_SECONDS, ProductHands, judge_on_product
from reconciler.journal.journal import ProductBusyError
from reconciler.model.action import ProductAction, ReleaseApplication, UploadApplication
from reconciler.model.attempt import AttemptState, FailureClass
from reconciler.model.device import Observation, Product
from reconciler.model.error import WireError
from reconciler.model.event import Finding
from reconciler.model.external_write import ExternalWrite, Facts
from reconciler.model.failure import CONSEQUENCES, Counts
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, Plan
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.version import ApplicationVersion
from reconciler.particle.error import RateLimitedError, UnauthorisedError
from reconciler.rollout.gate import hold_of_fleet
from reconciler.rollout.retry import held_until, may_start_at

RELEASE_HELD = "PFR2310"


def settle_product(run: Run, scope: Scope, observation: Observation) -> None:
    """Judge the open attempt on this product by what was just seen of it."""
    product, under_way = _seen(scope, observation), _open_attempts(run, scope)
    scope.hearing.awaits_product = bool(under_way)
    if product is None:
        return
    for attempt in under_way:
        judged = judge_on_product(attempt, product, observation.products_at or observation.observed_at)
        if judged is not attempt:
            _record(run, judged, observation.observed_at, after=facts_of_product(product, judged.action))


@dataclass(frozen=True, slots=True)
class Uploads:
    """Applications that no device may be locked to yet, and those of them that this run brings or is judging."""

    lacking: frozenset[ApplicationVersion]
    awaited: frozenset[ApplicationVersion]


def uploads_of(run: Run, scope: Scope, plan: FleetPlan, observation: Observation) -> Uploads:
    """What devices of a fleet have to wait for: bytes in the product that were seen to be the planned ones."""
    now, product = observation.observed_at, _seen(scope, observation)
    under_way = [each for each in _open_attempts(run, scope) if _is_upload(each.action)]
    # Failed in this run; or agreed to, while it cannot be told what the product holds.
    doubtful = {action for action, ended in run.product_ended.items() if ended[0].failure}
    if product is None or product.holds is None:
        doubtful |= run.agreement.actions
    doubtful = {action for action in doubtful if _is_upload(action) and action.product == plan.fleet.product}
    lacking: set[ProductAction] = {*plan.preparation, *doubtful, *(each.action for each in under_way)}
    awaited: set[ProductAction] = {action for action in plan.preparation if _may(run, scope, plan, action, now)}
    awaited |= {each.action for each in under_way if _is_young(each, now)}
    return Uploads(_versions(lacking), _versions(awaited))


def _versions(actions: Iterable[ProductAction]) -> frozenset[ApplicationVersion]:
    return frozenset(action.application for action in actions)


def act_on_product(run: Run, scope: Scope, plan: Plan, observation: Observation) -> bool:
    """Do the next thing, if there is one whose time has come. Returns whether there is something to come back for.

    Raises:
        WireError: The cloud refuses our token, or wants silence.
        JournalError: The intent cannot be written down; nothing was sent.
    """
    product, hands, now = _seen(scope, observation), scope.product_hands, observation.observed_at
    under_way = _open_attempts(run, scope)
    if under_way or product is None or hands is None:
        return any(_is_young(attempt, now) for attempt in under_way)
    is_to_come = False
    for fleet_plan in plan.fleets:
        for action in fleet_plan.due_actions:
            if not _may(run, scope, fleet_plan, action, now):
                continue
            is_to_come = True
            earliest = may_start_at(run.product_ended.get(action, ()))
            if earliest is not None and now < earliest:
                continue
            if not observation.is_whole:
                # What is planned for all devices of a product rests on a look at all of them, right before.
                scope.hearing.ask_for_all()
                return True
            if not _is_held(run, hands, action, product):
                # On the pool, like a device's step: Ctrl-C lets it end and be written down.
                run.tools.pool.submit(_send, run, scope, hands, fleet_plan.fleet.name, action, product).result()
                return True
    return is_to_come


def failed_actions(run: Run) -> set[ProductAction]:
    """What this run tried and leaves alone now."""
    return {action for action, attempts in run.product_ended.items() if held_until(attempts, run.latest) is not None}


def _is_young(attempt: ProductAttempt, now: Instant) -> bool:
    """Whether a look at the product may still end it; after a longer time it is left to another run."""
    return now - attempt.began_at <= 2 * SHOWN_WITHIN_SECONDS


def _is_upload(action: ProductAction) -> bool:
    return isinstance(action, UploadApplication)


def _seen(scope: Scope, observation: Observation) -> Product | None:
    return next((each for each in observation.products if scope.product in (each.slug, str(each.id))), None)


def _open_attempts(run: Run, scope: Scope) -> list[ProductAttempt]:
    return [each for each in run.tools.journal.open_product_attempts() if each.product == scope.product]


def _may(run: Run, scope: Scope, plan: FleetPlan, action: ProductAction, now: Instant) -> bool:
    """Whether this run may still do it, now or after a pause."""
    if run.stopping or hold_of_fleet(plan, run.story_of(plan.fleet.name), now) is not None:
        return False
    if not run.approvals_of(plan.fleet, scope.fleets.approvals).allow(action):
        run.unapproved.add(action)
        return False
    run.unapproved.discard(action)
    if action in run.product_held or not run.agreement.allows(action):
        return False
    attempts: Sequence[ProductAttempt] = run.product_ended.get(action, ())
    # What was seen to be there and is gone again, somebody else takes back: no fight over it in one run.
    is_undone = bool(attempts) and attempts[0].state is AttemptState.VERIFIED
    return not is_undone and held_until(attempts, now) is None


def _is_held(run: Run, hands: ProductHands, action: ProductAction, product: Product) -> bool:
    """Whether the cloud says, right before a release, that somebody would be moved by it. What it cannot say holds too.

    404 means that it has no such preview; then what we saw of all devices of the product, in this pass, must do.
    """
    if not isinstance(action, ReleaseApplication):
        return False
    try:
        moved = hands.impact(action, product)
    except RateLimitedError:
        raise
    except WireError as error:
        why = f"the cloud's preview of it cannot be read: {error.message}"
    else:
        if not moved:
            return False
        why = f"the cloud says that it would update {moved} {'device' if moved == 1 else 'devices'}"
    run.product_held[action] = why
    message = f"application {action.application} of product {action.product} is not released: {why}"
    run.tools.tell(Finding(at=run.latest, code=RELEASE_HELD, message=message))
    return True


def _send(run: Run, scope: Scope, hands: ProductHands, fleet: str, action: ProductAction, product: Product) -> None:
    assert scope.product is not None
    attempt = ProductAttempt(
        id=run.tools.new_id(),
        product=scope.product,
        fleet=fleet,
        plan_id=run.agreement.plan_id,
        action=action,
        state=AttemptState.INTENDED,
        intended_at=run.latest,
    )
    try:
        run.tools.journal.begin_product(attempt, permit=run.fences.get(fleet))
    except ProductBusyError as error:
        run.tools.tell(Finding(at=run.latest, code=error.code, message=error.message))
        return
    run.note_product(attempt)
    scope.hearing.awaits_product = True
    outcome = hands.send(action, product)
    now = scope.answered_at() or run.latest
    written_down = partial(_record, run, now=now, writes=outcome.writes, before=facts_of_product(product, action))
    match outcome:
        case Accepted():
            written_down(attempt.sent(now))
        case MayHaveArrived(detail=detail):
            written_down(attempt.lost_sight(detail))
        case NotSent(failure=failure, detail=detail):
            written_down(attempt.failed(failure, detail, now))
            if failure is FailureClass.UNAUTHORISED:
                raise UnauthorisedError(detail, status=403, words=detail)
        case _:
            assert_never(outcome)


def _record(
    run: Run,
    attempt: ProductAttempt,
    now: Instant,
    *,
    writes: Sequence[ExternalWrite] = (),
    before: Facts | None = None,
    after: Facts | None = None,
) -> None:
    """Write down that an attempt has moved. A halt that follows from it is durable first."""
    fleet = attempt.fleet
    is_fatal = attempt.failure is not None and CONSEQUENCES[attempt.failure].counts is Counts.HALTS_FLEET
    if is_fatal:
        run.halt(fleet, attempt.detail, now)
    fence = run.fences.get(fleet)
    run.tools.journal.record_product(attempt, permit=fence, writes=writes, before=before, after=after)
    run.note_product(attempt)
