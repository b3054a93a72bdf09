from __future__ import annotations

from reconciler.emulator.clock import Agenda, VirtualClock
from reconciler.model.instant import Instant


def test_virtual_time_passes_at_the_speed() -> None:
    clock = VirtualClock(start=Instant(1000.0), speed=60.0, real_now=5.0)
    assert clock.now(7.0) == 1120.0


def test_a_new_speed_does_not_move_the_present() -> None:
    clock = VirtualClock(start=Instant(1000.0), speed=60.0, real_now=0.0)
    clock.set_speed(1.0, 10.0)
    assert clock.now(10.0) == 1600.0
    assert clock.now(11.0) == 1601.0


def test_skipping_adds_to_the_passing() -> None:
    clock = VirtualClock(start=Instant(0.0), speed=2.0, real_now=0.0)
    clock.advance(100.0)
    assert clock.now(5.0) == 110.0


def test_a_clock_that_stands_still_never_reaches_the_future() -> None:
    clock = VirtualClock(start=Instant(0.0), speed=0.0, real_now=0.0)
    assert clock.real_seconds_until(Instant(1.0), 99.0) is None
    assert clock.real_seconds_until(Instant(0.0), 99.0) == 0.0


def test_happenings_come_in_order_of_time_and_then_of_being_put_down() -> None:
    agenda, seen = Agenda(), list[str]()
    for name, instant in (("late", 5.0), ("first", 1.0), ("second", 1.0), ("beyond", 9.0)):
        agenda.at(Instant(instant), lambda _, name=name: seen.append(name))  # type: ignore[misc]  # a default binds it
    agenda.run_until(Instant(5.0))
    assert seen == ["first", "second", "late"]
    assert agenda.next_at == 9.0


def test_a_happening_may_bring_about_another_one_that_is_due_as_well() -> None:
    agenda, seen = Agenda(), list[float]()

    def again(now: Instant) -> None:
        seen.append(now)
        agenda.at(Instant(now + 1.0), again)

    agenda.at(Instant(1.0), again)
    agenda.run_until(Instant(3.5))
    assert seen == [1.0, 2.0, 3.0]
