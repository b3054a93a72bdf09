from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from reconciler.model.fleet import RolloutPolicy, Share
from reconciler.model.instant import Instant
from reconciler.model.plan import Knowledge, Plan
from reconciler.model.state_hash import state_hash
from reconciler.render.plan_json import digest_of, plan_document, plan_json
from tests.render.sample_plan import COLD_CHAIN_PLAN, NOTHING_TO_DO, OLD_BORON_ROUTE, PLAN, WORKSHOP_PLAN, ids

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "plan.v1.schema.json").read_text(encoding="utf-8"))


def document_of(plan: Plan, *, show_current: bool = False) -> dict[str, object]:
    return plan_document(plan, tool_version="0.1.0", show_current=show_current)


def test_the_document_is_what_the_published_schema_describes() -> None:
    for plan in (PLAN, NOTHING_TO_DO):
        Draft202012Validator(SCHEMA).validate(document_of(plan, show_current=True))


def test_the_plan_id_is_made_of_the_branch_and_the_digest() -> None:
    document = document_of(PLAN)
    assert document["plan_id"] == "plan-main-" + str(document["digest"]).removeprefix("sha256:")[:10]


def test_the_plan_id_of_a_folder_says_local() -> None:
    folder = replace(PLAN, source=replace(PLAN.source, revision=None))
    assert str(document_of(folder)["plan_id"]).startswith("plan-local-")


def test_a_branch_name_with_slashes_leaves_a_plan_id_that_is_a_file_name() -> None:
    branch = replace(PLAN, source=replace(PLAN.source, revision="feature/new ones@sha1:00"))
    assert str(document_of(branch)["plan_id"]).startswith("plan-feature-new-ones-")


def test_the_digest_covers_what_is_done_and_not_when() -> None:
    later = replace(PLAN, created_at=PLAN.created_at + 60, expires_at=PLAN.expires_at + 60)
    assert document_of(later)["digest"] == document_of(PLAN)["digest"]
    fewer = replace(OLD_BORON_ROUTE, steps=OLD_BORON_ROUTE.steps[:-1])
    changed = replace(PLAN, fleets=(WORKSHOP_PLAN, replace(COLD_CHAIN_PLAN, routes=(fewer,))))
    assert document_of(changed)["digest"] != document_of(PLAN)["digest"]


@pytest.mark.parametrize("plan", [PLAN, NOTHING_TO_DO, replace(PLAN, fleets=(), findings=("line\nbreak", "{,"))])
def test_the_text_is_that_of_the_whole_document_and_the_digest_that_of_its_canonical_text(plan: Plan) -> None:
    document = document_of(plan, show_current=True)
    whole = msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2).decode() + "\n"
    assert plan_json(document) == whole
    covered = {"complete": True, "fleets": [{"name": "a", "routes": [{"x": [1, {"é": None}], "a": []}], "waves": []}]}
    canonical = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert digest_of(covered) == f"sha256:{hashlib.sha256(canonical).hexdigest()}"


def test_listing_the_current_devices_changes_neither_digest_nor_id() -> None:
    short, long = document_of(PLAN), document_of(PLAN, show_current=True)
    assert (short["digest"], short["plan_id"]) == (long["digest"], long["plan_id"])


def test_the_counts_of_the_summary_add_up() -> None:
    expected = {"devices": 789, "current": 700, "upgrade": 38, "refused": 7, "waiting": 44}
    assert document_of(PLAN)["summary"] == expected


def test_a_step_shows_what_is_known_and_leaves_out_what_is_not() -> None:
    fleets = document_of(replace(PLAN, fleets=(replace(COLD_CHAIN_PLAN, routes=(OLD_BORON_ROUTE,)),)))["fleets"]
    assert fleets[0]["routes"][0]["steps"][1] == {  # type: ignore[index]  # the schema says so
        "action": "flash",
        "via": "cloud",
        "module": {"function": "system_part", "index": 1, "version": 1321},
        "device_os": "1.3.1",
        "boots_into": "normal",
    }


