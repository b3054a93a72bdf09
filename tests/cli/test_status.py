"""`status` as a person calls it: it tells the truth, changes nothing, and needs neither a cloud nor a journal."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator

from reconciler.emulator.faults import FaultOrder
from reconciler.journal.lock import sole_run
from reconciler.journal.sqlite import SqliteJournal
from reconciler.manifests.schema import load_schema
from reconciler.model.attempt import Attempt, FailureClass
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant
from reconciler.render.status_json import status_document
from reconciler.render.status_text import status_text
from tests.cli.test_apply import ONE, TWO, Bench, bench
from tests.fleet_samples import attempt
from tests.particle.pretend import unused_port
from tests.render.sample_status import BLIND, FINE, NO_JOURNAL, WORST

__all__ = ["bench"]


def status(bench: Bench, *words: str, paths: tuple[str, ...] = ("fleet.yaml",)) -> Result:
    result = bench.call("status", *paths, "--catalog", "catalog.json", "--journal", "journal.sqlite", *words)
    assert result.exit_code == 0, result.exception
    return result


def document(bench: Bench, *words: str, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(status(bench, "--output", "json", *words, **options).stdout)
    problems = [each.message for each in Draft202012Validator(load_schema("status")).iter_errors(found)]
    assert problems == []
    return found


def of_plan(bench: Bench) -> dict[str, Any]:
    planned: dict[str, Any] = json.loads(
        bench.call("plan", "fleet.yaml", "--catalog", "catalog.json", "--output", "json").stdout
    )
    return planned


def cloud_now(bench: Bench) -> Instant:
    return bench.cloud.now()


def begun(bench: Bench, number: int, *, seconds_ago: float = 60.0, **fields: Any) -> Attempt:
    """An attempt of ours on a device of the fleet, in the journal."""
    at = Instant(cloud_now(bench) - seconds_ago)
    made = attempt(id=f"a{number}", device_id=DeviceId(f"e00fce68{number:016x}"), fleet="eu", intended_at=at, **fields)
    with SqliteJournal(bench.folder / "journal.sqlite") as journal:
        journal.begin(made)
        sent = made.sent(at)
        journal.record(sent)
    return sent


def requests(bench: Bench) -> list[Any]:
    with bench.cloud.locked() as cloud:
        return list(cloud.requests)


@pytest.mark.parametrize("sample", [WORST, FINE, BLIND, NO_JOURNAL])
def test_the_document_is_what_the_published_schema_describes(sample: Any) -> None:
    made = status_document(sample, tool_version="0.1.0")
    assert [each.message for each in Draft202012Validator(load_schema("status")).iter_errors(made)] == []


def test_its_counts_are_those_of_the_plan(bench: Bench) -> None:
    found = document(bench)
    (fleet,) = found["fleets"]
    assert fleet["summary"] == of_plan(bench)["fleets"][0]["summary"]
    assert fleet["desired"]["device_os"] == "6.3.4"
    assert found["blind_because"] == ""
    assert found["run"] == {"journal_found": False, "under_way": "", "broken_off": "", "last": None}


def test_it_says_what_the_token_may_do(bench: Bench) -> None:
    assert document(bench)["token"] == {"state": "valid", "scopes": ["*:*"], "expires_at": None, "detail": ""}


def test_it_only_reads_and_leaves_nothing_behind(bench: Bench) -> None:
    before = sorted(bench.folder.iterdir())
    status(bench)
    assert sorted(bench.folder.iterdir()) == before
    assert {request.method for request in requests(bench)} == {"GET"}


def test_it_does_not_move_what_is_under_way(bench: Bench) -> None:
    sent = begun(bench, 1)
    status(bench)
    with SqliteJournal(bench.folder / "journal.sqlite") as journal:
        assert journal.open_attempts() == (sent,)


def test_it_counts_the_requests_that_it_makes_itself(bench: Bench) -> None:
    before = len(requests(bench))
    made = document(bench)["budget"]
    assert made["requests_of_this_command"] == len(requests(bench)) - before > 0
    assert (made["requests_max"], made["window_seconds"], made["steps_begun"]) == (8000, 300, 0)


def test_after_a_run_everything_is_as_desired_and_the_run_is_told(bench: Bench) -> None:
    assert bench.apply().exit_code == 0
    found = document(bench)
    (fleet,) = found["fleets"]
    assert fleet["summary"]["current"] == 2
    assert (fleet["under_way"], fleet["failed"], fleet["halted"]) == ([], [], None)
    last = found["run"]["last"]
    assert last["verified"] > 0
    assert (last["failed"], last["under_way"]) == (0, 0)
    assert "all that can be done is done" in status(bench).stdout


def test_a_step_under_way_is_told_with_its_age_and_when_it_is_late(bench: Bench) -> None:
    bench.cloud.set_speed(0.001)
    begun(bench, 1, seconds_ago=7.5 * 3600)
    begun(bench, 2, seconds_ago=20)
    late, fresh = document(bench)["fleets"][0]["under_way"]
    assert (late["device"], late["overdue"], late["state"]) == (ONE, True, "sent")
    assert (fresh["device"], fresh["overdue"]) == (TWO, False)
    text = status(bench).stdout
    assert "1 step past the deadline" in text.splitlines()[0]
    assert f"{ONE} " in text
    assert "sent, 7 h" in text
    assert "next: run `apply` again" in text


def test_a_late_step_of_a_fleet_that_has_gone_is_told_with_what_ends_it() -> None:
    late = next(each for each in WORST.fleets if each.under_way)
    gone = replace(late, desired=None, plan=None, halted=None, failed=())
    running = replace(WORST.run, broken_off="", under_way="process 1")
    text = status_text(replace(WORST, fleets=(gone,), run=running), width=200)
    assert "4 steps under way, 1 past the deadline" in text
    assert "next: no manifest here has cold-chain-eu; where one has it, the next look at its devices finds out" in text


def test_a_device_whose_step_failed_is_told_until_it_is_as_desired(bench: Bench) -> None:
    sent = begun(bench, 1)
    with SqliteJournal(bench.folder / "journal.sqlite") as journal:
        journal.record(sent.failed(FailureClass.INCOMPATIBLE, "it said no", cloud_now(bench)))
    (fleet,) = document(bench)["fleets"]
    (failed,) = fleet["failed"]
    assert (failed["device"], failed["failure"], failed["detail"], failed["given_up"]) == (
        ONE,
        "incompatible",
        "it said no",
        True,
    )
    assert "1 device failed" in status(bench).stdout
    assert bench.apply().exit_code == 0
    assert document(bench)["fleets"][0]["failed"] == []


def test_the_worst_fleet_comes_first(bench: Bench) -> None:
    bench.write((bench.folder / "fleet.yaml").read_text() + "---" + OTHER_FLEET)
    bench.call("halt", "us", "--force", "--reason", "smoke", "--journal", "journal.sqlite")
    text = status(bench).stdout
    assert text.index("Fleet us") < text.index("Fleet eu")
    assert "1 fleet of 2 halted" in text.splitlines()[0]
    assert "smoke" in text
    assert "reconciler resume us" in text


OTHER_FLEET = """
apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata: {name: us}
spec:
  product: cold-chain
  select: {groups: [us]}
  desired: {deviceOS: "6.3.4"}
