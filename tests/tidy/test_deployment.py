"""The container image's definition and the systemd unit: what can be known of them without running either."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from reconciler.cli.main import COMMANDS, cli
from reconciler.settings.settings import ControllerSettings, GitSettings

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "systemd" / "reconciler.service"
EXPOSURE_MAX = 20
"""Tenths: systemd's own measure from 0 (nothing) to 10 (everything)."""


def instructions() -> Iterator[tuple[str, str]]:
    """The instructions of the Containerfile, without comments, with continued lines joined."""
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for line in re.sub(r"\\\n\s*", " ", lines).splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            yield name, rest.strip()


INSTRUCTIONS = list(instructions())


def of(name: str) -> list[str]:
    return [rest for found, rest in INSTRUCTIONS if found == name]


def parsed(words: list[str]) -> None:
    """Hold a command line against the command's own options, without running it. Raises click.ClickException."""
    with click.Context(cli) as context:
        command = cli.get_command(context, words[0])
        assert command is not None
        command.make_context(words[0], words[1:], parent=context)


def skip_unless_it_exists(command: str) -> None:
    if command not in COMMANDS:
        pytest.skip(f"the command {command} does not exist yet")


def test_everything_that_the_image_copies_is_there_and_is_sent_to_the_builder() -> None:
    ignore = (ROOT / ".containerignore").read_text(encoding="utf-8").splitlines()
    sent = {line[1:].rstrip("/") for line in ignore if line.startswith("!")}
    assert "*" in ignore
    copied = [words[:-1] for words in map(shlex.split, of("COPY")) if not words[0].startswith("--from=")]
    for path in (path for paths in copied for path in paths):
        assert (ROOT / path).exists(), path
        assert path.rstrip("/") in sent, path


def test_everything_that_the_wheel_is_made_of_is_copied() -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = built["tool"]["hatch"]["build"]["targets"]["wheel"]
    project = built["project"]
    needed = {*wheel["packages"], *wheel["force-include"], project["readme"], *project["license-files"]}
    copied = {word.rstrip("/") for line in of("COPY") for word in shlex.split(line)[:-1]}
    assert needed | {"pyproject.toml"} <= copied


def test_the_image_runs_as_a_numbered_user_who_is_not_root() -> None:
    (user,) = of("USER")
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    assert INSTRUCTIONS.index(("USER", user)) > max(at for at, (name, _) in enumerate(INSTRUCTIONS) if name == "COPY")


def test_the_image_has_what_fetches_and_verifies_a_repository() -> None:
    installed = next(line for line in of("RUN") if "apt-get install" in line)
    assert {"git", "gpg", "openssh-client"} <= set(shlex.split(installed))


def test_the_bases_of_all_stages_are_one_that_a_build_may_pin() -> None:
    (base,) = of("ARG")
    assert base.startswith("BASE=docker.io/library/python:3.")
    assert all(line.split()[0] == "${BASE}" for line in of("FROM"))


def test_the_health_check_is_a_program_that_python_takes() -> None:
    (check,) = of("HEALTHCHECK")
    words = json.loads(check[check.index("[") :])
    assert words[:2] == ["python", "-c"]
    compile(words[2], "health check", "exec")
    environment = dict(word.split("=", 1) for word in shlex.split(of("ENV")[0]))
    assert environment["HEALTH_URL"].startswith("http://127.0.0.1:")


def test_the_command_of_the_image_is_one_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    (entry,), (command,) = of("ENTRYPOINT"), of("CMD")
    assert json.loads(entry) == ["reconciler"]
    words = json.loads(command)
    skip_unless_it_exists(words[0])
    for name, value in (word.split("=", 1) for word in shlex.split(of("ENV")[0])):
        monkeypatch.setenv(name, value)
    parsed(words)


def test_the_unit_starts_a_command_of_ours_with_the_settings_that_it_names() -> None:
    (line,) = (line for line in UNIT.read_text(encoding="utf-8").splitlines() if line.startswith("ExecStart="))
    program, *words = shlex.split(line.removeprefix("ExecStart="))
    assert program.endswith("/bin/reconciler")
    skip_unless_it_exists(words[0])
    parsed(words)


def test_a_command_line_that_is_none_is_noticed() -> None:
    with pytest.raises(click.ClickException):
        parsed(["plan", "--no-such-option", "x"])


def test_systemd_finds_nothing_wrong_with_the_unit_and_little_that_it_exposes(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("THE UNIT IS NOT TESTED: there is no systemd-analyze on this machine")
    program = shutil.which("true")
    unit = tmp_path / "reconciler.service"
    text = UNIT.read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/reconciler/bin/reconciler", str(program)), encoding="utf-8")
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    judge = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", str(unit)]
    judged = subprocess.run(judge, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout


def test_the_unit_waits_longer_for_the_end_than_the_controller_takes() -> None:
    (waits,) = re.findall(r"^TimeoutStopSec=(\d+)s$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    assert int(waits) > ControllerSettings(git=GitSettings(url="x")).grace_seconds
