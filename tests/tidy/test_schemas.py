"""The published schemas agree with the values, with the contracts' examples and with themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.manifests import ManifestErrors, load_manifests
from reconciler.manifests.schema import MANIFEST_KINDS, SCHEMA_FILES, load_schema
from reconciler.model.console import ChangeKind
from reconciler.model.fleet import Completeness, IfRefused, Order, OverrideMode, Releasing, Via
from reconciler.model.plan import Knowledge, RouteReason
from reconciler.model.platform import PLATFORMS
from reconciler.render.plan_json import plan_document
from tests.manifests.sample import APPROVAL, FLEET, OVERRIDE, POLICY, RELEASE, REMOVED, bent, text
from tests.render.sample_plan import PLAN

SCHEMAS = Path(__file__).parents[2] / "schemas"
FILES = sorted(path.name for path in SCHEMAS.glob("*.json"))
OURS = sorted(SCHEMA_FILES.values())

CONTRACT_FLEET = """\
# yaml-language-server: $schema=../schemas/devicefleet.v1alpha1.schema.json
apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata:
  name: cold-chain-eu
spec:
  product: cold-chain            # Particle product id or slug; left out = the token's own devices
  select:                        # every given line must match; at least one is required
    groups: [eu]                 # any of
    platforms: [boron, b5som]    # any of
    devices: [e00fce68aaaaaaaaaaaaaaaa]      # ids or names
    roster: rosters/eu.txt       # one device id per line, path relative to the manifest
    exclude: {groups: [lab]}
  desired:
    deviceOS: "6.3.4"            # one exact release; a prerelease needs allowPrerelease: true
    completeness: required       # required = system parts at the release, all dependencies met; full = every module as shipped
    application: {release: logger, version: 44}
  delivery:
    via: cloud                   # cloud | usb
    order: device-os-first       # device-os-first | application-first (leave Device OS to the safe mode healer)
    dataPerDevice: 2MiB          # refuse a route that costs more
  rollout:
    waves:
      - {name: canary, size: 5, soak: 24h, maxFailures: 0}
      - {name: early, size: 10%, soak: 12h, approval: required}
      - {name: rest, size: remaining}
    maxConcurrent: 200           # count or percent; 0 holds
    maxFailures: 2%              # over the fleet; reaching it halts
    stepDeadline: 30m
  windows:
    - allow: {days: [mon, tue, wed, thu, fri], start: "02:00", duration: 3h, timeZone: Europe/Berlin}
    - deny: {from: 2026-12-20, until: 2027-01-03, reason: peak season}
  drift: {mode: correct}         # correct | detect
  approval: {required: false}
  limits: {maxTargets: 5000}
  suspend: {reason: "waiting for modem firmware", until: 2026-12-01T00:00:00Z, by: ops}   # or true
