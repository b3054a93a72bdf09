"""What docs/bench.md shows is what happens: its commands are run on the pretend bench, and their output compared."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from tests.bench.stock import stock
from tests.tidy.test_readme import BLOCK, ROOT, difference

PAGE = (ROOT / "docs" / "bench.md").read_text(encoding="utf-8")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
PLAN = re.compile(r"plan-local-[0-9a-f]{10}")


def prepare(folder: Path) -> None:
    """The folder that the page speaks of: manifests, and modules with the catalog that goes with them."""
    shutil.copytree(ROOT / "fleet-manifests" / "11-bench", folder / "bench")
    stock(folder)


def commands() -> list[tuple[str, list[str]]]:
    found = []
    for language, text in BLOCK.findall(PAGE):
        if language == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, *lines = part.splitlines()
                found.append((command, lines))
    return found


def steady(lines: list[str]) -> list[str]:
    return [PLAN.sub("<plan>", DIGEST.sub("<digest>", line)) for line in lines]


def run(command: str) -> tuple[list[str], int]:
    """The lines of a command, and how it ends: run in this process, as by a person who has no terminal and no token."""
    tool, *words = shlex.split(command)
    assert tool == "reconciler"
    nothing = {name: None for name in os.environ if name.startswith(("PARTICLE_", "RECONCILER_"))}
    result = CliRunner(env={**nothing, "NO_COLOR": "1"}).invoke(cli, words)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.output.splitlines(), result.exit_code


def test_every_command_of_the_page_does_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    shown = commands()
    assert {command.split()[2] for command, _ in shown} == {"list", "plan", "bench", "apply", "create", "show"}
    for command, lines in shown:
        code = next((line.rpartition("# ends with ")[2] for line in lines if "# ends with " in line), "0")
        wanted = [each.partition("  # ends with ")[0] for each in lines]
        printed, ended_with = run(command)
        assert ended_with == int(code), (command, printed[-5:])
        assert difference(steady(wanted), steady(printed)) == "", command
    assert len(list((tmp_path / "records").glob("*.jsonl"))) == 6
