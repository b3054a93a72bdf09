from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.main import main
from reconciler.cli.observe import command
from reconciler.cli.page_progress import ProgressLines
from reconciler.cli.plan import command as plan_command
from reconciler.inventory.snapshot import observation_from_document
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant
from tests.particle.pretend import TOKEN, Answer, PretendServer, Seen

BAR = """
from reconciler.cli.page_progress import ProgressBars
bars = ProgressBars(colour=False)
bars.page("product big", 40, 100)
bars.stop()
bars.stop()
"""
ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "fleet-manifests" / "01-one-device"
ONE, TWO = "e00fce680000000000000001", "e00fce680000000000000002"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendServer]:
    server = PretendServer()
    monkeypatch.setenv("PARTICLE_ACCESS_TOKEN", TOKEN)
    monkeypatch.setenv("PARTICLE_API_URL", server.url)

    def answer(seen: Seen) -> Answer:
        path = seen.path.partition("?")[0]
        body: object
        match path:
            case "/v1/devices":
                body = [
                    {"id": ONE, "platform_id": 13, "product_id": 13},
                    {"id": TWO, "platform_id": 13, "product_id": 5},
                ]
            case "/v1/products/logger/devices":
                body = {"devices": [{"id": TWO, "product_id": 5, "online": True}], "meta": {"total_pages": 1}}
            case "/v1/products/logger":
                body = {"product": {"id": 5, "slug": "logger"}}
            case _:
                return Answer(status=404, body=b'{"error":"Product not found."}')
        return Answer(body=json.dumps(body).encode())

    server.chosen = answer
    yield server
    server.close()


def run(*words: str) -> Result:
    return CliRunner().invoke(command, words)


def ids(content: bytes) -> list[str]:
    return [device.id for device in observation_from_document(content, read_at=Instant(0.0)).devices]


def test_a_products_devices_are_written_as_a_snapshot(server: PretendServer, tmp_path: Path) -> None:
    place = tmp_path / "fleet.json"
    result = run("--product", "logger", "--output", str(place))
    assert result.exit_code == 0
    assert ids(place.read_bytes()) == [TWO]
    assert json.loads(place.read_bytes())["products"] == [{"id": 5, "slug": "logger"}]
    assert result.stdout == ""
    assert "1 devices, 1 online, written to" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["fleet.json"]


def test_without_a_product_the_tokens_own_devices_are_meant(server: PretendServer) -> None:
    result = run("--output", "-")
    assert result.exit_code == 0
    assert ids(result.stdout_bytes) == [ONE]


def test_products_and_own_devices_come_together(server: PretendServer) -> None:
    result = run("--product", "logger", "--own", "--output", "-", "--quiet")
    assert ids(result.stdout_bytes) == [ONE, TWO]
    assert result.stderr == ""


def test_verbose_says_what_it_cost(server: PretendServer) -> None:
    assert "requests" in run("--output", "-", "--verbose").stderr
    assert "requests" not in run("--output", "-").stderr


def big_answer(seen: Seen, *, pages: int, refuses: frozenset[int] = frozenset()) -> Answer:
    """A product of so many pages of two devices, some of which the cloud refuses to give."""
    if seen.path.startswith("/v1/products/big/firmware"):
        return Answer(body=b"[]")
    if not seen.path.startswith("/v1/products/big/devices"):
        return Answer(body=b'{"product": {"id": 9, "slug": "big"}}')
    number = int(parse_qs(urlsplit(seen.path).query)["page"][0])
    if number in refuses:
        return Answer(status=400, body=b'{"error":"not today"}')
    devices = [{"id": f"e00fce68{2 * number + each:016x}", "product_id": 9, "online": True} for each in (0, 1)]
    meta = {"total_pages": pages, "total": 2 * pages}
    date = formatdate(1_795_338_000 + number, usegmt=True)
    return Answer(body=json.dumps({"devices": devices, "meta": meta}).encode(), headers={"Date": date})


def pages_asked(server: PretendServer) -> list[int]:
    queries = [parse_qs(urlsplit(seen.path).query) for seen in server.seen]
    return sorted(int(query["page"][0]) for query in queries if "page" in query)


