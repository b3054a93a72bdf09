"""The server itself: it starts or says why not, stops within its time, and takes new certificates while it serves."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import requests

from reconciler.model.error import OperatorError
from reconciler.model.event import Event
from reconciler.serving.application import application
from reconciler.serving.server import Server
from reconciler.settings.settings import ServingSettings
from tests.serving.desk import FLEET, Client, FakeDesk, serving, settings_in


def test_it_listens_on_loopback_alone_unless_it_is_told_otherwise(client: Client) -> None:
    assert client.address[0] == "127.0.0.1"
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.2", client.address[1]), 5):
        pass


def test_it_listens_where_it_is_told_and_says_that_it_does_so_without_tls(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(replace(settings_in(tmp_path), host="0.0.0.0")) as client:
        port = client.address[1]
        assert requests.get(f"http://127.0.0.2:{port}/healthz", timeout=20).status_code == 200
    assert "without TLS" in caplog.text


def test_a_port_that_is_taken_is_said_at_the_start(client: Client) -> None:
    settings = replace(ServingSettings(), port=client.address[1])
    server = Server(application(FakeDesk(), settings), settings)
    with pytest.raises(OperatorError, match="cannot be had") as caught:
        server.start()
    assert caught.value.code == "PFR6926"
    assert server.stop()


def test_a_server_that_is_stopped_answers_nobody_and_frees_its_port(settings: ServingSettings) -> None:
    with serving(settings) as client:
        host, port = client.address
        assert client.server.is_serving
        assert client.server.stop()
        assert not client.server.is_serving
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
        assert client.server.stop(), "stopping twice is harmless"


@dataclass
class WaitingDesk(FakeDesk):
    """Its status takes until it is let go."""

    asked: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)

    def status(self) -> dict[str, object]:
        self.asked.set()
        assert self.let_go.wait(20)
        return dict(super().status())


def asking(client: Client, heard: list[int]) -> threading.Thread:
    def ask() -> None:
        with contextlib.suppress(requests.RequestException), requests.Session() as session:
            heard.append(another(client, session).get("/v1/status").status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def another(client: Client, session: requests.Session) -> Client:
    session.trust_env = False
    return Client(server=client.server, desk=client.desk, session=session)


def test_what_is_under_way_ends_before_the_server_does(settings: ServingSettings) -> None:
    desk, heard = WaitingDesk(), list[int]()
    with serving(settings, desk, grace_seconds=15) as client:
        thread = asking(client, heard)
        assert desk.asked.wait(20)
        stopping = threading.Thread(target=client.server.stop)
        stopping.start()
        desk.let_go.set()
        thread.join(20)
        stopping.join(20)
        assert heard == [200]
        assert not client.server.is_serving


def test_what_does_not_end_in_time_is_cut_off_and_told_so(
    settings: ServingSettings, caplog: pytest.LogCaptureFixture
) -> None:
    desk, heard = WaitingDesk(), list[int]()
    with serving(settings, desk, grace_seconds=1) as client:
        thread = asking(client, heard)
        assert desk.asked.wait(20)
        begun = time.monotonic()
        assert client.server.stop()
        assert time.monotonic() - begun < 10, "the answer would have taken for ever"
        thread.join(20)
        assert heard == [503]
        desk.let_go.set()
    assert "Exception in ASGI" not in caplog.text


def test_a_word_that_was_begun_when_the_server_stops_is_whole_in_the_journal(settings: ServingSettings) -> None:
    with serving(settings) as client:
        answers: list[int] = []

        def say() -> None:
            with contextlib.suppress(requests.RequestException), requests.Session() as session:
                body = {"fleet": FLEET, "reason": "r"}
                answers.append(another(client, session).say("suspend", body).status_code)

        threads = [threading.Thread(target=say) for _ in range(8)]
        for thread in threads:
            thread.start()
        client.server.stop()
        for thread in threads:
            thread.join(20)
        assert len(client.desk.journal.entries()) >= answers.count(200)
        assert set(answers) <= {200}


# --- TLS ---


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for loopback that signs itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        if os.environ.get("CI") == "true":
            pytest.fail("openssl is not installed")
        pytest.skip("openssl is not installed, so no certificate can be made")
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    words += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run([openssl, *words, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key


def with_tls(folder: Path) -> ServingSettings:
    certificate, key = make_certificate(folder, "served")
    return replace(settings_in(folder), certificate_file=str(certificate), key_file=str(key))


def shown_name(client: Client) -> str:
    """Whose certificate a new connection gets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(client.address, 20) as plain, context.wrap_socket(plain) as secured:
        certificate = secured.getpeercert(binary_form=True)
    assert certificate is not None
    return next(name for name in ("served", "renewed") if name.encode() in certificate)


