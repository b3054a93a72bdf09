"""Releases, policies, overrides and approvals say whether they count, and nothing changes unless something has."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.kube.part_status import PartRefusal, PartSituation, outcome_of, status_of_part
from reconciler.kube.resource import APPROVAL, OVERRIDE, POLICY, RELEASE, Resource
from reconciler.kube.situation import Reason
from reconciler.manifests.schema import load_schema
from reconciler.model.instant import Instant
from tests.kube.oracle import broken_rules, kstatus
from tests.kube.resource_samples import fleet, resource

FLEETS = (
    fleet("eu", rolloutPolicyRef="slow"),
    fleet("us", rolloutPolicyRef="slow", desired={"application": {"release": "logger", "version": 2}}),
    fleet("cn"),
)
WRONG = PartRefusal(reason=Reason.BUILD_FAILED, code="PFR1104", message="not a number", next_step="write a number")


def status(refusal: PartRefusal | None = None, before: Any = None, at: float = 0.0, generation: int = 3) -> Any:
    situation = PartSituation(generation=generation, outcome="it counts", refusal=refusal)
    return status_of_part(situation, before, Instant(at))


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (resource("slow", kind=POLICY), "it counts: 2 fleets refer to it"),
        (resource("quick", kind=POLICY), "it counts: 0 fleets refer to it"),
        (resource("logger", kind=RELEASE), "it counts: 1 fleet refers to it"),
        (resource("lent", kind=OVERRIDE, mode="hold", devices=["a", "b"]), "it counts: hold for 2 devices"),
        (
            resource("yes", kind=APPROVAL, planId="plan-x"),
            "it counts: the plan plan-x is approved for all of its fleets",
        ),
        (
            resource("yes", kind=APPROVAL, planId="plan-x", fleets=[f"f{number}" for number in range(12)]),
            "it counts: the plan plan-x is approved for f0, f1, f2, f3, f4, f5, f6, f7, f8, f9 and 2 more",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) else None,
)
def test_what_follows_from_a_sound_one(part: Resource, says: str) -> None:
    assert outcome_of(part, FLEETS) == says


@pytest.mark.parametrize(("refusal", "told"), [(None, "Current"), (WRONG, "Failed")])
def test_others_read_it_as_it_is_meant(refusal: PartRefusal | None, told: str) -> None:
    document = {"metadata": {"generation": 3}, "status": status(refusal)}
    assert kstatus(document) == told
    assert broken_rules(document) == []
    Draft202012Validator(load_schema("fleetstatus")).validate(document["status"])


def test_it_is_the_same_until_it_flips_and_then_its_time_moves() -> None:
    first = status(at=10)
    assert status(before=first, at=99) == first
    wrong = status(WRONG, before=first, at=99)
    assert [each["type"] for each in wrong["conditions"]] == ["Ready", "Stalled"]
    assert wrong["conditions"][0]["lastTransitionTime"] > first["conditions"][0]["lastTransitionTime"]
    assert wrong["conditions"][0]["message"] == ("it does not count: not a number (PFR1104); next: write a number")
    edited = status(before=first, at=99, generation=4)
    assert edited["conditions"][0]["lastTransitionTime"] == first["conditions"][0]["lastTransitionTime"]
    assert edited["observedGeneration"] == edited["conditions"][0]["observedGeneration"] == 4
