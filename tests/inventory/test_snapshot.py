from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.inventory.snapshot import (
    SnapshotError,
    SnapshotInventory,
    document_from_observation,
    observation_from_document,
)
from reconciler.model.device import DeviceId, DeviceMode, HeldApplication, Observation, ObservedDevice, Product
from reconciler.model.instant import Instant, instant_from_iso
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot

READ_AT = Instant(1_800_000_000.0)
ONE, TWO = "e00fce680000000000000001", "e00fce680000000000000002"
DEVICE = {"id": ONE, "platform_id": 13, "system_firmware_version": "1.5.2", "online": True, "status": "normal"}
SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "snapshot.v1.schema.json").read_text(encoding="utf-8"))


def read(document: object) -> Observation:
    return observation_from_document(json.dumps(document).encode(), read_at=READ_AT)


def failure(content: object) -> SnapshotError:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(SnapshotError) as caught:
        observation_from_document(data, name="fleet.json", read_at=READ_AT)
    assert "fleet.json" in caught.value.message
    assert caught.value.next_step
    return caught.value


@pytest.mark.parametrize(
    "document",
    [
        {"format_version": "1.0", "observed_at": "2026-11-22T09:00:00Z", "source": "cloud", "devices": [DEVICE]},
        {"devices": [DEVICE], "customers": [], "meta": {"total_pages": 1}},
        [DEVICE],
    ],
)
def test_a_snapshot_an_answer_of_the_api_and_a_bare_array_are_all_read(document: object) -> None:
    [device] = read(document).devices
    assert (device.id, device.platform_id, device.device_os) == (ONE, 13, "1.5.2")
    assert (device.online, device.mode) == (True, DeviceMode.NORMAL)


def test_the_time_of_the_observation_is_that_of_the_document() -> None:
    observation = read({"observed_at": "2026-11-22T09:00:00Z", "devices": [DEVICE]})
    assert observation.observed_at == observation.devices[0].observed_at == instant_from_iso("2026-11-22T09:00:00Z")
    assert read([DEVICE]).observed_at == READ_AT


def test_devices_are_in_the_order_of_their_ids() -> None:
    assert [device.id for device in read([{"id": TWO}, {"id": ONE}]).devices] == [ONE, TWO]


def test_a_byte_order_mark_is_passed_over() -> None:
    content = b"\xef\xbb\xbf" + json.dumps([DEVICE]).encode()
    assert len(observation_from_document(content, read_at=READ_AT).devices) == 1


def test_reported_modules_come_from_the_describes_own_list() -> None:
    entry = {"l": "m", "f": "b", "n": "0", "v": 1101, "d": []}
    [device] = read([{**DEVICE, "status": "safe_mode", "modules": [entry]}]).devices
    assert device.mode is DeviceMode.SAFE_MODE
    assert device.modules == (Module(slot=ModuleSlot(ModuleFunction.BOOTLOADER, 0), version=1101),)


@pytest.mark.parametrize(("modules", "expected"), [(None, None), ([], ()), ("?", ()), ([5], ())])
def test_modules_that_are_not_reported_or_cannot_be_read_are_not_guessed(modules: object, expected: object) -> None:
    [device] = read([{**DEVICE, "modules": modules}]).devices
    assert device.modules == expected


@pytest.mark.parametrize(
    ("status", "mode"),
    [
        ("normal", DeviceMode.NORMAL),
        ("safe_mode", DeviceMode.SAFE_MODE),
        (None, DeviceMode.NORMAL),
        ("asleep", None),
        (5, None),
    ],
)
def test_a_status_that_we_do_not_know_is_no_mode(status: object, mode: DeviceMode | None) -> None:
    assert read([{**DEVICE, "status": status}]).devices[0].mode is mode


def test_a_field_of_a_wrong_type_is_a_finding_and_unknown() -> None:
    observation = read([{**DEVICE, "platform_id": "boron"}])
    assert observation.devices[0].platform_id is None
    assert any(ONE in finding and "platform_id" in finding for finding in observation.findings)


def test_a_time_that_is_none_is_a_finding_and_unknown() -> None:
    observation = read([{**DEVICE, "last_handshake_at": "yesterday"}])
    assert observation.devices[0].last_handshake_at is None
    assert len(observation.findings) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"not json", b"[1,", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_said_to_be_none(content: bytes) -> None:
    assert failure(content).code == "PFR6301"