"""  # noqa: E501  # as the contracts have it

CONTRACT_DEVICE: dict[str, Any] = {
    "id": "e00fce680000000000000001",
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
}
CONTRACT_SNAPSHOT: dict[str, Any] = {
    "format_version": "1.0",
    "observed_at": "2026-11-22T09:00:00Z",
    "source": "cloud",
    "devices": [CONTRACT_DEVICE],
}

DIGEST = "sha256:" + "0" * 64
COUNTS = {"devices": 1000, "current": 700, "upgrade": 250, "refused": 6, "waiting": 44}
CONTRACT_PLAN: dict[str, Any] = {  # the contract's ellipses filled in
    "format_version": "1.0",
    "tool_version": "0.1.0",
    "plan_id": "plan-main-3f9c1e0b2a",
    "digest": DIGEST,
    "created_at": "2026-11-22T09:00:00Z",
    "expires_at": "2026-11-23T09:00:00Z",
    "complete": True,
    "errored": False,
    "source": {
        "revision": "main@sha1:0123",
        "manifest_digest": DIGEST,
        "catalog_digest": DIGEST,
        "observed_at": "2026-11-22T09:00:00Z",
        "observed_digest": DIGEST,
    },
    "summary": COUNTS,
    "fleets": [
        {
            "name": "cold-chain-eu",
            "desired": {
                "device_os": "6.3.4",
                "completeness": "required",
                "application": {"release": "logger", "version": 44},
            },
            "summary": COUNTS,
            "routes": [
                {
                    "situation": {
                        "platform": "boron",
                        "device_os": "1.5.2",
                        "application": 12,
                        "mode": "normal",
                        "knowledge": "inferred",
                        "modules": {"bootloader/0": 501, "radio_stack/0": 202, "system_part/1": 1512},
                    },
                    "reason": "below_desired_device_os",
                    "hops": ["6.3.4"],
                    "steps": [
                        {
                            "action": "flash",
                            "via": "cloud",
                            "module": {"function": "bootloader", "index": 0, "version": 3200},
                            "device_os": "6.3.4",
                            "bytes": 47000,
                            "sha256": "a" * 64,
                            "boots_into": "normal",
                        },
                        {
                            "action": "flash",
                            "via": "cloud",
                            "module": {"function": "system_part", "index": 1, "version": 6305},
                            "device_os": "6.3.4",
                            "bytes": 520000,
                            "boots_into": "normal",
                        },
                        {
                            "action": "lock_application",
                            "via": "cloud",
                            "application": 44,
                            "bytes": 12000,
                            "boots_into": "normal",
                        },
                    ],
                    "bytes": 579000,
                    "bytes_unknown": 0,
                    "restarts": 3,
                    "safe_mode_boots": 0,
                    "minutes": 6,
                    "devices": ["e00fce680000000000000001"],
                }
            ],
            "refused": [
                {
                    "code": "PFR2001",
                    "reason": "downgrade_refused",
                    "message": "runs 6.4.1, manifest asks 6.3.4",
                    "devices": ["e00fce680000000000000002"],
                }
            ],
            "waiting": [{"code": "PFR2101", "reason": "offline", "message": "offline", "devices": []}],
            "membership": {"joined": [], "left": []},
            "waves": [{"name": "canary", "devices": ["e00fce680000000000000001"]}],
        }
    ],
}


@cache
def schema_of(file: str) -> dict[str, Any]:
    return json.loads((SCHEMAS / file).read_text(encoding="utf-8"))


def parts(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in a schema document, with its path."""
    if isinstance(schema, dict):
        yield path, schema
        for key, inner in schema.items():
            yield from parts(inner, f"{path}/{key}")
    elif isinstance(schema, list):
        for index, inner in enumerate(schema):
            yield from parts(inner, f"{path}/{index}")


def is_valid(name: str, document: Any) -> bool:
    return Draft202012Validator(load_schema(name)).is_valid(document)


@pytest.mark.parametrize("file", FILES)
def test_a_schema_is_valid_2020_12(file: str) -> None:
    Draft202012Validator.check_schema(schema_of(file))
    assert schema_of(file)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("file", FILES)
def test_a_schema_has_an_absolute_id_of_its_own_and_refers_only_to_its_own_definitions(file: str) -> None:
    schema = schema_of(file)
    assert schema["$id"].startswith("https://")
    assert [other for other in FILES if schema_of(other)["$id"] == schema["$id"]] == [file]
    for path, part in parts(schema):
        if isinstance(part.get("$ref"), str):
            assert part["$ref"].removeprefix("#/$defs/") in schema["$defs"], path


@pytest.mark.parametrize("file", FILES)
def test_every_property_of_a_schema_is_described(file: str) -> None:
    schema = schema_of(file)
    for path, part in parts(schema):
        properties = part.get("properties")
        if path.rpartition("/")[2] == "properties" or path.endswith("/if") or not isinstance(properties, dict):
            continue
        for name, inner in properties.items():
            target = schema["$defs"][inner["$ref"].rpartition("/")[2]] if "$ref" in inner else {}
            assert inner.get("description") or target.get("description"), f"{file}#{path}/properties/{name}"


@pytest.mark.parametrize("file", OURS)
def test_every_definition_of_a_schema_is_used(file: str) -> None:
    schema = schema_of(file)
    used = {part["$ref"].rpartition("/")[2] for _, part in parts(schema) if isinstance(part.get("$ref"), str)}
    assert set(schema.get("$defs", ())) == used


@pytest.mark.parametrize("kind", MANIFEST_KINDS)
def test_every_object_of_a_manifest_is_closed(kind: str) -> None:
    for path, part in parts(load_schema(kind)):
        if part.get("type") == "object":
            assert "additionalProperties" in part, path