"""


def test_a_fleet_whose_windows_are_closed_says_when_they_open(bench: Bench) -> None:
    year = f"{datetime.now(UTC).year + 1}-01-01"
    windows = f"  windows: [{{deny: {{from: 2000-01-01, until: {year}, reason: peak}}}}]\n"
    bench.write((bench.folder / "fleet.yaml").read_text().replace("spec:\n", f"spec:\n{windows}", 1))
    (of_fleet,) = document(bench)["fleets"]
    assert (of_fleet["held"], of_fleet["held_until"]) == ("outside the fleet's windows", f"{year}T00:00:00Z")
    assert f"held: outside the fleet's windows; next opening {year}T00:00:00Z" in status(bench).stdout


def test_a_fleet_that_no_run_would_start_in_is_said_to_be_held(bench: Bench) -> None:
    text = (bench.folder / "fleet.yaml").read_text().replace("spec:\n", "spec:\n  rollout: {maxConcurrent: 0}\n", 1)
    bench.write(text)
    assert document(bench)["fleets"][0]["held"] == "rollout.maxConcurrent is 0"


def test_a_halted_fleet_that_the_manifests_do_not_name_is_told_too(bench: Bench) -> None:
    bench.call("halt", "elsewhere", "--force", "--journal", "journal.sqlite")
    found = {fleet["name"]: fleet for fleet in document(bench)["fleets"]}
    assert found["elsewhere"]["halted"]["reason"] == "a person halted it"
    assert found["elsewhere"]["desired"] is None
    assert "Fleet elsewhere, known by the journal alone" in status(bench).stdout


def test_a_run_that_is_at_work_is_named_and_one_that_broke_off_too(bench: Bench) -> None:
    begun(bench, 1)
    with sole_run(bench.folder / "journal.sqlite", now=Instant(0.0)):
        assert "started at 1970" in document(bench)["run"]["under_way"]
        assert "run `apply` again" not in status(bench).stdout
    (bench.folder / "journal.sqlite.lock").write_text("process 4711, started at 2026-11-22T07:00:00Z\n")
    found = document(bench)["run"]
    assert (found["under_way"], found["broken_off"]) == ("", "process 4711, started at 2026-11-22T07:00:00Z")
    assert "a run broke off" in status(bench).stdout.splitlines()[0]


def test_offline_asks_nobody_and_says_that_the_devices_are_not_known(bench: Bench) -> None:
    begun(bench, 1)
    before = len(requests(bench))
    found = document(bench, "--offline")
    assert len(requests(bench)) == before
    assert (found["observed_at"], found["complete"]) == (None, False)
    assert found["blind_because"] == "--offline was given"
    (fleet,) = found["fleets"]
    assert fleet["summary"] is None
    assert fleet["desired"]["device_os"] == "6.3.4"
    assert [each["device"] for each in fleet["under_way"]] == [ONE]
    assert "Where the devices stand is not known" in status(bench, "--offline").stdout


def test_without_a_network_the_journal_answers_by_itself(bench: Bench) -> None:
    begun(bench, 1)
    found = document(bench, "--api-url", f"http://127.0.0.1:{unused_port()}")
    assert "PFR3003" in found["blind_because"]
    assert found["token"]["state"] == "unknown"
    assert len(found["fleets"][0]["under_way"]) == 1


def test_without_a_token_the_journal_answers_by_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARTICLE_ACCESS_TOKEN")
    assert "PFR3001" in document(bench)["blind_because"]


def test_a_token_that_the_cloud_refuses_is_told_before_everything_else(bench: Bench) -> None:
    with bench.cloud.locked() as cloud:
        cloud.order_fault(FaultOrder(fault="token-revoked", device="*", rate=1.0, count=None), bench.cloud.now())
    found = document(bench)
    assert found["token"]["state"] == "refused"
    assert "the token is refused" in status(bench).stdout.splitlines()[0]


def test_without_manifests_it_tells_of_the_journal_and_the_token(bench: Bench) -> None:
    begun(bench, 1)
    found = document(bench, paths=())
    assert found["token"]["state"] == "valid"
    assert found["blind_because"] == "no manifests were given"
    assert [(fleet["name"], fleet["desired"]) for fleet in found["fleets"]] == [("eu", None)]


def test_a_snapshot_is_enough(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench.call("observe", "--product", "cold-chain", "--output", "seen.json").exit_code == 0
    monkeypatch.delenv("PARTICLE_ACCESS_TOKEN")
    found = document(bench, "--observed", "seen.json")
    assert found["fleets"][0]["summary"]["devices"] == 2
    assert found["token"]["state"] == "unknown"


def test_an_old_snapshot_makes_no_step_younger(bench: Bench) -> None:
    assert bench.call("observe", "--product", "cold-chain", "--output", "seen.json").exit_code == 0
    snapshot = json.loads(Path("seen.json").read_text(encoding="utf-8"))
    Path("seen.json").write_text(json.dumps({**snapshot, "observed_at": "2020-01-01T00:00:00Z"}), encoding="utf-8")
    begun(bench, 1, seconds_ago=50 * 24 * 3600)
    found = document(bench, "--observed", "seen.json")
    assert found["observed_at"] == "2020-01-01T00:00:00Z"
    assert found["fleets"][0]["under_way"][0]["overdue"]
    assert "The devices are shown as they were" in status(bench, "--observed", "seen.json").stdout


def test_a_snapshot_without_manifests_is_refused(bench: Bench) -> None:
    assert bench.call("status", "--observed", "seen.json").exit_code == 2
    assert bench.call("status", "fleet.yaml", "--offline", "--observed", "seen.json").exit_code == 2


def test_a_folder_without_anything_says_so(bench: Bench, tmp_path: Path) -> None:
    text = status(bench, "--offline", paths=()).stdout
    assert "there is no journal" in text
