"""What happened, as typed records: one stream that displays, logs and metrics are fed from."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.attempt import Attempt
from reconciler.model.console import ConsoleChange, Latch
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.revision import Revision, TakenIntent
from reconciler.model.rollout_entry import RolloutEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMade:
    """A pass has planned: this is what it will do."""

    at: Instant
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptMoved:
    """An attempt has entered a new state; the journal has it."""

    at: Instant
    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceArrived:
    """A device is as desired, by observation."""

    at: Instant
    fleet: str
    device_id: DeviceId


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSetAside:
    """A device is left alone, until a time or until a person comes (None), and why."""

    at: Instant
    fleet: str
    device_id: DeviceId
    reason: str
    message: str
    until: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutMoved:
    """Something has followed for a rollout, or a person has said something to a fleet; the journal has it."""

    at: Instant
    entry: RolloutEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductAttemptMoved:
    """An attempt on a product has entered a new state; the journal has it."""

    at: Instant
    attempt: ProductAttempt


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOffered:
    """A fleet waits for a person's approval of this plan, which the journal keeps; so many devices wait for it."""

    at: Instant
    fleet: str
    plan_id: str
    digest: str
    devices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something a person should know that changes nothing that is under way."""

    at: Instant
    code: str
    message: str
    device_id: DeviceId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleChanged:
    """Somebody else has changed something of a device; the journal has it."""

    at: Instant
    change: ConsoleChange


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLatched:
    """Somebody keeps undoing what we do to a device: nothing is sent to it until a person comes."""

    at: Instant
    latch: Latch


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentTaken:
    """The manifests of a revision are what is desired from now on; the journal has it."""

    at: Instant
    intent: TakenIntent


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRestored:
    """The source has again what is desired, after it had what was refused: nothing is wrong with it any more."""

    at: Instant
    intent: TakenIntent


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRefused:
    """A revision is not taken: what was desired before stands. Told once for every revision and reason."""

    at: Instant
    revision: Revision | None
    code: str
    message: str
    next_step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Troubled:
    """Something that the controller needs has failed: `what` is the source, the journal or a product. Told once."""

    at: Instant
    what: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What had failed is well again."""

    at: Instant
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PassEnded:
    """A pass over one product has ended. `seconds` it took; `code` is that of the error that ended it, if one did."""

    at: Instant
    product: str | None
    seconds: float
    devices: int
    started_steps: int
    code: str | None = None


ControllerEvent = PlanOffered | IntentTaken | IntentRestored | IntentRefused | Troubled | Recovered | PassEnded
"""What happens to a controller that runs for long, whatever its fleets do."""

FleetEvent = (
    PlanMade
    | AttemptMoved
    | ProductAttemptMoved
    | DeviceArrived
    | DeviceSetAside
    | RolloutMoved
    | ConsoleChanged
    | DeviceLatched
    | Finding
)
"""What happens to fleets and their devices."""

Event = FleetEvent | ControllerEvent