def test_what_several_schemas_define_under_one_name_is_the_same() -> None:
    seen: dict[str, Any] = {}
    for kind in MANIFEST_KINDS:
        for name, definition in load_schema(kind)["$defs"].items():
            assert seen.setdefault(name, definition) == definition, name


def test_the_choices_of_the_schemas_are_those_of_the_values() -> None:
    fleet = load_schema("DeviceFleet")
    definitions, spec = fleet["$defs"], fleet["properties"]["spec"]["properties"]
    assert definitions["platform"]["enum"] == [name for each in PLATFORMS for name in (each.name, *each.aliases)]
    assert definitions["desired"]["properties"]["completeness"]["enum"] == list(Completeness)
    assert spec["delivery"]["properties"]["via"]["enum"] == list(Via)
    assert spec["delivery"]["properties"]["order"]["enum"] == list(Order)
    assert spec["delivery"]["properties"]["ifRefused"]["enum"] == list(IfRefused)
    assert spec["delivery"]["properties"]["release"]["enum"] == list(Releasing)
    override = load_schema("DeviceOverride")["properties"]["spec"]["properties"]
    assert override["mode"]["enum"] == list(OverrideMode)
    route = load_schema("plan")["$defs"]
    assert set(route["route"]["properties"]["reason"]["enum"]) == set(RouteReason)
    assert set(route["situation"]["properties"]["knowledge"]["enum"]) == set(Knowledge)
    assert route["consoleChange"]["properties"]["kind"]["enum"] == list(ChangeKind)


WINDOW = {"start": "02:00", "duration": "3h"}
BINARY = {"platform": "boron", "source": "product"}


def versions(**binary: Any) -> dict[str, Any]:
    return bent(RELEASE, spec__versions=[{"version": 1, "binaries": [{**BINARY, **binary}]}])


BENT_TO_SHOW_HINTS = [
    bent(FLEET, metadata__name="-x-"),
    bent(FLEET, spec__product="a b"),
    bent(FLEET, spec__select={}),
    bent(FLEET, spec__select__exclude={}),
    bent(FLEET, spec__select__platforms=["borron"]),
    bent(FLEET, spec__desired={}),
    bent(FLEET, spec__desired__deviceOS="1.10"),
    bent(FLEET, spec__desired__application={"release": "a", "version": 70000}),
    bent(FLEET, spec__delivery={"dataPerDevice": "2M"}),
    bent(FLEET, spec__rollout={"stepDeadline": "24"}),
    bent(FLEET, spec__rollout={"maxConcurrent": "ten"}),
    bent(FLEET, spec__rollout={"sendsPerMinute": 0}),
    bent(FLEET, spec__rollout={"waves": [{"name": "a"}]}),
    bent(FLEET, spec__rollout={"waves": [{"name": "a", "size": "most"}]}),
    bent(FLEET, spec__rollout={"waves": [{"name": "a", "select": {}}]}),
    bent(FLEET, spec__rollout={"health": {"events": [{"name": "a b", "within": "1m"}]}}),
    bent(FLEET, spec__rollout={"health": {"vitals": [{"path": "a", "min": 1}]}}),
    bent(FLEET, spec__rollout={"health": {"vitals": [{"path": "a.b"}]}}),
    bent(FLEET, spec__rollout={"health": {"vitals": [{"path": "a.b", "min": "low"}]}}),
    bent(FLEET, spec__rollout={"health": {"checks": [{"name": "a"}]}}),
    bent(FLEET, spec__rollout={"health": {"checks": [{"name": "a", "webhook": "ftp://a"}]}}),
    bent(FLEET, spec__windows=[{}]),
    bent(FLEET, spec__windows=[{"allow": {**WINDOW, "start": "2am"}}]),
    bent(FLEET, spec__windows=[{"deny": {"from": "today", "until": "2026-12-24", "reason": "r"}}]),
    bent(FLEET, spec__limits={"maxTargets": -1}),
    bent(FLEET, spec__suspend="soon"),
    bent(POLICY, spec__rollout=REMOVED, spec__windows=REMOVED),
    bent(OVERRIDE, spec__desired={"deviceOS": "6.3.4"}),
    bent(APPROVAL, spec__planId="3f9c1e0b2a"),
    bent(APPROVAL, spec__digest="3f9c1e0b2a"),
    versions(url="https://example.com/a.bin", sha256="a" * 64),
    versions(source=None),
    bent(
        RELEASE,
        spec__versions=[{"version": 1, "binaries": [{"platform": "boron", "url": "ftp://a/b", "sha256": "A" * 64}]}],
    ),
]