def test_what_was_read_before_a_failure_stays_apart_and_is_gone_on_with(server: PretendServer, tmp_path: Path) -> None:
    place, partial = tmp_path / "fleet.json", tmp_path / "fleet.json.partial"
    server.chosen = lambda seen: big_answer(seen, pages=12, refuses=frozenset({9}))
    first = run("--product", "big", "--output", str(place))
    assert failure(first).code == "PFR3005"
    assert "pages are kept in" in first.stderr
    assert "--resume" in first.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["fleet.json.partial"]
    assert failure(CliRunner().invoke(plan_command, [str(MANIFEST), "--observed", str(partial)])).code == "PFR6308"
    read_before = set(pages_asked(server)) - {9}
    assert set(range(1, 9)) <= read_before

    server.seen.clear()
    server.chosen = lambda seen: big_answer(seen, pages=12)
    second = run("--product", "big", "--output", str(place), "--resume")
    assert second.exit_code == 0, second.stderr
    assert "pages of an earlier run need not be read again" in second.stderr
    assert set(pages_asked(server)).isdisjoint(range(1, 9))
    assert 9 in pages_asked(server)
    content = place.read_bytes()
    assert len(ids(content)) == 24
    observation = observation_from_document(content, read_at=Instant(0.0))
    assert observation.observed_at == 1_795_338_001
    assert observation.complete
    assert [path.name for path in tmp_path.iterdir()] == ["fleet.json"]


def test_a_resumed_observation_is_the_one_that_was_not_interrupted(server: PretendServer, tmp_path: Path) -> None:
    server.chosen = lambda seen: big_answer(seen, pages=8)
    assert run("--product", "big", "--output", str(tmp_path / "whole.json")).exit_code == 0
    server.chosen = lambda seen: big_answer(seen, pages=8, refuses=frozenset({5}))
    assert run("--product", "big", "--output", str(tmp_path / "fleet.json")).exit_code == 1
    server.chosen = lambda seen: big_answer(seen, pages=8)
    assert run("--product", "big", "--output", str(tmp_path / "fleet.json"), "--resume").exit_code == 0
    assert (tmp_path / "fleet.json").read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_without_resume_everything_is_read_anew_and_that_is_said(server: PretendServer, tmp_path: Path) -> None:
    place = str(tmp_path / "fleet.json")
    server.chosen = lambda seen: big_answer(seen, pages=4, refuses=frozenset({4}))
    assert run("--product", "big", "--output", place).exit_code == 1
    server.seen.clear()
    server.chosen = lambda seen: big_answer(seen, pages=4)
    result = run("--product", "big", "--output", place)
    assert "thrown away" in result.stderr
    assert pages_asked(server) == [1, 2, 3, 4]


def test_resume_without_anything_to_go_on_with_reads_from_the_beginning(server: PretendServer, tmp_path: Path) -> None:
    result = run("--product", "logger", "--output", str(tmp_path / "fleet.json"), "--resume")
    assert result.exit_code == 0
    assert "nothing to go on with" in result.stderr


def test_resume_needs_a_file(server: PretendServer) -> None:
    result = run("--output", "-", "--resume")
    assert result.exit_code == 2
    assert server.seen == []


def test_an_older_snapshot_stays_until_the_new_one_is_whole(server: PretendServer, tmp_path: Path) -> None:
    place = tmp_path / "fleet.json"
    place.write_text("[]", encoding="utf-8")
    server.chosen = lambda seen: big_answer(seen, pages=4, refuses=frozenset({4}))
    assert run("--product", "big", "--output", str(place)).exit_code == 1
    assert place.read_text(encoding="utf-8") == "[]"


