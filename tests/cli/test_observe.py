from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.main import main
from reconciler.cli.observe import command
from reconciler.inventory.snapshot import observation_from_document
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant
from tests.particle.pretend import TOKEN, Answer, PretendServer, Seen

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
    assert "1 devices, 1 online" in result.stderr
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
