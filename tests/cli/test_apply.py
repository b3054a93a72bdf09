"""`apply` as a person calls it, on a small pretend cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from reconciler.cli.main import cli
from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import load_world
from reconciler.journal.journal import Looked
from reconciler.journal.lock import sole_run
from reconciler.journal.sqlite import SqliteJournal
from reconciler.manifests.schema import load_schema
from reconciler.model.attempt import AttemptState
from reconciler.model.console import Latch
from reconciler.model.device import DeviceId
from reconciler.model.error import ReconcilerError
from reconciler.model.instant import Instant
from reconciler.model.refusal import SystemFlashRefusal
from tests.fleet_samples import attempt

WORLD = """
products:
  - {id: 12345, slug: cold-chain, platform: boron, groups: [eu],
     firmware: [{version: 12, deviceOS: "2.0.1"}, {version: 44, deviceOS: "6.3.4"}]}
devices:
  - {id: e00fce680000000000000001, name: eu-1, product: cold-chain, platform: boron, deviceOS: "6.2.0", application: 12,
     groups: [eu]}
  - {id: e00fce680000000000000002, name: eu-2, product: cold-chain, platform: boron, deviceOS: "6.2.0", application: 12,
     groups: [eu]}
"""
FLEET = """
apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata: {name: eu}
spec:
  product: cold-chain
  select: {groups: [eu]}
  desired: {deviceOS: "6.3.4", application: {release: logger, version: 44}}
"""
RELEASE = """
---
apiVersion: fleet.reconciler.dev/v1alpha1
kind: ApplicationRelease
metadata: {name: logger}
spec:
  product: cold-chain
  versions: [{version: 44, binaries: [{platform: boron, source: product}]}]
