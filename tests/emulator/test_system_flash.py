"""Whether the cloud takes a Device OS module is not known for sure; a world decides, and that holds (ADR 0021)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.emulator.world import WorldError, load_world
from reconciler.firmware.builder import combine_modules

MEMBER, MARKED, OWN = (f"e00fce68000000000000000{number}" for number in (1, 2, 3))
WORLD = f"""
products: [{{id: 12345, slug: a, platform: boron, firmware: [{{version: 1, deviceOS: "4.0.1"}}]}}]
devices:
  - {{id: {MEMBER}, product: a, platform: boron, deviceOS: "4.0.1", application: 1}}
  - {{id: {MARKED}, product: a, platform: boron, deviceOS: "4.0.1", application: 1, development: true}}
  - {{id: {OWN}, platform: boron, deviceOS: "4.0.1"}}
"""
TAKEN = {
    "directSystemFlash: allowed": {MEMBER, MARKED, OWN},
    "": {MEMBER, MARKED, OWN},
    "directSystemFlash: development-only": {MARKED, OWN},
    "directSystemFlash: refused": set(),
}


@pytest.mark.parametrize("choice", TAKEN)
def test_a_system_module_is_taken_for_these_devices(
    make_bench: Callable[..., Any], module_binary: Callable[..., bytes], choice: str
) -> None:
    bench = make_bench(WORLD + choice)
    binary = module_binary("boron", "4.0.2", "system_part/1")
    answers = {device: bench.flash(device, binary) for device in (MEMBER, MARKED, OWN)}
    assert {device for device, answer in answers.items() if answer.status == 200} == TAKEN[choice]
    for device in answers.keys() - TAKEN[choice]:
        assert answers[device].status == 400
        document = json.loads(answers[device].body)
        assert (document["ok"], document["error"]) == (False, "Firmware update refused")
    bench.advance(600)
    arrived = {device for device in answers if bench.version(device, "system_part/1") == 4006}
    assert arrived == TAKEN[choice]
    assert {device for device in answers if bench.device(device).transfers} == TAKEN[choice]


@pytest.mark.parametrize("choice", TAKEN)
def test_an_application_is_taken_for_every_device(
    make_bench: Callable[..., Any], application_binary: Callable[..., bytes], choice: str
) -> None:
    bench = make_bench(WORLD + choice)
    for device, product in ((MEMBER, 12345), (MARKED, 12345), (OWN, 13)):
        assert bench.flash(device, application_binary("boron", "4.0.1", (product, 9))).status == 200


def test_a_system_part_does_not_slip_in_with_an_application(
    make_bench: Callable[..., Any], module_binary: Callable[..., bytes], application_binary: Callable[..., bytes]
) -> None:
    bench = make_bench(WORLD + "directSystemFlash: refused")
    application = application_binary("boron", "4.0.2", (12345, 9))
    assert (
        bench.flash(MEMBER, combine_modules([module_binary("boron", "4.0.2", "system_part/1"), application])).status
        == 400
    )


def test_the_cloud_itself_brings_a_system_part_wherever_an_application_needs_it(
    make_bench: Callable[..., Any],
) -> None:
    world = WORLD.replace(
        '{version: 1, deviceOS: "4.0.1"}', '{version: 1, deviceOS: "4.0.1"}, {version: 2, deviceOS: "6.3.4"}'
    )
    bench = make_bench(world + "directSystemFlash: refused")
    bench.lock(MEMBER, 2)
    bench.advance(3600)
    assert bench.look(MEMBER)["system_firmware_version"] == "6.3.4"


def test_a_person_who_takes_the_mark_away_closes_the_door(
    make_bench: Callable[..., Any], module_binary: Callable[..., bytes]
) -> None:
    bench = make_bench(WORLD + "directSystemFlash: development-only")
    bench.call("PUT", bench.path(MARKED), {"development": False})
    assert bench.flash(MARKED, module_binary("boron", "4.0.2", "system_part/1")).status == 400


def test_a_choice_that_does_not_exist_is_refused() -> None:
    with pytest.raises(WorldError, match="directSystemFlash"):
        load_world(WORLD + "directSystemFlash: perhaps")
