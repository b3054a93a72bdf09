"""The real thing: a process with threads, SQLite and an HTTP receiver is killed in the middle, and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.journal.control_record import Line, Numbered
from reconciler.journal.memory import MemoryJournal
from reconciler.journal.sqlite import SqliteJournal
from reconciler.telemetry.notifications import Telling
from reconciler.telemetry.pace import Pace
from tests.particle.pretend import Answer, PretendServer, Seen
from tests.telemetry.world_of_news import Remembering, halted, settings, troubled

QUICK = Pace(gather=0.01, rest=0.0, unhurried_rest=0.0, retry_first=0.05, retry_max=0.2, timeout=5.0, poll=0.02)

SECRET = "https://hooks.example/T0psecret"

PROCESS = """
import sys
from pathlib import Path
from reconciler.journal.control_record import Line, Numbered
from reconciler.journal.memory import MemoryJournal
from reconciler.journal.sqlite import SqliteJournal
from reconciler.settings.settings import ChannelKind, ChannelSettings
from reconciler.telemetry.channels import open_channels
from reconciler.telemetry.notifications import Telling
from tests.telemetry.test_telling_killed import QUICK
from tests.telemetry.world_of_news import halted, troubled

path, url, fleets = sys.argv[1], sys.argv[2], sys.argv[3:]
settings = ChannelSettings(name="hook", kind=ChannelKind.WEBHOOK, url=url)
with SqliteJournal(Path(path)) as journal, Telling(journal, open_channels([settings]), pace=QUICK) as told:
    print("ready", flush=True)
    told.tell(troubled())
    for fleet in fleets:
        journal.note([halted(fleet)])
    sys.stdin.readline()
"""


@pytest.fixture
def server() -> Iterator[PretendServer]:
    opened = PretendServer()
    yield opened
    opened.close()


def started(path: Path, url: str, *fleets: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(path), url, *fleets],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def wait_for(server: PretendServer, number: int) -> None:
    deadline = time.monotonic() + 30
    while len(server.seen) < number:
        assert time.monotonic() < deadline, f"{len(server.seen)} of {number} came"
        threading.Event().wait(0.01)


def told_of(seen: Seen) -> tuple[str, str]:
    document = json.loads(seen.body)
    return document["involvedObject"]["name"], document["reason"]


def test_a_process_that_is_killed_while_it_delivers_is_taken_up_and_every_message_comes_once(
    server: PretendServer, tmp_path: Path
) -> None:
    path = tmp_path / "journal.sqlite"
    server.answers = [Answer(), Answer(silent=True)]  # the second one is never answered
    with started(path, server.url, "a", "b", "c") as first:
        wait_for(server, 2)
        os.kill(first.pid, signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
    server.answers = [Answer()]
    before = len(server.seen)
    with started(path, server.url, "d") as second:
        wait_for(server, before + 4)
        second.communicate("end\n", timeout=30)
        assert second.returncode == 0
    with started(path, server.url) as third:
        third.communicate("end\n", timeout=30)
    # What the killed one did not get an answer to has the same id when it comes again.
    by_id = {seen.headers["webhook-id"]: told_of(seen) for seen in server.seen}
    assert sorted(by_id.values()) == [
        ("a", "RolloutHalted"),
        ("b", "RolloutHalted"),
        ("c", "RolloutHalted"),
        ("d", "RolloutHalted"),
        ("reconciler", "Troubled"),
    ]
    assert len(server.seen) == 6
    assert server.seen[1].headers["webhook-id"] == server.seen[2].headers["webhook-id"]
    assert server.seen[1].body == server.seen[2].body


def test_a_channel_that_hangs_holds_up_neither_the_others_nor_the_end(server: PretendServer, tmp_path: Path) -> None:
    class Hanging(Remembering):
        let_go = threading.Event()

        def deliver(self, news: object, *, timeout_seconds: float) -> None:
            self.let_go.wait(30)

    came = threading.Event()
    hanging, right = Hanging(), Remembering(after=came.set)
    with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        channels = [(settings("hanging"), hanging), (settings("right"), right)]
        told = Telling(journal, channels, pace=QUICK, grace_seconds=0.3)
        began = time.monotonic()
        with told:
            journal.note([halted()])
            told.tell(troubled())
            assert came.wait(20)
        assert time.monotonic() - began < 20
        hanging.let_go.set()
    with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        taken = Remembering()
        with Telling(journal, [(settings("hanging"), taken)], pace=QUICK):
            pass
    assert "RolloutHalted" in taken.reasons


def test_what_is_told_just_before_the_end_is_delivered_before_it(tmp_path: Path) -> None:
    channel = Remembering()
    slow = Pace(gather=3600.0)
    with (
        SqliteJournal(tmp_path / "journal.sqlite") as journal,
        Telling(journal, [(settings(), channel)], pace=slow) as told,
    ):
        journal.note([halted()])
        told.tell(troubled())
    assert sorted(channel.reasons) == ["RolloutHalted", "Troubled"]


def test_to_tell_never_waits(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        told = Telling(journal, [(settings(), Remembering())], pace=QUICK)
        with journal._writing_lock:  # somebody else writes for as long as this lasts
            began = time.monotonic()
            for number in range(10_000):
                told.tell(troubled(at=number))
            assert time.monotonic() - began < 5


def test_what_goes_wrong_once_in_a_thread_ends_no_thread() -> None:
    class Odd(MemoryJournal):
        wrong = 0

        def line(self, line: Line, *, after: int, limit: int) -> tuple[Numbered, ...]:
            if self.wrong:
                self.wrong -= 1
                raise RuntimeError(SECRET)
            return super().line(line, after=after, limit=limit)

    came = threading.Event()
    channel, reports = Remembering(after=came.set), []
    journal = Odd()
    with Telling(journal, [(settings(), channel)], pace=QUICK, report=reports.append):
        journal.wrong = 3
        journal.note([halted()])
        assert came.wait(20)
    assert channel.reasons == ["RolloutHalted"]
    assert [each.why for each in reports if not each.ok] == ["unforeseen: RuntimeError"] * 3
