from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import msgspec

from reconciler.particle.listing import DevicePage, PageMeta, PageReader
from tests.particle.pretend import Answer, Seen, pretend_cloud


def device_id(number: int) -> str:
    return f"e00fce68{number:016x}"


def page(*numbers: int, total_pages: int | None = None, total: int | None = None) -> DevicePage:
    raws = [msgspec.Raw(json.dumps({"id": device_id(number)}).encode()) for number in numbers]
    meta = None if total_pages is None and total is None else PageMeta(total_pages=total_pages, total=total)
    return DevicePage(devices=raws, meta=meta)


def reader(script: Callable[[int, int], DevicePage]) -> tuple[PageReader, list[int]]:
    """A reader of pages by a script of (how many pages were asked before, the page's number)."""
    asked: list[int] = []

    def read(number: int) -> DevicePage:
        asked.append(number)
        return script(len(asked) - 1, number)

    return PageReader(read), asked


def ids(pages: PageReader) -> list[int]:
    return [int(record.id[8:], 16) for record in pages.read_all().records]


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


def test_a_count_that_is_far_too_high_ends_at_an_empty_page() -> None:
    pages, asked = reader(lambda _, n: page(n, total_pages=10**9) if n < 3 else page(total_pages=10**9))
    assert ids(pages) == [1, 2]
    assert asked == [1, 2, 3]


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
    broken = DevicePage(devices=[msgspec.Raw(b'{"id":5}')], meta=PageMeta(total_pages=1, total=1))
    pages, asked = reader(lambda _, n: broken)
    listing = pages.read_all()
    assert not listing.complete
    assert asked == [1]


def test_an_empty_product_is_complete() -> None:
    pages, _ = reader(lambda _, n: page(total_pages=0, total=0))
    listing = pages.read_all()
    assert listing.records == ()
    assert listing.complete


def test_a_meta_of_null_is_no_crash() -> None:
    assert msgspec.json.decode(b'{"devices":[],"meta":null}', type=DevicePage).meta is None


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