"""
ONE, TWO = "e00fce680000000000000001", "e00fce680000000000000002"
TOKEN = "1" * 40
SPEED = 3000.0
"""Virtual seconds a second: a device restarts and comes back between two looks."""


class Bench:
    """A pretend cloud, a folder with manifests, and the command line."""

    def __init__(self, cloud: EmulatorServer, folder: Path) -> None:
        self.cloud = cloud
        self.folder = folder
        self.write(FLEET + RELEASE)
        document = cloud.catalog.document()
        served = [each for each in document["releases"] if (each["platform"], each["device_os"]) == ("boron", "6.3.4")]
        (folder / "catalog.json").write_text(json.dumps({**document, "releases": served}), encoding="utf-8")

    def write(self, text: str) -> None:
        (self.folder / "fleet.yaml").write_text(text, encoding="utf-8")

    def call(self, *words: str, asked: str | None = None) -> Result:
        return CliRunner().invoke(cli, words, input=asked)

    def plan(self, name: str = "plan.json", *words: str) -> None:
        result = self.call("plan", "fleet.yaml", "--catalog", "catalog.json", "--out", name, "--quiet", *words)
        assert result.exit_code == 0, result.exception

    def apply(self, *words: str, what: str = "fleet.yaml", approve: bool = True) -> Result:
        approval = ["--auto-approve"] if approve else []
        known = ["--catalog", "catalog.json", "--journal", "journal.sqlite", "--poll-seconds", "0.05"]
        return self.call("apply", what, *known, *approval, *words)

    def writes(self) -> int:
        """The requests so far that change something."""
        with self.cloud.locked() as cloud:
            return sum(request.method != "GET" for request in cloud.requests)

    def versions(self, device: str) -> tuple[str | None, int | None]:
        """What the device says that it runs."""
        with self.cloud.locked() as cloud:
            seen = cloud.state.devices[device]
            return seen.reported_device_os, seen.reported_application

    def violations(self) -> list[Any]:
        with self.cloud.locked() as cloud:
            return list(cloud.violations())


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.chdir(tmp_path)
    with EmulatorServer(load_world(WORLD), speed=SPEED) as cloud:
        monkeypatch.setenv("PARTICLE_API_URL", cloud.url)
        monkeypatch.setenv("PARTICLE_ACCESS_TOKEN", TOKEN)
        yield Bench(cloud, tmp_path)


def is_done(bench: Bench) -> bool:
    drift = bench.call("drift", "fleet.yaml", "--catalog", "catalog.json", "--output", "json")
    assert drift.exit_code in (0, 2), drift.exception
    summary = json.loads(drift.stdout)["summary"]
    return bool(summary["current"] == summary["devices"] == 2)


# --- a fleet brought up to date ---


def test_a_fleet_is_brought_to_its_desired_state(bench: Bench) -> None:
    result = bench.apply()
    assert result.exit_code == 0, result.output
    assert "Done: 2 of 2 devices arrived." in result.stdout
    assert is_done(bench)
    assert bench.violations() == []


def test_a_fleet_as_desired_needs_no_word_and_no_write(bench: Bench) -> None:
    assert bench.apply().exit_code == 0
    before = bench.writes()
    again = bench.apply(approve=False)
    assert again.exit_code == 0
    assert "nothing to do" in again.stdout
    assert bench.writes() == before


def test_a_step_of_an_earlier_run_on_a_device_that_is_gone_asks_for_no_word_and_fails_no_run(bench: Bench) -> None:
    assert bench.apply().exit_code == 0
    long_ago = Instant(bench.cloud.now() - 1e6)
    gone = attempt(id="of-long-ago", device_id=DeviceId("e00fce6800000000000000ff"), intended_at=long_ago)
    with SqliteJournal(bench.folder / "journal.sqlite") as kept:
        kept.begin(gone)
        kept.record(gone.sent(gone.intended_at))
    again = bench.apply(approve=False)
    assert again.exit_code == 0, again.output
    with SqliteJournal(bench.folder / "journal.sqlite") as kept:
        assert [(each.id, each.state) for each in kept.open_attempts()] == [("of-long-ago", AttemptState.UNKNOWN)]


def test_a_saved_plan_is_carried_out(bench: Bench) -> None:
    bench.plan()
    bench.write("nothing: that is read again")
    result = bench.apply(what="plan.json")
    assert result.exit_code == 0, result.output
    assert bench.violations() == []


@pytest.mark.parametrize("name", ["release.plan", "plan"])
def test_a_plan_may_be_saved_under_any_name(bench: Bench, name: str) -> None:
    bench.plan(name)
    assert bench.apply(what=name).exit_code == 0


def test_json_is_one_object_a_line_and_nothing_else_on_standard_output(bench: Bench) -> None:
    result = bench.apply("--output", "json")
    assert result.exit_code == 0
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[-1]["event"] == "outcome"
    assert (events[-1]["devices_planned"], events[-1]["devices_arrived"]) == (2, 2)
    assert {event["event"] for event in events} >= {"attempt_moved", "device_arrived", "outcome"}
    assert [event["device"] for event in events if event["event"] == "device_arrived"] in ([ONE, TWO], [TWO, ONE])


def test_a_run_that_does_not_wait_starts_what_may_start_and_leaves(bench: Bench) -> None:
    bench.cloud.set_speed(0.001)
    result = bench.apply("--no-wait")
    assert result.exit_code == 0, result.output
    assert bench.writes() == 2
    with SqliteJournal(bench.folder / "journal.sqlite") as journal:
        assert len(journal.open_attempts()) == 2


def test_a_second_run_on_the_same_journal_ends_at_once(bench: Bench) -> None:
    with sole_run(bench.folder / "journal.sqlite", now=Instant(0.0)):
        result = bench.apply()
        assert bench.call("history", "--journal", "journal.sqlite").exit_code == 0
    assert isinstance(result.exception, ReconcilerError)
    assert result.exception.code == "PFR5012"
    assert bench.writes() == 0


# --- asking ---


def test_without_a_terminal_and_approval_nothing_is_sent(bench: Bench) -> None:
    result = bench.apply(approve=False)
    assert result.exit_code == 5
    assert "--auto-approve" in result.stderr
    assert bench.writes() == 0


# --- plans that do not fit any more ---


@pytest.fixture
def stale(bench: Bench) -> Bench:
    """A plan that was made when device ONE was thought to be at the desired release already."""
    assert bench.call("observe", "--product", "cold-chain", "--output", "seen.json", "--quiet").exit_code == 0
    path = bench.folder / "seen.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    for seen in document["devices"]:
        if seen["id"] == ONE:
            seen["system_firmware_version"] = "6.3.4"
    path.write_text(json.dumps(document), encoding="utf-8")
    bench.plan("plan.json", "--observed", "seen.json")
    return bench


def test_a_stale_plan_fails_before_anything_is_sent(stale: Bench) -> None:
    result = stale.apply(what="plan.json")
    assert result.exit_code == 4
    assert ONE in result.stderr
    assert TWO not in result.stderr
    assert stale.writes() == 0


def test_a_stale_device_is_skipped_on_request_and_the_others_are_done(stale: Bench) -> None:
    result = stale.apply("--on-stale", "skip", what="plan.json")
    assert result.exit_code == 0, result.output
    assert stale.versions(ONE) == ("6.2.0", 12)
    assert stale.versions(TWO) == ("6.3.4", 44)


def test_a_stale_device_is_planned_anew_on_request(stale: Bench) -> None:
    result = stale.apply("--on-stale", "replan", what="plan.json")
    assert result.exit_code == 0, result.output
    assert stale.versions(ONE) == stale.versions(TWO) == ("6.3.4", 44)
    assert stale.violations() == []


def test_a_saved_plan_is_never_widened(bench: Bench) -> None:
    bench.write(FLEET.replace("{groups: [eu]}", "{devices: [eu-1]}") + RELEASE)
    bench.plan()
    bench.write(FLEET + RELEASE)
    assert bench.apply("--on-stale", "replan", what="plan.json").exit_code == 0
    assert bench.versions(ONE) == ("6.3.4", 44)
    assert bench.versions(TWO) == ("6.2.0", 12)


@pytest.mark.parametrize("name", ["steps", "expires_at", "manifests", "digest"])
def test_a_plan_file_that_was_tampered_with_is_refused(bench: Bench, name: str) -> None:
    bench.plan()
    path = bench.folder / "plan.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    match name:
        case "steps":
            document["fleets"][0]["routes"][0]["steps"].pop()
        case "expires_at":
            document["expires_at"] = "2126-01-01T00:00:00Z"
        case "manifests":
            files = document["manifests"]["files"]
            files["fleet.yaml"] = files["fleet.yaml"].replace("6.3.4", "6.3.3")
        case "digest":
            document["digest"] = "sha256:" + "0" * 64
    path.write_text(json.dumps(document), encoding="utf-8")
    result = bench.apply(what="plan.json")
    assert result.exit_code == 1
    assert isinstance(result.exception, ReconcilerError)
    assert result.exception.code == "PFR6403"
    assert bench.writes() == 0


def test_a_plan_that_has_expired_is_stale(bench: Bench) -> None:
    assert bench.call("observe", "--product", "cold-chain", "--output", "seen.json", "--quiet").exit_code == 0
    path = bench.folder / "seen.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, "observed_at": "2025-11-22T09:00:00Z"}), encoding="utf-8")
    bench.plan("plan.json", "--observed", "seen.json")
    result = bench.apply(what="plan.json")
    assert result.exit_code == 4
    assert "PFR6404" in result.stderr
    assert bench.writes() == 0


def test_half_a_plan_file_is_refused(bench: Bench) -> None:
    bench.plan()
    path = bench.folder / "plan.json"
    path.write_bytes(path.read_bytes()[:200])
    result = bench.apply(what="plan.json")
    assert isinstance(result.exception, ReconcilerError)
    assert result.exception.code == "PFR6401"


def test_a_plan_file_stands_alone(bench: Bench) -> None:
    bench.plan()
    result = bench.apply("fleet.yaml", what="plan.json")
    assert isinstance(result.exception, ReconcilerError)
    assert result.exception.code == "PFR6705"


def test_a_plan_made_with_another_catalog_is_refused(bench: Bench) -> None:
    bench.plan()
    path = bench.folder / "catalog.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    later = {"function": "system_part", "index": 1, "version": 6600, "dependencies": []}
    document["releases"].append({"device_os": "6.6.0", "prerelease": False, "platform": "boron", "modules": [later]})
    path.write_text(json.dumps(document), encoding="utf-8")
    result = bench.apply(what="plan.json")
    assert isinstance(result.exception, ReconcilerError)
    assert result.exception.code == "PFR6407"
    assert bench.writes() == 0


# --- what a fleet asks for ---


@pytest.mark.parametrize(
    ("asked", "code", "word"),
    [
        ("  rollout: {waves: [{name: canary, size: 1, approval: required}]}", 5, "approval"),
        ("  approval: {required: true}", 5, "approval"),
        ("  windows: [{deny: {from: 2000-01-01, until: 2100-01-01, reason: peak}}]", 6, "windows"),
        ("  rollout: {maxConcurrent: 0}", 0, "maxConcurrent"),
    ],
)
def test_a_fleet_that_may_not_start_has_an_exit_code_and_a_reason(
    bench: Bench, asked: str, code: int, word: str
) -> None:
    bench.write(f"{FLEET}{asked}\n{RELEASE}")
    result = bench.apply()
    assert result.exit_code == code, result.output
    assert word in result.stdout
    assert bench.writes() == 0


def test_outside_its_windows_a_fleet_says_when_the_next_one_opens(bench: Bench) -> None:
    bench.write(f"{FLEET}  windows: [{{deny: {{from: 2000-01-01, until: 2100-01-01, reason: a}}}}]\n{RELEASE}")
    never = bench.apply()
    year = f"{datetime.now(UTC).year + 1}-01-01"
    bench.write(f"{FLEET}  windows: [{{deny: {{from: 2000-01-01, until: {year}, reason: a}}}}]\n{RELEASE}")
    later = bench.apply()
    assert (never.exit_code, later.exit_code, bench.writes()) == (6, 6, 0)
    assert f"not started: outside the fleet's windows; next opening {year}T00:00:00Z" in later.stdout
    assert f"Windows: closed, next opening {year}T00:00:00Z" in later.stdout
    assert "its windows do not open within 400 days" in never.stdout


def test_a_halted_fleet_is_left_alone_until_a_person_resumes_it(bench: Bench) -> None:
    assert bench.call("halt", "eu", "--force", "--journal", "journal.sqlite").exit_code == 0
    held = bench.apply()
    assert (held.exit_code, bench.writes()) == (3, 0)
    assert "resume" in held.stdout
    assert bench.call("resume", "eu", "--journal", "journal.sqlite").exit_code == 0
    assert bench.apply().exit_code == 0


def test_resume_of_a_fleet_that_is_not_halted_says_which_are(bench: Bench) -> None:
    bench.call("halt", "eu", "--force", "--journal", "journal.sqlite")
    result = bench.call("resume", "us", "--journal", "journal.sqlite")
    assert result.exit_code == 1
    assert "eu" in result.stderr


# --- what others change ---

PERSON = {"headers": {"Authorization": f"Bearer {TOKEN}"}, "timeout": 10}


def person_locks(bench: Bench, device: str, version: int | None) -> None:
    path = f"{bench.cloud.url}/v1/products/cold-chain/devices/{device}"
    assert requests.put(path, json={"desired_firmware_version": version}, **PERSON).ok


def test_what_others_changed_is_in_drift_explain_and_history_in_the_words_of_the_schema(bench: Bench) -> None:
    assert bench.apply().exit_code == 0
    person_locks(bench, ONE, 12)
    known = ["--catalog", "catalog.json", "--journal", "journal.sqlite"]
    drift = bench.call("drift", "fleet.yaml", *known, "--output", "json")
    assert drift.exit_code == 2
    document = json.loads(drift.stdout)
    Draft202012Validator(load_schema("plan")).validate(document)
    (change,) = document["console_changes"]
    assert (change["device"], change["kind"], change["before"], change["after"]) == (ONE, "lock", "44", "12")
    explained = bench.call("explain", "eu-1", "fleet.yaml", *known)
    assert "Changed in the console:\n  lock 44 -> 12, which undid what we had done" in explained.stdout
    assert "Changed in the console" not in bench.call("explain", "eu-2", "fleet.yaml", *known).stdout
    applied = bench.apply("--output", "json")
    assert applied.exit_code == 0
    told = [json.loads(line) for line in applied.stdout.splitlines()]
    assert {**change, "seen_at": None} in [
        {**{key: event.get(key) for key in change}, "seen_at": None}
        for event in told
        if event["event"] == "console_changed"
    ]
    told_later = bench.call("history", "--journal", "journal.sqlite", "--output", "json")
    assert [each["before"] for each in json.loads(told_later.stdout)["console_changes"]] == ["44"]


def test_where_drift_is_only_detected_what_git_asks_for_is_rolled_out_all_the_same(bench: Bench) -> None:
    bench.write(f"{FLEET}  drift: {{mode: detect}}\n{RELEASE}")
    assert bench.apply().exit_code == 0
    assert is_done(bench)
    written = bench.writes()
    person_locks(bench, ONE, 12)
    assert bench.apply().exit_code == 0
    assert bench.writes() == written + 1
    drift = bench.call("drift", "fleet.yaml", "--catalog", "catalog.json", "--journal", "journal.sqlite")
    assert drift.exit_code == 2
    assert "drift is only reported, not corrected" in drift.stdout


@pytest.fixture
def fight(tmp_path: Path) -> Path:
    """A journal with two latched devices of one fleet."""
    path = tmp_path / "fight.sqlite"
    with SqliteJournal(path) as kept:
        latches = [
            Latch(device_id=DeviceId(device), fleet="eu", intent="i", why="three times", at=Instant(1))
            for device in (ONE, TWO)
        ]
        kept.keep_look(Looked(latches=latches))
    return path


def resumed(journal: Path, *words: str) -> tuple[int, set[str]]:
    """How `resume` ended, and which devices are still held."""
    result = CliRunner().invoke(cli, ["resume", "--journal", str(journal), *words])
    with SqliteJournal(journal, create=False) as kept:
        return result.exit_code, {latch.device_id for latch in kept.latches().values() if not latch.lifted}


def test_resume_lets_go_of_the_devices_that_are_named(fight: Path) -> None:
    assert resumed(fight, "--device", ONE.upper()) == (0, {TWO})
    assert resumed(fight, "--device", ONE, "--device", TWO) == (1, set())


def test_resume_lets_go_of_all_latched_devices_of_a_fleet_and_lifts_its_halt(fight: Path) -> None:
    assert resumed(fight, "us", "--latched") == (1, {ONE, TWO})
    with SqliteJournal(fight, create=False) as kept:
        kept.halt("eu", "a fight", Instant(2))
    assert resumed(fight, "eu", "--latched") == (0, set())
    with SqliteJournal(fight, create=False) as kept:
        assert kept.halts() == ()


def test_resume_of_a_fleet_alone_lets_go_of_no_device(fight: Path) -> None:
    assert resumed(fight, "eu") == (1, {ONE, TWO})


@pytest.mark.parametrize("words", [[], ["--latched"]])
def test_resume_wants_to_know_whom(fight: Path, words: list[str]) -> None:
    assert resumed(fight, *words) == (2, {ONE, TWO})


# --- refusals ---


def test_a_manifest_that_asks_for_a_lower_release_writes_nothing(bench: Bench) -> None:
    bench.write(FLEET.replace("6.3.4", "6.1.1") + RELEASE)
    result = bench.apply()
    assert result.exit_code == 0
    assert "downgrade_refused" in result.stdout
    assert bench.writes() == 0


def test_a_token_that_is_refused_is_an_error_without_the_token_in_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The event stream is refused too; nobody waits for it here.
    monkeypatch.setattr("reconciler.wiring._STREAM_WAIT_SECONDS", 0.1)
    monkeypatch.setenv("PARTICLE_ACCESS_TOKEN", "2" * 40)
    result = bench.apply()
    assert result.exit_code == 1
    assert isinstance(result.exception, ReconcilerError)
    assert result.exception.code == "PFR3002"
    assert "2" * 40 not in f"{result.exception} {result.output}"


def test_what_the_cloud_refused_for_a_product_is_shown_and_forgotten_by_a_persons_word(bench: Bench) -> None:
    journal = bench.folder / "journal.sqlite"
    with SqliteJournal(journal) as kept:
        kept.keep_refusal(SystemFlashRefusal(product_id=12345, at=Instant(1_795_338_000.0), words="403 not allowed"))
    shown = " ".join(bench.call("history", "--journal", str(journal)).stdout.split())
    assert "the cloud refuses Device OS modules for product 12345" in shown
    assert "tried again after 2026-11-29" in shown
    other = bench.call("resume", "--product", "777", "--journal", str(journal))
    assert other.exit_code == 1
    assert "products with one: 12345" in other.stderr
    assert bench.call("resume", "--product", "12345", "--journal", str(journal)).exit_code == 0
    with SqliteJournal(journal) as kept:
        assert kept.refusals() == ()


@pytest.mark.parametrize("arguments", [(), ("--latched",)])
def test_resume_names_a_fleet_a_device_or_a_product(bench: Bench, arguments: tuple[str, ...]) -> None:
    assert bench.call("resume", *arguments, "--journal", "journal.sqlite").exit_code == 2
