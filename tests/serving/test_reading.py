"""What is read over HTTP: it is what the desk and the journal say, and errors say what is wrong."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from reconciler.model.rollout_entry import Halted
from reconciler.serving.problem import MEDIA_TYPE
from reconciler.settings.settings import Role
from tests.fleet_samples import NOW, device_id
from tests.serving.desk import FLEET, REVISION, SEEN, TOKENS, Client, FakeDesk, serving, settings_in


def test_a_loop_that_turns_is_healthy_and_one_that_does_not_is_not(client: Client) -> None:
    assert client.get("/healthz", None).json() == {"alive": True}
    client.desk.is_alive = False
    assert client.get("/healthz", None).status_code == 503


def test_readiness_names_every_check_and_what_it_says(client: Client) -> None:
    ready = client.get("/readyz", None)
    assert ready.status_code == 200
    assert ready.json()["revision"] == REVISION.text
    client.desk.source_is_well = False
    unready = client.get("/readyz", None)
    assert unready.status_code == 503
    assert {check["name"]: check["ok"] for check in unready.json()["checks"]} == {"journal": True, "source": False}


def test_metrics_are_those_of_the_registry(client: Client) -> None:
    SEEN.inc()
    plain = client.get("/metrics", None)
    assert "particle_things_seen_total" in plain.text
    assert plain.headers["content-type"].startswith("text/plain")
    openmetrics = client.get("/metrics", None, headers={"Accept": "application/openmetrics-text"})
    assert openmetrics.text.endswith("# EOF\n")


def test_the_status_is_the_desks(client: Client) -> None:
    assert client.get("/v1/status", Role.READ).json() == client.desk.status()


def test_a_fleet_is_that_part_of_the_status(client: Client) -> None:
    named = client.desk.status()["fleets"][0]
    assert client.get(f"/v1/fleets/{named['name']}", Role.READ).json() == named
    missing = client.get("/v1/fleets/nobody", Role.READ)
    assert (missing.status_code, missing.json()["code"]) == (404, "PFR6920")
    assert missing.headers["content-type"] == MEDIA_TYPE


def test_a_plan_is_json_or_the_text_that_the_command_writes(client: Client) -> None:
    assert client.get("/v1/plans", Role.READ).json() == client.desk.plan()
    of_fleet = client.get(f"/v1/plans/{FLEET}", Role.READ).json()
    assert [each["name"] for each in of_fleet["fleets"]] == [FLEET]
    text = client.get(f"/v1/plans/{FLEET}", Role.READ, headers={"Accept": "text/plain, application/json;q=0.5"})
    assert text.text == client.desk.plan_text(FLEET)
    assert text.headers["vary"] == "Accept"


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/plain", "text/html"])
def test_who_does_not_ask_for_text_first_gets_json(client: Client, accept: str) -> None:
    assert client.get("/v1/plans", headers={"Accept": accept}).json()["plan_id"]


@pytest.mark.parametrize("accept", ["text/plain", "application/json"])
def test_before_the_first_plan_there_is_none(client: Client, accept: str) -> None:
    client.desk.planned = None
    for path in ("/v1/plans", f"/v1/plans/{FLEET}"):
        assert client.get(path, headers={"Accept": accept}).status_code == 404


def test_a_plan_of_another_revision_is_made_for_one_at_a_time(tmp_path: Path) -> None:
    making, made = threading.Event(), threading.Event()

    class SlowDesk(FakeDesk):
        def plan_at(self, reference: str) -> Mapping[str, Any] | None:
            making.set()
            assert made.wait(20)
            return None

    with serving(settings_in(tmp_path), SlowDesk()) as client:
        first = threading.Thread(target=client.get, args=("/v1/plans?reference=next",))
        first.start()
        assert making.wait(20)
        with requests.Session() as session:
            other = replace(client, session=session).get("/v1/plans?reference=next")
        assert (other.status_code, other.json()["code"]) == (503, "PFR6925")
        made.set()
        first.join(20)
        assert client.get("/v1/plans?reference=next").json()["code"] == "PFR6920"


def test_readings_that_take_long_do_not_delay_health(tmp_path: Path) -> None:
    asked, let_go = threading.Semaphore(0), threading.Event()

    class SlowDesk(FakeDesk):
        def status(self) -> Mapping[str, Any]:
            asked.release()
            assert let_go.wait(20)
            return super().status()

    with serving(settings_in(tmp_path), SlowDesk()) as client, requests.Session() as session:
        other = replace(client, session=session)
        threads = [
            threading.Thread(
                target=requests.get,
                args=(client.server.url + "/v1/status",),
                kwargs={"headers": {"Authorization": f"Bearer {TOKENS[Role.READ]}"}, "timeout": 20},
            )
            for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        assert all(asked.acquire(timeout=20) for _ in range(8)), "as many as there are threads"
        assert other.get("/healthz").status_code == other.get("/readyz").status_code == 200
        let_go.set()
        for thread in threads:
            thread.join(20)


def test_history_is_that_of_the_journal(client: Client) -> None:
    client.desk.journal.note([Halted(fleet=FLEET, at=NOW, reason="smoke", by="ada")])
    everything = client.get("/v1/history", Role.READ)
    assert everything.status_code == 200
    assert "smoke" in everything.text
    assert client.get("/v1/history?fleet=nobody").json()["code"] == "PFR6706"
    assert client.get("/v1/history?rollout=r9").json()["code"] == "PFR6707"


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=100000", "since=soon", "limt=3", "limit=3&limit=4"])
def test_a_parameter_that_is_wrong_is_said_to_be(client: Client, query: str) -> None:
    wrong = client.get(f"/v1/history?{query}")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "PFR6916")


def test_a_device_has_what_happened_to_it(client: Client) -> None:
    found = client.get(f"/v1/devices/{device_id(1).upper()}", Role.READ)
    assert found.status_code == 200
    assert "a1" in found.text
    assert client.get(f"/v1/devices/{device_id(9)}").status_code == 404
    assert client.get("/v1/devices/pump-1").status_code == 400


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/status", "/v1/status/", "/v1/words/shout", "/v1/history/a/b"])
def test_what_is_not_there_says_so_and_leads_nowhere_else(client: Client, path: str) -> None:
    missing = client.get(path)
    assert (missing.status_code, missing.json()["code"]) == (404, "PFR6913")
    assert not missing.history


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/status"), ("GET", "/v1/words/halt"), ("OPTIONS", "/v1/status")]
)
def test_what_cannot_be_done_there_says_so(client: Client, method: str, path: str) -> None:
    refused = client.ask(method, path)
    assert (refused.status_code, refused.json()["code"]) == (405, "PFR6914")
    assert not {name for name in refused.headers if name.lower().startswith("access-control")}


def test_no_answer_is_kept_by_anybody_or_taken_for_something_else(client: Client) -> None:
    for path in ("/healthz", "/v1/status", "/nothing"):
        headers = client.get(path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


class BrokenDesk(FakeDesk):
    def status(self) -> dict[str, object]:
        raise ZeroDivisionError(TOKENS[Role.OPERATE])


def test_a_mistake_of_ours_is_a_problem_without_what_it_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(settings_in(tmp_path), BrokenDesk()) as client:
        broken = client.get("/v1/status")
        assert (broken.status_code, broken.json()["code"]) == (500, "PFR9701")
        assert client.get("/healthz").status_code == 200
    assert "ZeroDivisionError" in caplog.text
    assert TOKENS[Role.OPERATE] not in broken.text + caplog.text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:1", 200),
        ("LOCALHOST", 200),
        ("[::1]:80", 200),
        ("10.1.2.3:8099", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ],
)
def test_on_loopback_only_its_own_names_are_answered(client: Client, host: str, status: int) -> None:
    asked = client.get("/metrics", None, headers={"Host": host})
    assert asked.status_code == status


def test_a_name_of_the_settings_is_answered_too(tmp_path: Path) -> None:
    with serving(replace(settings_in(tmp_path), hosts=("fleet.example",))) as client:
        assert client.get("/healthz", headers={"Host": "fleet.example:443"}).status_code == 200
        assert client.get("/healthz", headers={"Host": "other.example"}).json()["code"] == "PFR6919"
