from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.particle.error import NoAnswerError
from reconciler.particle.listing import DeviceListing, DevicePage, Page, PageReader, page_from
from tests.particle.pretend import Answer, Seen, pretend_cloud


def device_id(number: int) -> str:
    return f"e00fce68{number:016x}"


def page(*numbers: int, total_pages: object = None, total: object = None) -> Page:
    raws = [msgspec.Raw(json.dumps({"id": device_id(number)}).encode()) for number in numbers]
    return answered(raws, {"total_pages": total_pages, "total": total})


def answered(raws: list[msgspec.Raw], meta: object) -> Page:
    """What the cloud may answer, read as it is read from the wire."""
    answer = DevicePage(devices=raws, meta=msgspec.Raw(json.dumps(meta).encode()))
    return page_from(answer, None, place="a page")


def reader(script: Callable[[int, int], Page], **options: Any) -> tuple[PageReader, list[int]]:
    """A reader of pages by a script of (how many pages were asked before, the page's number)."""
    asked: list[int] = []

    def read(number: int) -> Page:
        asked.append(number)
        return script(len(asked) - 1, number)

    return PageReader(read, **options), asked


def ids(pages: PageReader) -> list[int]:
    return numbers_of(pages.read_all())


def numbers_of(listing: DeviceListing) -> list[int]:
    return [int(record.id[8:], 16) for record in listing.records]


def test_all_pages_are_read_by_the_clouds_count() -> None:
    pages, asked = reader(lambda _, n: page(2 * n, 2 * n + 1, total_pages=3))
    assert ids(pages) == [2, 3, 4, 5, 6, 7]
    assert asked == [1, 2, 3]


def test_without_a_count_reading_ends_at_an_empty_page() -> None:
    pages, asked = reader(lambda _, n: page(n) if n < 4 else page())
    assert ids(pages) == [1, 2, 3]
    assert asked == [1, 2, 3, 4]


def test_a_cloud_that_repeats_its_only_page_does_not_keep_us_for_ever() -> None:
    pages, asked = reader(lambda _, n: page(1, 2))
    listing = pages.read_all()
    assert len(listing.records) == 2
    assert listing.complete
    assert asked == [1, 2]


def test_a_count_that_is_far_too_high_ends_at_two_empty_pages_and_is_not_believed_to_be_complete() -> None:
    pages, asked = reader(lambda _, n: page(n, total_pages=10**9) if n < 3 else page(total_pages=10**9))
    listing = pages.read_all()
    assert numbers_of(listing) == [1, 2]
    assert asked == [1, 2, 3, 4] * 2
    assert not listing.complete
    assert any("page 3 of 1000000000 was empty" in finding for finding in listing.findings)


def test_an_empty_page_in_the_middle_hides_no_page_behind_it() -> None:
    script = {1: page(1, total_pages=3), 2: page(total_pages=3), 3: page(3, total_pages=3)}
    pages, asked = reader(lambda _, n: script[n])
    listing = pages.read_all()
    assert numbers_of(listing) == [1, 3]
    assert asked == [1, 2, 3] * 2
    assert not listing.complete


def test_an_empty_page_that_has_devices_when_it_is_read_again_is_no_loss() -> None:
    first = [page(1, total_pages=3), page(total_pages=3), page(3, total_pages=3)]
    second = [page(1, total_pages=3), page(2, total_pages=3), page(3, total_pages=3)]
    pages, _ = reader(lambda before, _: (first + second)[before])
    listing = pages.read_all()
    assert numbers_of(listing) == [1, 2, 3]
    assert listing.complete


def test_a_device_that_leaves_shows_by_the_count_and_the_one_that_slipped_is_found() -> None:
    # Device 1 leaves after the first page; 3 slips in front of the second one, and there are as many as counted.
    first = [page(1, 2, total_pages=3, total=6), page(4, 5, total_pages=3, total=5), page(6, total_pages=3, total=5)]
    second = [page(2, 3, total_pages=3, total=5), page(4, 5, total_pages=3, total=5), page(6, total_pages=3, total=5)]
    pages, asked = reader(lambda before, _: (first + second)[before])
    listing = pages.read_all()
    assert numbers_of(listing) == [1, 2, 3, 4, 5, 6]
    assert asked == [1, 2, 3] * 2
    assert listing.complete


