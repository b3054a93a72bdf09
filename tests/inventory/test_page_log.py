from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.inventory.page_log import PAGES_FRESH_SECONDS, PageLog
from reconciler.inventory.snapshot import SnapshotError, observation_from_document
from reconciler.model.instant import NEVER, Instant
from reconciler.particle.listing import Page
from reconciler.particle.records import DeviceRecord
from tests.fleet_samples import NOW, device_id

URL = "http://127.0.0.1:1"


def page(*numbers: int, product_id: int = 5, dated: float | None = NOW) -> Page:
    records = tuple(DeviceRecord(id=device_id(number), product_id=product_id, name=f"n{number}") for number in numbers)
    return Page(
        records=records, total_pages=3, findings=("a finding",), dated=None if dated is None else Instant(dated)
    )


@dataclass
class Bench:
    """A file of pages, a clock, and which pages were really read."""

    place: Path
    now: float = NOW
    read: list[int] = field(default_factory=list)
    opened: list[PageLog] = field(default_factory=list)

    def clock(self) -> Instant:
        return Instant(self.now)

    def begin(self) -> PageLog:
        self.opened.append(PageLog.begin(self.place, api_url=URL, page_size=2, clock=self.clock))
        return self.opened[-1]

    def resume(self, *, url: str = URL, page_size: int = 2) -> PageLog | None:
        log = PageLog.resume(self.place, api_url=url, page_size=page_size, clock=self.clock)
        self.opened += [] if log is None else [log]
        return log

    def close(self) -> None:
        for log in self.opened:
            log.close()

    def reading(self, number: int, page: Page) -> Callable[[], Page]:
        def read() -> Page:
            self.read.append(number)
            return page

        return read


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "fleet.json.partial")
    yield bench
    bench.close()


def names(log: PageLog) -> list[str | None]:
    return [record.name for record in log.records()]


def test_devices_come_out_once_and_in_the_order_of_their_ids_as_they_were_shown_last(bench: Bench) -> None:
    log = bench.begin()
    keep = log.keeper("logger")
    keep(1, lambda: page(3, 1))
    keep(2, lambda: Page(records=(DeviceRecord(id=device_id(3), name="renamed"), DeviceRecord(id=device_id(2)))))
    assert names(log) == ["n1", None, "renamed"]
    assert log.devices_of("logger") == 3


def test_pages_of_an_earlier_run_are_not_read_again_and_are_as_they_were(bench: Bench) -> None:
    first = bench.begin()
    for number in (1, 2):
        first.keeper("logger")(number, bench.reading(number, page(number)))
    first.close()
    log = bench.resume()
    assert log is not None
    assert log.resumed == 2
    keep = log.keeper("logger")
    again = [keep(number, bench.reading(number, page(9))) for number in (1, 2)]
    assert again == [page(1), page(2)]
    assert bench.read == [1, 2]
    assert names(log) == ["n1", "n2"]


def test_a_page_is_taken_from_the_earlier_run_once_so_that_a_second_reading_reads(bench: Bench) -> None:
    first = bench.begin()
    first.keeper("logger")(1, lambda: page(1))
    first.close()
    log = bench.resume()
    assert log is not None
    keep = log.keeper("logger")
    keep(1, bench.reading(1, page(2)))
    assert keep(1, bench.reading(1, page(2))) == page(2)
    assert bench.read == [1]


def test_a_page_of_an_earlier_run_is_of_its_product_alone(bench: Bench) -> None:
    first = bench.begin()
    first.keeper("logger")(1, lambda: page(1))
    first.close()
    log = bench.resume()
    assert log is not None
    log.keeper(None)(1, bench.reading(1, page(2)))
    assert bench.read == [1]


@pytest.mark.parametrize(("age", "read"), [(PAGES_FRESH_SECONDS, []), (PAGES_FRESH_SECONDS + 1, [1]), (-7200, [1])])
def test_a_page_that_is_too_old_or_of_another_time_is_read_again(bench: Bench, age: float, read: list[int]) -> None:
    first = bench.begin()
    first.keeper("logger")(1, lambda: page(1))
    first.close()
    bench.now += age
    log = bench.resume()
    assert log is not None
    log.keeper("logger")(1, bench.reading(1, page(1)))
    assert bench.read == read
    assert (log.resumed, log.stale) == (1 - len(read), len(read))


def test_a_page_that_the_cloud_did_not_date_is_dated_when_it_was_read(bench: Bench) -> None:
    first = bench.begin()
    assert first.keeper("logger")(1, lambda: page(1, dated=None)).dated is None
    first.close()
    bench.now += 60
    log = bench.resume()
    assert log is not None
    assert log.keeper("logger")(1, bench.reading(1, page(1))).dated == NOW


def test_pages_of_another_cloud_or_size_are_of_no_use(bench: Bench) -> None:
    assert bench.resume() is None
    bench.begin().close()
    assert bench.resume(url="http://127.0.0.1:2") is None
    assert bench.resume(page_size=100) is None
    assert bench.resume() is not None


@settings(max_examples=150, deadline=None)
@given(st.floats(0, 1), st.binary(max_size=40))
def test_whatever_a_crash_left_at_the_end_whole_pages_stay_and_nothing_is_made_up(
    tmp_path_factory: pytest.TempPathFactory, share: float, garbage: bytes
) -> None:
    bench = Bench(tmp_path_factory.mktemp("log") / "p")
    first = bench.begin()
    for number in (1, 2, 3):
        first.keeper("logger")(number, bench.reading(number, page(2 * number, 2 * number + 1)))
    first.close()
    bench.read.clear()
    content = bench.place.read_bytes()
    bench.place.write_bytes(content[: int(share * len(content))] + garbage)
    log = bench.resume()
    if log is None:
        bench.close()
        return
    keep = log.keeper("logger")
    for number in (1, 2, 3):
        assert keep(number, bench.reading(number, page(2 * number, 2 * number + 1))).records == (
            page(2 * number, 2 * number + 1).records
        )
    assert bench.read == [1, 2, 3][log.resumed :]
    assert names(log) == ["n2", "n3", "n4", "n5", "n6", "n7"]
    bench.close()


def test_a_device_that_two_products_show_as_theirs_is_told(bench: Bench) -> None:
    log = bench.begin()
    log.keeper("one")(1, lambda: page(1, 2, product_id=5))
    log.keeper("two")(1, lambda: page(2, 3, product_id=6))
    log.keeper("5")(1, lambda: page(1, product_id=5))
    assert log.in_two_products() == [device_id(2)]


def test_it_is_no_snapshot_and_says_what_to_do(bench: Bench) -> None:
    log = bench.begin()
    log.keeper("logger")(1, lambda: page(1))
    log.close()
    with pytest.raises(SnapshotError) as caught:
        observation_from_document(bench.place.read_bytes(), read_at=NEVER)
    assert caught.value.code == "PFR6308"
    assert "--resume" in caught.value.next_step


def test_only_its_owner_may_read_it(bench: Bench) -> None:
    bench.begin().close()
    assert bench.place.stat().st_mode & 0o077 == 0
