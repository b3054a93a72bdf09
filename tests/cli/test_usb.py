"""`usb list|plan|apply|bench` and `bundle`, on the pretend bench, as a person runs them."""

from __future__ import annotations

import errno
import json
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator
from usb.core import USBError

from reconciler.cli.bundle import command as bundle_command
from reconciler.cli.usb.group import command as usb_command
from reconciler.cli.usb.working import sole_bench
from reconciler.emulator.bench.backend import PretendUsb
from reconciler.journal.opening import open_journal
from reconciler.model.attempt import AttemptState
from reconciler.model.error import ReconcilerError
from tests.bench.stock import stock

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "fleet-manifests" / "11-bench"
SCHEMA = json.loads((ROOT / "schemas" / "usblist.v1.schema.json").read_text(encoding="utf-8"))
STRANGER = "e00fce68ffffffffffffffff"
FAST = ("--emulate", "--speed", "20")


def run(*arguments: object, journal: Path | None = None) -> Result:
    kept = () if journal is None else ("--journal", journal)
    return CliRunner(env={"PARTICLE_ACCESS_TOKEN": None}).invoke(usb_command, list(map(str, (*arguments, *kept))))


def lines_of(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def code_of(result: Result) -> str:
    assert isinstance(result.exception, ReconcilerError), result.output
    return result.exception.code


def test_the_list_shows_ours_and_strangers_and_keeps_its_schema() -> None:
    result = run("list", EXAMPLE, *FAST, "--output", "json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    Draft202012Validator(SCHEMA).validate(document)
    fleets = {device["id"]: device["fleet"] for device in document["devices"]}
    assert fleets.pop(STRANGER) is None
    assert set(fleets.values()) == {"returned-units"}
    assert {device["mode"] for device in document["devices"]} == {"normal", "dfu"}


def test_the_list_without_manifests_knows_no_fleet() -> None:
    result = run("list", "--emulate")
    assert result.exit_code == 0
    assert "none: not touched" in result.stdout


def test_the_plan_says_what_would_happen_and_touches_nothing() -> None:
    result = run("plan", EXAMPLE, *FAST, "--output", "json", "--detailed-exitcode")
    assert result.exit_code == 2, result.output
    plan = json.loads(result.stdout)
    assert plan["summary"] == {"devices": 5, "current": 0, "upgrade": 5, "refused": 0, "waiting": 0}
    assert {step["via"] for route in plan["fleets"][0]["routes"] for step in route["steps"]} == {"usb"}


@pytest.mark.parametrize("output", ["text", "markdown"])
def test_the_plan_of_a_bench_leaves_out_what_holds_over_the_cloud_only(tmp_path: Path, output: str) -> None:
    folder = tmp_path / "bench"
    shutil.copytree(EXAMPLE, folder)
    with (folder / "fleet.yaml").open("a", encoding="utf-8") as file:
        file.write(
            "  rollout:\n    waves:\n      - {name: canary, size: 1, soak: 24h, approval: required}\n"
            "      - {name: rest, size: remaining}\n"
            "  windows:\n    - deny: {from: 2020-01-01, until: 2090-01-01, reason: never}\n"
        )
    result = run("plan", folder, *FAST, "--output", output)
    assert result.exit_code == 0, result.output
    assert "on this bench, all at once" in result.stdout
    for word in ("canary", "Soak", "at a time", "halts at", "closed", "opening", "Held"):
        assert word not in result.stdout, result.stdout


def test_the_bench_brings_everything_of_ours_there_and_leaves_the_stranger_alone(tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite"
    result = run("bench", EXAMPLE, *FAST, "--once", "--output", "json", "--log", tmp_path / "log", journal=journal)
    assert result.exit_code == 0, result.output
    last = {line["device"]: line["state"] for line in lines_of(result)}
    assert last.pop(STRANGER) == "stranger"
    assert set(last.values()) == {"done"}
    with open_journal(journal) as kept:
        attempts = kept.attempts()
    assert {attempt.state for attempt in attempts} == {AttemptState.VERIFIED}
    for device_id in last:
        log = [json.loads(line) for line in (tmp_path / "log" / f"{device_id}.jsonl").read_text().splitlines()]
        assert {"attempt_moved", "device_arrived", "seat"} <= {entry["event"] for entry in log}


def test_apply_asks_and_does_nothing_where_nobody_can_answer(tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite"
    result = run("apply", EXAMPLE, *FAST, journal=journal)
    assert result.exit_code == 5, result.output
    with open_journal(journal) as kept:
        assert kept.attempts() == ()


def test_what_is_proven_of_pretend_devices_is_not_believed_of_real_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have the ids of real ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECONCILER_JOURNAL", str(tmp_path / "fleet.sqlite"))
    for words in (("bench", "--once"), ("apply", "--auto-approve"), ("plan",)):
        done = run(words[0], EXAMPLE, *FAST, *words[1:])
        assert done.exit_code == 0, done.output
    assert list(tmp_path.iterdir()) == []


def test_apply_carries_out_what_it_showed(tmp_path: Path) -> None:
    result = run("apply", EXAMPLE, *FAST, "--auto-approve", "--output", "json", journal=tmp_path / "journal.sqlite")
    assert result.exit_code == 0, result.output
    assert lines_of(result)[-1] == {"event": "outcome", "devices_done": 5, "devices_planned": 5}


def test_two_benches_on_the_same_ports_are_refused_whatever_their_journals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with sole_bench(tmp_path / "one.sqlite", is_real=True):
        second = sole_bench(tmp_path / "other.sqlite", is_real=True)
        with pytest.raises(ReconcilerError, match="this machine's ports") as refused, second:
            pytest.fail("both are at work")
        assert refused.value.code == "PFR5012"
        with sole_bench(tmp_path / "pretended.sqlite", is_real=False):
            pass


def test_without_the_udev_rule_it_says_which_port_is_shut_and_which_commands_open_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_backend: PretendUsb, device: Any) -> None:
        raise USBError("Access denied (insufficient permissions)", -3, errno.EACCES)

    monkeypatch.setattr(PretendUsb, "open_device", denied)
    listed = run("list", EXAMPLE, *FAST)
    assert listed.exit_code == 1
    assert "not touched" not in listed.stdout, "whose it is is not known"
    assert listed.stdout.count("PFR3202 port 1-") == 6
    plan = run("plan", EXAMPLE, *FAST)
    assert plan.stdout.count("! PFR3202 port 1-") == 6
    assert "\N{REPLACEMENT CHARACTER}" not in plan.stdout
    bench = run("bench", EXAMPLE, *FAST, "--once", journal=tmp_path / "journal.sqlite")
    assert bench.exit_code == 3
    shut = [line for line in bench.stdout.splitlines() if "LOOK HERE" in line]
    assert len(shut) == 6
    for line in (*shut, listed.stdout):
        assert "usb udev-rules | sudo tee /etc/udev/rules.d/50-particle.rules" in line
        assert "udevadm control --reload" in line


def test_without_the_libraries_it_says_which_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usb.core", None)
    result = run("list", EXAMPLE)
    assert code_of(result) == "PFR3201"
    assert isinstance(result.exception, ReconcilerError)
    assert "[usb]" in str(result.exception.next_step)


def test_without_modules_and_without_a_token_it_says_what_to_give(tmp_path: Path) -> None:
    result = run("bench", EXAMPLE, "--once", journal=tmp_path / "journal.sqlite")
    assert code_of(result) in {"PFR6846", "PFR3201"}


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with modules that are not the vendor's, and the catalog that goes with them."""
    folder = tmp_path_factory.mktemp("emulated")
    stock(folder)
    return folder


@pytest.fixture(scope="module")
def bundle(emulated: Path) -> tuple[Path, str]:
    """A bundle of the example, and its digest."""
    output = emulated / "bench.zip"
    arguments = ["create", EXAMPLE, "--output", output, "--firmware", emulated / "firmware"]
    arguments += ["--catalog", emulated / "catalog.json"]
    result = CliRunner().invoke(bundle_command, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return output, result.stdout.splitlines()[0]


def test_a_bundle_is_all_that_a_bench_without_network_needs(tmp_path: Path, bundle: tuple[Path, str]) -> None:
    file, digest = bundle
    result = run(
        "bench", "--bundle", file, "--bundle-digest", digest, *FAST, "--once", journal=tmp_path / "journal.sqlite"
    )
    assert result.exit_code == 0, result.output
    assert "5 of 5 devices are done; 1 is not ours" in result.output


def test_a_bundle_with_another_digest_is_refused(bundle: tuple[Path, str]) -> None:
    file, _ = bundle
    assert code_of(run("list", "--bundle", file, "--bundle-digest", "sha256:0", "--emulate")) == "PFR6843"


@pytest.mark.parametrize("ending", ["fleet.yaml", ".bin"])
def test_a_bundle_in_which_a_byte_was_changed_is_refused(tmp_path: Path, bundle: tuple[Path, str], ending: str) -> None:
    changed = tmp_path / "changed.zip"
    with zipfile.ZipFile(bundle[0]) as before, zipfile.ZipFile(changed, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            after.writestr(name, content[:-1] + bytes((content[-1] ^ 1,)) if name.endswith(ending) else content)
    assert code_of(run("list", "--bundle", changed, "--emulate")) == "PFR6843"


@pytest.mark.parametrize("name", ["../evil.yaml", "/etc/evil", "manifests/../../evil"])
def test_a_bundle_whose_names_lead_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    bundle = tmp_path / "evil.zip"
    index = {"format_version": "1.0", "files": {name: {"size": 1, "sha256": "0"}}}
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("bundle.json", json.dumps(index))
        archive.writestr(name, b"x")
    assert code_of(run("list", "--bundle", bundle, "--emulate")) == "PFR6842"


def test_a_digest_without_a_bundle_is_not_taken_for_a_check() -> None:
    result = run("apply", EXAMPLE, *FAST, "--auto-approve", "--bundle-digest", "sha256:0")
    assert result.exit_code == 2
    assert "--bundle FILE" in result.output


def test_a_bundle_that_is_not_there_is_told_in_plain_words(tmp_path: Path) -> None:
    result = run("list", "--bundle", tmp_path / "nothing.zip", "--emulate")
    assert code_of(result) == "PFR6842"
    assert str(result.exception).splitlines()[0].endswith("is no bundle that can be read: no such file or directory")


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.zip"
    nothing.write_bytes(b"nothing")
    assert code_of(run("list", "--bundle", nothing, "--emulate")) == "PFR6842"


def test_the_udev_rules_are_those_that_ship() -> None:
    result = run("udev-rules")
    assert result.stdout == (ROOT / "deploy" / "udev" / "50-particle.rules").read_text(encoding="utf-8")
    assert 'ATTRS{idVendor}=="2b04", ATTRS{idProduct}=="d00d"' in result.stdout
