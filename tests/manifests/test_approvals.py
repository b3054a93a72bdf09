"""Approvals as files: who agrees to which plan, for which fleets and waves."""

from __future__ import annotations

import pytest

from reconciler.model.fleet import Place, PlanApproval
from reconciler.model.instant import instant_from_iso
from tests.manifests.sample import APPROVAL, FLEET, bent, load, problem

IN_WAVES = bent(FLEET, spec__rollout={"waves": [{"name": "canary", "size": 1}, {"name": "rest", "size": "remaining"}]})


def test_an_approval_says_what_who_and_when() -> None:
    (approval,) = load(FLEET, APPROVAL).approvals
    assert approval == PlanApproval(
        name="release-6.3.4",
        plan_id="plan-main-3f9c1e0b2a",
        digest="sha256:" + "3" * 64,
        fleets=None,
        waves=None,
        by="ann",
        at=instant_from_iso("2026-11-22T09:00:00Z"),
        expires=None,
        place=Place("1.yaml", 5, 11),
    )


def test_an_approval_may_be_for_some_fleets_and_waves_until_a_time() -> None:
    spec = {"spec__fleets": ["eu"], "spec__waves": ["rest", "canary"], "spec__expires": "2026-12-01"}
    (approval,) = load(IN_WAVES, bent(APPROVAL, **spec)).approvals
    assert (approval.fleets, approval.waves) == (("eu",), ("canary", "rest"))
    assert approval.expires == instant_from_iso("2026-12-01T00:00:00Z")


def test_a_fleet_that_nobody_describes_is_a_problem_at_its_place_with_a_suggestion() -> None:
    found = problem(FLEET, bent(APPROVAL, spec__fleets=["eu", "eus"]))
    assert (found.code, found.place.file, found.suggestion) == ("PFR1220", "1.yaml", "did you mean 'eu'?")
    assert "eus" in found.line


def test_a_wave_that_no_fleet_has_is_a_problem_with_a_suggestion() -> None:
    found = problem(IN_WAVES, bent(APPROVAL, spec__waves=["canari"]))
    assert (found.code, found.suggestion) == ("PFR1220", "did you mean 'canary'?")


def test_an_approval_that_is_over_before_it_is_given_is_a_problem() -> None:
    assert problem(FLEET, bent(APPROVAL, spec__expires="2026-11-22")).code == "PFR1220"


@pytest.mark.parametrize("field", ["planId", "digest", "by", "at"])
def test_an_approval_without_what_it_needs_is_a_problem(field: str) -> None:
    spec = {name: value for name, value in APPROVAL["spec"].items() if name != field}
    found = problem(FLEET, {**APPROVAL, "spec": spec})
    assert (found.code, f"'{field}'" in found.message) == ("PFR1103", True)
