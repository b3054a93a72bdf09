"""E-mail to a real SMTP server on this machine."""

from __future__ import annotations

import ssl
import subprocess
import traceback
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from reconciler.model.instant import Instant
from reconciler.settings.settings import ChannelKind, ChannelSettings
from reconciler.telemetry.channel import ChannelError, DeliveryError
from reconciler.telemetry.mail import MailChannel
from reconciler.telemetry.news import News, Severity
from tests.particle.pretend import unused_port

PASSWORD = "pa%ss-w0rd-of-ops"
WRONG = "wrong-w0rd"
NEWS = News(
    at=Instant(1_700_000_000),
    reason="RolloutHalted",
    message="eu: HALTED\n.\r\nBcc: all@example.com\n\x1b[1mend ü",
    severity=Severity.ERROR,
    fleet="eu",
    metadata={"revision": "main@sha1:1"},
    id="abc123",
)


class Post:
    """What a mail server got; `answer` is what it says to a message."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd looks for it
        self.taken.append((envelope.mail_from, envelope.rcpt_tos, message_from_bytes(envelope.content, policy=default)))
        return self.answer

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        self.logins.append((given.login, given.password))
        return AuthResult(success=given.password == PASSWORD.encode(), handled=False)


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def server(post: Post) -> Iterator[Controller]:
    controller = Controller(
        post,
        hostname="127.0.0.1",
        port=unused_port(),
        authenticator=post.authenticate,
        auth_require_tls=False,
    )
    controller.start()
    yield controller
    controller.stop()


def channel(
    server: Controller, *, user: str = "", query: str = "from=fleet@example.com&to=a@example.com,b@example.com"
) -> MailChannel:
    url = f"smtp://{user}127.0.0.1:{server.port}/?{query}"
    return MailChannel(ChannelSettings(name="mail", kind=ChannelKind.EMAIL, url=url))


def test_a_message_arrives_with_its_own_id_and_nobody_puts_headers_into_it(server: Controller, post: Post) -> None:
    channel(server).deliver(NEWS, timeout_seconds=5)
    ((sender, recipients, mail),) = post.taken
    assert (sender, recipients) == ("fleet@example.com", ["a@example.com", "b@example.com"])
    assert mail["Subject"] == "[error] eu: rollout halted"
    assert mail["Message-ID"] == "<abc123@particle-fleet-reconciler>"
    assert mail["Bcc"] is None
    text = mail.get_content()
    assert "Bcc: all@example.com" in text
    assert "ü" in text
    assert "\x1b" not in text
    assert "revision: main@sha1:1" in text


def test_a_newline_in_a_name_makes_no_header(server: Controller, post: Post) -> None:
    channel(server).deliver(replace(NEWS, fleet="eu\r\nBcc: all@example.com"), timeout_seconds=5)
    ((_, recipients, mail),) = post.taken
    assert len(recipients) == 2
    assert mail["Bcc"] is None


def test_a_password_is_given_and_a_wrong_one_is_in_no_error(server: Controller, post: Post) -> None:
    channel(server, user="ops:pa%25ss-w0rd-of-ops@").deliver(NEWS, timeout_seconds=5)
    assert post.logins == [(b"ops", PASSWORD.encode())]
    with pytest.raises(DeliveryError, match="SMTP 535") as caught:
        channel(server, user=f"ops:{WRONG}@").deliver(NEWS, timeout_seconds=5)
    assert WRONG not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_refuses_is_an_error_without_its_words(server: Controller, post: Post) -> None:
    post.answer = "452 full, says fleet@example.com"
    with pytest.raises(DeliveryError, match=r"refused it \(SMTP 452\)") as caught:
        channel(server).deliver(NEWS, timeout_seconds=5)
    assert "example.com" not in str(caught.value)


def test_nobody_there_is_an_error() -> None:
    url = f"smtp://127.0.0.1:{unused_port()}/?from=a@example.com&to=b@example.com"
    with pytest.raises(DeliveryError, match="did not take it"):
        MailChannel(ChannelSettings(name="mail", kind=ChannelKind.EMAIL, url=url)).deliver(NEWS, timeout_seconds=2)


def test_an_address_with_line_breaks_is_refused() -> None:
    url = "smtp://mail.example/?from=a@example.com%0d%0aBcc:x&to=b@example.com"
    with pytest.raises(ChannelError, match="control characters"):
        MailChannel(ChannelSettings(name="mail", kind=ChannelKind.EMAIL, url=url))


def test_a_certificate_that_nobody_vouches_for_is_refused_before_the_password(tmp_path: Path, post: Post) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    controller = Controller(
        post, hostname="127.0.0.1", port=unused_port(), tls_context=context, authenticator=post.authenticate
    )
    controller.start()
    try:
        with pytest.raises(DeliveryError, match="encrypted connection failed"):
            channel(controller, user="ops:secret@").deliver(NEWS, timeout_seconds=5)
    finally:
        controller.stop()
    assert post.logins == []
    assert post.taken == []
