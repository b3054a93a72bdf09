from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.particle.records import DeviceRecord, decode_device, usable_device_id

ID = "e00fce680000000000000001"
FULL = {
    "id": ID,
    "name": "eu-1",
    "platform_id": 13,
    "product_id": 12345,
    "system_firmware_version": "1.5.2",
    "firmware_version": 12,
    "online": True,
    "status": "normal",
    "last_heard": "2026-11-22T08:59:00Z",
    "last_handshake_at": "2026-11-22T01:00:00Z",
    "groups": ["eu"],
    "development": False,
    "desired_firmware_version": None,
    "targeted_firmware_release_version": 12,
    "firmware_updates_enabled": True,
    "firmware_updates_forced": False,
    "modules": None,
    "functions": ["reboot"],
    "variables": {"temperature": "double"},
    "a_field_of_the_future": [[[]]],
}


def read(document: object) -> DeviceRecord:
    decoded = decode_device(json.dumps(document).encode(), "index 0")
    assert decoded.record is not None
    assert decoded.findings == ()
    return decoded.record


def test_every_field_is_read_under_its_own_name() -> None:
    record = read(FULL)
    for name in DeviceRecord.__struct_fields__:
        expected = ("eu",) if name == "groups" else FULL.get(name)
        assert getattr(record, name) == expected


def test_a_field_that_is_missing_is_unknown() -> None:
    record = read({"id": ID})
    assert all(getattr(record, name) is None for name in DeviceRecord.__struct_fields__ if name != "id")


def test_an_id_is_the_same_in_upper_case() -> None:
    assert read({"id": ID.upper()}).id == ID


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("platform_id", "boron"),
        ("platform_id", 12.5),
        ("platform_id", True),
        ("name", 5),
        ("online", "yes"),
        ("online", 1),
        ("groups", "eu"),
        ("groups", ["eu", 5]),
        ("firmware_version", "12"),
        ("development", 0),
        ("last_heard", 1700000000),
    ],
)
def test_a_field_of_a_wrong_type_is_unknown_and_a_finding_and_the_others_stay(name: str, wrong: object) -> None:
    decoded = decode_device(json.dumps({**FULL, name: wrong}).encode(), "index 0")
    assert decoded.record is not None
    assert getattr(decoded.record, name) is None
    assert decoded.record.targeted_firmware_release_version == 12
    [finding] = decoded.findings
    assert ID in finding
    assert name in finding


def test_a_status_of_a_wrong_type_is_not_taken_for_one_that_was_left_out() -> None:
    decoded = decode_device(json.dumps({**FULL, "status": 5}).encode(), "index 0")
    assert decoded.record is not None
    assert decoded.record.status is not None


@pytest.mark.parametrize("document", [None, [], "text", 5, {}, {"id": None}, {"id": 5}, {"id": ""}, {"id": "zz" * 12}])
def test_an_object_without_a_usable_id_is_left_out_with_a_finding(document: object) -> None:
    decoded = decode_device(json.dumps(document).encode(), "page 2, device 7")
    assert decoded.record is None
    [finding] = decoded.findings
    assert finding.startswith("page 2, device 7: left out")


@given(
    st.dictionaries(
        st.sampled_from(sorted(FULL)), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())
    )
)
def test_no_combination_of_types_makes_it_raise(document: dict[str, object]) -> None:
    decoded = decode_device(json.dumps(document).encode(), "index 0")
    assert decoded.record is not None or decoded.findings


@given(st.binary())
def test_no_bytes_make_it_raise(data: bytes) -> None:
    assert decode_device(data, "index 0").record is None


def test_equal_versions_and_groups_are_kept_once() -> None:
    first, second = read(FULL), read({**FULL, "id": ID[:-1] + "2"})
    assert first.system_firmware_version is second.system_firmware_version
    assert first.groups is not None
    assert second.groups is not None
    assert first.groups[0] is second.groups[0]


@pytest.mark.parametrize("text", ["", "e00f", ID + "0", ID[:-1] + "g", ID + "\n", "\u0660" * 24])
def test_what_is_no_device_id_is_none(text: str) -> None:
    assert usable_device_id(text) is None