def test_every_hint_of_the_schemas_is_said_to_somebody() -> None:
    hints = {
        part["x-hint"]
        for kind in MANIFEST_KINDS
        for _, part in parts(load_schema(kind))
        if isinstance(part.get("x-hint"), str)
    }
    told = ""
    for manifest in BENT_TO_SHOW_HINTS:
        with pytest.raises(ManifestErrors) as caught:
            load_manifests({"f.yaml": text(manifest)}, {})
        told += str(caught.value)
    assert {hint for hint in hints if hint not in told} == set()


def test_the_contracts_manifest_compiles() -> None:
    (fleet,) = load_manifests({"fleets/eu.yaml": CONTRACT_FLEET}, {"fleets/rosters/eu.txt": "e" * 24}).fleets
    assert fleet.name == "cold-chain-eu"
    assert fleet.select.platforms == frozenset({"boron", "b5som"})
    assert fleet.delivery.bytes_per_device_max == 2 * 1024 * 1024
    assert [wave.name for wave in fleet.rollout.waves] == ["canary", "early", "rest"]
    assert fleet.suspension is not None


@pytest.mark.parametrize(
    "document",
    [CONTRACT_SNAPSHOT, [CONTRACT_DEVICE], {"devices": [CONTRACT_DEVICE], "customers": [], "meta": {"total_pages": 1}}],
    ids=["snapshot", "bare array", "product device list"],
)
def test_the_contracts_snapshots_are_valid(document: Any) -> None:
    assert is_valid("snapshot", document)


def test_a_device_object_may_hold_more_than_we_know() -> None:
    described = {
        "f": "s",
        "n": "1",
        "v": 6305,
        "l": "m",
        "vc": 30,
        "vv": 30,
        "d": [{"f": "b", "n": "0", "v": 1, "_": ""}],
    }
    device = {**CONTRACT_DEVICE, "iccid": "89", "variables": {}, "modules": [described]}
    assert is_valid("snapshot", {**CONTRACT_SNAPSHOT, "devices": [device]})


@pytest.mark.parametrize(
    "document",
    [
        {**CONTRACT_SNAPSHOT, "surprise": 1},
        {key: value for key, value in CONTRACT_SNAPSHOT.items() if key != "observed_at"},
        [{"name": "no id"}],
        {"devices": [{"id": "short"}]},
        {"devices": [{**CONTRACT_DEVICE, "online": "yes"}]},
        {},
    ],
)
def test_what_is_no_snapshot_is_not_valid(document: Any) -> None:
    assert not is_valid("snapshot", document)


def test_the_contracts_plan_is_valid() -> None:
    assert is_valid("plan", CONTRACT_PLAN)


@pytest.mark.parametrize("change", [{"surprise": 1}, {"digest": "sha256:1"}, {"summary": {}}, {"created_at": "now"}])
def test_what_is_no_plan_is_not_valid(change: dict[str, Any]) -> None:
    assert not is_valid("plan", {**CONTRACT_PLAN, **change})


def test_a_flash_step_without_its_module_is_no_step() -> None:
    changed = json.loads(json.dumps(CONTRACT_PLAN))
    del changed["fleets"][0]["routes"][0]["steps"][0]["module"]
    assert not is_valid("plan", changed)


@pytest.mark.parametrize("show_current", [False, True])
def test_a_plan_as_it_is_written_is_valid(show_current: bool) -> None:
    document = plan_document(PLAN, tool_version="0.1.0", show_current=show_current)
    problems = [error.message for error in Draft202012Validator(load_schema("plan")).iter_errors(document)]
    assert problems == []


def test_every_schema_that_the_loader_names_is_published() -> None:
    assert set(OURS) <= set(FILES)
