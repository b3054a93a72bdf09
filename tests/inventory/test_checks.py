"""Outside checks are asked for real: programs are started, and a webhook answers on this machine."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from reconciler.inventory.checks import OutsideChecks
from reconciler.model.device import DeviceId
from reconciler.model.health import CheckAnswer, CheckQuestion, CheckWord, HealthCheck

ONE, TWO = DeviceId("e00fce680000000000000001"), DeviceId("e00fce680000000000000002")
QUESTION = CheckQuestion(fleet="eu", rollout_id="r1", wave="canary", devices=(ONE, TWO))


def python(*lines: str, timeout: float = 20.0) -> HealthCheck:
    return HealthCheck(name="errors", command=(sys.executable, "-c", "\n".join(lines)), timeout_seconds=timeout)


def ask(check: HealthCheck, *, allow: bool = True) -> CheckAnswer:
    return OutsideChecks(allow_commands=allow).ask(check, QUESTION)


@pytest.mark.parametrize(
    ("code", "word"),
    [(0, CheckWord.GO), (1, CheckWord.NO_GO), (2, CheckWord.UNKNOWN), (77, CheckWord.UNKNOWN)],
)
def test_a_program_says_by_its_exit_code_what_it_thinks(code: int, word: CheckWord) -> None:
    assert ask(python(f"raise SystemExit({code})")).word is word


def test_a_program_is_told_whom_it_is_asked_about_and_may_say_why(tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    answer = ask(python("import sys", f"open({str(told)!r}, 'w').write(sys.stdin.read())", "print('fine\\x1b[31m')"))
    assert json.loads(told.read_text(encoding="utf-8")) == {
        "check": "errors",
        "fleet": "eu",
        "rollout": "r1",
        "wave": "canary",
        "devices": [ONE, TWO],
    }
    assert answer == CheckAnswer(word=CheckWord.GO, why="fine [31m")


def test_a_program_is_not_started_where_commands_are_not_allowed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    answer = ask(python(f"open({str(mark)!r}, 'w')"), allow=False)
    assert answer.word is CheckWord.UNKNOWN
    assert "--allow-commands" in answer.why
    assert not mark.exists()


def test_a_program_does_not_see_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTICLE_ACCESS_TOKEN", "secret")
    answer = ask(python("import os", "raise SystemExit('secret' in str(os.environ))"))
    assert answer.word is CheckWord.GO


def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    child = f"import time; time.sleep(3); open({str(mark)!r}, 'w')"
    lines = ("import subprocess, sys, time", f"subprocess.Popen([sys.executable, '-c', {child!r}])", "time.sleep(60)")
    began = time.monotonic()
    answer = ask(python(*lines, timeout=1.0))
    assert answer.word is CheckWord.UNKNOWN
    assert time.monotonic() - began < 30
    watched = threading.Event()
    watched.wait(4)  # longer than the child would have needed
    assert not mark.exists()


def test_a_program_that_talks_without_end_is_ended() -> None:
    answer = ask(python("while True: print('x' * 10000)"))
    assert answer == CheckAnswer(word=CheckWord.UNKNOWN, why="its answer is too long")


def test_a_program_that_is_not_there_is_unknown() -> None:
    assert ask(HealthCheck(name="a", command=("/no/such/program",))).word is CheckWord.UNKNOWN


@contextmanager
def webhook(
    body: bytes, *, status: int = 200, headers: dict[str, str] | None = None
) -> Iterator[tuple[str, list[Any]]]:
    heard: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((dict(self.headers), json.loads(said)))
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's own name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/gate", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b'{"verdict": "go"}', CheckAnswer(word=CheckWord.GO)),
        (b'{"verdict": "no-go", "why": "errors rise"}', CheckAnswer(word=CheckWord.NO_GO, why="errors rise")),
        (b'{"verdict": "unknown", "why": "no data"}', CheckAnswer(word=CheckWord.UNKNOWN, why="no data")),
        (
            f'{{"verdict": "no-go", "devices": ["{ONE}", "nonsense"]}}'.encode(),
            CheckAnswer(word=CheckWord.NO_GO, devices=frozenset({ONE})),
        ),
    ],
)
def test_a_webhook_answers_in_json(body: bytes, answer: CheckAnswer) -> None:
    with webhook(body) as (url, heard):
        assert ask(HealthCheck(name="a", webhook=url), allow=False) == answer
    ((headers, told),) = heard
    assert told["devices"] == [ONE, TWO]
    assert "Authorization" not in headers


@pytest.mark.parametrize(
    "body", [b"", b"go", b'{"verdict": "GO"}', b'{"verdict": 1}', b'["go"]', b'{"verdict": "go"' * 9]
)
def test_what_is_not_the_promised_answer_is_unknown(body: bytes) -> None:
    with webhook(body) as (url, _):
        assert ask(HealthCheck(name="a", webhook=url)).word is CheckWord.UNKNOWN


def test_a_webhook_that_leads_elsewhere_is_not_followed() -> None:
    with webhook(b'{"verdict": "go"}') as (url, heard):
        with webhook(b"", status=307, headers={"Location": url}) as (first, _):
            assert ask(HealthCheck(name="a", webhook=first)).word is CheckWord.UNKNOWN
        assert heard == []


def test_a_webhook_that_talks_without_end_is_unknown() -> None:
    with webhook(b'{"verdict": "go", "why": "' + b"x" * 200_000 + b'"}') as (url, _):
        assert ask(HealthCheck(name="a", webhook=url)) == CheckAnswer(
            word=CheckWord.UNKNOWN, why="its answer is too long"
        )


def test_a_webhook_that_nobody_answers_is_unknown() -> None:
    with webhook(b"") as (url, _):
        pass
    assert ask(HealthCheck(name="a", webhook=url, timeout_seconds=2.0)).word is CheckWord.UNKNOWN
