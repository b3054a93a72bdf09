"""The promise of the journal, in one place: `Journal`, what it takes and hands out, and how it says no."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from reconciler.journal.control_record import ControlRecord
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.console import ConsoleChange, ConsoleState, Latch
from reconciler.model.device import DeviceId, ModuleReport
from reconciler.model.error import JournalError
from reconciler.model.external_write import ExternalWrite, Facts
from reconciler.model.instant import Instant
from reconciler.model.module import Module
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.refusal import SystemFlashRefusal
from reconciler.model.rollout_entry import Halted, RolloutEntry
from reconciler.model.version import ApplicationVersion

_WAIT_FOR_THE_OTHER: Final = (
    "wait until the other run has ended, or run `apply` again: it first finds out what became of it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One attempt entered one state. Moves are only ever added.

    `number` counts all moves of a journal upwards. `at` is None where nobody noted the time: an attempt that became
    unknown has no time of its own. `detail` is the attempt's detail as it was then.
    """

    number: int
    attempt_id: str
    device_id: DeviceId
    state: AttemptState
    at: Instant | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """An entry of the life of a rollout. `number` counts all entries of a journal upwards."""

    number: int
    entry: RolloutEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What one look at the console showed that was not known: one thing, which is written down whole or not at all."""

    states: Sequence[ConsoleState] = ()
    changes: Sequence[ConsoleChange] = ()
    latches: Sequence[Latch] = ()

    def __bool__(self) -> bool:
        return bool(self.states or self.changes or self.latches)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPlan:
    """A plan that was executed: its id, its digest (`sha256:…`), and its text as it was saved."""

    plan_id: str
    digest: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Under what conditions something may be written. They are checked in the very transaction that writes it.

    - `scope`, `epoch`: the right to write, as `take_epoch` gave it; scope None: anybody may.
    - `concurrent_max`: how many devices of the attempt's fleet may hold a slot at once, this one included.
    - `begun_per_minute_max`: how many attempts of the fleet may begin within any 60 seconds.
    - `bytes_per_day_max`: how many bytes attempts of the fleet may send within any 24 hours. An unknown size counts as
      `UNKNOWN_STEP_BYTES`; an attempt that certainly reached no device counts as nothing.

    None: without limit; 0 holds. Times are those of the attempts' `intended_at`. In a fleet that is halted no attempt
    begins under any permit.
    """

    scope: str | None = None
    epoch: int = 0
    concurrent_max: int | None = None
    begun_per_minute_max: int | None = None
    bytes_per_day_max: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptWrite:
    """A request that left for an attempt; what was seen before it, and how the attempt ended (None: not yet).

    `number` counts all writes of a journal upwards.
    """

    number: int
    attempt_id: str
    write: ExternalWrite
    before: Facts
    after: Facts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """How many of what a compaction removed."""

    attempts: int = 0
    moves: int = 0
    writes: int = 0
    plans: int = 0


class DeviceBusyError(JournalError):
    """The device already has an open attempt (`open_attempt_id`), perhaps of another process."""

    def __init__(self, device_id: DeviceId, open_attempt_id: str) -> None:
        super().__init__(
            "PFR5002",
            f"device {device_id} already has an open attempt, {open_attempt_id}",
            next_step=_WAIT_FOR_THE_OTHER,
        )
        self.device_id = device_id
        self.open_attempt_id = open_attempt_id


class ProductBusyError(JournalError):
    """The product already has an open attempt, perhaps of another process."""

    def __init__(self, product: str) -> None:
        super().__init__(
            "PFR5020",
            f"product {product} already has an open attempt",
            next_step=_WAIT_FOR_THE_OTHER,
        )


class AttemptMovedError(JournalError):
    """The journal has this attempt in a state (`recorded`) that the offered one may not follow."""

    def __init__(self, attempt: Attempt | ProductAttempt, recorded: AttemptState) -> None:
        what = f"device {attempt.device_id}" if isinstance(attempt, Attempt) else f"product {attempt.product}"
        super().__init__(
            "PFR5003",
            f"attempt {attempt.id} on {what} is {recorded} and cannot become {attempt.state}",
            next_step="another process moved it; end all but one run on this journal and run `apply` again",
        )
        self.attempt_id = attempt.id
        self.recorded = recorded


class NotedMeanwhileError(JournalError):
    """Somebody has noted something of the fleet that the writer has not read: what it judged may not hold any more."""

    def __init__(self, fleet: str) -> None:
        super().__init__(
            "PFR5028",
            f"something was noted of fleet {fleet} meanwhile, and nothing more is before that is read",
            next_step="none: the next pass reads it and judges anew",
        )