def test_every_device_with_a_route_and_every_waiting_one_is_in_one_wave_of_the_document() -> None:
    fleets = {fleet["name"]: fleet for fleet in document_of(PLAN)["fleets"]}  # type: ignore[attr-defined]  # a list
    concerned = sorted([*ids(0, 34), *ids(40, 1), *ids(60, 1), *ids(1000, 44)])
    waves = fleets["cold-chain-eu"]["waves"]
    assert sorted(device for wave in waves for device in wave["devices"]) == concerned
    assert [(wave["name"], wave["size"], len(wave["devices"])) for wave in waves] == [
        ("canary", 5, 5),
        ("early", "20%", 16),
        ("rest", "remaining", 59),
    ]
    assert waves[0]["devices"][0] == ids(40, 1)[0]
    assert [wave["halts_at_failures"] for wave in waves] == [1, 1, None]
    assert [(wave["soak_seconds"], wave["approval_required"]) for wave in waves] == [
        (86400, False),
        (43200, True),
        (0, False),
    ]


def test_a_fleet_that_holds_says_of_no_wave_how_long_it_takes() -> None:
    fleets = {fleet["name"]: fleet for fleet in document_of(PLAN)["fleets"]}  # type: ignore[attr-defined]  # a list
    (wave,) = fleets["workshop"]["waves"]
    assert (wave["name"], wave["minutes"], len(wave["devices"])) == ("rest", None, 2)


def at_another_time(plan: Plan) -> Plan:
    later = Instant(plan.created_at + 3600)
    source = replace(plan.source, observed_at=later, observed_digest="sha256:" + "9" * 64, revision="other@sha1:77")
    return replace(plan, source=source, created_at=later, expires_at=Instant(plan.expires_at + 3600), findings=())


def test_the_content_digest_is_the_same_whenever_the_same_is_planned_and_the_digest_is_not() -> None:
    now, later = (plan_document(plan, tool_version="0.1.0") for plan in (PLAN, at_another_time(PLAN)))
    assert now["content_digest"] == later["content_digest"]
    assert now["digest"] != later["digest"]


def test_the_content_digest_changes_with_a_device_a_step_and_a_setting_of_the_rollout() -> None:
    workshop, cold_chain = PLAN.fleets
    (first, *others) = cold_chain.routes
    with_other_rollout = replace(cold_chain.fleet, rollout=replace(cold_chain.fleet.rollout, concurrent_max=Share(77)))
    plans = [
        PLAN,
        replace(PLAN, fleets=(workshop, replace(cold_chain, fleet=with_other_rollout))),
        replace(PLAN, fleets=(workshop, replace(cold_chain, fleet=replace(cold_chain.fleet, approval_required=True)))),
        replace(PLAN, fleets=(workshop, replace(cold_chain, routes=tuple(others)))),
        replace(
            PLAN, fleets=(workshop, replace(cold_chain, routes=(replace(first, devices=first.devices[1:]), *others)))
        ),
        replace(PLAN, fleets=(workshop, replace(cold_chain, routes=(replace(first, steps=first.steps[1:]), *others)))),
    ]
    assert len({plan_document(plan, tool_version="0.1.0")["content_digest"] for plan in plans}) == len(plans)


def test_devices_in_the_same_state_share_a_hash_however_it_is_known() -> None:
    situation = PLAN.fleets[1].routes[0].situation
    reported = replace(situation, knowledge=Knowledge.REPORTED)
    assert state_hash(reported) == state_hash(situation)
    assert state_hash(replace(situation, application=99)) != state_hash(situation)
    assert state_hash(replace(situation, modules=situation.modules[1:])) != state_hash(situation)


def test_every_setting_of_a_rollout_stands_in_the_plan() -> None:
    written = plan_document(PLAN, tool_version="0.1.0")["fleets"][0]["rollout"]
    assert {field.name for field in fields(RolloutPolicy)} <= set(written)
    assert json.loads(json.dumps(written)) == written
