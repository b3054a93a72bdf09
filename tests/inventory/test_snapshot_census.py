"""A snapshot read in pieces gives the census that reading it as a whole gives, or leaves it to that reader."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.inventory.snapshot import observation_from_document
from reconciler.inventory.snapshot_census import census_from_snapshot
from reconciler.model.census import Census
from reconciler.model.fleet import FleetSet
from reconciler.model.instant import Instant
from reconciler.planning.census import census_digest, census_of, kind_key
from reconciler.planning.naming import Naming

READ_AT = Instant(1_700_000_000.0)
NOBODY = Naming(FleetSet(fleets=()))

strange_text = st.sampled_from(["", "a", "},{", '"}, {"id": "x"}', "]}", "\\", "\u2028", "{{{{"]) | st.text(max_size=8)
devices = st.lists(
    st.fixed_dictionaries(
        {
            "platform_id": st.sampled_from([6, 10, 13, 999]),
            "name": strange_text,
            "system_firmware_version": st.sampled_from(["1.5.2", "6.3.4", None, "strange},{"]),
        },
        optional={
            "product_id": st.sampled_from([13, 12345]),
            "firmware_version": st.integers(0, 3),
            "online": st.sampled_from([True, False, None]),
            "connected": st.booleans(),
            "status": st.sampled_from(["normal", "safe_mode", "odd"]),
            "groups": st.lists(st.sampled_from(["eu", "us"]), max_size=2),
            "variables": st.dictionaries(strange_text, st.sampled_from([{}, {"a": [{}, {}]}, 1]), max_size=2),
            "modules": st.sampled_from([None, [], [{"f": "s", "n": "1", "v": 1512, "l": "m", "d": []}]]),
            "last_heard": st.sampled_from(["2026-11-22T08:59:00Z", "not a time", None]),
        },
    ),
    max_size=12,
)


def with_ids(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": f"e00fce68{number:016x}", **each} for number, each in enumerate(objects)]


def in_pieces(content: bytes, piece_bytes: int) -> Census | None:
    return census_from_snapshot(io.BytesIO(content), None, read_at=READ_AT, piece_bytes=piece_bytes)


def as_a_whole(content: bytes) -> Census:
    return census_of(observation_from_document(content, read_at=READ_AT), NOBODY)


def same(one: Census, other: Census) -> bool:
    def plain(census: Census) -> list[tuple[object, ...]]:
        return sorted((tuple(kind.ids), kind.marks, repr(kind_key(kind.device))) for kind in census.kinds)

    return plain(one) == plain(other) and one.observed_at == other.observed_at and one.products == other.products


@settings(max_examples=300, deadline=None)
@given(devices, st.integers(40, 4000), st.sampled_from([None, 1]), st.sampled_from(["object", "tail", "bare"]))
def test_pieces_of_any_size_give_the_census_of_the_whole(
    objects: list[dict[str, Any]], piece_bytes: int, indent: int | None, shape: str
) -> None:
    members = with_ids(objects)
    products = [{"id": 12345, "slug": "cold-chain"}]
    document: Any = {"format_version": "1.0", "observed_at": "2026-11-22T09:00:00Z", "products": products}
    match shape:
        case "object":
            document = {**document, "devices": members}
        case "tail":
            document = {"devices": members, **document}
        case _:
            document = members
    content = json.dumps(document, indent=indent).encode()
    census = in_pieces(content, piece_bytes)
    assert census is None or same(census, as_a_whole(content))


def test_an_ordinary_snapshot_is_read_in_pieces() -> None:
    members = with_ids([{"platform_id": 13, "system_firmware_version": "1.5.2", "online": True}] * 500)
    content = json.dumps({"observed_at": "2026-11-22T09:00:00Z", "devices": members}).encode()
    census = in_pieces(content, 2000)
    assert census is not None
    assert [len(kind.ids) for kind in census.kinds] == [500]
    assert census_digest(census) == census_digest(as_a_whole(content))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[",
        b"null",
        b'{"devices": 1}',
        b'{"devices": [{"id": 1}]}',
        b'{"devices": [{"id": "E00FCE680000000000000001"}]}',
        b'[{"id": "e00fce680000000000000001"}, {"id": "e00fce680000000000000001"}]',
        b'{"format_version": "2.0", "devices": []}',
        b'{"observed_at": "yesterday", "devices": []}',
        b'{"devices": [{"id": "e00fce680000000000000001", "platform_id": "boron"}]}',
        b'{"devices": []} and more',
        b"\xff\xfe",
    ],
)
def test_what_is_unusual_is_left_to_the_reader_of_whole_snapshots(content: bytes) -> None:
    assert in_pieces(content, 64) is None


def test_devices_that_manifests_name_are_kinds_of_their_own() -> None:
    members = with_ids([{"platform_id": 13, "system_firmware_version": "1.5.2", "name": f"eu-{n}"} for n in range(3)])
    content = json.dumps(members).encode()

    def marks(device_id: str, name: str | None) -> int:
        return int(name == "eu-1") | (int(device_id == members[2]["id"]) << 1)

    census = census_from_snapshot(io.BytesIO(content), marks, read_at=READ_AT)
    assert census is not None
    assert sorted((kind.marks, list(kind.ids)) for kind in census.kinds) == [
        (0, [members[0]["id"]]),
        (1, [members[1]["id"]]),
        (2, [members[2]["id"]]),
    ]
