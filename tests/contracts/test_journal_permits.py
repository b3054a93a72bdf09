"""Permits, writes and compaction: the journal's promise, held against every implementation."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from reconciler.journal.journal import Compacted, DeviceBusyError, Journal, KeptPlan, KeptWrite, Permit
from reconciler.journal.permits import UNKNOWN_STEP_BYTES, FencedError, FleetHaltedError, NoSlotError, RateError
from reconciler.model.action import UploadApplication
from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.device import DeviceId
from reconciler.model.external_write import ExternalWrite
from reconciler.model.instant import Instant
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.rollout_entry import RolloutBegan, Suspended
from reconciler.model.step import LockApplication
from reconciler.model.version import ApplicationVersion

MINE = Permit(scope="cold-chain", epoch=1)


def an_attempt(
    name: str, device: str = "", *, at: float = 1000, size: int | None = 100, fleet: str = "eu", plan: str = "p"
) -> Attempt:
    return Attempt(
        id=name,
        device_id=DeviceId(device or f"of-{name}"),
        fleet=fleet,
        plan_id=plan,
        step=LockApplication(application=ApplicationVersion(44), size=size),
        state=AttemptState.INTENDED,
        intended_at=Instant(at),
        handshake_before=None,
    )


def lived(journal: Journal, attempt: Attempt, failure: FailureClass | None = None) -> Attempt:
    journal.begin(attempt)
    sent = attempt.sent(Instant(attempt.intended_at + 1))
    journal.record(sent)
    at = Instant(attempt.intended_at + 2)
    ended = sent.verified(Evidence.EFFECT, at) if failure is None else sent.failed(failure, "no", at)
    journal.record(ended)
    return ended


# Fencing


def test_epochs_rise_for_each_scope_by_itself(journal: Journal) -> None:
    taken = [journal.take_epoch(scope, holder="a", at=Instant(1)) for scope in ("x", "x", "y", "x")]
    assert taken == [1, 2, 1, 3]


def test_a_writer_whose_epoch_is_over_writes_nothing_of_what_it_may_write_by_permit(journal: Journal) -> None:
    assert journal.take_epoch("cold-chain", holder="first", at=Instant(1)) == MINE.epoch
    attempt, product = an_attempt("a1"), a_product_attempt("p1")
    journal.begin(attempt, permit=MINE)
    journal.begin_product(product, permit=MINE)
    journal.note([Suspended(fleet="eu", at=Instant(1), reason="r", until=None)], permit=MINE)
    journal.take_epoch("cold-chain", holder="second", at=Instant(2))
    before = (journal.attempts(), journal.entries(), journal.open_product_attempts())
    for write in (
        lambda: journal.begin(an_attempt("a2"), permit=MINE),
        lambda: journal.record(attempt.sent(Instant(2)), permit=MINE),
        lambda: journal.note([Suspended(fleet="eu", at=Instant(2), reason="r", until=None)], permit=MINE),
        lambda: journal.note([], permit=MINE),
        lambda: journal.begin_product(replace(product, id="p2", product="other"), permit=MINE),
        lambda: journal.record_product(product.sent(Instant(2)), permit=MINE),
    ):
        with pytest.raises(FencedError, match="PFR5021") as caught:
            write()
        assert caught.value.newest == 2
    assert (journal.attempts(), journal.entries(), journal.open_product_attempts()) == before


def test_a_persons_halt_is_never_fenced(journal: Journal) -> None:
    journal.take_epoch("cold-chain", holder="somebody", at=Instant(1))
    journal.halt("eu", "smoke", Instant(2), by="ada")
    assert [halt.fleet for halt in journal.halts()] == ["eu"]


def test_an_epoch_that_nobody_took_is_no_right_to_write(journal: Journal) -> None:
    with pytest.raises(FencedError):
        journal.begin(an_attempt("a1"), permit=Permit(scope="nobody's", epoch=1))


# Slots


def test_no_more_devices_of_a_fleet_hold_slots_than_may_be_changed_at_once(journal: Journal) -> None:
    two = Permit(concurrent_max=2)
    journal.begin(an_attempt("a1", "d1", at=1000), permit=two)
    journal.begin(an_attempt("a2", "d2", at=1001), permit=two)
    journal.begin(an_attempt("us", "d9", fleet="us"), permit=two)
    with pytest.raises(NoSlotError, match="PFR5022"):
        journal.begin(an_attempt("a3", "d3"), permit=two)
    assert journal.slots("eu") == {"d1": 1000, "d2": 1001}
    assert [attempt.id for attempt in journal.attempts(fleet="eu")] == ["a2", "a1"]
    journal.release("eu", [DeviceId("d1"), DeviceId("d7")])
    journal.begin(an_attempt("a3", "d3", at=1002), permit=two)
    assert journal.slots("eu") == {"d2": 1001, "d3": 1002}


def test_a_device_keeps_its_slot_from_step_to_step(journal: Journal) -> None:
    one = Permit(concurrent_max=1)
    first = an_attempt("a1", "d1")
    journal.begin(first, permit=one)
    journal.record(first.failed(FailureClass.OFFLINE, "gone", Instant(1001)))
    journal.begin(an_attempt("a2", "d1", at=1010), permit=one)
    assert journal.slots("eu") == {"d1": 1000}


def test_none_at_once_holds(journal: Journal) -> None:
    with pytest.raises(NoSlotError):
        journal.begin(an_attempt("a1"), permit=Permit(concurrent_max=0))
    assert (journal.attempts(), journal.slots("eu")) == ((), {})


def test_an_attempt_that_is_refused_takes_no_slot(journal: Journal) -> None:
    journal.begin(an_attempt("a1", "d1"))
    with pytest.raises(DeviceBusyError):
        journal.begin(an_attempt("a2", "d1"), permit=Permit(concurrent_max=5))
    with pytest.raises(RateError):
        journal.begin(an_attempt("a3", "d3"), permit=Permit(concurrent_max=5, begun_per_minute_max=1))
    assert journal.slots("eu") == {}
    assert journal.moves("a3") == ()


def test_in_a_fleet_that_was_halted_a_moment_ago_nothing_begins_under_a_permit(journal: Journal) -> None:
    journal.halt("eu", "a person", Instant(1), by="ada")
    with pytest.raises(FleetHaltedError, match="PFR5027"):
        journal.begin(an_attempt("a1"), permit=Permit(concurrent_max=1))
    assert (journal.open_attempts(), dict(journal.slots("eu"))) == ((), {})
    journal.begin(an_attempt("a2", fleet="us"), permit=Permit())
    journal.lift("eu", Instant(2), by="ada")
    journal.begin(an_attempt("a3"), permit=Permit())


def test_threads_race_for_the_last_slots_and_no_more_win_than_there_are(journal: Journal) -> None:
    start = threading.Barrier(8)
    outcomes: list[str] = []

    def race(number: int) -> None:
        start.wait()
        try:
            journal.begin(an_attempt(f"a{number}"), permit=Permit(concurrent_max=3))
            outcomes.append("won")
        except NoSlotError:
            outcomes.append("none left")

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["none left"] * 5 + ["won"] * 3
    assert len(journal.slots("eu")) == len(journal.open_attempts()) == 3


# Rates


def test_no_minute_has_more_attempts_than_it_may(journal: Journal) -> None:
    two = Permit(begun_per_minute_max=2)
    for name, at in (("a1", 1000), ("a2", 1020)):
        journal.begin(an_attempt(name, at=at), permit=two)
    journal.begin(an_attempt("us", at=1021, fleet="us"), permit=two)
    with pytest.raises(RateError, match="PFR5023") as caught:
        journal.begin(an_attempt("a3", at=1059.5), permit=two)
    assert caught.value.until == 1060
    journal.begin(an_attempt("a3", at=1060), permit=two)
    with pytest.raises(RateError) as caught:
        journal.begin(an_attempt("a4", at=1061), permit=two)
    assert caught.value.until == 1080


def test_a_look_that_is_older_than_the_last_attempt_is_counted_with_it(journal: Journal) -> None:
    journal.begin(an_attempt("a1", at=1030), permit=Permit(begun_per_minute_max=1))
    with pytest.raises(RateError):
        journal.begin(an_attempt("a2", at=1000), permit=Permit(begun_per_minute_max=1))


def test_a_clock_that_jumped_a_day_ahead_and_back_holds_nobody(journal: Journal) -> None:
    journal.begin(an_attempt("a1", at=1000 + 86_400), permit=Permit(begun_per_minute_max=1, bytes_per_day_max=100))
    journal.begin(an_attempt("a2", at=1000), permit=Permit(begun_per_minute_max=1, bytes_per_day_max=100))


def test_no_day_has_more_bytes_than_it_may(journal: Journal) -> None:
    permit = Permit(bytes_per_day_max=250)
    for name, at in (("a1", 1000), ("a2", 2000)):
        journal.begin(an_attempt(name, at=at), permit=permit)
    with pytest.raises(RateError, match="PFR5023") as caught:
        journal.begin(an_attempt("a3", at=50_000), permit=permit)
    assert caught.value.until == 1000 + 86_400
    journal.begin(an_attempt("a3", at=50_000, size=50), permit=permit)
    with pytest.raises(RateError) as caught:
        journal.begin(an_attempt("a4", at=50_001, size=200), permit=permit)
    assert caught.value.until == 2000 + 86_400


def test_a_step_of_unknown_size_counts_as_the_largest(journal: Journal) -> None:
    permit = Permit(bytes_per_day_max=UNKNOWN_STEP_BYTES + 99)
    journal.begin(an_attempt("a1", size=None), permit=permit)
    with pytest.raises(RateError):
        journal.begin(an_attempt("a2", size=100), permit=permit)
    journal.begin(an_attempt("a3", size=99), permit=permit)


def test_what_reached_no_device_costs_no_bytes(journal: Journal) -> None:
    permit = Permit(bytes_per_day_max=100)
    first, second = an_attempt("a1"), an_attempt("a2")
    journal.begin(first, permit=permit)
    journal.record(first.withdrawn("stopped", Instant(1001)))
    journal.begin(second, permit=permit)
    journal.record(second.failed(FailureClass.OFFLINE, "gone", Instant(1002)))
    third = an_attempt("a3")
    journal.begin(third, permit=permit)
    journal.record(third.failed(FailureClass.TRANSPORT, "broke off", Instant(1003)))
    with pytest.raises(RateError):
        journal.begin(an_attempt("a4"), permit=permit)


@pytest.mark.parametrize("permit", [Permit(begun_per_minute_max=0), Permit(bytes_per_day_max=99)])
def test_what_a_limit_never_allows_has_no_time(journal: Journal, permit: Permit) -> None:
    with pytest.raises(RateError) as caught:
        journal.begin(an_attempt("a1"), permit=permit)
    assert caught.value.until is None


# Writes

LOCKED = ExternalWrite(at=Instant(1001), method="PUT", path="/v1/products/1/devices/d", status=200, answer="ok \0 ü")
LOST = ExternalWrite(at=None, method="PUT", path="/v1/devices/d", status=None, answer="silence")


def a_product_attempt(name: str, at: float = 1000) -> ProductAttempt:
    upload = UploadApplication(
        product="cold-chain", application=ApplicationVersion(44), platform="boron", sha256="ab" * 32
    )
    return ProductAttempt(
        id=name,
        product="cold-chain",
        fleet="eu",
        plan_id="p",
        action=upload,
        state=AttemptState.INTENDED,
        intended_at=Instant(at),
    )


def test_what_left_is_kept_with_what_was_seen_before_and_after(journal: Journal) -> None:
    attempt = an_attempt("a1")
    seen = {"lock": None, "application": 12, "online": True, "device_os": "6.3.4"}
    journal.begin(attempt)
    sent = attempt.sent(Instant(1001))
    journal.record(sent, writes=[LOCKED, LOST], before=seen)
    kept = journal.writes("a1")
    assert [(each.write, each.before, each.after) for each in kept] == [
        (LOCKED, seen, None),
        (replace(LOST, at=Instant(1000)), seen, None),
    ]
    assert kept[0].number < kept[1].number
    journal.record(sent.verified(Evidence.EFFECT, Instant(1100)), after={**seen, "application": 44})
    assert [each.after for each in journal.writes("a1")] == [
        {"state": "verified", "evidence": "effect", **seen, "application": 44}
    ] * 2
    assert journal.writes("a2") == ()


def test_what_the_cloud_refused_is_kept_with_its_end(journal: Journal) -> None:
    attempt = an_attempt("a1")
    journal.begin(attempt)
    refused = replace(LOCKED, status=404, answer="not \ud83d connected")
    journal.record(attempt.failed(FailureClass.OFFLINE, "404", Instant(1001)), writes=[refused], before={})
    (kept,) = journal.writes("a1")
    assert (kept.write.answer, kept.after) == ("not \\ud83d connected", {"state": "failed", "failure": "offline"})


def test_what_left_for_a_product_is_kept_in_the_same_way(journal: Journal) -> None:
    attempt = a_product_attempt("p1")
    journal.begin_product(attempt)
    sent = attempt.sent(Instant(1001))
    journal.record_product(sent, writes=[LOCKED], before={"holds": False})
    journal.record_product(sent.verified(Instant(1100)), after={"holds": True})
    (kept,) = journal.writes("p1")
    assert kept == KeptWrite(
        number=kept.number,
        attempt_id="p1",
        write=LOCKED,
        before={"holds": False},
        after={"state": "verified", "holds": True},
    )


def test_a_write_that_is_refused_leaves_no_trace(journal: Journal) -> None:
    attempt = an_attempt("a1")
    journal.begin(attempt)
    ended = attempt.withdrawn("stopped", Instant(1001))
    journal.record(ended)
    with pytest.raises(Exception, match="PFR5003"):
        journal.record(attempt.sent(Instant(1002)), writes=[LOCKED], before={})
    assert journal.writes("a1") == ()


def test_whether_a_device_was_well_before_comes_back(journal: Journal) -> None:
    for name, well in (("a1", True), ("a2", False), ("a3", None)):
        journal.begin(replace(an_attempt(name), well_before=well))
    assert [attempt.well_before for attempt in journal.attempts()] == [None, False, True]


# Compaction


def test_what_nothing_follows_from_any_more_is_removed_with_all_that_hangs_on_it(journal: Journal) -> None:
    for plan in ("old", "new"):
        journal.keep_plan(KeptPlan(plan_id=plan, digest=plan, text="{}"))
    first = an_attempt("a1", "d1", at=100, plan="old")
    journal.begin(first)
    sent = first.sent(Instant(101))
    journal.record(sent, writes=[replace(LOCKED, at=Instant(101))], before={})
    journal.record(sent.verified(Evidence.EFFECT, Instant(102)))
    second = lived(journal, an_attempt("a2", "d1", at=200, plan="new"))
    removed = journal.compact(ended_before=Instant(1000), at=Instant(5000))
    assert removed == Compacted(attempts=1, moves=3, writes=1, plans=1)
    assert journal.attempts() == (second,)
    assert (journal.moves("a1"), journal.writes("a1"), journal.plan("old")) == ((), (), None)
    assert len(journal.moves("a2")) == 3
    assert journal.plan("new") is not None
    assert journal.compact(ended_before=Instant(1000), at=Instant(5001)) == Compacted()


def test_what_ended_later_stays(journal: Journal) -> None:
    for number in range(3):
        lived(journal, an_attempt(f"a{number}", "d1", at=100 + number * 10))
    journal.compact(ended_before=Instant(112), at=Instant(5000))
    assert [attempt.id for attempt in journal.attempts()] == ["a2", "a1"]


def test_attempts_of_a_rollout_that_is_not_over_stay(journal: Journal) -> None:
    lived(journal, an_attempt("before", "d1", at=100))
    began = RolloutBegan(fleet="eu", at=Instant(150), rollout_id="r", intent="i", plan_id="p", devices=1)
    journal.note([began])
    for number in range(3):
        lived(journal, an_attempt(f"a{number}", "d1", at=200 + number * 10))
    journal.compact(ended_before=Instant(1000), at=Instant(5000))
    assert [attempt.id for attempt in journal.attempts()] == ["a2", "a1", "a0"]


def test_after_a_compaction_ids_and_numbers_are_not_used_again(journal: Journal) -> None:
    for number in range(3):
        lived(journal, an_attempt(f"a{number}", "d1", at=100 + number * 10))
    highest = journal.moves("a2")[-1].number
    journal.compact(ended_before=Instant(1000), at=Instant(5000))
    lived(journal, an_attempt("a9", "d1", at=6000))
    assert journal.moves("a9")[0].number > highest


def test_writes_on_products_go_with_their_time(journal: Journal) -> None:
    for name, at in (("p1", 100), ("p2", 2000)):
        attempt = a_product_attempt(name, at)
        journal.begin_product(attempt)
        ended = attempt.failed(FailureClass.REFUSED, "no", Instant(at + 1))
        journal.record_product(ended, writes=[replace(LOCKED, at=Instant(at + 1))], before={})
    assert journal.compact(ended_before=Instant(1000), at=Instant(5000)) == Compacted(writes=1)
    assert [len(journal.writes(name)) for name in ("p1", "p2")] == [0, 1]
    assert len(journal.product_attempts()) == 2