def test_a_list_that_never_stands_still_is_read_twice_and_no_more_and_is_a_finding() -> None:
    pages, asked = reader(lambda before, n: page(n, total_pages=2, total=2 + before % 2))
    listing = pages.read_all()
    assert asked == [1, 2] * 2
    assert any("changed while its pages were read" in finding for finding in listing.findings)


@pytest.mark.parametrize("wrong", ["3", 2.5, True, -1, [], {}, "many"])
def test_a_count_of_another_type_is_not_believed_and_a_finding(wrong: object) -> None:
    pages, asked = reader(lambda _, n: page(n, total_pages=wrong) if n < 4 else page(total_pages=wrong))
    listing = pages.read_all()
    assert numbers_of(listing) == [1, 2, 3]
    assert asked == [1, 2, 3, 4]
    assert any("meta.total_pages is no count" in finding for finding in listing.findings)


@pytest.mark.parametrize("meta", [None, {}, [], "none", 5, {"total_pages": None}, {"page": 1}])
def test_pages_without_a_usable_count_are_read_to_their_end(meta: object) -> None:
    raws = {number: [msgspec.Raw(json.dumps({"id": device_id(number)}).encode())] for number in (1, 2)}
    pages, _ = reader(lambda _, n: answered(raws.get(n, []), meta))
    listing = pages.read_all()
    assert numbers_of(listing) == [1, 2]
    assert listing.complete


def test_a_count_of_no_pages_beside_devices_is_not_believed() -> None:
    pages, asked = reader(lambda _, n: page(n, total_pages=0) if n < 3 else page(total_pages=0))
    assert ids(pages) == [1, 2]
    assert asked == [1, 2, 3]


def test_a_count_that_is_too_low_hides_nothing_behind_a_full_page() -> None:
    script = {1: page(1, 2, total_pages=1), 2: page(3, 4, total_pages=1), 3: page(5, total_pages=1)}
    pages, asked = reader(lambda _, n: script[n], page_size=2)
    assert ids(pages) == [1, 2, 3, 4, 5]
    assert asked == [1, 2, 3]


def test_a_full_last_page_costs_one_more_question_only_where_devices_are_not_counted() -> None:
    pages, asked = reader(lambda _, n: page(1, 2, total_pages=1) if n == 1 else page(total_pages=1), page_size=2)
    assert (ids(pages), asked) == ([1, 2], [1, 2])
    pages, asked = reader(lambda _, n: page(1, 2, total_pages=1, total=2), page_size=2)
    assert (ids(pages), asked) == ([1, 2], [1])


def test_a_cloud_that_gives_smaller_pages_than_asked_for_is_read_to_the_end() -> None:
    pages, asked = reader(lambda _, n: page(n, total_pages=4), page_size=100)
    assert (ids(pages), asked) == ([1, 2, 3, 4], [1, 2, 3, 4])
    pages, asked = reader(lambda _, n: page(n) if n < 4 else page(), page_size=100)
    assert (ids(pages), asked) == ([1, 2, 3], [1, 2, 3, 4])


def test_a_cloud_that_gives_everything_at_once_is_read_once_more_at_most() -> None:
    pages, asked = reader(lambda _, n: page(*range(1, 500)), page_size=100)
    listing = pages.read_all()
    assert (len(listing.records), asked, listing.complete) == (499, [1, 2], True)
    assert listing.findings == ()


def test_a_cloud_that_repeats_a_page_it_counts_is_read_twice_and_not_believed() -> None:
    pages, asked = reader(lambda _, n: page(1, 2, total_pages=3, total=6))
    listing = pages.read_all()
    assert (len(listing.records), asked, listing.complete) == (2, [1, 2, 3] * 2, False)
    assert any("listed twice" in finding for finding in listing.findings)


def test_a_device_twice_on_one_page_is_one_device_and_a_finding() -> None:
    pages, _ = reader(lambda _, n: page(1, 1, 2, total_pages=1))
    listing = pages.read_all()
    assert numbers_of(listing) == [1, 2]
    assert any("1 devices were listed twice" in finding for finding in listing.findings)


def test_a_cloud_that_repeats_what_cannot_be_read_does_not_keep_us_for_ever() -> None:
    pages, asked = reader(lambda _, n: answered([msgspec.Raw(b'{"id":5}')], None))
    assert not pages.read_all().complete
    assert asked == [1]


