"""The description of the interface is OpenAPI, and every answer is as it is described."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from reconciler.settings.settings import Role, WebhookKind
from tests.fleet_samples import device_id
from tests.serving.desk import FLEET, Client, FakeDesk, serving, settings_in
from tests.serving.test_webhooks import PUSH, sent, signed

Asked = tuple[str, str, dict[str, Any]]

TRIED: dict[int, list[Asked]] = {
    200: [
        *(("GET", path, {}) for path in ("/healthz", "/readyz", "/metrics", "/v1/openapi.json", "/v1/status")),
        *(("GET", path, {}) for path in ("/v1/plans", f"/v1/plans/{FLEET}", "/v1/fleets/cold-chain-eu")),
        ("GET", "/v1/plans?reference=next", {}),
        *(("GET", path, {}) for path in ("/v1/history", f"/v1/devices/{device_id(1)}")),
        ("POST", "/v1/words/halt", {"json": {"fleets": [FLEET]}}),
        ("POST", "/v1/words/suspend", {"json": {"fleet": FLEET, "reason": "r"}}),
        ("POST", "/v1/words/resume", {"json": {"fleet": FLEET}}),
        ("POST", "/v1/words/reconcile", {"json": {}}),
        ("POST", "/v1/words/accept", {"json": {"commit": "a" * 40}}),
    ],
    400: [
        ("GET", "/v1/history?limit=0", {}),
        ("GET", "/v1/devices/x", {}),
        ("POST", "/v1/words/halt", {"json": {}}),
    ],
    401: [("GET", "/v1/status", {"role": None}), ("POST", "/v1/words/halt", {"role": None})],
    403: [("POST", "/v1/words/halt", {"role": Role.READ})],
    404: [
        ("GET", "/v1/fleets/x", {}),
        ("GET", "/v1/plans/x", {}),
        ("GET", "/v1/history?fleet=x", {}),
        ("GET", f"/v1/devices/{device_id(7)}", {}),
        ("POST", "/v1/words/approve", {"json": {"plan_id": "x"}}),
    ],
    409: [
        ("GET", "/v1/plans?reference=nowhere", {}),
        ("POST", "/v1/words/retry", {"json": {"fleet": "workshop"}}),
        ("POST", "/v1/words/halt", {"json": {"fleets": ["x"]}}),
    ],
    413: [("POST", "/v1/words/halt", {"data": b"x" * 70_000})],
    415: [("POST", "/v1/words/halt", {"data": b"x"})],
    422: [("GET", "/v1/plans?reference=broken", {})],
    421: [("GET", "/v1/status", {"headers": {"Host": "evil.example"}})],
}


def described(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    """The operation that a path is of."""
    for template, operations in document["paths"].items():
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path.partition("?")[0]) and method.lower() in operations:
            found: dict[str, Any] = operations[method.lower()]
            return found
    raise AssertionError(path)


def check(document: dict[str, Any], operation: dict[str, Any], answer: requests.Response) -> None:
    """The answer's status, type and body are as the operation has them."""
    responses = operation["responses"]
    assert str(answer.status_code) in responses, (operation["operationId"], answer.text)
    content = responses[str(answer.status_code)]["content"]
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind in content, (operation["operationId"], kind)
    if kind.endswith("json"):
        schema = {**content[kind]["schema"], "components": document["components"]}
        problems = [*Draft202012Validator(schema).iter_errors(answer.json())]
        assert problems == [], operation["operationId"]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with serving(settings_in(tmp_path_factory.mktemp("settings"))) as client:
        found: dict[str, Any] = client.get("/v1/openapi.json", None).json()
        return found


def test_the_description_is_openapi(document: dict[str, Any]) -> None:
    assert [*OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_reference_leads_somewhere_and_none_leads_out(document: dict[str, Any]) -> None:
    references = set(re.findall(r"'\$ref': '([^']+)'", str(document)))
    names = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references <= names
    assert names <= references | {name for name in names if "_" in name}


@pytest.mark.parametrize("status", TRIED)
def test_every_answer_is_as_it_is_described(client: Client, document: dict[str, Any], status: int) -> None:
    for method, path, more in TRIED[status]:
        asked = dict(more)
        answer = client.ask(method, path, asked.pop("role", Role.OPERATE), **asked)
        assert answer.status_code == status, (path, answer.text)
        check(document, described(document, method, path), answer)


def test_a_plan_as_text_is_described_too(client: Client, document: dict[str, Any]) -> None:
    answer = client.get("/v1/plans", headers={"Accept": "text/plain"})
    check(document, described(document, "GET", "/v1/plans"), answer)


def test_an_approval_is_as_it_is_described(client: Client, document: dict[str, Any]) -> None:
    answer = client.say("approve", {"plan_id": client.get("/v1/plans").json()["plan_id"]})
    assert answer.status_code == 200
    check(document, described(document, "POST", "/v1/words/approve"), answer)


@pytest.mark.parametrize("kind", WebhookKind)
def test_webhooks_are_as_they_are_described(client: Client, document: dict[str, Any], kind: WebhookKind) -> None:
    operation = described(document, "POST", f"/v1/webhooks/{kind.value}")
    headers = signed(kind, PUSH)
    answers = [sent(client, kind, PUSH, each) for each in (headers, headers, {})]
    assert [answer.status_code for answer in answers] == [202, 200, 401]
    for answer in answers:
        check(document, operation, answer)


def test_who_is_unwell_is_as_it_is_described(tmp_path: Path, document: dict[str, Any]) -> None:
    with serving(settings_in(tmp_path), FakeDesk(is_alive=False, source_is_well=False)) as client:
        for path in ("/healthz", "/readyz"):
            answer = client.get(path)
            assert answer.status_code == 503
            check(document, described(document, "GET", path), answer)


def test_every_operation_was_tried(document: dict[str, Any]) -> None:
    tried = {described(document, method, path)["operationId"] for asked in TRIED.values() for method, path, _ in asked}
    every = {each["operationId"] for operations in document["paths"].values() for each in operations.values()}
    assert every - tried == {"events", "approve", *(f"{kind.value}Webhook" for kind in WebhookKind)} - tried
