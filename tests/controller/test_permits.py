"""What a pass may begin the journal holds to: budgets, halts in the middle of a pass, a run that takes over."""

from __future__ import annotations

from itertools import pairwise

import pytest

from reconciler.execution.executor import SendOutcome
from reconciler.journal.permits import FencedError
from reconciler.model.attempt import AttemptState
from reconciler.model.device import ObservedDevice
from reconciler.model.fleet import RolloutPolicy, Share
from reconciler.model.step import Step
from reconciler.particle.error import NoAnswerError
from tests.controller.pretend_world import World, carried_out, obeys, world_of
from tests.fleet_samples import LOGGER, NOW, device, fleet


def lacking_an_application(count: int) -> World:
    return world_of(*(device(number, device_os="6.3.4") for number in range(1, count + 1)))


def test_no_minute_has_more_sends_than_the_fleet_allows() -> None:
    world = lacking_an_application(4)
    carried_out(world, fleet(application=LOGGER, rollout=RolloutPolicy(sends_per_minute=1)))
    begun = sorted(attempt.intended_at for attempt in world.journal.attempts())
    assert len(begun) == 4
    assert all(later - earlier >= 60 for earlier, later in pairwise(begun))


def test_a_day_has_no_more_bytes_than_the_fleet_allows_and_a_run_does_not_send_what_never_fits() -> None:
    world = lacking_an_application(1)
    run, _ = carried_out(world, fleet(application=LOGGER, bytes_per_day_max=1), once=True)
    assert world.sent == []
    assert run.spent_until


def test_a_halt_in_the_middle_of_a_pass_stops_the_rest_of_it() -> None:
    world = lacking_an_application(20)

    def somebody_halts(_: World, of_device: ObservedDevice, step: Step) -> SendOutcome:
        world.journal.halt("eu", "a person", NOW, by="ada")
        return obeys(world, of_device, step)

    world.behaviour = somebody_halts
    carried_out(world, fleet(application=LOGGER, rollout=RolloutPolicy(concurrent_max=Share(20))))
    # The pool has eight threads: whoever was past the journal when the halt came has been sent to.
    assert 1 <= len(world.sent) <= 8


def test_a_run_whose_product_another_one_has_taken_over_sends_nothing_more() -> None:
    world = lacking_an_application(4)

    def another_run_begins(_: World, of_device: ObservedDevice, step: Step) -> SendOutcome:
        world.journal.take_epoch("product cold-chain", holder="another", at=NOW)
        return obeys(world, of_device, step)

    world.behaviour = another_run_begins
    with pytest.raises(FencedError):
        carried_out(world, fleet(application=LOGGER, rollout=RolloutPolicy(concurrent_max=Share(1))))
    assert len(world.sent) == 1


def test_slots_are_given_back_when_devices_are_there() -> None:
    world = lacking_an_application(3)
    carried_out(world, fleet(application=LOGGER, rollout=RolloutPolicy(concurrent_max=Share(1))))
    assert world.journal.slots("eu") == {}
    assert all(attempt.well_before for attempt in world.journal.attempts())


def test_a_run_that_is_overtaken_while_it_waits_for_a_download_has_begun_nothing() -> None:
    world = lacking_an_application(1)
    world.fetch = lambda *_: world.journal.take_epoch("product cold-chain", holder="another", at=NOW) and None
    with pytest.raises(FencedError):
        carried_out(world, fleet(application=LOGGER))
    assert (world.sent, world.journal.attempts()) == ([], ())


def test_what_cannot_be_downloaded_now_is_sent_in_a_later_pass() -> None:
    world = lacking_an_application(1)
    refusals = [NoAnswerError("no answer"), NoAnswerError("no answer")]

    def fetch(_: ObservedDevice, __: Step) -> None:
        assert world.journal.attempts() == ()
        if refusals:
            raise refusals.pop()

    world.fetch = fetch
    carried_out(world, fleet(application=LOGGER))
    assert [attempt.state for attempt in world.journal.attempts()] == [AttemptState.VERIFIED]
