"""Every `*.yaml` beside this file is a case: manifests, devices as the API shows them, and what the plan must say.

- `about`: the rule that the case shows, and where it stands.
- `manifests`: the specs of fleets by name; `product` is 12345 unless the case says something else.
- `observed`: device objects in the words of the Particle API. What is left out: online, normal, product 12345.
- `catalog`: releases that the known catalog does not have, in the format of the contract; optional.
- `expected`: for every fleet the lines of its plan. A route is a line of steps, each with the release of its hop.
- `waves`: for every fleet the devices of its waves in their order, and `findings` what a person is told; optional.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.firmware.assembly import extended
from reconciler.firmware.document import catalog_from_document
from reconciler.firmware.known import known_catalog
from reconciler.inventory.snapshot import observation_from_document
from reconciler.manifests import load_manifests
from reconciler.model.device import DeviceId, DeviceMode
from reconciler.model.instant import Instant
from reconciler.model.plan import FleetPlan, Plan
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step
from reconciler.planning.planner import plan_fleets

CASES = sorted(Path(__file__).parent.glob("*.yaml"))
NOW = Instant(1_795_338_000.0)  # 2026-11-22T09:00:00Z
CASES_MIN = 20


def read(path: Path) -> dict[str, Any]:
    case = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(case, dict)
    return case


def planned(case: Mapping[str, Any]) -> Plan:
    catalog = known_catalog()
    if "catalog" in case:
        catalog = extended(catalog, catalog_from_document({"format_version": "1.0", "stations": [], **case["catalog"]}))
    known = {release.version.text for release in catalog.all_releases}
    fleets = load_manifests({"case.yaml": manifests(case["manifests"])}, {}, also_known=known)
    document = {"format_version": "1.0", "source": "cloud", "devices": [api_object(each) for each in case["observed"]]}
    observation = observation_from_document(json.dumps(document).encode(), read_at=NOW)
    assert observation.findings == ()
    return plan_fleets(fleets, observation, catalog, now=NOW)


def manifests(specs: Mapping[str, Mapping[str, Any]]) -> str:
    """The manifests of a case as one text of YAML (every JSON document is one)."""
    documents = []
    for name, spec in specs.items():
        kind = spec.get("kind", "DeviceFleet")
        body = {key: value for key, value in spec.items() if key != "kind"}
        if kind == "DeviceFleet":
            body = {"product": "12345", "select": {"groups": ["all"]}, **body}
        head = {"apiVersion": "fleet.reconciler.dev/v1alpha1", "kind": kind, "metadata": {"name": name}}
        documents.append(json.dumps({**head, "spec": {key: value for key, value in body.items() if value is not None}}))
    return "\n---\n".join(documents)


def api_object(device: Mapping[str, Any]) -> dict[str, Any]:
    known = {"product_id": 12345, "online": True, "status": "normal", "groups": ["all"], "firmware_version": 12}
    return {**known, **device}


def outline(plan: Plan, names: Mapping[DeviceId, str]) -> dict[str, list[str]]:
    return {of_fleet.fleet.name: list(lines(of_fleet, names)) for of_fleet in plan.fleets}


def lines(plan: FleetPlan, names: Mapping[DeviceId, str]) -> list[str]:
    def devices(ids: tuple[DeviceId, ...]) -> str:
        return ", ".join(sorted(names[each] for each in ids))

    found = [f"{devices(plan.current)}: current"] if plan.current else []
    found += [f"{devices(r.devices)}: {' -> '.join(map(in_words, r.steps))}" for r in plan.routes]
    found += [f"{devices(r.devices)}: refused {r.reason.reason}: {r.message}" for r in plan.refused]
    found += [f"{devices(w.devices)}: waiting {w.reason.reason}" for w in plan.waiting]
    return sorted(found)


def in_words(step: Step) -> str:
    match step:
        case FlashModule():
            dark = " (safe mode)" if step.boots_into is DeviceMode.SAFE_MODE else ""
            return f"{step.device_os} {step.module}{dark}"
        case LockApplication():
            return f"lock to application {step.application}"
        case FlashApplication():
            return f"flash application {step.application}"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_plan_says_what_a_field_engineer_expects(path: Path) -> None:
    case = read(path)
    names = {DeviceId(device["id"]): device["name"] for device in case["observed"]}
    expected = {of_fleet: sorted(said) for of_fleet, said in case["expected"].items()}
    assert outline(planned(case), names) == expected


@pytest.mark.parametrize("path", [path for path in CASES if "waves" in read(path)], ids=lambda path: path.stem)
def test_the_waves_are_those_that_a_field_engineer_expects(path: Path) -> None:
    case = read(path)
    names = {DeviceId(device["id"]): device["name"] for device in case["observed"]}
    plan = planned(case)
    found = {
        of_fleet.fleet.name: [
            f"{wave.name}: {', '.join(sorted(names[each] for each in wave.devices)) or 'nobody'}"
            for wave in of_fleet.waves
        ]
        for of_fleet in plan.fleets
    }
    assert found == case["waves"]
    assert list(plan.findings) == case.get("findings", [])


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_case_says_what_it_is_about(path: Path) -> None:
    assert len(read(path)["about"]) > 20


def test_there_are_cases_for_every_family_of_platforms() -> None:
    seen = {device.get("platform_id") for path in CASES for device in read(path)["observed"]}
    assert {6, 8, 10, 12, 13, 26, 28, 32, 35} <= seen
    assert len(CASES) >= CASES_MIN
