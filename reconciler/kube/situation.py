"""What a status is made from, and the closed sets of words that it uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.controller.means import CLOUD, JOURNAL, SOURCE
from reconciler.controller.troubles import Trouble, trouble_of
from reconciler.model.error import OperatorError
from reconciler.model.revision import RefusedRevision, TakenIntent
from reconciler.render.status import FleetStatus

NEVER_JUDGED = -1
"""The generation of a resource that nobody has looked at: what `status` begins with by default."""


class ConditionType(StrEnum):
    """What a condition is about. `READY` is always there, the others only while they are true."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    HALTED = "Halted"
    SUSPENDED = "Suspended"
    AWAITING_APPROVAL = "AwaitingApproval"
    DRIFT_DETECTED = "DriftDetected"


class State(StrEnum):
    """A fleet in a word. `READY` to `STALLED` go with the conditions; see `judgement.py`."""

    READY = "Ready"
    PROGRESSING = "Progressing"
    AWAITING_APPROVAL = "AwaitingApproval"
    SUSPENDED = "Suspended"
    STALLED = "Stalled"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Why a condition is as it is. Where Flux has a reason for the same thing it is the same word."""

    SUCCEEDED = "Succeeded"
    NO_DEVICES = "NoDevices"
    PROGRESSING = "Progressing"
    PROGRESSING_WITH_RETRY = "ProgressingWithRetry"
    WAVE_IN_PROGRESS = "WaveInProgress"
    SOAKING = "Soaking"
    RELEASING = "Releasing"
    DEVICES_OFFLINE = "DevicesOffline"
    OUTSIDE_MAINTENANCE_WINDOW = "OutsideMaintenanceWindow"
    AWAITING_APPROVAL = "AwaitingApproval"
    PLAN_STALE = "PlanStale"
    APPROVAL_REFUSED = "ApprovalRefused"
    SUSPENDED = "Suspended"
    CONCURRENCY_ZERO = "ConcurrencyZero"
    HALTED = "Halted"
    FAILURE_BUDGET_EXCEEDED = "FailureBudgetExceeded"
    DEVICES_FAILED = "DevicesFailed"
    DEVICES_BLOCKED = "DevicesBlocked"
    DOWNGRADE_REFUSED = "DowngradeRefused"
    DRIFT_DETECTED = "DriftDetected"
    FIGHT_DETECTED = "FightDetected"
    TOO_MANY_DEVICES = "TooManyDevices"
    BUILD_FAILED = "BuildFailed"
    REVISION_REFUSED = "RevisionRefused"
    VERIFICATION_FAILED = "VerificationFailed"
    ACCESS_DENIED = "AccessDenied"
    CREDENTIALS_INVALID = "CredentialsInvalid"
    RATE_LIMITED = "RateLimited"
    WRITE_RIGHT_LOST = "WriteRightLost"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInForce:
    """The plan that a person approves, or that the rollout began with. `digest` is `sha256:…`."""

    id: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSituation:
    """All that is known of one fleet when its status is written.

    - `generation`: that of the resource now; `judged`: the one that was refused last, or else the one whose spec the
      passes follow (not just taken: what is observed is held against that).
    - `fleet`: where it stands; None: the loop does not know it. Its plan is None until its product was seen.
    - `plan`: the one that was offered for approval, or else that of the rollout. Not the one of the last pass: its
      digest is another one after every look.
    - `taken`: what is desired; `refusal`: why a later revision is not. `troubles`: those that concern this fleet.
    - `reconcile_handled`: the token of the latest wish for a look that was had.
    - `misheard`: why an approval by an annotation of the fleet does not count.
    """

    generation: int
    judged: int = NEVER_JUDGED
    fleet: FleetStatus | None = None
    plan: PlanInForce | None = None
    taken: TakenIntent | None = None
    refusal: RefusedRevision | None = None
    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    reconcile_handled: str | None = None
    misheard: OperatorError | None = None


def troubles_concerning(product: str | None, troubles: Mapping[str, Trouble]) -> Mapping[str, Trouble]:
    """The troubles of a loop that concern a fleet of this product: those of everybody, and the product's own."""
    concerning = (SOURCE, JOURNAL, CLOUD, trouble_of(product))
    return {what: trouble for what, trouble in troubles.items() if what in concerning}
