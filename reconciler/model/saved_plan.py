"""A plan as it was saved: what was shown to a person, device by device, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from reconciler.model.action import ProductAction
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant
from reconciler.model.plan import PlanSource
from reconciler.model.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedRoute:
    """What was planned for some devices of one fleet: these steps, in this order.

    `state_hash` is that of the situation they were in (`state_hash.py`); None in a plan of an earlier version.
    """

    fleet: str
    steps: tuple[Step, ...]
    devices: tuple[DeviceId, ...]
    state_hash: str | None = None


@dataclass(frozen=True, kw_only=True)
class SavedPlan:
    """A plan as it was saved. Devices without a route have nothing to be done and are not in it.

    - `digest` is over the whole plan and the observation it was made on; `content_digest` over what would be done
      alone, so that it is the same whenever the same is planned.
    - `intents`: what every fleet desired (`Desired.intent`); `waves`: the names of its waves.
    """

    plan_id: str
    digest: str
    content_digest: str
    source: PlanSource
    created_at: Instant
    expires_at: Instant
    complete: bool
    intents: Mapping[str, str]
    waves: Mapping[str, tuple[str, ...]]
    routes: tuple[SavedRoute, ...]
    actions: frozenset[ProductAction] = field(default_factory=frozenset)

    @cached_property
    def by_device(self) -> Mapping[DeviceId, SavedRoute]:
        """The route of every device that has one."""
        return {device: route for route in self.routes for device in route.devices}


def is_rest_of(steps: tuple[Step, ...], planned: tuple[Step, ...]) -> bool:
    """Whether steps are what is left of planned ones when the first of them, or none, are done."""
    return len(steps) <= len(planned) and planned[len(planned) - len(steps) :] == steps
