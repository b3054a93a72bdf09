from __future__ import annotations

from typing import Any

import pytest

from reconciler.manifests.problem import ProblemCode
from reconciler.model.health import ExpectedEvent, HealthCheck, HealthPolicy, ResetLoop, VitalsBound
from tests.manifests.sample import FLEET, POLICY, bent, load, problem


def with_health(health: Any) -> dict[str, Any]:
    return bent(FLEET, spec__rollout={"health": health})


def test_a_fleet_that_says_nothing_looks_for_reset_loops() -> None:
    (fleet,) = load(FLEET).fleets
    assert fleet.rollout.health == HealthPolicy(reset_loop=ResetLoop(resets=3, within_seconds=600.0))


def test_everything_that_a_fleet_may_want_to_know() -> None:
    health = {
        "resetLoop": {"resets": 5, "within": "1h"},
        "events": [{"name": "app/alive", "within": "15m"}, {"name": "spark/beat", "within": "90s", "every": True}],
        "vitals": [
            {"path": "device.power.battery.charge", "min": 20},
            {"path": "device.network.signal.strengthv", "min": -110, "max": "-3.5"},
        ],
        "checks": [
            {"name": "errors", "webhook": "https://watch.example.com/gate?team=eu", "interval": "5m"},
            {"name": "local", "webhook": "http://127.0.0.1:8000/gate", "timeout": "3s", "failureLimit": 2},
            {"name": "script", "command": ["./checks/errors.sh", "--eu"]},
        ],
    }
    (fleet,) = load(with_health(health)).fleets
    assert fleet.rollout.health == HealthPolicy(
        reset_loop=ResetLoop(resets=5, within_seconds=3600.0),
        events=(
            ExpectedEvent(name="app/alive", within_seconds=900.0),
            ExpectedEvent(name="spark/beat", within_seconds=90.0, every=True),
        ),
        vitals=(
            VitalsBound(path="device.power.battery.charge", min=20.0),
            VitalsBound(path="device.network.signal.strengthv", min=-110.0, max=-3.5),
        ),
        checks=(
            HealthCheck(name="errors", webhook="https://watch.example.com/gate?team=eu", interval_seconds=300.0),
            HealthCheck(name="local", webhook="http://127.0.0.1:8000/gate", timeout_seconds=3.0, no_go_max=2),
            HealthCheck(name="script", command=("./checks/errors.sh", "--eu")),
        ),
    )


def test_restarts_are_not_counted_where_it_says_so() -> None:
    (fleet,) = load(with_health({"resetLoop": {"resets": 0}})).fleets
    assert fleet.rollout.health.reset_loop is None


def test_fleets_share_it_in_a_policy() -> None:
    policy = bent(POLICY, spec__rollout__health={"resetLoop": {"resets": 7}})
    (fleet,) = load(policy, bent(FLEET, spec__rolloutPolicyRef="careful")).fleets
    assert fleet.rollout.health.reset_loop == ResetLoop(resets=7, within_seconds=600.0)


CHECK = {"name": "a", "webhook": "https://x.example"}
ALIVE = {"name": "a", "within": "1m"}
BOUND = {"path": "device.system.uptime", "min": 5}


@pytest.mark.parametrize(
    ("health", "code", "key"),
    [
        ({"resetLoop": {"within": "0s"}}, ProblemCode.OUT_OF_RANGE, '"within": "0s"'),
        ({"resetLoop": {"resets": 21}}, ProblemCode.OUT_OF_RANGE, '"resets": 21'),
        ({"events": [{**ALIVE, "name": "a b"}]}, ProblemCode.WRONG_FORM, '"name": "a b"'),
        ({"events": [ALIVE, ALIVE]}, ProblemCode.DUPLICATE_ENTRY, '"name": "a"'),
        ({"events": [{"name": "a"}]}, ProblemCode.MISSING_FIELD, "{"),
        ({"events": []}, ProblemCode.OUT_OF_RANGE, '"events": []'),
        ({"vitals": [{**BOUND, "path": "uptime"}]}, ProblemCode.WRONG_FORM, '"path": "uptime"'),
        ({"vitals": [{"path": "a.b"}]}, ProblemCode.WRONG_FORM, "{"),
        ({"vitals": [{**BOUND, "max": 4}]}, ProblemCode.HEALTH, '"min": 5'),
        ({"vitals": [{**BOUND, "max": "many"}]}, ProblemCode.WRONG_FORM, '"max": "many"'),
        ({"checks": [{"name": "a"}]}, ProblemCode.WRONG_FORM, "{"),
        ({"checks": [{**CHECK, "command": ["x"]}]}, ProblemCode.WRONG_FORM, "{"),
        ({"checks": [CHECK, CHECK]}, ProblemCode.DUPLICATE_ENTRY, '"name": "a"'),
        ({"checks": [{**CHECK, "webhook": "http://x.example"}]}, ProblemCode.HEALTH, '"webhook": "http://x.example"'),
        ({"checks": [{**CHECK, "webhook": "https://:0/"}]}, ProblemCode.HEALTH, '"webhook": "https://:0/"'),
        ({"checks": [{**CHECK, "timeout": "61s"}]}, ProblemCode.HEALTH, '"timeout": "61s"'),
        ({"checks": [{**CHECK, "interval": "0s"}]}, ProblemCode.OUT_OF_RANGE, '"interval": "0s"'),
        ({"checks": [{**CHECK, "failureLimit": -1}]}, ProblemCode.OUT_OF_RANGE, '"failureLimit": -1'),
        ({"check": [CHECK]}, ProblemCode.UNKNOWN_FIELD, '"check": ['),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(health: dict[str, Any], code: ProblemCode, key: str) -> None:
    found = problem(with_health(health))
    assert found.code is code
    assert found.line.strip().startswith(key)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    found = problem(with_health({"checks": [{**CHECK, "webhook": "https://me:secret@x.example"}]}))
    assert found.code is ProblemCode.WRONG_FORM
    assert "secret" not in str(found) + found.line
