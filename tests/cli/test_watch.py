"""`status --watch`: nothing is told twice, the worst stays on the screen, looks cost little, and Ctrl-C ends it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.cli.watch import pause_seconds, watch
from reconciler.journal.sqlite import SqliteJournal
from reconciler.model.instant import Instant
from reconciler.model.rollout_entry import Halted
from reconciler.render.status import Status
from reconciler.render.status_json import status_document
from reconciler.render.status_text import status_text
from tests.render.sample_status import FINE, WORST, ago


def watched(statuses: list[Status], capsys: pytest.CaptureFixture[str], *, as_json: bool = False) -> str:
    """What is written when these are seen one after the other, and then Ctrl-C is pressed."""
    looks: Iterator[Status] = iter(statuses)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == len(statuses):
            raise KeyboardInterrupt

    def shown(status: Status) -> str:
        return json.dumps(status_document(status, tool_version="0")) + "\n" if as_json else status_text(status)

    watch(lambda: next(looks), shown, interval_seconds=2.0, sleep=sleep, on_terminal=False)
    return capsys.readouterr().out


def test_on_a_pipe_what_did_not_change_is_not_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    a_moment_later = replace(FINE, at=Instant(FINE.at + 60), observed_at=Instant(FINE.at + 60))
    assert watched([FINE, a_moment_later], capsys) == status_text(FINE)


def test_on_a_pipe_a_change_is_a_new_block(capsys: pytest.CaptureFixture[str]) -> None:
    assert watched([FINE, WORST, WORST, FINE], capsys) == "\n".join(map(status_text, [FINE, WORST, FINE]))


def test_machines_get_one_document_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = watched([FINE, WORST, WORST], capsys, as_json=True).splitlines()
    assert [json.loads(line)["observed_at"] is not None for line in lines] == [True, True]


@pytest.mark.parametrize(("requests", "expected"), [(0, 2.0), (1, 2.0), (80, 60.0), (1000, 750.0)])
def test_a_look_that_costs_much_is_seldom(requests: int, expected: float) -> None:
    assert pause_seconds(requests, 2.0) == pytest.approx(expected)


def watching(folder: Path, *words: str, stdout: int | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "reconciler", "status", "--offline", "--watch", "--interval", "0.1", *words]
    surroundings = {**os.environ, "RECONCILER_JOURNAL": str(folder / "journal.sqlite"), "TERM": "xterm"}
    output = subprocess.PIPE if stdout is None else stdout
    return subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, env=surroundings, cwd=folder)


def test_a_journal_alone_is_watched_and_a_halt_is_seen_when_it_is_noted(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "journal.sqlite") as kept, watching(tmp_path, "--output", "json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["fleets"] == []
        kept.note([Halted(fleet="eu", at=ago(0), reason="smoke", by="ada")])
        (fleet,) = json.loads(process.stdout.readline())["fleets"]
        assert fleet["halted"]["reason"] == "smoke"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0


def test_on_a_terminal_the_screen_is_drawn_anew_and_ends_with_nothing_wrong(tmp_path: Path) -> None:
    SqliteJournal(tmp_path / "journal.sqlite").close()
    ours, theirs = pty.openpty()
    with watching(tmp_path, stdout=theirs) as process:
        os.close(theirs)
        drawn = b""
        until = time.monotonic() + 60
        while drawn.count(b"\x1b[H\x1b[J") < 2 and time.monotonic() < until:
            drawn += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
    os.close(ours)
    assert drawn.count(b"Status at") >= 2
