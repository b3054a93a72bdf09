from __future__ import annotations

import json
from dataclasses import dataclass, field

from reconciler.inventory.hearing import Hearing
from reconciler.inventory.signs import Signs
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant
from reconciler.particle.stream import CloudEvent

ONE, TWO = DeviceId("e00fce680000000000000001"), DeviceId("e00fce680000000000000002")
RESET = "spark/device/last_reset"


@dataclass
class Ear:
    """Signs with looks at times of their own."""

    now: float = 500.0
    signs: Signs = field(init=False)

    def __post_init__(self) -> None:
        self.signs = Signs(events=("app/alive", "spark/beat"), paths=("device.a.b",))
        self.signs.watch([ONE])

    def look(self, later: float = 0.0) -> None:
        self.now += later
        self.signs.look(Instant(self.now))

    def hear(self, name: str, data: str = "", *, device: DeviceId | None = ONE, at: float | None = 100.0) -> bool:
        published_at = None if at is None else Instant(at)
        return self.signs.hear(CloudEvent(name=name, data=data, device_id=device, published_at=published_at))


def test_a_restart_that_nobody_asked_for_is_bad_news_and_one_after_an_update_is_not() -> None:
    ear = Ear()
    assert ear.hear(RESET, "panic, hard_fault")
    assert not ear.hear(RESET, "update", at=101.0)
    assert [reset.words for reset in ear.signs.of(ONE).resets] == ["panic, hard_fault"]


def test_an_event_that_comes_twice_is_one_restart() -> None:
    ear = Ear()
    assert ear.hear(RESET, "watchdog")
    assert not ear.hear(RESET, "watchdog")
    assert ear.hear(RESET, "watchdog", at=101.0)
    assert len(ear.signs.of(ONE).resets) == 2


def test_restarts_without_a_date_are_each_one() -> None:
    ear = Ear()
    ear.hear(RESET, "watchdog", at=None)
    ear.hear(RESET, "watchdog", at=None)
    assert len(ear.signs.of(ONE).resets) == 2


def test_what_was_heard_between_two_looks_was_heard_at_the_later_one() -> None:
    ear = Ear()
    ear.look()
    ear.hear("app/alive/3", at=90_000.0)
    ear.look(40)
    ear.look(60)
    heard = ear.signs.of(ONE).events["app/alive"]
    assert (heard.at, heard.dated) == (540.0, 90_000.0)
    ear.hear("app/alive/4", at=None)
    ear.look(5)
    heard = ear.signs.of(ONE).events["app/alive"]
    assert (heard.at, heard.dated) == (605.0, None)


def test_only_devices_that_are_watched_are_remembered() -> None:
    ear = Ear()
    assert not ear.hear(RESET, "watchdog", device=TWO)
    assert not ear.hear(RESET, "watchdog", device=None)
    ear.signs.watch_also(TWO)
    ear.hear("app/alive", device=TWO)
    ear.hear("app/alive")
    assert ear.signs.of(TWO).events
    ear.signs.watch([ONE])
    assert not ear.signs.of(TWO).events
    assert ear.signs.of(ONE).events


def test_the_memory_of_one_device_is_bounded() -> None:
    ear = Ear()
    for moment in range(1000):
        ear.hear(RESET, "watchdog", at=float(moment))
        ear.hear(f"app/alive/{moment}", at=float(moment))
        ear.hear(f"other/{moment}", at=float(moment))
    kept = ear.signs.of(ONE)
    assert [reset.dated for reset in kept.resets] == [float(moment) for moment in range(968, 1000)]
    assert list(kept.events) == ["app/alive"]


def test_of_vitals_the_wanted_numbers_are_kept_and_nothing_else() -> None:
    ear = Ear()
    name = "spark/device/diagnostics/update"
    ear.hear(name, json.dumps({"device": {"a": {"b": 7, "c": 8}}}))
    assert ear.signs.of(ONE).vitals == {"device.a.b": 7.0}
    for nothing in ({"device": {"a": {"b": {"err": -210}}}}, {"device": {"a": {"b": True}}}, {"device": []}, 5):
        ear.hear(name, json.dumps(nothing))
        assert ear.signs.of(ONE).vitals == {}
        assert ear.signs.of(ONE).vitals_heard is not None


def test_vitals_that_cannot_be_read_or_are_too_long_are_no_report() -> None:
    ear = Ear()
    for said in ("{", "[" * 100_000, '{"device": {"a": {"b": 1' + " " * 70_000 + "}}}"):
        ear.hear("spark/device/diagnostics/update", said)
        assert ear.signs.of(ONE).vitals_heard is None


def test_an_older_report_does_not_replace_a_newer_one() -> None:
    ear = Ear()
    ear.hear("spark/device/diagnostics/update", '{"device": {"a": {"b": 2}}}', at=200.0)
    ear.signs.keep_vitals(ONE, '{"device": {"a": {"b": 1}}}', Instant(100.0))
    assert ear.signs.of(ONE).vitals == {"device.a.b": 2.0}
    ear.signs.keep_vitals(ONE, '{"device": {"a": {"b": 3}}}', Instant(300.0))
    assert ear.signs.of(ONE).vitals == {"device.a.b": 3.0}


def test_only_events_of_applications_need_a_stream_of_their_own() -> None:
    assert Ear().signs.streams == ("app/alive",)


def test_since_when_is_listened_follows_the_stream_of_the_event() -> None:
    ear = Ear()
    connected = True
    ear.look()
    assert ear.signs.listening_since("app/alive") is None
    ear.signs.attach("app/alive", lambda: connected)
    ear.signs.attach("spark", lambda: True)
    ear.look(10)
    ear.look(30)
    assert ear.signs.listening_since("app/alive") == 510.0
    ear.signs.miss("app/alive")
    assert ear.signs.listening_since("app/alive") is None
    ear.look(10)
    assert ear.signs.listening_since("app/alive") == 550.0
    assert ear.signs.listening_since("spark/beat") == 510.0
    connected = False
    ear.look(10)
    assert ear.signs.listening_since("app/alive") is None


def test_a_gap_of_the_main_stream_is_one_of_its_events_too() -> None:
    ear = Ear()
    hearing = Hearing(clock=lambda: Instant(0.0), signs=ear.signs)
    ear.signs.attach("spark", lambda: True)
    ear.look()
    hearing.miss()
    ear.look(30)
    assert ear.signs.listening_since("spark/beat") == 530.0


def test_bad_news_wakes_whoever_waits_for_news() -> None:
    told: list[bool] = []
    hearing = Hearing(clock=lambda: Instant(500.0), on_news=lambda: told.append(True))
    said = CloudEvent(name=RESET, data="panic, 14", device_id=ONE, published_at=Instant(1.0))
    hearing.hear(said)
    assert told == []
    hearing.listen_also_for(ONE)
    hearing.hear(said)
    assert told == [True]
