"""People in the console: what they change, that it shows whose doing it was, and that no client is blamed for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.emulator.faults import PERSON_FAULTS
from tests.emulator.test_referee_laws import PERSON, falling

ONE = "e00fce680000000000000001"
PRODUCT = 12345


def person_marks(bench: Any) -> list[str]:
    return [entry.detail for entry in bench.device(ONE).history if entry.moment == "marked" and entry.by_person]


def intentions(bench: Any) -> tuple[object, ...]:
    device, product = bench.device(ONE), bench.cloud.state.products[PRODUCT]
    return (device.locked, device.groups, device.development, product.default, tuple(product.releases.items()))


@pytest.mark.parametrize("fault", PERSON_FAULTS)
def test_a_person_acts_after_a_request_about_the_device(bench: Any, fault: str) -> None:
    before = intentions(bench)
    bench.fault(fault, count=1)
    shown = bench.look(ONE)
    assert (shown["desired_firmware_version"], shown["groups"], shown["development"]) == (None, ["eu"], False)
    assert intentions(bench) != before
    (act,) = bench.get("/_emulator/acts")
    assert (act["fault"], act["device"], act["product_id"]) == (fault, ONE, PRODUCT)
    assert person_marks(bench) == [f"a person in the console {act['words']}"]


@pytest.mark.parametrize("fault", PERSON_FAULTS)
def test_a_person_acts_within_the_hour_without_any_request(bench: Any, fault: str) -> None:
    before = intentions(bench)
    bench.fault(fault, count=1)
    bench.advance(3500)
    assert intentions(bench) == before
    bench.advance(200)
    assert intentions(bench) != before
    assert len(bench.cloud.acts) == 1


def test_a_person_who_is_gone_does_nothing_more(bench: Any) -> None:
    bench.fault("person-changes-lock")
    bench.advance(4000)
    acts = len(bench.cloud.acts)
    assert acts > 0
    bench.fault("person-changes-lock", rate=0)
    bench.advance(86_400)
    bench.look(ONE)
    assert len(bench.cloud.acts) == acts
    assert bench.cloud.next_at is not None


def test_a_person_acts_at_the_rate_that_is_ordered(bench: Any) -> None:
    bench.fault("person-marks-development", rate=0.25)
    bench.advance(400 * 3600)
    assert 60 < len(bench.cloud.acts) < 140


def test_a_lock_of_a_person_is_known_as_one_and_delivered_as_one(bench: Any) -> None:
    bench.fault("person-changes-lock", count=1)
    bench.look(ONE)
    device = bench.device(ONE)
    assert device.locked_by_person
    device.locked = 2
    bench.advance(8 * 86_400)
    installed = [(entry.cause, entry.by_person) for entry in device.history if entry.moment == "installed"]
    assert set(installed) == {(None, True)}
    assert device.application_version == 2


def test_no_client_is_blamed_for_what_a_person_lowered(make_bench: Callable[..., Any]) -> None:
    for seed in range(8):
        bench = make_bench(
            """
products: [{id: 12345, slug: a, platform: boron, groups: [eu], firmware: [{version: 1, deviceOS: "1.5.2"},
            {version: 2, deviceOS: "2.0.1"}, {version: 3, deviceOS: "2.0.1"}], default: 1}]
devices: [{id: e00fce680000000000000001, product: a, platform: boron, deviceOS: "2.0.1", application: 1, groups: [eu]}]
""",
            seed=seed,
        )
        bench.lock(ONE, 3)
        bench.advance(120)
        for fault in ("person-changes-lock", "person-changes-release"):
            bench.fault(fault, rate=0.5)
        bench.advance(20 * 86_400)
        entries = [entry for entry in bench.device(ONE).history if entry.moment == "installed"]
        assert any(entry.application_after < entry.application_before for entry in entries), "a person lowered it"
        assert bench.laws() == []


def test_a_client_is_blamed_for_what_it_lowers_after_a_person(bench: Any) -> None:
    bench.lock(ONE, 2)
    bench.advance(120)
    bench.fault("person-changes-groups", count=1)
    bench.look(ONE)
    bench.lock(ONE, 1)
    bench.advance(120)
    assert bench.device(ONE).application_version == 1
    assert "S1" in bench.laws()


@pytest.mark.parametrize(("by_request", "in_the_console", "laws"), [(2, None, []), (None, 2, ["S9"])])
def test_a_persons_lock_is_what_the_console_made_of_it_last(
    make_bench: Callable[..., Any], by_request: int | None, in_the_console: int | None, laws: list[str]
) -> None:
    for seed in range(20):
        bench = make_bench(falling(), seed=seed)
        bench.call("PUT", bench.path(ONE), {"desired_firmware_version": by_request}, token=PERSON)
        bench.fault("person-changes-lock", count=1)
        bench.look(ONE)
        if bench.device(ONE).locked == in_the_console:
            break
    bench.look(ONE)
    bench.lock(ONE, 3, flash=False)
    assert bench.laws() == laws


def test_people_act_by_the_seed(make_bench: Callable[..., Any]) -> None:
    text = """
products: [{id: 12345, slug: a, platform: boron, groups: [x, y], firmware: [{version: 1, deviceOS: "1.5.2"},
            {version: 2, deviceOS: "2.0.1"}]}]
devices: [{count: 20, product: a, platform: boron, deviceOS: "2.0.1", application: 1, groups: [x]}]
"""

    def acts(seed: int) -> list[Any]:
        bench = make_bench(text, seed=seed)
        for fault in PERSON_FAULTS:
            bench.fault(fault, rate=0.3)
        bench.advance(5 * 86_400)
        return [act.document() for act in bench.cloud.acts]

    assert acts(1) == acts(1)
    assert acts(1) != acts(2)
    assert len(acts(1)) > 20
