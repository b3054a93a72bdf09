"""One run over some fleets: its tools, and what it remembers between passes.

What matters for safety is in the journal; what is here may be lost, and the next run finds out again.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor as Pool
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from reconciler.controller.agreement import Agreement
from reconciler.controller.approvals import KeptPlans
from reconciler.controller.direct_flash import DirectFlashes
from reconciler.controller.health_memory import FleetHealth
from reconciler.controller.knowledge import Knowledge
from reconciler.controller.picture import Picture
from reconciler.execution.executor import Executor
from reconciler.execution.product import ProductHands
from reconciler.firmware.catalog import Catalog
from reconciler.inventory.hearing import Hearing
from reconciler.inventory.inventory import Inventory
from reconciler.journal.journal import Journal, NotedMeanwhileError, Permit
from reconciler.model.action import ProductAction
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.device import DeviceId, ObservedDevice
from reconciler.model.event import AttemptMoved, Event, Finding, ProductAttemptMoved, RolloutMoved
from reconciler.model.external_write import ExternalWrite, Facts
from reconciler.model.fleet import Fleet, FleetSet, PlanApproval
from reconciler.model.health import CheckAnswer, CheckQuestion, CheckWord, HealthCheck
from reconciler.model.instant import NEVER, Instant
from reconciler.model.plan import FleetPlan, Plan
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.rollout import FleetStory
from reconciler.model.rollout_entry import Halted, Retried, RolloutBegan, RolloutEntry
from reconciler.model.step import Step
from reconciler.planning.answer import Answers
from reconciler.rollout.approval import Approvals
from reconciler.rollout.verdict import Verdict
from reconciler.settings.settings import GuardSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One product (None: the token's own devices) with its fleets, the eyes on it, and the hands for it.

    `answered_at` is when the last answer that this thread got was made, by the cloud's own clock. `requests_a_look` is
    how many requests the last look at all devices took. `revision` is where the fleets stand. `ask_vitals` has a
    device report its vitals, unless the cloud has a report that is newer than an instant; None: nobody can be asked.
    `fetch` gets what a step sends before its intent is written down: a run that is overtaken while it waits for a
    download has sent nothing then. None: there is nothing to wait for.
    """

    product: str | None
    fleets: FleetSet
    inventory: Inventory
    hearing: Hearing
    executor: Executor
    answered_at: Callable[[], Instant | None]
    requests_a_look: Callable[[], int] = lambda: 1
    revision: str | None = None
    product_hands: ProductHands | None = None
    ask_vitals: Callable[[DeviceId, Instant], None] | None = None
    fetch: Callable[[ObservedDevice, Step], None] | None = None


