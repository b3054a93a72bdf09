"""`history` reads like what happened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from reconciler.cli.history import command
from reconciler.cli.main import main
from reconciler.journal.sqlite import SqliteJournal
from reconciler.manifests.schema import load_schema
from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.device import DeviceId, DeviceMode
from reconciler.model.instant import Instant, instant_from_iso
from reconciler.model.module import Module, ModuleSlot
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from reconciler.render.step_words import duration_in_words
from tests.render.sample_history import STORY

START = instant_from_iso("2026-11-22T09:00:00Z")
BOOTLOADER = FlashModule(
    module=Module(slot=ModuleSlot.parse("bootloader/0"), version=3200),
    device_os=DeviceOsVersion("6.3.4"),
    boots_into=DeviceMode.NORMAL,
    size=47_000,
)
LOCK = LockApplication(application=ApplicationVersion(44))


def run(*arguments: object) -> Result:
    return CliRunner(env={"RECONCILER_JOURNAL": None}).invoke(command, list(map(str, arguments)))


def test_a_name_is_no_id(tmp_path: Path) -> None:
    result = run("--journal", tmp_path / "journal.sqlite", "--device", "home-hub-1")
    assert result.exit_code == 2
    assert "24 hexadecimal digits" in result.output


def later(seconds: float) -> Instant:
    return Instant(START + seconds)


def an_attempt(number: int, step: Step = LOCK, fleet: str = "eu") -> Attempt:
    return Attempt(
        id=f"a{number}",
        device_id=DeviceId(f"e00fce68{number:016}"),
        fleet=fleet,
        plan_id="plan-main-3f9c1e0b2a",
        step=step,
        state=AttemptState.INTENDED,
        intended_at=later(number * 60),
        handshake_before=None,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.sqlite"
    with SqliteJournal(path) as journal:
        for number, step in enumerate(
            (BOOTLOADER, LOCK, LOCK, FlashApplication(application=ApplicationVersion(7)), LOCK)
        ):
            journal.begin(an_attempt(number, step, fleet="us" if number == 3 else "eu"))
        sent = an_attempt(0, BOOTLOADER).sent(later(1))
        journal.record(sent)
        journal.record(sent.verified(Evidence.RESTARTED, later(43)))
        journal.record(an_attempt(1).failed(FailureClass.REFUSED, "no \x1b[31msuch\nversion", later(61)))
        journal.record(an_attempt(2).lost_sight("the process ended"), at=later(500))
        journal.record(an_attempt(4).withdrawn("the run was stopped", later(241)))
        journal.halt("eu", "3 devices failed", later(600))
    return path


def test_it_reads_like_what_happened(path: Path) -> None:
    result = run("--journal", path)
    assert result.exit_code == 0
    assert (
        result.stdout
        == """\
