"""Act: one step on one device.

Get what is to be sent, look once more, let the guard check, write down the intent, send, write down the answer. The
intent is durable before the request leaves; whatever happens after that, the next observation of the device decides.

Looking once more may be left out between two steps: when the list of this very pass shows a session that began after
our last send. Then it cannot be older than that send, however far lists lag behind. A list grows old while a pass sends
to many devices; whoever has not had its turn by then has it in the next pass.
"""

from __future__ import annotations

from typing import Final, assert_never

from reconciler.controller.direct_flash import is_direct_system_flash
from reconciler.controller.facts import facts_of
from reconciler.controller.run import Run, Scope
from reconciler.execution import guard
from reconciler.execution.executor import Accepted, MayHaveArrived, NotSent, SendOutcome
from reconciler.journal.journal import DeviceBusyError
from reconciler.journal.permits import FleetHaltedError, NoSlotError, RateError
from reconciler.model.attempt import Attempt, AttemptState, FailureClass
from reconciler.model.device import DeviceMode, ObservedDevice
from reconciler.model.error import WireError
from reconciler.model.event import Finding
from reconciler.model.instant import NEVER, Instant
from reconciler.model.plan import WaitingReason
from reconciler.model.refusal import SystemFlashRefusal
from reconciler.particle.error import UnauthorisedError
from reconciler.rollout.retry import UNTIL_A_PERSON
from reconciler.rollout.verdict import Start

FRESH_SECONDS: Final = 30.0
"""For how long after it was read a list may be sent by."""


def act(
    run: Run, scope: Scope, fleet: str, start: Start, planned_on: ObservedDevice, listed_at: Instant | None
) -> None:
    """Start one step. `listed_at` is when the pass had read its list, by the cloud's clock.

    Raises:
        UnauthorisedError: The cloud refuses our token.
        JournalError: The intent cannot be written down; nothing was sent.
    """
    product_id = planned_on.product_id if is_direct_system_flash(start.step, planned_on) else None
    with run.direct_flashes.turn(product_id):
        is_spent = run.spent_until.get(fleet, NEVER) > run.latest
        is_refused = product_id is not None and run.knowledge.refuses(product_id, planned_on.observed_at)
        if not is_spent and not is_refused:
            _act(run, scope, fleet, start, planned_on, listed_at)


def _act(
    run: Run, scope: Scope, fleet: str, start: Start, planned_on: ObservedDevice, listed_at: Instant | None
) -> None:
    goes_by_list = _goes_by_list(run, scope, planned_on)
    try:
        if scope.fetch is not None:
            scope.fetch(planned_on, start.step)
        if goes_by_list and _is_old(scope, listed_at):
            return
        fresh = planned_on if goes_by_list else run.look(scope, start.device_id)
    except UnauthorisedError:
        raise
    except WireError as error:
        run.turn_back(start.device_id, error.code, error.message)
        return
    blocked = guard.check(start.step, start.route.situation, planned_on, fresh, run.tools.catalog)
    if blocked is not None or fresh is None:
        run.turn_back(start.device_id, "PFR2302", blocked.why if blocked else "the device is gone")
        return
    attempt = Attempt(
        id=run.tools.new_id(),
        device_id=start.device_id,
        fleet=fleet,
        plan_id=run.agreement.plan_id,
        step=start.step,
        state=AttemptState.INTENDED,
        intended_at=fresh.observed_at,
        handshake_before=fresh.last_handshake_at,
        well_before=fresh.mode is DeviceMode.NORMAL if start.device_id not in run.ended else None,
    )
    try:
        attempt = run.tools.journal.begin(attempt, permit=run.permits.get(fleet))
    except DeviceBusyError as error:
        run.turn_back(start.device_id, error.code, error.message)
        return
    except (NoSlotError, FleetHaltedError) as error:
        run.tools.tell(Finding(at=run.latest, code=error.code, message=error.message, device_id=start.device_id))
        return
    except RateError as error:
        run.spent_until[fleet] = UNTIL_A_PERSON if error.until is None else error.until
        return
    if attempt.well_before:
        run.well_before.add(start.device_id)
    run.note(attempt)
    _send(run, scope, attempt, fresh)


def _send(run: Run, scope: Scope, attempt: Attempt, fresh: ObservedDevice) -> None:
    run.heard_before[attempt.id] = scope.hearing.ordinal
    scope.hearing.listen_also_for(attempt.device_id)
    outcome = scope.executor.send(fresh, attempt.step)
    now = scope.answered_at() or fresh.observed_at
    before = facts_of(fresh)
    match outcome:
        case Accepted():
            run.record(attempt.sent(now), writes=outcome.writes, before=before)
        case MayHaveArrived(detail=detail):
            run.record(attempt.lost_sight(detail), writes=outcome.writes, before=before)
        case NotSent(failure=failure, detail=detail):
            run.record(attempt.failed(failure, detail, now), writes=outcome.writes, before=before)
            if failure is FailureClass.UNAUTHORISED:
                raise UnauthorisedError(detail, status=403, words=detail)
        case _:
            assert_never(outcome)
    if fresh.product_id is not None and is_direct_system_flash(attempt.step, fresh):
        _learn(run, fresh.product_id, outcome, now)


def _learn(run: Run, product_id: int, outcome: SendOutcome, now: Instant) -> None:
    """What the answer says of the act itself; a refusal that is sure is durable before anything follows from it."""
    if isinstance(outcome, Accepted):
        run.direct_flashes.accepted(product_id)
    if not isinstance(outcome, NotSent) or not outcome.refuses_system_flash:
        return
    if run.direct_flashes.refused(product_id):
        refusal = SystemFlashRefusal(product_id=product_id, at=now, words=outcome.detail)
        run.knowledge.learn(refusal)
        message = f"the cloud refuses Device OS modules for devices of product {product_id}: {outcome.detail}"
        run.tools.tell(Finding(at=run.latest, code=WaitingReason.SYSTEM_FLASH_REFUSED.code, message=message))


def _goes_by_list(run: Run, scope: Scope, seen: ObservedDevice) -> bool:
    """Whether this pass saw the device itself, and what it saw is certainly newer than our last send to it."""
    if seen.observed_at < run.looked_at.get(scope.product, NEVER):
        return False
    attempts = run.ended.get(seen.id)
    before = attempts[0].handshake_before if attempts else None
    return before is not None and seen.last_handshake_at is not None and seen.last_handshake_at > before


def _is_old(scope: Scope, listed_at: Instant | None) -> bool:
    now = scope.answered_at()
    return now is not None and listed_at is not None and now - listed_at > FRESH_SECONDS