def ask_nobody(check: HealthCheck, question: CheckQuestion) -> CheckAnswer:
    """The answer of a check where nobody asks it: unknown."""
    return CheckAnswer(word=CheckWord.UNKNOWN, why=f"{check.name} is not asked here about {question.fleet}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a run works with. `tell` hears every event, on any thread, and must not block.

    `ask` asks an outside check, may take the check's timeout, and never raises. `agree` says what counts as agreed to
    of the plan of every pass, where nobody was asked beforehand; None: `agreement` stands for the whole run. `guards`
    are against fleets that suddenly grow or shrink; None: a person looks on.
    """

    journal: Journal
    catalog: Catalog
    agreement: Agreement
    new_id: Callable[[], str]
    tell: Callable[[Event], None]
    pool: Pool
    ask: Callable[[HealthCheck, CheckQuestion], CheckAnswer] = ask_nobody
    agree: Callable[[Plan], Agreement] | None = None
    guards: GuardSettings | None = None


@dataclass(slots=True)
class Run:
    """The memory of one run.

    - `agreement`: what was agreed to, by now; `bound`: devices that had steps to do in it, and did not arrive since.
    - `ended`: the attempts of the rollouts under way that have ended, by device, the latest first.
    - `moved_here`: how many attempts entered each state in this run.
    - `fences`: by fleet, this run's right to write, which ends when another run takes over its product. `permits`: the
      same with the limits of the last pass. `spent_until`: when a fleet's budget of a minute or a day allows more.
    - `arrived`: devices that had steps to do and are as desired.
    - `set_aside`: devices of which was told that they are left alone, by the attempt that was the last straw.
    - `well_before`: devices that ran their application when the rollout first did something to them.
    - `suffering`: by fleet, devices that the rollout did something to and that are now worse off, at the last look.
    - `lost`: devices with a step of this run that is past its deadline and proven neither way, at the last look.
    - `heard_before`: by attempt of this run, the ordinal of what had been heard when its request left.
    - `turned_back`: how often a step was ready to start and the last look before it said no.
    - `plan`: that of the last pass. `plans`, `verdicts`: every fleet's last plan, and what the gate said of its routes.
    - `product_ended`: the attempts of this run on products that have ended, by action, the latest first.
    - `product_held`: actions on products that turned out not to be harmless, and why.
    - `unapproved`: actions on products that wait for a person's approval, at the last look.
    - `direct_flashes`: whether the cloud takes Device OS modules for devices that are not marked as development.
    - `stories`: the lives of the rollouts, by fleet, folded from the first `entries_read` entries of the journal.
    - `health`: what is remembered of the health of the devices of a live rollout, by fleet.
    - `pictures`: what was seen of each product, and its plan.
    - `has_disowned`: whether what was open before this run has been looked through (`settle.py`).
    - `latest`: the cloud's time of the last look, `looked_at` that of each product. `stopping`: a person wants no new
      steps.
    """

    tools: Tools
    knowledge: Knowledge
    ended: dict[DeviceId, list[Attempt]] = field(default_factory=dict)
    moved_here: Counter[AttemptState] = field(default_factory=Counter)
    fences: dict[str, Permit] = field(default_factory=dict)
    permits: dict[str, Permit] = field(default_factory=dict)
    spent_until: dict[str, Instant] = field(default_factory=dict)
    set_aside: dict[DeviceId, str] = field(default_factory=dict)
    arrived: set[DeviceId] = field(default_factory=set)
    well_before: set[DeviceId] = field(default_factory=set)
    suffering: dict[str, frozenset[DeviceId]] = field(default_factory=dict)
    lost: dict[DeviceId, Attempt] = field(default_factory=dict)
    heard_before: dict[str, int] = field(default_factory=dict)
    turned_back: Counter[DeviceId] = field(default_factory=Counter)
    plan: Plan | None = None
    plans: dict[str, FleetPlan] = field(default_factory=dict)
    verdicts: dict[str, Sequence[Verdict]] = field(default_factory=dict)
    product_ended: dict[ProductAction, list[ProductAttempt]] = field(default_factory=dict)
    product_held: dict[ProductAction, str] = field(default_factory=dict)
    unapproved: set[ProductAction] = field(default_factory=set)
    direct_flashes: DirectFlashes = field(default_factory=DirectFlashes)
    latest: Instant = NEVER
    looked_at: dict[str | None, Instant] = field(default_factory=dict)
    stopping: bool = False
    stories: dict[str, FleetStory] = field(default_factory=dict)
    entries_read: int = 0
    health: dict[str, FleetHealth] = field(default_factory=dict)
    agreement: Agreement = field(init=False)
    bound: set[DeviceId] = field(init=False)
    has_disowned: bool = False
    _has_read: bool = False
    _winds_up: bool = False
    _counting: threading.Lock = field(default_factory=threading.Lock)
    pictures: dict[str | None, Picture] = field(default_factory=dict)
    answers: Answers = field(init=False)
    kept_plans: KeptPlans = field(init=False)

    def __post_init__(self) -> None:
        """Every pass asks the same questions, so that their answers are worked out once a run."""
        self.agreement = self.tools.agreement
        self.bound = set(self.agreement.steps)
        self.answers = Answers(self.tools.catalog)
        self.kept_plans = KeptPlans(self.tools.journal, self.tools.catalog)

    def agree_to(self, plan: Plan) -> None:
        """Where nobody was asked beforehand: what the manifests ask for, as this pass plans it, is agreed to."""
        self.plan = plan
        if self.tools.agree is not None:
            self.agreement = self.tools.agree(plan)
            self.bound |= self.agreement.steps.keys()
            self.arrived -= self.agreement.steps.keys()

    def look(self, scope: Scope, device_id: DeviceId) -> ObservedDevice | None:
        """One device as it is now, with what we know of it besides; None: it is gone. Raises WireError."""
        device = scope.inventory.observe_device(device_id)
        return None if device is None else self.knowledge.added_to(device)

    def picture_of(self, scope: Scope) -> Picture:
        """What this run has seen of a product."""
        if scope.product not in self.pictures:
            self.pictures[scope.product] = Picture(self.knowledge, self.tools.catalog, self.answers)
        return self.pictures[scope.product]

    def story_of(self, fleet: str) -> FleetStory:
        """The life of a fleet's rollouts, as far as it was read."""
        return self.stories.get(fleet, FleetStory(fleet=fleet))

    def approvals_of(self, fleet: Fleet, files: Sequence[PlanApproval]) -> Approvals:
        """What people have agreed to in a fleet, as far as was read; `files` are the approvals among the manifests."""
        return self.kept_plans.approvals(fleet, self.story_of(fleet.name).approvals, files, now=self.latest)

    def read_on(self) -> None:
        """Read what the journal has noted since, by this run or by a person's command, and tell of it.

        Of what was there before this run nothing is told, nor of fleets that are not its own.
        """
        is_first, self._has_read = not self._has_read, True
        for noted in self.tools.journal.entries(after=self.entries_read):
            fleet = noted.entry.fleet
            self.stories[fleet] = self.story_of(fleet).told(noted.entry)
            self.entries_read = noted.number
            if isinstance(noted.entry, RolloutBegan | Retried):
                self._forget_what_is_settled(fleet)
            if not is_first and not self._winds_up and (fleet in self.fences or not self.fences):
                self.tools.tell(RolloutMoved(at=noted.entry.at, entry=noted.entry))

    def add(self, fleet: str, entries: Sequence[RolloutEntry]) -> bool:
        """Note what follows for a fleet, durably, and what it comes to. An entry that cannot follow is not written.

        False: somebody, a person perhaps, has noted something of the fleet since it was last read. Then nothing is
        written, for it may not follow from that; it is read by now, and who asked has to judge anew.
        """
        if not entries:
            return True
        reduce(FleetStory.after, entries, self.story_of(fleet))
        try:
            self.tools.journal.note(entries, permit=self.fences.get(fleet), after=self.entries_read)
        except NotedMeanwhileError:
            self.read_on()
            return False
        self.read_on()
        return True

    def halt(self, fleet: str, reason: str, at: Instant) -> None:
        """Halt a fleet, unless it is halted: first the halt is durable, then anything else follows."""
        self.read_on()
        halted = Halted(fleet=fleet, at=at, reason=reason)
        while self.story_of(fleet).halted is None and not self.add(fleet, [halted]):
            continue

    def take_over(self, scopes: Sequence[Scope]) -> None:
        """From now on whoever worked on these products before writes nothing and sends nothing.

        Remembers the rollouts under way, and what was tried in them. At the start of a run, and whenever the fleets of
        its products are others: what is known of fleets that are gone is forgotten.
        """
        fences: dict[str, Permit] = {}
        for scope in scopes:
            name = f"product {scope.product}" if scope.product is not None else "own devices"
            at = scope.answered_at() or self.latest
            epoch = self.tools.journal.take_epoch(name, holder=self.agreement.plan_id, at=at)
            fences |= {fleet.name: Permit(scope=name, epoch=epoch) for fleet in scope.fleets.fleets}
        self.fences = fences
        self.read_on()
        self._forget_all_but(self.fences.keys())
        for fleet, story in self.stories.items():
            for attempt in () if story.rollout is None else reversed(self.tools.journal.attempts(fleet=fleet)):
                if story.uses_up_tries(attempt):
                    self._remember(attempt)

    def wind_up(self) -> None:
        """Its fleets are gone, or another run's by now: only what becomes of its steps under way is its own."""
        self._winds_up = True
        self._forget_all_but(())

    def _remember(self, attempt: Attempt) -> None:
        if attempt.well_before:
            self.well_before.add(attempt.device_id)
        if not attempt.is_open:
            self.ended.setdefault(attempt.device_id, []).insert(0, attempt)

    def record(
        self,
        attempt: Attempt,
        *,
        writes: Sequence[ExternalWrite] = (),
        before: Facts | None = None,
        after: Facts | None = None,
    ) -> None:
        """Write down that an attempt has moved, with what left for it and what was seen before and after; and tell."""
        fence = self.fences.get(attempt.fleet)
        self.tools.journal.record(attempt, permit=fence, writes=writes, before=before, after=after)
        self.note(attempt)

    def note(self, attempt: Attempt) -> None:
        """Remember and tell what the journal already has."""
        with self._counting:
            self.moved_here[attempt.state] += 1
        self.knowledge.note(attempt)
        if not attempt.is_open:
            self.ended.setdefault(attempt.device_id, []).insert(0, attempt)
            self.heard_before.pop(attempt.id, None)
        self.tools.tell(AttemptMoved(at=self.latest, attempt=attempt))

    def note_product(self, attempt: ProductAttempt) -> None:
        """Remember and tell what the journal already has."""
        if not attempt.is_open:
            self.product_ended.setdefault(attempt.action, []).insert(0, attempt)
        self.tools.tell(ProductAttemptMoved(at=self.latest, attempt=attempt))

    def _forget_what_is_settled(self, fleet: str) -> None:
        story = self.stories[fleet]
        for device_id, attempts in [*self.ended.items()]:
            if attempts[0].fleet == fleet and not all(map(story.uses_up_tries, attempts)):
                left = list(filter(story.uses_up_tries, attempts))
                self.set_aside.pop(device_id, None)
                if left:
                    self.ended[device_id] = left
                else:
                    del self.ended[device_id]

    def _forget_all_but(self, fleets: Collection[str]) -> None:
        self.ended.clear()
        self.well_before.clear()
        of_fleets: tuple[dict[str, Any], ...] = (
            self.permits,
            self.spent_until,
            self.suffering,
            self.plans,
            self.verdicts,
            self.health,
        )
        for remembered in of_fleets:
            for fleet in remembered.keys() - fleets:
                del remembered[fleet]

    def try_again(self) -> None:
        """What was left alone for the life of a run may be tried again: a run that never ends has many lives."""
        self.turned_back.clear()
        self.product_held.clear()

    def turn_back(self, device_id: DeviceId, code: str, why: str) -> None:
        """A step that was ready does not start after all; the next pass looks again, a few times."""
        self.turned_back[device_id] += 1
        self.tools.tell(Finding(at=self.latest, code=code, message=why, device_id=device_id))
