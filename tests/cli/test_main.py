"""The group of commands: typing errors, errors of people, and errors of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli import main as entry
from reconciler.cli.main import COMMANDS, cli
from reconciler.model.error import OperatorError


def ending_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["reconciler", *arguments])
    with pytest.raises(SystemExit) as end:
        entry.main()
    return end.value.code if isinstance(end.value.code, int) else 0


def test_a_mistyped_command_is_told_what_was_meant(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending_of(monkeypatch, "aply", "x") == 2
    assert "No such command 'aply'. Did you mean 'apply'?" in capsys.readouterr().err


def test_a_command_like_no_other_is_told_of_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending_of(monkeypatch, "zzzzzz") == 2
    assert "Did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize("command", ["plan", "drift", "apply"])
def test_where_2_means_something_else_a_mistyped_option_is_an_error(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending_of(monkeypatch, command, "--no-such-option", "x") == 1
    assert "--no-such-option" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["validate", "observe", "history"])
def test_elsewhere_a_mistyped_option_is_a_usage_error(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ending_of(monkeypatch, command, "--no-such-option", "x") == 2


def test_an_error_for_people_ends_with_its_code_and_next_step_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending_of(monkeypatch, "plan", "there-is-no-such-path") == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("error: PFR6001 ")
    assert "\n  next: " in errors


def test_something_unforeseen_is_told_as_our_mistake_with_where_it_happened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_arguments: object, **_options: object) -> None:
        message = "a loose end"
        raise LookupError(message)

    monkeypatch.setattr(entry, "cli", broken)
    assert ending_of(monkeypatch, "plan") == 1
    errors = capsys.readouterr().err
    assert "LookupError: a loose end" in errors
    assert "error: PFR9003 " in errors


def test_on_a_terminal_a_long_error_is_wrapped_at_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(**_options: object) -> None:
        raise OperatorError("PFR6001", "word " * 60, next_step="step " * 60)

    monkeypatch.setattr(entry, "cli", failing)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "fileno", lambda: 2)
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((72, 24)))
    assert ending_of(monkeypatch) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 8
    assert max(map(len, lines)) <= 72


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_says_what_it_does(name: str) -> None:
    context = cli.make_context("reconciler", ["--help"], resilient_parsing=True)
    command = cli.get_command(context, name)
    assert command is not None
    assert command.help


def test_the_package_runs_as_a_module_and_tells_its_version(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "--version"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.startswith("reconciler, version ")


@pytest.mark.parametrize("command", ["validate", "plan", "apply", "explain", "drift", "observe", "history", "halt"])
def test_commands_take_the_same_flags_for_display(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ["--no-color", "--quiet", "--verbose"]
    assert ending_of(monkeypatch, command, *flags, "--help") == 0


def test_quiet_leaves_the_verdict_to_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = Path(__file__).parents[2] / "fleet-manifests" / "01-one-device"
    assert ending_of(monkeypatch, "validate", "--quiet", str(example)) == 0
    assert capsys.readouterr() == ("", "")