def test_an_interruption_keeps_what_was_read_and_waits_for_nobody(server: PretendServer, tmp_path: Path) -> None:
    asked = threading.Event()

    def answer(seen: Seen) -> Answer:
        answered = big_answer(seen, pages=12)
        if "page=6&" in seen.path:
            asked.set()
            return replace(answered, silent=True)
        return answered

    server.chosen = answer
    words = [sys.executable, "-m", "reconciler", "observe", "--product", "big", "--output", "fleet.json"]
    with subprocess.Popen(
        words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE
    ) as run:
        assert asked.wait(30)
        while not (tmp_path / "fleet.json.partial").read_bytes().count(b'"number"') >= 5:
            assert run.poll() is None
        run.send_signal(signal.SIGINT)
        said = run.communicate(timeout=30)[1].decode()
    assert run.returncode == 130, said
    assert "Traceback" not in said
    assert "interrupted" in said
    assert "--resume" in said
    assert not (tmp_path / "fleet.json").exists()


def test_lines_of_progress_come_every_few_seconds_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    now = 100.0
    lines = ProgressLines(lambda: now)
    for number in range(40):
        now += 1.0
        lines.page("product big", 40, (number + 1) * 100)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 8
    assert said[0] == "product big: page 5 of 40, 500 devices"


def test_on_a_terminal_a_bar_says_how_far_it_is() -> None:
    leader, follower = pty.openpty()
    words = [sys.executable, "-c", BAR]
    with subprocess.Popen(words, env=os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm"}, stderr=follower) as run:
        os.close(follower)
        shown = b""
        with contextlib.suppress(OSError):  # a terminal whose other side is closed
            while portion := os.read(leader, 4096):
                shown += portion
    os.close(leader)
    assert run.returncode == 0
    assert b"product big" in shown
    assert b"1/40" in shown
    assert b"100 devices" in shown


def failure(result: Result) -> OperatorError:
    assert isinstance(result.exception, OperatorError)
    assert result.exception.next_step
    return result.exception


def test_a_missing_token_is_said_before_anything_is_asked(
    server: PretendServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARTICLE_ACCESS_TOKEN")
    error = failure(run("--output", "-"))
    assert error.code == "PFR3001"
    assert "PARTICLE_ACCESS_TOKEN" in error.next_step
    assert server.seen == []


def test_the_token_may_come_from_a_file(server: PretendServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARTICLE_ACCESS_TOKEN")
    place = tmp_path / "token"
    place.write_text("f" * 40 + "\n", encoding="utf-8")
    assert run("--output", "-", "--token-file", str(place)).exit_code == 0
    assert server.seen[0].headers["Authorization"] == "Bearer " + "f" * 40


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "PFR3001"), (b" \n", "PFR3001"), (b"two tokens", "PFR3010"), (b"\xff\xfe", "PFR3012"), (None, "PFR3012")],
)
def test_a_token_file_that_cannot_be_used_is_named_and_not_shown(
    server: PretendServer, tmp_path: Path, content: bytes | None, code: str
) -> None:
    place = tmp_path / "token"
    if content is not None:
        place.write_bytes(content)
    error = failure(run("--output", "-", "--token-file", str(place)))
    assert error.code == code
    assert "two tokens" not in str(error)


def test_no_flag_takes_the_tokens_value(server: PretendServer) -> None:
    assert run("--output", "-", "--token", TOKEN).exit_code == 2


def test_an_address_that_is_none_is_refused(server: PretendServer) -> None:
    assert failure(run("--output", "-", "--api-url", "api.particle.io")).code == "PFR3011"


def test_a_product_that_is_not_there_is_an_error_and_no_file(server: PretendServer, tmp_path: Path) -> None:
    place = tmp_path / "fleet.json"
    assert "Product not found" in failure(run("--product", "nothing", "--output", str(place))).message
    assert not place.exists()


def test_a_file_that_cannot_be_written_is_named(server: PretendServer, tmp_path: Path) -> None:
    error = failure(run("--output", str(tmp_path / "missing" / "fleet.json")))
    assert error.code == "PFR6307"
    assert "missing" in error.message


def test_errors_end_with_their_code_on_standard_error_and_exit_code_1(
    server: PretendServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["reconciler", "observe", "--product", "nothing", "--output", "-"])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    assert ended.value.code == 1
    assert captured.out == ""
    assert "error: PFR3005" in captured.err
    assert "next:" in captured.err
    assert TOKEN not in captured.err