def test_an_id_in_capitals_is_the_same_device_on_another_page() -> None:
    raws = [msgspec.Raw(json.dumps({"id": device_id(10).upper()}).encode())]
    pages, _ = reader(lambda _, n: page(10, total_pages=2) if n == 1 else answered(raws, {"total_pages": 2}))
    listing = pages.read_all()
    assert numbers_of(listing) == [10]
    assert any("listed twice" in finding for finding in listing.findings)


def test_counted_pages_are_read_ahead_and_taken_in_their_order() -> None:
    several = threading.Event()

    def read(number: int) -> Page:
        if number > 1:
            if number == 3:
                several.set()
            assert several.wait(10), "page 3 was not asked for while page 2 was on its way"
        return page(number, total_pages=6)

    taken: list[Page] = []
    ending = PageReader(read, at_once=3).read_into(taken.append)
    assert [int(each.records[0].id[8:], 16) for each in taken] == [1, 2, 3, 4, 5, 6]
    assert ending.complete


def test_a_page_that_cannot_be_read_ends_all_of_it_and_no_further_page_is_asked_for() -> None:
    asked: list[int] = []

    def read(number: int) -> Page:
        asked.append(number)
        if number == 2:
            raise NoAnswerError("silence")
        return page(number, total_pages=50)

    with pytest.raises(NoAnswerError):
        PageReader(read, at_once=2).read_all()
    assert len(asked) < 10


def test_a_device_on_two_pages_is_one_device_and_a_finding() -> None:
    shifted = {1: page(1, 2, total_pages=2), 2: page(2, 3, total_pages=2)}
    pages, _ = reader(lambda _, n: shifted[n])
    listing = pages.read_all()
    assert [record.id for record in listing.records] == [device_id(n) for n in (1, 2, 3)]
    assert listing.complete
    assert any(device_id(2) in finding and "twice" in finding for finding in listing.findings)


def test_a_device_that_slipped_between_pages_is_found_by_reading_again() -> None:
    first = [page(1, 2, total_pages=2, total=4), page(4, total_pages=2, total=4)]
    second = [page(1, 2, total_pages=2, total=4), page(3, 4, total_pages=2, total=4)]
    pages, asked = reader(lambda before, n: (first + second)[before])
    listing = pages.read_all()
    assert len(listing.records) == 4
    assert listing.complete
    assert asked == [1, 2, 1, 2]


def test_devices_that_stay_missing_make_the_list_incomplete() -> None:
    pages, asked = reader(lambda _, n: page(1, 2, total_pages=1, total=5))
    listing = pages.read_all()
    assert not listing.complete
    assert any("3 of 5 devices" in finding for finding in listing.findings)
    assert asked == [1, 1]


def test_a_device_that_cannot_be_read_makes_the_list_incomplete_without_reading_again() -> None:
    pages, asked = reader(lambda _, n: answered([msgspec.Raw(b'{"id":5}')], {"total_pages": 1, "total": 1}))
    listing = pages.read_all()
    assert not listing.complete
    assert asked == [1]


def test_an_empty_product_is_complete() -> None:
    pages, _ = reader(lambda _, n: page(total_pages=0, total=0))
    listing = pages.read_all()
    assert listing.records == ()
    assert listing.complete


@given(st.dictionaries(st.sampled_from(["total_pages", "total"]), st.none() | st.integers() | st.text() | st.floats()))
def test_no_counts_make_it_raise(meta: dict[str, object]) -> None:
    pages, _ = reader(lambda _, n: answered([], meta))
    assert pages.read_all().records == ()


def test_the_api_asks_page_by_page_in_a_stable_order() -> None:
    with pretend_cloud() as (server, api, _):

        def answer(seen: Seen) -> Answer:
            query = parse_qs(urlsplit(seen.path).query)
            assert query["perPage"] == query["per_page"] == ["2"]
            assert query["sortAttr"] == ["deviceId"]
            number = int(query["page"][0])
            devices = [{"id": device_id(n)} for n in range(2 * number, min(2 * number + 2, 7))]
            return Answer(body=json.dumps({"devices": devices, "customers": [], "meta": {"total_pages": 3}}).encode())

        server.chosen = answer
        listing = api.product_devices("cold chain")
        assert len(listing.records) == 5
        assert all(seen.path.startswith("/v1/products/cold%20chain/devices?") for seen in server.seen)
