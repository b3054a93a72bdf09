"""A snapshot read in pieces gives the census that reading it as a whole gives, or leaves it to that reader."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.inventory.snapshot import SnapshotError, observation_from_document
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
            "development": st.booleans(),
            "quarantined": st.booleans(),
            "desired_firmware_version": st.integers(1, 2),
            "targeted_firmware_release_version": st.integers(1, 2),
            "firmware_updates_enabled": st.booleans(),
            "firmware_updates_forced": st.booleans(),
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
    """Whether planning sees no difference: the device that stands for a kind may be another one of it."""

    def kinds(census: Census) -> list[tuple[object, ...]]:
        return [(tuple(kind.ids), kind.marks, repr(kind_key(kind.device))) for kind in census.kinds]

    return kinds(one) == kinds(other) and replace(one, kinds=()) == replace(other, kinds=())


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


ONE, TWO = "e00fce680000000000000001", "e00fce680000000000000002"
DEVICE = f'{{"id": "{ONE}", "platform_id": 13, "last_heard": "2026-11-22T08:59:00.5Z"}}'
OTHER = f'{{"id": "{TWO}", "platform_id": 6}}'


@pytest.mark.parametrize("piece_bytes", [40, 4000])
@pytest.mark.parametrize(
    "text",
    [
        f'{{"devices": [{DEVICE}], "complete": false, "findings": ["f"]}}',
        f'{{"format_version": null, "observed_at": null, "source": null, "devices": [{DEVICE}]}}',
        f'{{"source": "cloud", "devices": [{DEVICE}], "source": null}}',
        f'{{"source": "cloud", "devices": [{DEVICE}], "source": ""}}',
        f'{{"format_version": "2.0", "devices": [{DEVICE}], "format_version": null}}',
        f'{{"complete": false, "devices": [{DEVICE}], "complete": true}}',
        f'{{"devices": [{DEVICE}], "x": [], "devices": [{OTHER}]}}',
        f'{{"devices": [{DEVICE}], "x": [], "dev\\u0069ces": [{OTHER}]}}',
        f'{{"dev\\u0069ces": [{DEVICE}], "x": [], "devices": [{OTHER}]}}',
        f'{{"meta": {{"devices": [{DEVICE}]}}, "devices": [{OTHER}]}}',
        f"[{DEVICE}, {OTHER}]",
        f"[{OTHER}, {DEVICE}]",
        f" \t\r\n[{DEVICE}]",
        f"[{DEVICE.replace('Z', 'z')}]",
    ],
)
def test_a_readable_snapshot_is_the_same_in_pieces_or_left_to_the_other_reader(text: str, piece_bytes: int) -> None:
    census = in_pieces(text.encode(), piece_bytes)
    assert census is None or same(census, as_a_whole(text.encode()))


@settings(max_examples=300)
@given(
    st.from_regex(
        r"(20\d\d-[01]\d-[0-3]\d|20\d{6}|2026-W\d\d-\d)[Tt _]?[0-2]\d:?[0-6]\d(:?[0-6]\d([.,]\d{0,9})?)?"
        r"([Zz]|[+-][0-2]\d:?[0-6]\d|[+-]\d\d)?",
        fullmatch=True,
    )
)
def test_a_time_of_any_spelling_is_read_by_both_or_found_by_both(text: str) -> None:
    content = json.dumps([{"id": ONE, "last_handshake_at": text}]).encode()
    census = in_pieces(content, 4000)
    assert census is None or same(census, as_a_whole(content))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("last_heard", "not a time"),
        ("last_heard", ""),
        ("last_handshake_at", "2026-02-30T09:00:00Z"),
        ("last_handshake_at", 5),
        ("name", 5),
        ("targeted_firmware_release_version", "x"),
    ],
)
def test_a_finding_is_lost_by_neither_reader(field: str, value: object) -> None:
    content = json.dumps([{"id": ONE, field: value}]).encode()
    assert as_a_whole(content).findings
    assert in_pieces(content, 4000) is None


@pytest.mark.parametrize(
    "content",
    [
        b'{"format_version": "1", "devices": []}',
        b'{"format_version": "", "devices": []}',
        b'{"observed_at": "", "devices": []}',
        b'{"devices": [], "complete": null}',
        b'{"devices": [], "findings": null}',
        b'{"products": null, "devices": []}',
        b'{"devices": [], "observed_at": "2026-11-22T09:00:00Z", "observed_at": "never"}',
        f'[{{"id": "{ONE} {TWO}"}}]'.encode(),
        b"\x0b[]",
        b"\x0c[]",
        f"[{DEVICE}\x0b, {OTHER}]".encode(),
        f"[{DEVICE},\x0c{OTHER}]".encode(),
        f"[{DEVICE}, {OTHER}],".encode(),
        f"[{DEVICE} {OTHER}]".encode(),
        b'{"devices": [], "devices": null}',
    ],
)
@pytest.mark.parametrize("piece_bytes", [40, 90, 130, 4000])
def test_what_the_other_reader_refuses_is_not_read_in_pieces(content: bytes, piece_bytes: int) -> None:
    with pytest.raises(SnapshotError):
        observation_from_document(content, read_at=READ_AT)
    assert in_pieces(content, piece_bytes) is None


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
