from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.firmware.catalog import Catalog
from reconciler.firmware.known import known_catalog
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.planning.planner import PLAN_VALID_SECONDS
from reconciler.render.plan_json import content_digest_of, digest_of, plan_document, plan_id_of, plan_json
from reconciler.render.plan_reading import plan_from_document, read_plan
from tests.render.sample_plan import COLD_CHAIN_PLAN, NOW, PLAN

DOCUMENT = plan_document(PLAN, tool_version="0.1.0")


def refused_code(document: Any, *, catalog: Catalog | None = None, now: Instant = NOW) -> str:
    with pytest.raises(OperatorError) as caught:
        plan_from_document(document, catalog or known_catalog(), now=now)
    assert caught.value.next_step
    return caught.value.code


def changed(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """The document with a change and a digest that fits it."""
    document = json.loads(plan_json(DOCUMENT))
    change(document)
    document["content_digest"] = content_digest_of(document)
    document["digest"] = digest_of(document)
    document["plan_id"] = plan_id_of(document["source"]["revision"], document["digest"])
    return document  # type: ignore[no-any-return]  # json.loads


def test_a_saved_plan_holds_the_very_steps_of_every_device() -> None:
    saved = read_plan(plan_json(DOCUMENT), known_catalog(), now=NOW)
    routes = [route for fleet in PLAN.fleets for route in fleet.routes]
    assert {device: saved.by_device[device].steps for device in saved.by_device} == {
        device: route.steps for route in routes for device in route.devices
    }


def test_a_saved_plan_holds_its_fleets_source_and_times() -> None:
    saved = read_plan(plan_json(DOCUMENT), known_catalog(), now=NOW)
    assert list(saved.intents) == ["cold-chain-eu", "workshop"]
    assert saved.intents == {fleet.fleet.name: fleet.fleet.desired.intent for fleet in PLAN.fleets}
    assert saved.by_device[COLD_CHAIN_PLAN.routes[0].devices[0]].fleet == "cold-chain-eu"
    assert (saved.source, saved.complete) == (PLAN.source, PLAN.complete)
    assert (saved.created_at, saved.expires_at) == (PLAN.created_at, PLAN.expires_at)
    assert (saved.plan_id, saved.digest) == (DOCUMENT["plan_id"], DOCUMENT["digest"])


def test_a_plan_saved_with_its_current_devices_is_read_as_well() -> None:
    document = plan_document(PLAN, tool_version="0.1.0", show_current=True)
    assert plan_from_document(document, known_catalog(), now=NOW).plan_id == document["plan_id"]


def test_a_text_that_is_no_json_is_refused() -> None:
    for text in ("", "{", "<html>", "[" * 100_000):
        with pytest.raises(OperatorError, match="PFR6401"):
            read_plan(text, known_catalog(), now=NOW)


def test_another_major_format_is_refused_and_a_later_minor_one_is_read() -> None:
    assert refused_code(changed(lambda document: document.update(format_version="2.0"))) == "PFR6402"
    later = changed(lambda document: document.update(format_version="1.7"))
    assert plan_from_document(later, known_catalog(), now=NOW).routes


def test_an_edited_plan_is_refused() -> None:
    edited = json.loads(plan_json(DOCUMENT))
    edited["fleets"][0]["routes"][0]["devices"][0] = "e00fce68ffffffffffffffff"
    assert refused_code(edited) == "PFR6403"


def test_a_plan_with_another_plans_id_is_refused() -> None:
    assert refused_code({**DOCUMENT, "plan_id": "plan-main-0000000000"}) == "PFR6403"


def test_a_plan_is_refused_from_the_second_it_expires() -> None:
    assert refused_code(DOCUMENT, now=PLAN.expires_at) == "PFR6404"
    assert plan_from_document(DOCUMENT, known_catalog(), now=Instant(PLAN.expires_at - 1))


def test_a_plan_whose_life_was_prolonged_is_refused() -> None:
    prolonged = {**DOCUMENT, "expires_at": iso_from_instant(Instant(PLAN.expires_at + 60))}
    assert refused_code(prolonged) == "PFR6403"


def test_a_plan_that_was_made_to_look_younger_is_refused() -> None:
    times = {name: iso_from_instant(Instant(getattr(PLAN, name) + 3600)) for name in ("created_at", "expires_at")}
    assert refused_code({**DOCUMENT, **times}) == "PFR6403"


def test_the_times_of_a_plan_may_have_any_fraction_of_a_second() -> None:
    for fraction in (0.0005, 0.0015, 0.4995, 0.9996):
        at = Instant(NOW + fraction)
        plan = replace(
            PLAN,
            source=replace(PLAN.source, observed_at=at),
            created_at=at,
            expires_at=Instant(at + PLAN_VALID_SECONDS),
        )
        assert plan_from_document(plan_document(plan, tool_version="0.1.0"), known_catalog(), now=NOW).routes


def test_a_module_that_the_catalog_does_not_know_is_refused() -> None:
    assert refused_code(DOCUMENT, catalog=Catalog(())) == "PFR6405"


def test_an_action_of_a_later_version_is_refused() -> None:
    def assign(document: dict[str, Any]) -> None:
        document["fleets"][0]["routes"][0]["steps"][0]["action"] = "assign_groups"

    assert refused_code(changed(assign)) == "PFR6406"


def test_a_device_that_is_named_twice_is_refused() -> None:
    def twice(document: dict[str, Any]) -> None:
        devices = document["fleets"][0]["routes"][0]["devices"]
        devices.append(devices[0])

    assert refused_code(changed(twice)) == "PFR6401"


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in items for place in _places(child, (*path, key)))]


SMALL = plan_document(
    replace(PLAN, fleets=tuple(replace(f, refused=(), waiting=(), current=()) for f in PLAN.fleets)), tool_version="0"
)


@given(st.sampled_from([place for place in _places(SMALL) if place]), st.sampled_from([None, 7, -1, "x", [], {}, True]))
def test_a_plan_with_any_one_value_replaced_is_read_or_refused_and_never_crashes(
    place: tuple[Any, ...], value: Any
) -> None:
    document = json.loads(plan_json(SMALL))
    parent = document
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    try:
        document["content_digest"] = content_digest_of(document)
        document["digest"] = digest_of(document)
        document["plan_id"] = plan_id_of(document["source"]["revision"], document["digest"])
    except (AttributeError, KeyError, TypeError):
        pass  # what cannot be digested is refused below
    try:
        saved = plan_from_document(document, known_catalog(), now=NOW)
    except OperatorError as error:
        assert error.code.startswith("PFR64")  # noqa: PT017  # both outcomes are right, any other error is not
    else:
        assert saved.routes is not None


def test_a_plan_of_a_later_version_of_this_program_is_refused() -> None:
    assert refused_code(changed(lambda document: document.update(tool_version="99.0.0"))) == "PFR6408"
    assert refused_code(changed(lambda document: document.update(tool_version="one"))) == "PFR6401"


def test_a_plan_whose_content_digest_was_exchanged_is_refused() -> None:
    assert refused_code({**DOCUMENT, "content_digest": "sha256:" + "0" * 64}) == "PFR6403"


def test_a_plan_of_an_earlier_version_without_a_content_digest_is_read() -> None:
    earlier = {name: value for name, value in DOCUMENT.items() if name != "content_digest"}
    assert plan_from_document(earlier, known_catalog(), now=NOW).content_digest == DOCUMENT["content_digest"]
