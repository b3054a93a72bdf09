"""One pass over one product: look, settle, plan, decide, act. The page to read first.

A pass decides by what it sees: it looks at the devices, judges what is open by that, plans, and starts what the gate
allows of what was agreed to. It never waits for a device; the next pass looks again. What the pass before derived of
devices that are as they were is not derived again (`picture.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import wait

from reconciler.controller.act import act
from reconciler.controller.awaiting import is_awaited
from reconciler.controller.console import note_console
from reconciler.controller.health import note_health
from reconciler.controller.picture import Picture
from reconciler.controller.product import act_on_product, settle_product
from reconciler.controller.rollouts import Decided, decide
from reconciler.controller.run import Run, Scope
from reconciler.controller.settle import keep_reports, settle
from reconciler.controller.sizes import guard_sizes
from reconciler.rollout.verdict import Start


def reconcile_pass(run: Run, scope: Scope) -> bool:
    """Bring one product a step nearer to its manifests. Returns whether there is anything to come back for.

    Raises WireError when the product cannot be observed or refuses our token. What is under way stays in the journal.
    """
    picture = run.picture_of(scope)
    observation = scope.inventory.observe()
    run.latest = max(run.latest, observation.observed_at)
    picture.show(observation)
    keep_reports(run, scope)
    in_flight = settle(run, scope, observation)
    settle_product(run, scope, observation)
    run.knowledge.read_on()
    plan = picture.plan(scope.fleets)
    if note_console(run, scope, plan, picture):
        plan = picture.plan(scope.fleets)
    run.agree_to(plan)
    if run.tools.guards is not None:
        guard_sizes(run, plan, run.tools.guards, observation.observed_at)
    note_health(run, scope, plan, picture)
    decided = decide(run, scope, plan, in_flight, picture)
    is_product_to_come = act_on_product(run, scope, plan, observation)
    _act(run, scope, decided, picture)
    return (
        is_product_to_come
        or any(flight.within_deadline for flight in in_flight)
        or any(of_fleet.is_to_come for of_fleet in decided)
        or any(is_awaited(run, fleet_plan, now=observation.observed_at) for fleet_plan in plan.fleets)
    )


def _act(run: Run, scope: Scope, decided: Sequence[Decided], picture: Picture) -> None:
    listed_at = scope.answered_at()
    sending = [
        run.tools.pool.submit(act, run, scope, of_fleet.fleet, verdict, picture[verdict.device_id], listed_at)
        for of_fleet in decided
        for verdict in of_fleet.verdicts
        if isinstance(verdict, Start)
    ]
    wait(sending)
    for sent in sending:
        sent.result()
