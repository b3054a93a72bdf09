"""What a change adds, as people and machines read it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.model.change import Change, ChangeCode, ChangeFinding, Crossing, FleetChange, Rerouted
from reconciler.model.version import DeviceOsVersion
from reconciler.render.change_text import WARNING, change_lines
from reconciler.render.plan_json import digest_of, plan_document, plan_json
from reconciler.render.plan_markdown import BYTES_MIN, plan_markdown
from reconciler.render.plan_text import plan_text
from tests.render.sample_plan import BORON_ROUTE, COLD_CHAIN, COLD_CHAIN_PLAN, OLD_BORON_ROUTE, PLAN, WORKSHOP, ids

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "plan.v1.schema.json").read_text(encoding="utf-8"))
BEFORE = replace(COLD_CHAIN.desired, device_os=DeviceOsVersion("6.3.3"), application=None)
EU = FleetChange(
    name="cold-chain-eu",
    desired_before=BEFORE,
    desired_after=COLD_CHAIN.desired,
    joined=(Crossing(other=None, devices=ids(0, 1)), Crossing(other="us", devices=ids(1, 2))),
    left=(Crossing(other=None, devices=ids(300, 5)),),
    newly_targeted=ids(0, 30),
    targeted_later=ids(400, 7),
    no_longer_targeted=ids(300, 2),
    rerouted=(
        Rerouted(
            before=replace(OLD_BORON_ROUTE, devices=()), after=replace(BORON_ROUTE, devices=()), devices=ids(30, 2)
        ),
        Rerouted(before=replace(BORON_ROUTE, devices=()), after=replace(BORON_ROUTE, devices=()), devices=ids(32, 2)),
    ),
    newly_refused=(replace(COLD_CHAIN_PLAN.refused[0], devices=ids(900, 4)),),
    bytes_before=1_000_000,
    bytes_after=21_500_000,
)
US = FleetChange(
    name="us", desired_before=BEFORE, desired_after=None, left=(Crossing(other="cold-chain-eu", devices=ids(1, 2)),)
)
SHRINKS = ChangeFinding(code=ChangeCode.FLEET_SHRINKS, message="fleet us loses all of its 2 devices", fleet="us")
CHANGE = Change(
    revision="main",
    commit="sha1:3f9c1e0b2a" + "0" * 30,
    manifest_digest="sha256:" + "5" * 64,
    fleets=(EU, US),
    findings=(SHRINKS,),
)
NOTHING = replace(CHANGE, fleets=(), findings=())

TEXT = """\
Compared with main (sha1:3f9c1e0b2a)
! PFR2901: fleet us loses all of its 2 devices
Blast radius: 30 more devices to upgrade now, 7 more when what they wait for has come, 4 by other steps than before, \
2 no longer, 21.5 MB to send instead of 1.0 MB.
1 device new in the fleets: e00fce680000000000000000.
5 devices are in no fleet any more and are left alone from then on: e00fce68000000000000012c, \
e00fce68000000000000012d, e00fce68000000000000012e and 2 more.
Fleet cold-chain-eu: should run Device OS 6.3.4 and application logger 44 instead of Device OS 6.3.3; \
1 device joins from no fleet (e00fce680000000000000000); \
2 devices join from us (e00fce680000000000000001, e00fce680000000000000002); \
5 devices leave to no fleet (e00fce68000000000000012c, e00fce68000000000000012d, e00fce68000000000000012e and 2 more); \
30 more to upgrade now; 7 more to upgrade when what they wait for has come; 2 no longer to upgrade; \
2 by 3 other steps: boron, Device OS 1.5.2 -> 6.3.4, application 12 -> 44 \
(e00fce680000000000000020, e00fce680000000000000021); \
2 by 3 steps instead of 6: boron, Device OS 1.5.2 -> 6.3.4, application 12 -> 44 \
(e00fce68000000000000001e, e00fce68000000000000001f); \
4 newly refused, downgrade_refused (PFR2001): runs 6.4.1, manifest asks 6.3.4.
Fleet us: is removed; 2 devices leave to cold-chain-eu (e00fce680000000000000001, e00fce680000000000000002)."""


def document_of(change: Change | None) -> dict[str, Any]:
    return plan_document(PLAN, tool_version="0.1.0", change=change)


def test_a_change_is_told_with_its_warnings_first_and_fleet_by_fleet() -> None:
    assert "\n".join(change_lines(CHANGE)) == TEXT


def test_no_change_is_said_in_one_line() -> None:
    assert change_lines(NOTHING) == [
        "Compared with main (sha1:3f9c1e0b2a)",
        "Nothing changes: the plan is the same as with those manifests.",
    ]


@pytest.mark.parametrize(
    ("fleet", "told"),
    [
        (replace(EU, desired_before=None), "is new and should run Device OS 6.3.4 and application logger 44"),
        (replace(EU, desired_before=COLD_CHAIN.desired), "1 device joins"),
        (
            replace(EU, desired_before=replace(COLD_CHAIN.desired, allow_prerelease=True)),
            "should run Device OS 6.3.4 and application logger 44 as before, but",
        ),
    ],
)
def test_what_a_fleet_asks_for_is_told_where_it_changes(fleet: FleetChange, told: str) -> None:
    assert change_lines(replace(CHANGE, fleets=(fleet,), findings=()))[-1].startswith(f"Fleet cold-chain-eu: {told}")


def test_a_renamed_fleet_is_told_once_under_its_new_name() -> None:
    crossing = Crossing(other="us", devices=ids(1, 2))
    renamed = FleetChange(
        name="america", desired_before=BEFORE, desired_after=BEFORE, renamed_from="us", joined=(crossing,)
    )
    gone = replace(US, left=(replace(crossing, other="america"),))
    lines = change_lines(replace(CHANGE, fleets=(renamed, gone), findings=()))
    assert [line for line in lines if line.startswith("Fleet")] == [
        "Fleet america: is the new name of us; keeps its 2 devices."
    ]


def test_strangers_words_cannot_move_the_cursor() -> None:
    evil = replace(CHANGE, revision="\x1b[2Jmain", findings=(replace(SHRINKS, message="a\r\nb"),))
    assert all(line.isprintable() for line in change_lines(evil))


def test_the_text_of_a_plan_shows_the_change_before_the_fleets() -> None:
    text = plan_text(PLAN, plan_id="p", compared=change_lines(CHANGE), width=80)
    assert text.index("Compared with main") < text.index("! PFR2901") < text.index("Fleet cold-chain-eu should run")
    assert max(map(len, text[text.index("Compared") : text.index("Fleet cold-chain-eu should")].splitlines())) <= 80
    assert text.endswith(plan_text(PLAN, plan_id="p", width=80).splitlines()[-1] + "\n")


def test_colour_adds_nothing_but_colour_to_the_change() -> None:
    coloured = plan_text(PLAN, plan_id="p", compared=change_lines(CHANGE), colour=True)
    assert "\x1b[31m  ! PFR2901" in coloured


def test_markdown_shows_the_change_and_never_cuts_that_there_are_warnings() -> None:
    whole = plan_markdown(PLAN, plan_id="p", compared=change_lines(CHANGE))
    assert "**1 warning of the comparison:**" in whole
    assert "### Compared with main" in whole
    assert "- Blast radius: 30 more devices to upgrade now" in whole
    many = [*change_lines(CHANGE), *(f"{WARNING}{number}" * 20 for number in range(2000))]
    cut = plan_markdown(PLAN, plan_id="p", compared=many, bytes_max=BYTES_MIN)
    assert "**2,001 warnings of the comparison:**" in cut
    assert "lines left out here" in cut
    assert len(cut.encode()) <= BYTES_MIN


@pytest.mark.parametrize("change", [None, NOTHING, CHANGE, replace(CHANGE, commit="sha256:" + "0" * 64)])
def test_the_document_is_what_the_published_schema_describes(change: Change | None) -> None:
    Draft202012Validator(SCHEMA).validate(json.loads(plan_json(document_of(change))))


def test_the_document_holds_the_change_and_the_membership_of_every_fleet() -> None:
    document = document_of(CHANGE)
    base = document["base"]
    assert (base["revision"], base["blast_radius"], base["blast_radius_later"]) == ("main", 30, 7)
    assert (base["joined"], base["left"]) == (list(ids(0, 1)), list(ids(300, 5)))
    assert base["findings"] == [{"code": "PFR2901", "message": SHRINKS.message, "fleet": "us"}]
    assert base["fleets"][0]["joined"][1] == {"from": "us", "devices": list(ids(1, 2))}
    assert base["fleets"][0]["rerouted"][0]["steps_before"] == 6
    assert base["fleets"][1]["desired_after"] is None
    membership = {fleet["name"]: fleet["membership"] for fleet in document["fleets"]}
    assert membership == {
        "cold-chain-eu": {"joined": list(ids(0, 3)), "left": list(ids(300, 5))},
        WORKSHOP.name: {"joined": [], "left": []},
    }


def test_without_a_base_there_is_no_base_and_nobody_joined_or_left() -> None:
    document = document_of(None)
    assert "base" not in document
    assert [fleet["membership"] for fleet in document["fleets"]] == [{"joined": [], "left": []}] * 2


def test_the_digest_is_that_of_the_plan_whatever_it_is_held_against() -> None:
    compared, alone = document_of(CHANGE), document_of(None)
    assert (compared["digest"], compared["plan_id"]) == (alone["digest"], alone["plan_id"])
    assert digest_of(json.loads(plan_json(compared))) == compared["digest"]
