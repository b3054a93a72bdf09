"""When the world, the cloud or a person is in the way: what a run still does, and what it leaves resumable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.controller.agreement import Agreement, agreement_on
from reconciler.controller.apply import BLIND_PASSES_MAX, SILENCE_SECONDS_MAX, SILENT_PASSES_MAX
from reconciler.controller.report import Ending, ending_of, holds_in_words
from reconciler.controller.run import Scope
from reconciler.execution.executor import NotSent, SendOutcome
from reconciler.journal.journal import DeviceBusyError, Permit
from reconciler.journal.memory import MemoryJournal
from reconciler.model.attempt import Attempt, AttemptState, FailureClass
from reconciler.model.device import Observation, ObservedDevice
from reconciler.model.error import JournalError, ManifestError, ReconcilerError
from reconciler.model.event import Finding
from reconciler.model.fleet import DenyWindow, Fleet, RolloutPolicy, Share, Wave
from reconciler.model.instant import Instant
from reconciler.model.step import Step
from reconciler.particle.error import NoAnswerError, RateLimitedError, UnauthorisedError
from reconciler.rollout.ledger import TURNED_BACK_MAX
from tests.controller.pretend_world import World, carried_out, obeys, refusing, world_of
from tests.fleet_samples import COLD_CHAIN, LOGGER, NOW, ONE, attempt, device, device_id, fleet

FLEET = fleet(application=LOGGER)


# --- what was agreed to ---


def test_only_devices_that_were_agreed_to_are_touched() -> None:
    world = world_of(device(1), device(2))
    everything = agreement_on("plan", world.plan(FLEET))
    agreement = Agreement(plan_id="plan", steps={ONE: everything.steps[ONE]})
    run, rest = carried_out(world, FLEET, agreement=agreement)
    assert {of_device for of_device, _ in world.sent} == {ONE}
    assert ending_of(run, rest) is Ending.DONE


def test_a_step_that_was_not_agreed_to_is_not_started_and_the_plan_is_stale() -> None:
    world = world_of(device())
    agreement = Agreement(plan_id="plan", steps={ONE: frozenset({*world.plan(FLEET).fleets[0].routes[0].steps[:1]})})
    run, rest = carried_out(world, FLEET, agreement=agreement)
    assert len(world.sent) == 1
    assert ending_of(run, rest) is Ending.STALE


def test_a_device_that_comes_online_during_the_run_is_left_for_another() -> None:
    world = world_of(device(1), device(2, online=False))

    def wakes_the_other(_: World, of_device: ObservedDevice, step: Step) -> SendOutcome:
        world.change(device_id(2), online=True)
        return obeys(world, of_device, step)

    world.behaviour = wakes_the_other
    run, rest = carried_out(world, FLEET)
    assert {of_device for of_device, _ in world.sent} == {ONE}
    assert ending_of(run, rest) is Ending.DONE


def test_an_empty_agreement_starts_nothing() -> None:
    world = world_of(device())
    run, rest = carried_out(world, FLEET, agreement=Agreement(plan_id="plan", steps={}))
    assert (world.sent, ending_of(run, rest)) == ([], Ending.DONE)


# --- what a fleet asks for ---


@pytest.mark.parametrize(
    ("asking", "ending"),
    [
        (replace(FLEET, approval_required=True), Ending.AWAITING_APPROVAL),
        (
            replace(FLEET, windows_deny=(DenyWindow(from_instant=NOW, until_instant=Instant(NOW + 9), reason="no"),)),
            Ending.OUTSIDE_WINDOW,
        ),
        (
            replace(FLEET, rollout=RolloutPolicy(waves=(Wave(name="c", size=Share(1), approval_required=True),))),
            Ending.AWAITING_APPROVAL,
        ),
        (replace(FLEET, rollout=RolloutPolicy(concurrent_max=Share(0))), Ending.DONE),
    ],
    ids=["approval", "window", "waves", "concurrency 0"],
)
def test_a_fleet_that_may_not_start_ends_the_run_at_once_and_says_why(asking: Fleet, ending: Ending) -> None:
    world = world_of(device())
    run, rest = carried_out(world, asking)
    assert (world.sent, world.now) == ([], NOW)
    assert ending_of(run, rest) is ending
    assert any(line.startswith("eu: 1 not started: ") for line in holds_in_words(run))


def test_a_window_that_closes_lets_what_is_under_way_end_its_step() -> None:
    def obeys_slowly(world: World, to: ObservedDevice, step: Step) -> SendOutcome:
        world.now = Instant(world.now + 300)
        return obeys(world, to, step)

    deny = DenyWindow(from_instant=Instant(NOW + 200), until_instant=Instant(NOW + 99_999), reason="peak")
    world = world_of(device(), behaviour=obeys_slowly)
    run, rest = carried_out(world, replace(FLEET, windows_deny=(deny,)))
    assert [ended.state for ended in run.ended[ONE]] == [AttemptState.VERIFIED]
    assert ending_of(run, rest) is Ending.OUTSIDE_WINDOW


def test_a_persons_halt_reaches_a_run_that_is_going_on_and_what_is_under_way_ends_its_step() -> None:
    def obeys_and_is_halted(world: World, to: ObservedDevice, step: Step) -> SendOutcome:
        world.journal.halt(FLEET.name, "a person halted it", world.now)
        return obeys(world, to, step)

    world = world_of(device(), behaviour=obeys_and_is_halted)
    run, rest = carried_out(world, FLEET)
    assert [ended.state for ended in run.ended[ONE]] == [AttemptState.VERIFIED]
    assert ending_of(run, rest) is Ending.DEVICES_FAILED


# --- the last look ---


def test_a_device_that_changed_since_it_was_planned_is_turned_back_and_planned_anew() -> None:
    world = world_of(device())
    looks = 0

    def changes_once(seen: ObservedDevice) -> ObservedDevice:
        nonlocal looks
        looks += 1
        return replace(seen, last_handshake_at=world.now) if looks == 1 else seen

    world.on_fresh = changes_once
    run, rest = carried_out(world, FLEET)
    assert run.turned_back == {ONE: 1}
    assert [event.code for event in world.events if isinstance(event, Finding)] == ["PFR2302"]
    assert ending_of(run, rest) is Ending.DONE


def test_a_device_that_changes_every_time_is_left_in_the_end() -> None:
    world = world_of(device(), on_fresh=lambda seen: replace(seen, online=False))
    run, rest = carried_out(world, FLEET)
    assert run.turned_back == {ONE: TURNED_BACK_MAX}
    assert world.sent == []
    assert ending_of(run, rest) is Ending.DEVICES_FAILED


def test_a_device_that_is_gone_at_the_last_look_is_turned_back() -> None:
    world = world_of(device(), on_fresh=lambda seen: None)
    carried_out(world, FLEET)
    assert (world.sent, world.journal.attempts()) == ([], ())


def test_a_last_look_that_fails_turns_back_and_writes_nothing_down() -> None:
    world = world_of(device())

    def unanswered(seen: ObservedDevice) -> ObservedDevice:
        raise NoAnswerError("no answer")

    world.on_fresh = unanswered
    run, rest = carried_out(world, FLEET)
    assert world.journal.attempts() == ()
    assert run.turned_back == {ONE: TURNED_BACK_MAX}
    assert rest.left == []


def test_a_device_that_another_process_works_on_is_turned_back() -> None:
    class BusyJournal(MemoryJournal):
        def begin(self, begun: Attempt, *, permit: Permit | None = None) -> None:
            raise DeviceBusyError(begun.device_id, "attempt-of-another")

    world = world_of(device(), journal=BusyJournal())
    run, _ = carried_out(world, FLEET)
    assert world.sent == []
    assert run.turned_back == {ONE: TURNED_BACK_MAX}


def test_an_intent_that_cannot_be_written_down_ends_the_run_and_sends_nothing() -> None:
    class FullJournal(MemoryJournal):
        def begin(self, begun: Attempt, *, permit: Permit | None = None) -> None:
            raise JournalError("PFR5001", "the disk is full")

    world = world_of(device(), journal=FullJournal())
    with pytest.raises(JournalError):
        carried_out(world, FLEET)
    assert world.sent == []


# --- products that cannot be seen ---


class OtherProduct:
    """Eyes on a product that only raises."""

    def __init__(self, error: ReconcilerError) -> None:
        self.error = error
        self.looks = 0

    def observe(self) -> Observation:
        self.looks += 1
        raise self.error

    def observe_device(self, of_device: object) -> ObservedDevice | None:
        raise self.error


def beside(world: World, error: ReconcilerError) -> tuple[list[Scope], OtherProduct]:
    eyes = OtherProduct(error)
    return [
        replace(world.scope(fleet("other", product="other")), product="other", inventory=eyes),
        world.scope(FLEET),
    ], eyes


def test_a_product_that_refuses_our_token_is_left_at_once_and_the_others_go_on() -> None:
    world = world_of(device())
    scopes, eyes = beside(world, UnauthorisedError("no", status=401, words="no"))
    run, rest = carried_out(world, FLEET, scopes=scopes)
    assert [(left.product, left.error.code) for left in rest.left] == [("other", "PFR3002")]
    assert eyes.looks == 1
    assert world.devices[ONE].application == 44
    assert ending_of(run, rest) is Ending.ERROR


def test_a_product_that_cannot_be_observed_is_tried_a_few_times_and_then_left() -> None:
    world = world_of(device())
    scopes, eyes = beside(world, NoAnswerError("no answer"))
    run, rest = carried_out(world, FLEET, scopes=scopes)
    assert eyes.looks == BLIND_PASSES_MAX
    assert [left.product for left in rest.left] == ["other"]
    assert world.devices[ONE].application == 44
    assert ending_of(run, rest) is Ending.ERROR


def test_when_nothing_can_be_seen_any_more_all_products_are_left_together() -> None:
    world = world_of(device())
    others = [OtherProduct(NoAnswerError("no answer")) for _ in range(4)]
    scopes = [
        replace(world.scope(fleet("other")), product=f"other-{n}", inventory=eyes) for n, eyes in enumerate(others)
    ]
    _run, rest = carried_out(world, FLEET, scopes=scopes)
    assert len(rest.left) == len(others)
    assert sum(other.looks for other in others) == len(others)


def test_a_product_that_can_be_seen_again_in_time_is_not_left(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of(device())
    original, looks = world.observe, 0

    def blinks() -> Observation:
        nonlocal looks
        looks += 1
        if 1 < looks <= BLIND_PASSES_MAX:
            raise NoAnswerError("no answer")
        return original()

    monkeypatch.setattr(world, "observe", blinks)
    run, rest = carried_out(world, FLEET)
    assert (rest.left, ending_of(run, rest)) == ([], Ending.DONE)


@pytest.mark.parametrize(("wished", "granted"), [(120.0, 120.0), (3600.0, SILENCE_SECONDS_MAX), (None, 0.0)])
def test_a_cloud_that_wants_silence_gets_it_before_the_next_look(
    wished: float | None, granted: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of(device())
    original, looks = world.observe, 0

    def limited_once() -> Observation:
        nonlocal looks
        looks += 1
        if looks == 2:  # the first is the plan's
            raise RateLimitedError("429", retry_after_seconds=wished)
        return original()

    monkeypatch.setattr(world, "observe", limited_once)
    run, rest = carried_out(world, FLEET)
    assert (world.silences[0], set(world.silences[1:])) == (granted, {0.0})
    assert (rest.left, ending_of(run, rest)) == ([], Ending.DONE)


def test_a_product_that_wants_silence_for_ever_is_left_in_the_end() -> None:
    world = world_of(device())
    scopes, eyes = beside(world, RateLimitedError("429", retry_after_seconds=90.0))
    run, rest = carried_out(world, FLEET, scopes=scopes)
    assert eyes.looks == SILENT_PASSES_MAX
    assert [(left.product, left.error.code) for left in rest.left] == [("other", "PFR3006")]
    assert ending_of(run, rest) is Ending.ERROR


def test_a_product_whose_manifests_turn_out_to_be_wrong_is_left_at_once_and_the_others_go_on() -> None:
    world = world_of(device())
    scopes, eyes = beside(world, ManifestError("PFR1501", "two fleets want one device"))
    run, rest = carried_out(world, FLEET, scopes=scopes)
    assert [(left.product, left.error.code) for left in rest.left] == [("other", "PFR1501")]
    assert eyes.looks == 1
    assert world.devices[ONE].application == 44
    assert ending_of(run, rest) is Ending.ERROR


def test_a_token_refused_at_a_send_leaves_the_product_with_the_attempt_ended() -> None:
    world = world_of(device(), behaviour=refusing(NotSent(failure=FailureClass.UNAUTHORISED, detail="403")))
    run, rest = carried_out(world, FLEET)
    assert [left.product for left in rest.left] == [COLD_CHAIN.slug]
    assert [ended.state for ended in world.journal.attempts()] == [AttemptState.FAILED]
    assert ending_of(run, rest) is Ending.ERROR


# --- a person interrupts ---


@pytest.mark.parametrize("pause", [1, 2, 3])
def test_ctrl_c_at_any_pause_leaves_a_journal_from_which_the_next_run_ends_in_the_same_state(
    pause: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of(device(1), device(2))
    patient, passing = world.pass_time, 0

    def interrupted() -> None:
        nonlocal passing
        passing += 1
        if passing == pause:
            raise KeyboardInterrupt
        patient()

    monkeypatch.setattr(world, "pass_time", interrupted)
    with pytest.raises(KeyboardInterrupt):
        carried_out(world, FLEET)
    assert len(world.journal.open_attempts()) <= 2
    monkeypatch.setattr(world, "pass_time", patient)
    patient()
    run, rest = carried_out(world, FLEET)
    assert ending_of(run, rest) is Ending.DONE
    assert {seen.application for seen in world.devices.values()} == {44}
    assert len(world.sent) == 6


def test_an_attempt_of_a_fleet_that_is_not_ours_stays_as_it_was_but_unknown() -> None:
    world = world_of(device(device_os="6.3.4", application=44))
    stranger = attempt(id="strange", device_id=device_id(77), fleet="of-another-product")
    world.journal.begin(stranger)
    carried_out(world, FLEET)
    assert [(each.id, each.state) for each in world.journal.open_attempts()] == [("strange", AttemptState.UNKNOWN)]
