from __future__ import annotations

import json
import threading

import pytest

from reconciler.inventory.hearing import Hearing, TransferStatus
from reconciler.model.device import DeviceId, ModuleReport
from reconciler.model.instant import Instant
from reconciler.particle.stream import CloudEvent

ONE, TWO = DeviceId("e00fce680000000000000001"), DeviceId("e00fce680000000000000002")
DESCRIBE = json.dumps({"m": [{"l": "m", "f": "b", "n": "0", "v": 1101, "d": []}]})


def hearing() -> Hearing:
    return Hearing(clock=lambda: Instant(500.0))


def event(name: str, data: str, *, device: DeviceId | None = ONE, at: float | None = 100.0) -> CloudEvent:
    return CloudEvent(name=name, data=data, device_id=device, published_at=None if at is None else Instant(at))


def flash(status: str, device: DeviceId = ONE) -> CloudEvent:
    return event("spark/flash/status", status, device=device)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ("started ", TransferStatus.STARTED),
        ("success ", TransferStatus.SUCCESS),
        ("failed", TransferStatus.FAILED),
        ("Failed: -1340", TransferStatus.FAILED),
    ],
)
def test_a_transfers_status_is_known_by_how_the_word_begins(data: str, status: TransferStatus) -> None:
    memory = hearing()
    memory.hear(flash(data))
    assert [heard.status for heard in memory.transfers_since(ONE, 0)] == [status]


@pytest.mark.parametrize("data", ["progress", "", "unsuccess"])
def test_other_words_about_a_transfer_say_nothing(data: str) -> None:
    memory = hearing()
    memory.hear(flash(data))
    assert memory.transfers_since(ONE, 0) == ()


def test_a_transfer_is_under_way_from_its_beginning_to_its_end() -> None:
    memory = hearing()
    assert memory.receiving_since(ONE) is None
    memory.hear(flash("started "))
    assert memory.receiving_since(ONE) == 100.0
    assert memory.receiving_since(TWO) is None
    memory.hear(flash("failed "))
    assert memory.receiving_since(ONE) is None


def test_only_what_came_after_the_noted_ordinal_is_told() -> None:
    memory = hearing()
    memory.hear(flash("success"))
    noted = memory.ordinal
    assert memory.transfers_since(ONE, noted) == ()
    memory.hear(flash("started"))
    memory.hear(flash("failed"))
    started, ended = memory.transfers_since(ONE, noted)
    assert not started.status.is_end
    assert ended.status.is_end
    assert ended.status is TransferStatus.FAILED
    assert ended.at == 100.0
    assert started.ordinal < ended.ordinal


def test_devices_are_kept_apart() -> None:
    memory = hearing()
    memory.hear(flash("success", TWO))
    assert memory.transfers_since(ONE, 0) == ()
    assert len(memory.transfers_since(TWO, 0)) == 1


def test_a_safe_mode_describe_is_a_module_report() -> None:
    memory = hearing()
    memory.hear(event("spark/status/safe-mode", DESCRIBE))
    report = memory.module_report(ONE)
    assert report is not None
    assert [module.version for module in report.modules] == [1101]
    assert report.reported_at == 100.0
    assert memory.module_reports() == (report,)


def test_a_report_that_cannot_be_read_replaces_an_older_one() -> None:
    memory = hearing()
    memory.hear(event("spark/status/safe-mode", DESCRIBE))
    memory.hear(event("spark/status/safe-mode", "{", at=200.0))
    report = memory.module_report(ONE)
    assert report is not None
    assert report.modules == ()


def test_a_report_from_an_earlier_run_never_replaces_a_newer_one() -> None:
    memory = hearing()
    old = ModuleReport(device_id=ONE, modules=(), reported_at=Instant(50.0))
    memory.keep_report(old)
    assert memory.module_report(ONE) == old
    memory.hear(event("spark/status/safe-mode", DESCRIBE))
    memory.keep_report(old)
    assert memory.module_report(ONE) != old


def test_an_event_without_a_time_happened_when_it_was_heard() -> None:
    memory = hearing()
    memory.hear(event("spark/status/safe-mode", DESCRIBE, at=None))
    report = memory.module_report(ONE)
    assert report is not None
    assert report.reported_at == 500.0


def test_what_nobody_said_is_not_known() -> None:
    memory = hearing()
    memory.hear(event("spark/status", "online", device=None))
    memory.hear(event("temperature", "21"))
    assert memory.transfers_since(ONE, 0) == ()
    assert memory.module_report(ONE) is None


def test_the_memory_of_one_device_is_bounded_and_keeps_the_newest() -> None:
    memory = hearing()
    for _ in range(100):
        memory.hear(flash("started"))
    memory.hear(flash("success"))
    heard = memory.transfers_since(ONE, 0)
    assert len(heard) == 16
    assert heard[-1].status is TransferStatus.SUCCESS


def test_many_threads_may_speak_at_once() -> None:
    memory = hearing()
    threads = [threading.Thread(target=lambda: [memory.hear(flash("success")) for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert memory.ordinal == 1600


@pytest.mark.parametrize(
    ("said", "is_news"),
    [
        (event("spark/status", "online"), True),
        (event("spark/status", "offline"), False),
        (flash("started "), False),
        (flash("success "), False),
        (flash("failed "), True),
        (event("spark/status/safe-mode", DESCRIBE), True),
        (event("spark/device/last_reset", "update"), False),
        (event("spark/status", "online", device=TWO), False),
    ],
)
def test_news_is_what_may_settle_a_step_of_a_device_that_is_listened_for(said: CloudEvent, is_news: bool) -> None:
    told: list[bool] = []
    memory = Hearing(clock=lambda: Instant(500.0), on_news=lambda: told.append(True))
    memory.hear(said)
    assert told == []
    memory.listen_for([ONE])
    memory.hear(said)
    assert bool(told) is is_news


def test_who_is_listened_for_changes_with_every_look() -> None:
    told: list[bool] = []
    memory = Hearing(clock=lambda: Instant(500.0), on_news=lambda: told.append(True))
    memory.listen_for([ONE])
    memory.listen_for([])
    memory.hear(flash("failed "))
    assert told == []
    memory.listen_also_for(ONE)
    memory.hear(flash("failed "))
    assert told == [True]


def test_a_gap_has_its_place_in_the_order_of_hearing() -> None:
    memory = hearing()
    assert memory.first_gap_since(0) is None
    memory.miss()
    sent = memory.ordinal
    assert memory.first_gap_since(sent) is None
    memory.hear(flash("success"))
    memory.miss()
    memory.hear(flash("failed"))
    gap = memory.first_gap_since(sent)
    assert gap is not None
    before, behind = (transfer.ordinal for transfer in memory.transfers_since(ONE, sent))
    assert before < gap < behind
    assert memory.first_gap_since(memory.ordinal) is None


def test_gaps_that_are_forgotten_count_as_gaps() -> None:
    memory = hearing()
    for _ in range(5000):
        memory.miss()
    assert memory.first_gap_since(3) is not None
    assert memory.first_gap_since(memory.ordinal) is None
