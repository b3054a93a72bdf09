"""What a run does to the product as a whole, over a pretend world: what is written when, and what holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from reconciler.controller.agreement import agreement_on
from reconciler.controller.report import Ending, ending_of, holds_in_words, outcome_of
from reconciler.execution.executor import Accepted, MayHaveArrived, NotSent, SendOutcome
from reconciler.model.action import ProductAction, ReleaseApplication, UploadApplication
from reconciler.model.attempt import AttemptState, FailureClass
from reconciler.model.device import HeldApplication, Product
from reconciler.model.event import Finding, ProductAttemptMoved
from reconciler.model.fleet import ApplicationBinary, Delivery, DenyWindow, Releasing, RolloutPolicy, Selector, Share
from reconciler.model.instant import Instant
from reconciler.model.step import LockApplication
from reconciler.model.version import ApplicationVersion
from reconciler.particle.error import NoAnswerError, RateLimitedError, RefusedError
from reconciler.particle.traffic import Traffic
from reconciler.rollout.verdict import Hold, Wait
from tests.controller.pretend_world import World, carried_out, world_of
from tests.fleet_samples import LOGGER, NOW, device, fleet

SHA256 = "ab" * 32
FILED = replace(LOGGER, binaries=(ApplicationBinary(platform="boron", file="logger.bin", sha256=SHA256, size=9),))
FLEET = fleet(
    application=FILED, select=Selector(groups=frozenset({"eu"})), rollout=RolloutPolicy(concurrent_max=Share(100))
)
UPLOAD, RELEASE = UploadApplication, ReleaseApplication
QUIET = Traffic(requests=0, writes=0, bytes_sent=0, devices={})


@dataclass
class Hands:
    """A product that obeys, unless `outcomes` has something else for the next action."""

    world: World
    outcomes: list[Callable[[Hands, ProductAction], SendOutcome]] = field(default_factory=list)
    sent: list[ProductAction] = field(default_factory=list)
    recorded: list[bool] = field(default_factory=list)
    locks_before: list[int] = field(default_factory=list)
    moved: int | Exception | None = 0
    sha256: str = SHA256
    takes_back: bool = False

    def send(self, action: ProductAction, product: Product) -> SendOutcome:
        self.recorded.append(any(a.action == action for a in self.world.journal.open_product_attempts()))
        self.locks_before.append(sum(isinstance(step, LockApplication) for _, step in self.world.sent))
        self.sent.append(action)
        return self.outcomes.pop(0)(self, action) if self.outcomes else obeys(self, action)

    def impact(self, action: ReleaseApplication, product: Product) -> int | None:
        if isinstance(self.moved, Exception):
            raise self.moved
        return self.moved

    def take(self, action: ProductAction) -> None:
        held = {each.version: each for each in self.world.holds or ()}
        match action:
            case UploadApplication():
                held[action.application] = HeldApplication(version=action.application, sha256=self.sha256)
            case ReleaseApplication():
                before = () if self.takes_back else held[action.application].groups
                held[action.application] = replace(held[action.application], groups=(*before, *action.groups))
        self.world.holds = tuple(held.values())


def obeys(hands: Hands, action: ProductAction) -> SendOutcome:
    hands.take(action)
    return Accepted(detail="yes")


def loses_the_answer(hands: Hands, action: ProductAction) -> SendOutcome:
    hands.take(action)
    return MayHaveArrived(detail="no answer")


def loses_the_request(hands: Hands, action: ProductAction) -> SendOutcome:
    return MayHaveArrived(detail="no answer")


def hides(hands: Hands, action: ProductAction) -> SendOutcome:
    """The version is there; what is in it cannot be read."""
    hands.world.holds = (HeldApplication(version=LOGGER.version),)
    return Accepted(detail="yes")


def says(failure: FailureClass) -> Callable[[Hands, ProductAction], SendOutcome]:
    return lambda hands, action: NotSent(failure=failure, detail="403 no")


def stage(*outcomes: Callable[[Hands, ProductAction], SendOutcome], devices: int = 3) -> tuple[World, Hands]:
    world = world_of(*map(device, range(1, devices + 1)), holds=())
    hands = Hands(world, list(outcomes))
    world.product_hands = hands
    return world, hands


def kinds(hands: Hands) -> list[type[ProductAction]]:
    return [type(action) for action in hands.sent]


def test_the_upload_comes_before_every_lock_and_the_release_after_them() -> None:
    world, hands = stage()
    run, rest = carried_out(world, FLEET)
    assert kinds(hands) == [UPLOAD, RELEASE]
    assert hands.locks_before == [0, 3]
    assert hands.recorded == [True, True]
    assert ending_of(run, rest) is Ending.DONE
    assert [attempt.state for attempt in world.journal.product_attempts()] == [AttemptState.VERIFIED] * 2
    outcome = outcome_of(run, QUIET, interrupted=False)
    assert (outcome.actions_planned, outcome.actions_done, outcome.actions_failed) == (2, 2, 0)


def test_what_was_not_agreed_to_is_not_done_and_the_run_ends() -> None:
    world, hands = stage()
    agreed = replace(agreement_on("plan-1", world.plan(FLEET)), actions=frozenset())
    run, _ = carried_out(world, FLEET, agreement=agreed)
    assert hands.sent == []
    assert {v.hold for v in run.verdicts["eu"] if isinstance(v, Wait)} == {Hold.NOT_UPLOADED}


def test_a_release_to_fewer_groups_than_agreed_is_within_the_agreement() -> None:
    world, hands = stage()
    plan = world.plan(FLEET)
    wider = ReleaseApplication(product="cold-chain", application=LOGGER.version, groups=("eu", "us"))
    agreed = agreement_on("plan-1", plan)
    carried_out(world, FLEET, agreement=replace(agreed, actions=frozenset({*plan.fleets[0].preparation, wider})))
    assert kinds(hands) == [UPLOAD, RELEASE]


@pytest.mark.parametrize("place", [0, 1], ids=["upload", "release"])
def test_a_lost_answer_is_looked_after_and_nothing_is_sent_twice(place: int) -> None:
    world, hands = stage(*[obeys] * place, loses_the_answer)
    run, rest = carried_out(world, FLEET)
    assert kinds(hands) == [UPLOAD, RELEASE]
    assert ending_of(run, rest) is Ending.DONE


@pytest.mark.parametrize("place", [0, 1], ids=["upload", "release"])
def test_a_lost_request_is_sent_again_only_after_it_was_seen_not_to_have_arrived(place: int) -> None:
    world, hands = stage(*[obeys] * place, loses_the_request)
    run, rest = carried_out(world, FLEET)
    assert kinds(hands) == ([UPLOAD, UPLOAD, RELEASE] if place == 0 else [UPLOAD, RELEASE, RELEASE])
    failed = [a for a in world.journal.product_attempts() if a.state is AttemptState.FAILED]
    assert [attempt.failure for attempt in failed] == [FailureClass.TRANSPORT]
    assert ending_of(run, rest) is Ending.DONE


def test_other_bytes_when_read_back_halt_the_fleet_and_no_device_is_locked() -> None:
    world, hands = stage()
    hands.sha256 = "cd" * 32
    run, rest = carried_out(world, FLEET)
    assert kinds(hands) == [UPLOAD]
    assert "other bytes" in world.journal.halts()[0].reason
    assert not any(isinstance(step, LockApplication) for _, step in world.sent)
    assert ending_of(run, rest) is Ending.DEVICES_FAILED


def test_a_product_that_refuses_the_upload_is_asked_a_few_times_and_its_devices_get_no_lock() -> None:
    world, hands = stage(*[says(FailureClass.REFUSED)] * 9)
    run, rest = carried_out(world, FLEET)
    assert kinds(hands) == [UPLOAD] * 3
    assert not any(isinstance(step, LockApplication) for _, step in world.sent)
    assert {v.hold for v in run.verdicts["eu"] if isinstance(v, Wait)} == {Hold.NOT_UPLOADED}
    assert ending_of(run, rest) is Ending.DEVICES_FAILED


def test_a_token_that_may_not_upload_leaves_the_product() -> None:
    world, hands = stage(says(FailureClass.UNAUTHORISED))
    _, rest = carried_out(world, FLEET)
    assert kinds(hands) == [UPLOAD]
    assert [left.error.code for left in rest.left] == ["PFR3002"]
    assert world.journal.open_product_attempts() == ()


@pytest.mark.parametrize(
    "moved",
    [4, NoAnswerError("500"), RefusedError("403 no", status=403, words="no")],
    ids=["somebody moves", "no answer", "not allowed"],
)
def test_a_release_that_may_move_somebody_is_held_and_said(moved: int | Exception) -> None:
    world, hands = stage()
    hands.moved = moved
    run, rest = carried_out(world, FLEET)
    assert kinds(hands) == [UPLOAD]
    assert [event.code for event in world.events if isinstance(event, Finding)] == ["PFR2310"]
    assert "not released" in holds_in_words(run)[0]
    assert ending_of(run, rest) is Ending.DONE
    assert len(run.arrived) == 3


def test_a_cloud_without_a_preview_leaves_it_to_what_we_saw() -> None:
    world, hands = stage()
    hands.moved = None
    carried_out(world, FLEET)
    assert kinds(hands) == [UPLOAD, RELEASE]


def test_a_cloud_that_wants_silence_before_a_release_gets_it() -> None:
    world, hands = stage()
    hands.moved = RateLimitedError("429", retry_after_seconds=90.0)
    carried_out(world, FLEET)
    assert 90.0 in world.silences
    assert kinds(hands) == [UPLOAD]


def test_nothing_is_done_to_the_product_of_a_fleet_that_may_not_start() -> None:
    world, hands = stage()
    closed = DenyWindow(from_instant=NOW, until_instant=Instant(NOW + 1e6), reason="peak season")
    run, rest = carried_out(world, replace(FLEET, windows_deny=(closed,)))
    assert hands.sent == []
    assert ending_of(run, rest) is Ending.OUTSIDE_WINDOW


def test_a_fleet_that_is_as_desired_is_released_without_touching_a_device() -> None:
    world = world_of(
        device(1, device_os="6.3.4", application=44), holds=(held := HeldApplication(version=LOGGER.version),)
    )
    world.product_hands = hands = Hands(world)
    run, rest = carried_out(world, FLEET)
    assert (kinds(hands), world.sent) == ([RELEASE], [])
    assert held.groups == ()
    assert ending_of(run, rest) is Ending.DONE


def test_an_attempt_of_a_run_that_died_is_judged_by_the_next_look() -> None:
    world, hands = stage()
    first = carried_out(world, FLEET, once=True)[0]
    assert [attempt.state for attempt in world.journal.open_product_attempts()] == [AttemptState.SENT]
    assert first.arrived == set()
    world.pass_time()
    carried_out(world, FLEET)
    assert kinds(hands) == [UPLOAD, RELEASE]
    told = [event.attempt.state for event in world.events if isinstance(event, ProductAttemptMoved)]
    assert told.count(AttemptState.VERIFIED) == 2


def test_two_fleets_of_a_product_share_one_upload() -> None:
    us = replace(FLEET, name="us", select=Selector(groups=frozenset({"us"})))
    world = world_of(device(1), device(2, groups=("us",)), holds=())
    world.product_hands = hands = Hands(world)
    carried_out(world, FLEET, us)
    assert kinds(hands) == [UPLOAD, RELEASE, RELEASE]
    assert [ApplicationVersion(d.application or 0) for d in world.devices.values()] == [44, 44]


def test_a_release_that_is_taken_back_is_not_fought_over() -> None:
    us = replace(FLEET, name="us", select=Selector(groups=frozenset({"us"})))
    world = world_of(device(1), device(2, groups=("us",)), holds=())
    world.product_hands = hands = Hands(world, takes_back=True)
    carried_out(world, FLEET, us)
    assert kinds(hands) == [UPLOAD, RELEASE, RELEASE]


def test_no_device_is_locked_before_the_bytes_were_seen_even_if_the_list_cannot_be_read_for_a_while() -> None:
    world, hands = stage()

    def is_hidden(hands: Hands, action: ProductAction) -> SendOutcome:
        hands.world.holds = None
        return Accepted(detail="yes")

    hands.outcomes = [is_hidden]
    run, _ = carried_out(world, FLEET)
    assert not any(isinstance(step, LockApplication) for _, step in world.sent)
    assert {v.hold for v in run.verdicts["eu"] if isinstance(v, Wait)} == {Hold.NOT_UPLOADED}


def test_no_device_is_locked_to_what_could_not_be_read_back() -> None:
    world, _ = stage(hides)
    run, rest = carried_out(world, FLEET)
    assert not any(isinstance(step, LockApplication) for _, step in world.sent)
    assert ending_of(run, rest) is Ending.DEVICES_FAILED


def test_a_release_that_nobody_has_approved_waits_and_the_run_says_so() -> None:
    world, hands = stage()
    carried_out(world, replace(FLEET, delivery=Delivery(release=Releasing.NEVER)))
    hands.sent.clear()
    run, rest = carried_out(world, replace(FLEET, approval_required=True))
    assert (hands.sent, ending_of(run, rest)) == ([], Ending.AWAITING_APPROVAL)
    run, rest = carried_out(world, FLEET)
    assert (kinds(hands), ending_of(run, rest)) == ([RELEASE], Ending.DONE)
