"""What was agreed to: the steps of every device, and the actions on products, of a plan that somebody saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.model.action import ProductAction, is_within
from reconciler.model.device import DeviceId
from reconciler.model.plan import Plan
from reconciler.model.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What was agreed to, under the id of the plan that showed it: every device's steps, and actions on products."""

    plan_id: str
    steps: Mapping[DeviceId, frozenset[Step]] = field(default_factory=dict)
    actions: frozenset[ProductAction] = frozenset()

    def allows(self, action: ProductAction) -> bool:
        """Whether an action does nothing that was not agreed to."""
        return any(is_within(action, agreed) for agreed in self.actions)


def agreement_on(plan_id: str, plan: Plan) -> Agreement:
    """Everything that the plan would do."""
    steps = {
        device_id: agreed
        for fleet in plan.fleets
        for route in fleet.routes
        for agreed in (frozenset(route.steps),)
        for device_id in route.devices
    }
    actions = frozenset(action for fleet in plan.fleets for action in fleet.actions)
    return Agreement(plan_id=plan_id, steps=steps, actions=actions)