class Journal(ControlRecord, Protocol):
    """What was intended, sent and learnt. Every method may be called from several threads.

    What every implementation promises:

    1. When `begin` or `record` returns, what it was given survives the death of this process at any later moment; a
       journal on a disk survives the loss of power too. When they raise, the journal is as it was before.
    2. A device has at most one open attempt, whoever asks: of two `begin` at the same time exactly one succeeds.
    3. An attempt moves only as `reconciler.model.attempt.MOVES` allows, and what it is about never changes.
    4. Attempts, moves and writes are never altered otherwise, and never deleted but by `compact`; order is the order of
       `begin`.
    5. What was stored comes back equal, or `JournalError` says why it cannot be read. (In an attempt's detail,
       characters that UTF-8 cannot hold come back as their escapes.)
    """

    def begin(self, attempt: Attempt, *, permit: Permit | None = None) -> Attempt:
        """Write down an attempt before its request leaves, and return it with its number.

        With `concurrent_max` its device holds a slot afterwards.

        Raises:
            FencedError: PFR5021, NoSlotError: PFR5022, RateError: PFR5023, the permit does not allow it;
                FleetHaltedError: PFR5027, nor any other while the fleet is halted.
            DeviceBusyError: PFR5002, the device has an open attempt.
            BugError: PFR9501, the attempt is not in state intended; PFR9503, its id was used before.
            JournalError: the journal cannot be written; nothing may be sent.
        """
        ...

    def record(
        self,
        attempt: Attempt,
        *,
        at: Instant | None = None,
        permit: Permit | None = None,
        writes: Sequence[ExternalWrite] = (),
        before: Facts | None = None,
        after: Facts | None = None,
    ) -> None:
        """Write down that an attempt has entered its next state.

        `at` is when it did; left out, the attempt's own time of that state, where it has one. `writes` are the requests
        that left for it, and `before` what was seen of the device before them; `after` is what was seen of it when the
        attempt ended, and is kept with all its writes.

        Raises:
            FencedError: PFR5021, the permit's epoch is over.
            AttemptMovedError: PFR5003, the recorded state is terminal or may not be followed by this one.
            BugError: PFR9502, no such attempt was begun; PFR9504, it is about something else than the one begun.
            JournalError: the journal cannot be written.
        """
        ...

    def open_attempts(self) -> tuple[Attempt, ...]:
        """The attempts whose outcome is still to come, in the order in which they were begun."""
        ...

    def attempts(
        self, *, device_id: DeviceId | None = None, fleet: str | None = None, limit: int | None = None
    ) -> tuple[Attempt, ...]:
        """Attempts, the latest begun first; of one device or one fleet, and at most `limit` (0 or more) where given."""
        ...

    def moves(self, attempt_id: str) -> tuple[Move, ...]:
        """The life of one attempt in the order in which it was lived; empty when no such attempt was begun."""
        ...

    def learnt(self, *, device_id: DeviceId | None = None) -> Mapping[DeviceId, tuple[Module, ...]]:
        """The modules that verified `FlashModule` attempts put on devices, ascending by slot: see `lessons`.

        Devices without any are left out; with `device_id` only that device is asked for.
        """
        ...

    def locked(self, *, device_id: DeviceId | None = None) -> Mapping[DeviceId, ApplicationVersion]:
        """The application that our own last lock of each device asked for: see `lock_may_stand`.

        Devices that we never locked are left out; with `device_id` only that device is asked for.
        """
        ...

    def keep_report(self, report: ModuleReport) -> None:
        """Keep what a device said of its modules, unless a report of a later time is already kept."""
        ...

    def reports(self) -> Mapping[DeviceId, ModuleReport]:
        """The latest report of every device that made one."""
        ...

    def keep_plan(self, plan: KeptPlan) -> None:
        """Keep a plan that is about to be executed; keeping it again changes nothing.

        Raises BugError PFR9505 when a plan with this id and another digest is kept.
        """
        ...

    def plan(self, plan_id: str) -> KeptPlan | None:
        """A plan that was kept, or None."""
        ...

    def note(self, entries: Sequence[RolloutEntry], *, permit: Permit | None = None, after: int | None = None) -> None:
        """Add entries to the lives of rollouts, in their order: all of them or none. They are never altered.

        `after` is the number up to which the writer has read what it judges by; None: it holds whatever was noted.
        Raises FencedError PFR5021 when the permit's epoch is over; NotedMeanwhileError PFR5028 when the journal has an
        entry of one of these fleets with a number above `after`.
        """
        ...

    def entries(self, *, fleet: str | None = None, after: int = 0) -> tuple[Noted, ...]:
        """What was noted, of one fleet where given, with numbers above `after`, in the order in which it was."""
        ...

    def fleets(self) -> tuple[str, ...]:
        """The names of all fleets of which something was ever written down, in their order."""
        ...

    def halt(self, fleet: str, reason: str, at: Instant, *, by: str | None = None) -> None:
        """Halt a fleet: note `Halted`, unless it is halted. A fleet that is halted stays so, for its first reason."""
        ...

    def halts(self) -> tuple[Halted, ...]:
        """The fleets that are halted, in the order in which they were."""
        ...

    def lift(self, fleet: str, at: Instant, *, by: str = "") -> bool:
        """Lift the halt of a fleet, by a person's word: note `Resumed`. False: it was not halted."""
        ...

    def keep_look(self, looked: Looked) -> None:
        """Write down what a look showed that is news: states take the place of the same device's, the rest is added."""
        ...

    def console_states(self) -> Mapping[DeviceId, ConsoleState]:
        """What was last seen of every device of which something was kept."""
        ...

    def console_changes(
        self, *, device_id: DeviceId | None = None, fleet: str | None = None, limit: int | None = None
    ) -> tuple[ConsoleChange, ...]:
        """What others changed, the latest first; of one device or one fleet, and at most `limit` where given."""
        ...

    def latches(self) -> Mapping[DeviceId, Latch]:
        """The last latch of every device that ever had one, lifted or not."""
        ...

    def unlatch(self, device_id: DeviceId) -> bool:
        """Lift the latch of a device, by a person's word. False: it has none that is not lifted."""
        ...

    def begin_product(self, attempt: ProductAttempt, *, permit: Permit | None = None) -> None:
        """Write down an attempt on a product before its request leaves; a product has at most one open attempt.

        Raises:
            FencedError: PFR5021, the permit's epoch is over.
            ProductBusyError: PFR5020, the product has an open attempt.
            BugError: PFR9501, the attempt is not in state intended; PFR9503, its id was used before.
            JournalError: the journal cannot be written; nothing may be sent.
        """
        ...

    def record_product(
        self,
        attempt: ProductAttempt,
        *,
        permit: Permit | None = None,
        writes: Sequence[ExternalWrite] = (),
        before: Facts | None = None,
        after: Facts | None = None,
    ) -> None:
        """Write down that an attempt on a product has entered its next state. Raises as `record` does."""
        ...

    def open_product_attempts(self) -> tuple[ProductAttempt, ...]:
        """The attempts on products whose outcome is still to come, in the order in which they were begun."""
        ...

    def product_attempts(self, *, fleet: str | None = None, limit: int | None = None) -> tuple[ProductAttempt, ...]:
        """Attempts on products, the latest begun first; of one fleet, and at most `limit`, where given."""
        ...

    def keep_refusal(self, refusal: SystemFlashRefusal) -> None:
        """Keep what was learnt of a product; of the same product the last one counts."""
        ...

    def refusals(self) -> tuple[SystemFlashRefusal, ...]:
        """What was learnt and is not forgotten, expired or not, by product in the order of their numbers."""
        ...

    def forget_refusal(self, product_id: int) -> bool:
        """Forget what was learnt of a product, by a person's word. False: nothing was."""
        ...

    def take_epoch(self, scope: str, *, holder: str, at: Instant) -> int:
        """Take the right to write for a scope from whoever has it. The number rises with every call, durably."""
        ...

    def slots(self, fleet: str) -> Mapping[DeviceId, Instant]:
        """The devices of a fleet that hold a slot, and since when, in the order of their ids."""
        ...

    def release(self, fleet: str, device_ids: Iterable[DeviceId], *, permit: Permit | None = None) -> None:
        """Give back the slots of devices; of one that holds none it is harmless. Raises FencedError PFR5021."""
        ...

    def writes(self, attempt_id: str) -> tuple[KeptWrite, ...]:
        """The requests that left for an attempt, on a device or a product, in their order."""
        ...

    def compact(self, *, ended_before: Instant, at: Instant) -> Compacted:
        """Remove attempts that ended before a time, with all that hangs on them, and write down that it was done.

        What anything still follows from stays, however old: see `compaction`. Entries of rollouts always do.
        """
        ...

    def close(self) -> None:
        """Let go of files. Closing twice is harmless; any other use afterwards raises BugError PFR9506."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