Fleet eu
  2026-11-22T09:00:00Z  e00fce680000000000000000  bootloader/0 3200 of Device OS 6.3.4: verified
                        after 43 s, the transfer ended well and the device restarted
  2026-11-22T09:01:00Z  3 devices  lock to application 44: 1 failed, 1 unknown, 1 withdrawn, within
                        3 min 1 s
                        1 failed (refused): no \ufffd[31msuch\ufffdversion: e00fce680000000000000001
  2026-11-22T09:10:00Z  HALTED by itself: 3 devices failed

Fleet us
  2026-11-22T09:03:00Z  e00fce680000000000000003  application 7: intended, not known to be sent

Fleet eu is halted since 2026-11-22T09:10:00Z, by itself: 3 devices failed
"""
    )


def test_verbose_gives_every_step_a_line_of_its_own(path: Path) -> None:
    lines = run("--journal", path, "--verbose").stdout.splitlines()
    times = [line[2:22] for line in lines if line.startswith("  2026")]
    assert times[:4] == [f"2026-11-22T09:0{minute}:00Z" for minute in (0, 1, 2, 4)]


def test_one_device_is_found_by_its_id_in_any_case(path: Path) -> None:
    lines = run("--journal", path, "--device", "E00FCE680000000000000001").stdout.splitlines()
    assert [line[24:48] for line in lines if line.startswith("  2026")] == ["e00fce680000000000000001"]


@pytest.mark.parametrize("words", [("us",), ("--fleet", "us")])
def test_one_fleet_is_told_without_the_others(path: Path, words: tuple[str, ...]) -> None:
    assert "Fleet us" in run("--journal", path, *words).stdout
    assert "Fleet eu" not in run("--journal", path, *words).stdout


def test_a_fleet_that_the_journal_does_not_know_is_an_error_with_what_may_be_meant(path: Path) -> None:
    result = run("--journal", path, "eus")
    assert result.exit_code == 1
    assert "did you mean" in str(result.exception)


def test_the_limit_keeps_the_last_ones_and_says_that_there_are_more(path: Path) -> None:
    result = run("--journal", path, "--limit", 2)
    assert [line[2:22] for line in result.stdout.splitlines() if line.startswith("  2026")] == [
        "2026-11-22T09:10:00Z",
        "2026-11-22T09:03:00Z",
    ]
    assert "There is more before that" in result.stderr


@pytest.mark.parametrize("since", ["2026-11-22T09:03:00Z", "2026-11-22T10:03:00+01:00"])
def test_what_was_before_a_time_is_left_out(path: Path, since: str) -> None:
    told = run("--journal", path, "--since", since).stdout
    assert "e00fce680000000000000004" in told
    assert "e00fce680000000000000003" in told
    assert "bootloader" not in told


def test_a_rollout_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with SqliteJournal(path) as journal:
        journal.note(STORY.entries)
    told = run("--journal", path, "--rollout", "eu-9").stdout
    assert "rollout eu-9c1e towards Device OS 6.3.4 and logger 44: complete" in told
    assert "eu-7d21" not in told
    for unclear in ("eu", "nothing"):
        result = run("--journal", path, "--rollout", unclear)
        assert result.exit_code == 1
        assert "eu-7d21, eu-9c1e" in str(result.exception)


def test_json_is_for_machines_and_has_every_move(path: Path) -> None:
    result = run("--journal", path, "--output", "json", "--limit", 6)
    document = json.loads(result.stdout)
    Draft202012Validator(load_schema("history")).validate(document)
    assert result.stderr == ""
    assert [attempt["id"] for attempt in document["attempts"]] == ["a0", "a1", "a2", "a3", "a4"]
    first, third = document["attempts"][0], document["attempts"][2]
    assert first["step"] == {
        "action": "flash",
        "via": "cloud",
        "module": {"function": "bootloader", "index": 0, "version": 3200},
        "device_os": "6.3.4",
        "bytes": 47_000,
        "boots_into": "normal",
    }
    assert [(move["state"], move["at"]) for move in first["moves"]] == [
        ("intended", "2026-11-22T09:00:00Z"),
        ("sent", "2026-11-22T09:00:01Z"),
        ("verified", "2026-11-22T09:00:43Z"),
    ]
    assert third["moves"][-1] == {"state": "unknown", "at": "2026-11-22T09:08:20Z", "detail": "the process ended"}
    halt = {"fleet": "eu", "reason": "3 devices failed", "at": "2026-11-22T09:10:00Z", "by": None}
    assert document["halts"] == [halt]
    assert document["entries"] == [{**halt, "kind": "halted", "rollout": None, "overdue": []}]


def test_a_journal_that_remembers_nothing_says_so(tmp_path: Path) -> None:
    SqliteJournal(tmp_path / "journal.sqlite").close()
    result = run("--journal", tmp_path / "journal.sqlite")
    assert (result.exit_code, result.stdout) == (0, "The journal remembers nothing of the kind.\n")


def test_a_missing_journal_is_a_clear_error_and_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["reconciler", "history", "--journal", str(tmp_path / "none.sqlite")])
    with pytest.raises(SystemExit) as caught:
        main()
    said = capsys.readouterr()
    assert caught.value.code == 1
    assert said.out == ""
    assert said.err.startswith("error: PFR5001")
    assert "none.sqlite" in said.err
    assert not (tmp_path / "none.sqlite").exists()


def test_the_environment_names_the_journal(path: Path) -> None:
    result = CliRunner(env={"RECONCILER_JOURNAL": str(path)}).invoke(command, ["--limit", "1"])
    assert result.exit_code == 0
    assert "HALTED by itself: 3 devices failed" in result.stdout


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (725, "12 min 5 s"),
        (3600, "1 h"),
        (11_100, "3 h 5 min"),
        (-3, "0 s"),
    ],
)
def test_durations_are_told_in_the_units_that_fit(seconds: float, words: str) -> None:
    assert duration_in_words(seconds) == words
