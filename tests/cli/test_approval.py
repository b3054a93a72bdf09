"""`approve`, and `apply` under approvals and saved plans, on a small pretend cloud: every way to every exit code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator

from reconciler.journal.sqlite import SqliteJournal
from reconciler.manifests.schema import load_schema
from reconciler.model.error import ReconcilerError
from reconciler.model.instant import instant_from_iso
from reconciler.model.rollout_entry import Approved
from tests.cli.test_apply import FLEET, ONE, RELEASE, TWO, Bench, bench

__all__ = ["bench"]

ASKS = f"{FLEET.rstrip()}\n  approval: {{required: true}}\n"
WAVES = "  rollout: {waves: [{name: canary, size: 1}, {name: early, size: remaining, approval: required}]}\n"


def plan_document(bench: Bench, name: str = "plan.json") -> dict[str, Any]:
    bench.plan(name)
    return json.loads((bench.folder / name).read_text(encoding="utf-8"))  # type: ignore[no-any-return]  # json.loads


def approve(bench: Bench, plan: str, *words: str, by: str = "ann") -> Result:
    known = ["--catalog", "catalog.json", "--journal", "journal.sqlite", "--by", by]
    return bench.call("approve", plan, *known, *words)


def approved(bench: Bench) -> list[Approved]:
    with SqliteJournal(bench.folder / "journal.sqlite") as kept:
        return [noted.entry for noted in kept.entries() if isinstance(noted.entry, Approved)]


def code_of(result: Result) -> str:
    assert isinstance(result.exception, ReconcilerError), result.output
    assert result.exit_code == 1
    return result.exception.code


def approve_as_told(bench: Bench, result: Result) -> None:
    """Run the very command that `apply` said."""
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("approve it with: "))
    words = line.removeprefix("approve it with: reconciler ").split()
    said = bench.call(*words, "--catalog", "catalog.json")
    assert said.exit_code == 0, said.output


# --- a fleet that asks for an approval ---


def test_a_fleet_that_asks_for_an_approval_is_proposed_approved_and_done(bench: Bench) -> None:
    bench.write(ASKS + RELEASE)
    first = bench.apply()
    assert (first.exit_code, bench.writes()) == (5, 0)
    approve_as_told(bench, first)
    assert bench.apply(approve=False).exit_code == 0, "nobody is asked for what a person has approved"
    assert bench.versions(ONE) == bench.versions(TWO) == ("6.3.4", 44)
    assert bench.violations() == []
    (word,) = approved(bench)
    assert (word.fleet, word.wave, word.source) == ("eu", None, "command")


def test_a_plan_that_nobody_could_be_asked_about_is_kept_and_can_be_approved(bench: Bench) -> None:
    first = bench.apply(approve=False)
    assert (first.exit_code, bench.writes()) == (5, 0)
    approve_as_told(bench, first)
    assert bench.apply(approve=False).exit_code == 0
    assert bench.versions(ONE) == ("6.3.4", 44)


def test_a_device_that_changed_after_the_approval_waits_and_the_other_goes_on(bench: Bench) -> None:
    bench.write(ASKS + RELEASE)
    seen = observed(bench, {ONE: "6.3.4"})
    bench.plan("plan.json", "--observed", seen)
    assert approve(bench, "plan.json").exit_code == 0
    result = bench.apply()
    assert result.exit_code == 4, result.output
    assert "1 not started: it is not as in the plan that was approved" in result.stdout
    assert bench.versions(ONE) == ("6.2.0", 12)
    assert bench.versions(TWO) == ("6.3.4", 44)
    approve_as_told(bench, result)
    assert bench.apply().exit_code == 0
    assert bench.versions(ONE) == ("6.3.4", 44)


def test_an_approval_of_another_intent_counts_for_nothing(bench: Bench) -> None:
    bench.write(ASKS + RELEASE)
    plan_document(bench)
    assert approve(bench, "plan.json").exit_code == 0
    bench.write(ASKS.replace(", application: {release: logger, version: 44}", "") + RELEASE)
    result = bench.apply()
    assert (result.exit_code, bench.writes()) == (5, 0)


def test_a_wave_that_asks_for_an_approval_starts_after_it(bench: Bench) -> None:
    bench.write(FLEET + WAVES + RELEASE)
    first = bench.apply()
    assert first.exit_code == 5, first.output
    assert sorted([bench.versions(ONE), bench.versions(TWO)], key=str) == [("6.2.0", 12), ("6.3.4", 44)]
    assert "--wave early" in first.stderr
    approve_as_told(bench, first)
    assert bench.apply().exit_code == 0
    assert bench.versions(ONE) == bench.versions(TWO) == ("6.3.4", 44)
    assert bench.violations() == []


def looked(bench: Bench, *words: str) -> str:
    known = ["--catalog", "catalog.json", "--journal", "journal.sqlite"]
    said = bench.call(*words, *known)
    assert said.exit_code == 0, said.output
    return " ".join(said.stdout.split())


def test_a_look_says_which_wave_waits_and_the_very_command_until_somebody_has_agreed(bench: Bench) -> None:
    bench.write(FLEET + WAVES + RELEASE)
    assert bench.apply().exit_code == 5
    (command,) = re.findall(
        r"next: reconciler (approve \S+ --fleet eu --wave early)", looked(bench, "status", "fleet.yaml")
    )
    assert bench.call(*command.split(), "--catalog", "catalog.json", "--journal", "journal.sqlite").exit_code == 0
    assert "awaiting the approval" not in looked(bench, "status", "fleet.yaml")
    assert bench.apply().exit_code == 0


def test_a_look_at_a_fleet_that_nobody_has_agreed_to_does_not_say_that_it_may_start(bench: Bench) -> None:
    bench.write(ASKS + RELEASE)
    first = bench.apply()
    assert first.exit_code == 5
    assert "Nothing starts on it now: the fleet, or its wave, asks for an approval" in looked(
        bench, "explain", ONE, "fleet.yaml"
    )
    assert "held: the fleet, or its wave, asks for an approval" in looked(bench, "status", "fleet.yaml")
    approve_as_told(bench, first)
    assert "asks for an approval" not in looked(bench, "explain", ONE, "fleet.yaml")
    assert "asks for an approval" not in looked(bench, "status", "fleet.yaml")


# --- the command ---


def test_a_plan_file_is_approved_and_kept_and_carried_out(bench: Bench) -> None:
    bench.write(ASKS + RELEASE)
    document = plan_document(bench)
    said = approve(bench, "plan.json")
    assert said.exit_code == 0
    assert f"{document['plan_id']} is approved for fleet eu" in said.stdout
    with SqliteJournal(bench.folder / "journal.sqlite") as kept:
        plan = kept.plan(document["plan_id"])
        assert plan is not None
        assert plan.digest == document["digest"]
    assert bench.apply(what="plan.json", approve=False).exit_code == 0
    assert bench.versions(ONE) == ("6.3.4", 44)


def test_approving_twice_is_harmless(bench: Bench) -> None:
    document = plan_document(bench)
    assert approve(bench, "plan.json").exit_code == 0
    again = approve(bench, document["plan_id"], by="bob")
    assert again.exit_code == 0
    assert "already, by ann" in again.stdout
    assert len(approved(bench)) == 1


def test_an_unknown_plan_fleet_or_wave_is_an_error_with_a_suggestion(bench: Bench) -> None:
    bench.write(FLEET + WAVES + RELEASE)
    plan_document(bench)
    assert code_of(approve(bench, "plan-local-0000000000")) in ("PFR5001", "PFR6721")
    for words, meant in ((("--fleet", "eus"), "'eu'"), (("--wave", "erly"), "'early'")):
        result = approve(bench, "plan.json", *words)
        assert code_of(result) == "PFR6722"
        assert isinstance(result.exception, ReconcilerError)
        assert meant in result.exception.next_step
    assert approved(bench) == []
    assert code_of(approve(bench, "plan-local-0000000000")) == "PFR6721"


@pytest.mark.parametrize(
    ("change", "code"),
    [("steps", "PFR6403"), ("content_digest", "PFR6403"), ("tool_version", "PFR6408"), ("manifests", "PFR6403")],
)
def test_a_plan_file_that_was_tampered_with_is_not_approved(bench: Bench, change: str, code: str) -> None:
    document = plan_document(bench)
    match change:
        case "steps":
            document["fleets"][0]["routes"][0]["steps"].pop()
        case "content_digest":
            document["content_digest"] = "sha256:" + "0" * 64
        case "tool_version":
            document["tool_version"] = "99.0.0"
        case "manifests":
            document["manifests"]["files"]["fleet.yaml"] = ASKS + RELEASE
    (bench.folder / "plan.json").write_text(json.dumps(document), encoding="utf-8")
    assert code_of(approve(bench, "plan.json")) == code
    assert not (bench.folder / "journal.sqlite").exists() or approved(bench) == []


def test_a_plan_that_has_expired_or_is_of_another_catalog_is_not_approved(bench: Bench) -> None:
    seen = observed(bench, {}, observed_at="2025-11-22T09:00:00Z")
    bench.plan("old.json", "--observed", seen)
    assert code_of(approve(bench, "old.json")) == "PFR6404"
    bench.plan()
    catalog = bench.folder / "catalog.json"
    document = json.loads(catalog.read_text(encoding="utf-8"))
    later = {"function": "system_part", "index": 1, "version": 6600, "dependencies": []}
    document["releases"].append({"device_os": "6.6.0", "prerelease": False, "platform": "boron", "modules": [later]})
    catalog.write_text(json.dumps(document), encoding="utf-8")
    assert code_of(approve(bench, "plan.json")) == "PFR6407"


# --- approvals in files ---


def in_a_file(document: dict[str, Any], *, digest: str = "content_digest", more: str = "") -> str:
    return f"""---