@pytest.mark.parametrize(
    "document", [5, "text", None, {}, {"devices": {}}, {"devices": None}, {"devices": [], "observed_at": 5}]
)
def test_json_of_another_shape_is_said_to_be_of_another_shape(document: object) -> None:
    assert failure(document).code == "PFR6302"


def test_another_major_version_is_refused() -> None:
    assert failure({"format_version": "2.0", "devices": []}).code == "PFR6303"


@pytest.mark.parametrize("element", [5, None, "x", {}, {"id": "zz"}, {"id": 5}, []])
def test_an_element_that_is_no_device_is_named_by_its_index(element: object) -> None:
    error = failure([DEVICE, element])
    assert error.code == "PFR6304"
    assert "index 1" in error.message


def test_a_device_that_is_there_twice_is_named_by_its_id() -> None:
    error = failure([DEVICE, {"id": TWO}, {"id": ONE.upper()}])
    assert error.code == "PFR6305"
    assert ONE in error.message
    assert "index 0" in error.message
    assert "index 2" in error.message


def test_a_time_of_observation_that_is_none_is_refused() -> None:
    assert failure({"observed_at": "yesterday", "devices": []}).code == "PFR6306"


slots = st.builds(
    ModuleSlot, st.sampled_from([f for f in ModuleFunction if f is not ModuleFunction.NONE]), st.integers(0, 255)
)
versions = st.integers(0, 65535)
modules = st.builds(
    Module, slot=slots, version=versions, first_dependency=st.none() | st.builds(Dependency, slots, versions)
)
instants = st.integers(0, 4_000_000_000_000).map(lambda n: Instant(n / 1000))
numbers = st.none() | st.integers(0, 100_000)
flags = st.none() | st.booleans()
devices = st.builds(
    ObservedDevice,
    id=st.from_regex(r"[0-9a-f]{24}", fullmatch=True).map(DeviceId),
    name=st.none() | st.text(),
    platform_id=numbers,
    product_id=numbers,
    device_os=st.none() | st.text(min_size=1),
    application=numbers,
    online=st.booleans(),
    mode=st.sampled_from([None, *DeviceMode]),
    last_heard_at=st.none() | instants,
    last_handshake_at=st.none() | instants,
    groups=st.lists(st.text()).map(tuple),
    development=st.booleans(),
    quarantined=st.booleans(),
    desired_application=numbers,
    targeted_application=numbers,
    updates_enabled=flags,
    updates_forced=flags,
    modules=st.none()
    | st.lists(modules, unique_by=lambda m: m.slot).map(lambda found: tuple(sorted(found, key=lambda m: m.slot))),
    observed_at=st.just(READ_AT),
)
HOLDS = st.none() | st.lists(
    st.builds(
        HeldApplication,
        version=st.integers(0, 65_535),
        groups=st.lists(st.text()).map(tuple),
        product_default=st.booleans(),
        sha256=st.sampled_from([None, "ab" * 32]),
    )
).map(tuple)
observations = st.builds(
    Observation,
    observed_at=st.just(READ_AT),
    source=st.sampled_from(["cloud", "usb", "snapshot"]),
    devices=st.lists(devices, unique_by=lambda d: d.id, max_size=4).map(lambda f: tuple(sorted(f, key=lambda d: d.id))),
    complete=st.booleans(),
    findings=st.lists(st.text()).map(tuple),
    products=st.lists(st.builds(Product, id=st.integers(0, 99_999), slug=st.text(), holds=HOLDS)).map(tuple),
)


@given(observations)
def test_an_observation_survives_being_written_and_read(observation: Observation) -> None:
    assert observation_from_document(document_from_observation(observation), read_at=Instant(0.0)) == observation


@given(observations)
def test_what_is_written_follows_the_published_schema(observation: Observation) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(document_from_observation(observation)))


def test_every_device_is_one_line() -> None:
    text = document_from_observation(read([DEVICE, {"id": TWO}])).decode()
    assert [line.count('"id"') for line in text.splitlines()] == [0, 0, 1, 1]
    assert text.endswith("]}\n")


def test_an_empty_fleet_is_a_snapshot_too() -> None:
    empty = Observation(observed_at=READ_AT, source="cloud", devices=())
    assert observation_from_document(document_from_observation(empty), read_at=READ_AT) == empty


def test_a_snapshot_shows_single_devices() -> None:
    inventory = SnapshotInventory(read([DEVICE]))
    assert inventory.observe_device(DeviceId(ONE)) == inventory.observe().devices[0]
    assert inventory.observe_device(DeviceId(TWO)) is None
