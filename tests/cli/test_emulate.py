"""`reconciler emulate` as a person starts and ends it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from reconciler.cli.emulate import command

WORLD = """
tokens: [{name: operator, token: "abcdefabcdefabcdef"}]
devices: [{count: 3, platform: boron, deviceOS: "2.0.1"}]
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    path = tmp_path / "world.yaml"
    path.write_text(WORLD, encoding="utf-8")
    return path


@pytest.fixture
def running(world: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a process of its own, and what it said first."""
    arguments = ["--world", str(world), "--port", "0", "--journal", str(tmp_path / "journal.jsonl")]
    arguments += ["--write-catalog", str(tmp_path / "catalog.json")]
    with subprocess.Popen(
        [sys.executable, "-m", "reconciler", "emulate", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            said += line
        try:
            yield process, said
        finally:
            process.kill()


def test_it_says_where_it_is_and_never_shows_a_token(running: tuple[subprocess.Popen[str], str]) -> None:
    _, said = running
    assert re.search(r"http://127\.0\.0\.1:\d+", said)
    assert "3 devices" in said
    assert "operator" in said
    assert "abcdef" not in said


def test_it_serves_writes_its_journal_and_ends_with_an_interrupt(
    running: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    process, said = running
    url = re.findall(r"http://[\d.:]+", said)[0]
    reply = requests.get(url + "/v1/devices", headers={"Authorization": "Bearer abcdefabcdefabcdef"}, timeout=5)
    assert len(reply.json()) == 3
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0
    assert process.stderr is not None
    assert process.stderr.read() == "stopped\n"
    (line,) = (tmp_path / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["path"] == "/v1/devices"
    assert "abcdef" not in line
    catalog = json.loads((tmp_path / "catalog.json").read_text(encoding="utf-8"))
    assert catalog["format_version"] == "1.0"
    assert not any("sha256" in module for release in catalog["releases"] for module in release["modules"])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--world", "missing.yaml"], "PFR6207"),
        (["--journal", "no-such-folder/journal.jsonl"], "PFR6208"),
        (["--port", "0", "--write-catalog", "no-such-folder/catalog.json"], "PFR6208"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, arguments: list[str], code: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        result = CliRunner().invoke(command, arguments)
    assert code in str(result.exception)
    assert arguments[-1] in str(result.exception)