apiVersion: fleet.reconciler.dev/v1alpha1
kind: PlanApproval
metadata: {{name: release}}
spec:
  planId: {document["plan_id"]}
  digest: {document[digest]}
  by: ann
  at: 2026-11-22T09:00:00Z
{more}"""


def test_an_approval_in_a_file_counts_for_what_is_planned_again_and_for_the_rest_of_it(bench: Bench) -> None:
    bench.write(ASKS + RELEASE)
    document = plan_document(bench)
    bench.write(ASKS + RELEASE + in_a_file(document, more="  expires: 2126-01-01T00:00:00Z\n"))
    assert bench.apply(approve=False).exit_code == 0
    assert bench.versions(ONE) == bench.versions(TWO) == ("6.3.4", 44)
    (word,) = approved(bench)
    assert (word.by, word.digest) == ("ann", document["content_digest"])
    assert word.source.startswith("file fleet.yaml:")
    assert word.expires == instant_from_iso("2126-01-01T00:00:00Z")
    assert bench.apply().exit_code == 0
    assert len(approved(bench)) == 1


def test_an_approval_in_a_file_counts_no_more_when_it_is_taken_out(bench: Bench) -> None:
    bench.write(FLEET + WAVES + RELEASE)
    document = plan_document(bench)
    bench.write(FLEET + WAVES + RELEASE + in_a_file(document, more="  waves: [early]\n"))
    bench.cloud.set_speed(0.001)
    assert bench.apply("--no-wait").exit_code in (0, 5)
    bench.cloud.set_speed(3000.0)
    bench.write(FLEET + WAVES + RELEASE)
    assert bench.apply().exit_code == 5
    assert sorted([bench.versions(ONE), bench.versions(TWO)], key=str) == [("6.2.0", 12), ("6.3.4", 44)]
    bench.write(FLEET + WAVES + RELEASE + in_a_file(document, more="  waves: [early]\n"))
    assert bench.apply().exit_code == 0


def test_an_approval_in_a_file_of_a_plan_that_is_another_by_now_is_a_warning_and_nothing_starts(bench: Bench) -> None:
    bench.write(ASKS + RELEASE)
    bench.plan("plan.json", "--observed", observed(bench, {ONE: "6.3.4"}))
    document = json.loads((bench.folder / "plan.json").read_text(encoding="utf-8"))
    bench.write(ASKS + RELEASE + in_a_file(document))
    result = bench.apply()
    assert (result.exit_code, bench.writes()) == (5, 0)
    assert "PFR6724" in result.stderr


def test_an_approval_in_a_file_that_has_expired_counts_for_nothing(bench: Bench) -> None:
    bench.write(ASKS + RELEASE)
    document = plan_document(bench)
    bench.write(ASKS + RELEASE + in_a_file(document, more="  expires: 2026-11-22T09:00:01Z\n"))
    assert (bench.apply().exit_code, bench.writes()) == (5, 0)


# --- saved plans ---


def observed(bench: Bench, device_os: dict[str, str], observed_at: str | None = None) -> str:
    """A snapshot in which some devices run something else than they do."""
    assert bench.call("observe", "--product", "cold-chain", "--output", "seen.json", "--quiet").exit_code == 0
    path = bench.folder / "seen.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    for seen in document["devices"]:
        seen["system_firmware_version"] = device_os.get(seen["id"], seen["system_firmware_version"])
    if observed_at is not None:
        document["observed_at"] = observed_at
    path.write_text(json.dumps(document), encoding="utf-8")
    return path.name


def stale_plan(bench: Bench) -> None:
    """A plan that was made when device ONE was thought to be at the desired release already."""
    bench.plan("plan.json", "--observed", observed(bench, {ONE: "6.3.4"}))


def test_a_plan_of_which_few_devices_are_stale_is_carried_out_without_them_and_ends_as_stale(bench: Bench) -> None:
    stale_plan(bench)
    result = bench.apply("--stale-max", "50%", what="plan.json")
    assert result.exit_code == 4, result.output
    assert f"1 drifted (fail), changed by something else: {ONE}" in result.stdout
    assert bench.versions(ONE) == ("6.2.0", 12)
    assert bench.versions(TWO) == ("6.3.4", 44)


@pytest.mark.parametrize("share", ["0", "10%", "49.9%"])
def test_a_plan_of_which_more_devices_are_stale_is_not_carried_out_at_all(bench: Bench, share: str) -> None:
    stale_plan(bench)
    result = bench.apply("--stale-max", share, what="plan.json")
    assert (result.exit_code, bench.writes()) == (4, 0)
    assert ONE in result.stderr


def test_how_every_device_was_found_is_recorded_beside_the_plan(bench: Bench) -> None:
    stale_plan(bench)
    saved = json.loads((bench.folder / "plan.json").read_text(encoding="utf-8"))
    assert bench.apply("--on-stale", "skip", what="plan.json").exit_code == 0
    with SqliteJournal(bench.folder / "journal.sqlite") as kept:
        plan_ids = {attempt.plan_id for attempt in kept.attempts()}
        plans = [plan for plan in map(kept.plan, plan_ids) if plan is not None]
    (checked,) = (json.loads(plan.text)["checked"] for plan in plans)
    assert (checked["plan_id"], checked["digest"]) == (saved["plan_id"], saved["digest"])
    assert {name: ids for name, ids in checked["devices"].items() if ids} == {"drifted": [ONE], "unchanged": [TWO]}


def test_json_says_how_every_device_was_found_on_a_line_of_its_own(bench: Bench) -> None:
    stale_plan(bench)
    result = bench.apply("--on-stale", "skip", "--output", "json", what="plan.json")
    assert result.exit_code == 0
    checked = next(line for line in map(json.loads, result.stdout.splitlines()) if line["event"] == "plan_checked")
    assert (checked["devices"]["drifted"], checked["devices"]["unchanged"]) == ([ONE], [TWO])


def test_a_device_that_is_there_already_is_a_success_and_one_on_its_way_goes_on(bench: Bench) -> None:
    bench.plan()
    bench.write(FLEET.replace(", application: {release: logger, version: 44}", ""))
    assert bench.apply().exit_code == 0
    result = bench.apply(what="plan.json")
    assert result.exit_code == 0, result.output
    assert "2 compatible" in result.stdout
    again = bench.apply(what="plan.json")
    assert again.exit_code == 0
    assert "2 satisfied" in again.stdout
    assert bench.violations() == []


def test_manifests_beside_a_plan_file_must_be_those_it_was_made_from(bench: Bench) -> None:
    bench.plan()
    bench.write(f"# a remark\n{FLEET}{RELEASE}")
    assert bench.apply("--manifests", "fleet.yaml", "--no-wait", what="plan.json").exit_code == 0
    before = bench.writes()
    bench.write(FLEET.replace("6.3.4", "6.3.3") + RELEASE)
    assert code_of(bench.apply("--manifests", "fleet.yaml", what="plan.json")) == "PFR6409"
    assert bench.writes() == before


def test_an_approval_among_the_manifests_beside_a_plan_file_counts(bench: Bench) -> None:
    bench.write(ASKS + RELEASE)
    document = plan_document(bench)
    first = bench.apply(what="plan.json")
    assert first.exit_code == 5
    assert f"approve it with: reconciler approve {document['plan_id']} --fleet eu" in first.stderr
    bench.write(ASKS + RELEASE + in_a_file(document))
    assert bench.apply("--manifests", "fleet.yaml", what="plan.json").exit_code == 0
    assert bench.versions(ONE) == ("6.3.4", 44)


def test_an_approval_that_came_in_the_plan_file_itself_counts_for_nothing(bench: Bench) -> None:
    bench.write(ASKS + RELEASE)
    document = plan_document(bench)
    document["manifests"]["files"]["fleet.yaml"] += in_a_file(document)
    (bench.folder / "plan.json").write_text(json.dumps(document), encoding="utf-8")
    assert (bench.apply(what="plan.json").exit_code, bench.writes()) == (5, 0)


def test_what_a_file_approved_may_be_approved_by_command_and_then_stands_without_the_file(bench: Bench) -> None:
    bench.write(ASKS + RELEASE)
    document = plan_document(bench)
    bench.write(ASKS + RELEASE + in_a_file(document, digest="digest"))
    assert approve(bench, "plan.json").exit_code == 0
    assert approve(bench, "plan.json").exit_code == 0
    bench.write(ASKS + RELEASE)
    assert bench.apply(approve=False).exit_code == 0
    assert bench.versions(ONE) == ("6.3.4", 44)


# --- an expected digest, for who keeps no files ---


def test_the_expected_plan_is_carried_out_without_being_asked_for(bench: Bench) -> None:
    document = plan_document(bench)
    result = bench.apply("--expect-plan-digest", document["content_digest"], approve=False)
    assert result.exit_code == 0, result.output
    assert bench.versions(ONE) == ("6.3.4", 44)


def test_another_plan_than_the_expected_one_is_stale_and_says_its_own_digest(bench: Bench) -> None:
    stale_plan(bench)
    document = json.loads((bench.folder / "plan.json").read_text(encoding="utf-8"))
    result = bench.apply("--expect-plan-digest", document["content_digest"])
    assert (result.exit_code, bench.writes()) == (4, 0)
    assert "PFR6410" in result.stderr
    assert plan_document(bench, "now.json")["content_digest"] in result.stderr


def test_the_content_digest_is_the_same_a_while_later(bench: Bench) -> None:
    first, second = plan_document(bench, "a.json"), plan_document(bench, "b.json")
    assert first["source"]["observed_at"] != second["source"]["observed_at"]
    assert first["content_digest"] == second["content_digest"]


def test_expecting_a_plan_does_not_replace_an_approval(bench: Bench) -> None:
    bench.write(ASKS + RELEASE)
    document = plan_document(bench)
    result = bench.apply("--expect-plan-digest", document["content_digest"])
    assert (result.exit_code, bench.writes()) == (5, 0)


def test_a_plan_file_as_it_is_kept_is_what_the_published_schema_describes(bench: Bench, tmp_path: Path) -> None:
    stale_plan(bench)
    assert bench.apply("--on-stale", "skip", what="plan.json").exit_code == 0
    with SqliteJournal(tmp_path / "journal.sqlite") as kept:
        texts = [kept.plan(plan_id) for plan_id in {attempt.plan_id for attempt in kept.attempts()}]
    for text in texts:
        assert text is not None
        Draft202012Validator(load_schema("plan")).validate(json.loads(text.text))
