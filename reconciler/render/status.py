"""Where everything stands, as values: for people by `status_text.py`, for machines by `status_json.py`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.attempt import Attempt
from reconciler.model.fleet import Desired
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan
from reconciler.render.rollout_status import NO_PROGRESS, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """Nothing more is started in a fleet, since then and for this reason, until a person lifts it.

    `by` is the person who halted it; None: the rollout itself.
    """

    reason: str
    at: Instant
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """A step whose outcome is still to come. `overdue`: it has had more than its fleet's `stepDeadline`."""

    attempt: Attempt
    overdue: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedDevice:
    """A device whose last step failed and that is not as desired since.

    `attempt` is its last failure, `tries` how many attempts failed since the last one that was verified, `given_up`
    whether it is left alone because its tries in this rollout are used up.
    """

    attempt: Attempt
    tries: int
    given_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStatus:
    """One fleet. `desired` is None for one that only the journal knows, `plan` where no device was observed.

    `held` is why no run would start a step in it now, besides a halt; empty where one would, or none is to be done.
    `held_until` is when its windows open next, where they are the reason and that is known.
    """

    name: str
    desired: Desired | None
    plan: FleetPlan | None
    halted: Halted | None
    held: str
    under_way: tuple[UnderWay, ...]
    failed: tuple[FailedDevice, ...]
    held_until: Instant | None = None
    progress: Progress = NO_PROGRESS


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """The attempts of the plan that was carried out last: when the first was intended and the last one moved."""

    plan_id: str
    began_at: Instant
    moved_at: Instant
    verified: int
    failed: int
    under_way: int
    withdrawn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """Which run holds the journal, in its own words; which one broke off and left its name; and what the last one did.

    Empty words: none. `journal_found` False: there is no journal, so nothing is known of any run.
    """

    journal_found: bool
    under_way: str = ""
    broken_off: str = ""
    last: LastRun | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """The API calls that one process allows itself, and what is known of those that were made.

    `requests_of_this_command` are those of `status` itself. `steps_begun` are steps that the journal saw begin within
    the last window, each of them a look and a send at least. What other programs at this address send, nobody tells.
    """

    requests_max: int
    window_seconds: int
    requests_of_this_command: int
    steps_begun: int


class TokenState(StrEnum):
    """What the cloud says of the access token."""

    VALID = "valid"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenStatus:
    """The access token. `detail` is why it is not known to be valid.

    `scopes` is None where the cloud does not say; `expires_at` is ISO 8601, or None: never, or the cloud does not say.
    """

    state: TokenState
    scopes: tuple[str, ...] | None = None
    expires_at: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All of it, as of `at`. `observed_at` is None where no device was observed, and `blind_because` says why."""

    at: Instant
    observed_at: Instant | None
    complete: bool
    blind_because: str
    fleets: tuple[FleetStatus, ...]
    run: RunStatus
    budget: BudgetStatus
    token: TokenStatus