def test_it_serves_tls_that_a_client_trusts_by_its_file(tmp_path: Path) -> None:
    settings = with_tls(tmp_path)
    with serving(settings) as client:
        assert client.server.url.startswith("https://")
        assert client.get("/v1/status", verify=settings.certificate_file).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            client.get("/v1/status")
        with pytest.raises(requests.exceptions.ConnectionError):
            requests.get(client.server.url.replace("https", "http"), timeout=20)


def test_old_tls_is_not_spoken(tmp_path: Path) -> None:
    with serving(with_tls(tmp_path)) as client:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with (
            socket.create_connection(client.address, 20) as plain,
            pytest.raises(OSError, match=r"(?i)ssl|reset|alert"),
        ):
            context.wrap_socket(plain)


def test_a_certificate_that_is_replaced_is_served_to_who_connects_next(tmp_path: Path) -> None:
    settings = with_tls(tmp_path)
    with serving(settings) as client:
        assert shown_name(client) == "served"
        for made, served in zip(
            make_certificate(tmp_path, "renewed"), (settings.certificate_file, settings.key_file), strict=True
        ):
            assert served is not None
            made.replace(served)
        deadline = time.monotonic() + 20
        while shown_name(client) != "renewed" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert shown_name(client) == "renewed"


@pytest.mark.parametrize("content", [None, "", "-----BEGIN nonsense"])
def test_a_key_that_does_not_fit_is_not_taken_and_the_old_pair_goes_on(
    tmp_path: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    settings = with_tls(tmp_path)
    key = Path(settings.key_file or "")
    with serving(settings) as client:
        if content is None:
            make_certificate(tmp_path, "renewed")[1].replace(key)
        else:
            key.write_text(content, encoding="utf-8")
        deadline = time.monotonic() + 20
        while "was not replaced" not in caplog.text and time.monotonic() < deadline:
            assert shown_name(client) == "served"
        assert "was not replaced" in caplog.text
        assert shown_name(client) == "served"


@pytest.mark.parametrize("left_out", ["certificate_file", "key_file"])
def test_half_of_a_pair_is_not_served_without_tls(tmp_path: Path, left_out: str) -> None:
    settings = replace(with_tls(tmp_path), **{left_out: None})
    with pytest.raises(OperatorError, match="cannot be used for TLS"):
        Server(application(FakeDesk(), settings), settings)


class DeskWithoutEvents(FakeDesk):
    def subscribe(self, tell: Callable[[Event], None]) -> Callable[[], None]:
        raise RuntimeError("no events")


def test_an_application_that_does_not_start_is_said_at_once(settings: ServingSettings) -> None:
    server = Server(application(DeskWithoutEvents(), settings), settings)
    begun = time.monotonic()
    with pytest.raises(OperatorError, match="was not served"):
        server.start()
    assert time.monotonic() - begun < 9


def test_files_that_are_no_certificate_are_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x", encoding="utf-8")
    settings = replace(settings_in(tmp_path), certificate_file=str(tmp_path / "x"), key_file=str(tmp_path / "none"))
    with pytest.raises(OperatorError) as caught:
        Server(application(FakeDesk(), settings), settings)
    assert caught.value.code == "PFR6926"


def test_who_does_not_shake_hands_keeps_nobody_from_being_served(tmp_path: Path) -> None:
    settings = with_tls(tmp_path)
    with serving(settings) as client, contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(client.address, 20))
        assert client.get("/healthz", verify=settings.certificate_file).status_code == 200
        begun = time.monotonic()
        client.server.stop()
        assert time.monotonic() - begun < 15
