"""E-mail by SMTP. The address is `smtp://user:password@host:587/?from=a@example.com&to=b@example.com,c@example.com`.

`smtps://` is encrypted from the beginning; `smtp://` is by STARTTLS, and without it only to this machine, or where
there is no password and the query says `plain=yes`. The message's id is the news' own.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formataddr, formatdate
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from reconciler.render.ink import harmless
from reconciler.settings.settings import ChannelSettings
from reconciler.telemetry.channel import ChannelError, DeliveryError
from reconciler.telemetry.news import REPORTER, News
from reconciler.telemetry.secrets_of_channels import address_of

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_PORTS: Final[Mapping[str, int]] = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    host: str
    port: int
    encrypted: bool
    plain: bool
    user: str | None
    password: str
    sender: str
    recipients: tuple[str, ...]


class MailChannel:
    """`MessageChannel` by e-mail."""

    def __init__(self, settings: ChannelSettings) -> None:
        """Raises ChannelError."""
        self._settings = settings
        self._place()

    def deliver(self, news: News, *, timeout_seconds: float) -> None:
        """See `MessageChannel`."""
        place = self._place()
        try:
            _send(place, mail_of(news, place.sender, place.recipients), timeout_seconds)
        except ssl.SSLError:
            raise DeliveryError("the encrypted connection failed") from None
        except smtplib.SMTPResponseException as error:
            raise DeliveryError(f"the mail server refused it (SMTP {error.smtp_code})") from None
        except smtplib.SMTPRecipientsRefused:
            raise DeliveryError("the mail server refused every recipient") from None
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise DeliveryError(f"the mail server did not take it ({type(error).__name__})") from None

    def _place(self) -> _Place:
        try:
            return _place_from(address_of(self._settings))
        except ValueError as error:
            raise ChannelError(self._settings.name, str(error)) from None


def _place_from(address: str) -> _Place:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise ValueError("its address cannot be read") from None
    asked = dict(parse_qsl(parts.query))
    recipients = tuple(filter(None, (each.strip() for each in asked.get("to", "").split(","))))
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("its address is no smtp:// or smtps:// address")
    if not asked.get("from") or not recipients:
        raise ValueError("its address needs from= and to= behind the question mark")
    if any(not harmless(each) == each for each in (asked["from"], *recipients)):
        raise ValueError("its address has control characters in from= or to=")
    plain = parts.hostname in _LOOPBACK or (parts.username is None and asked.get("plain") == "yes")
    return _Place(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        encrypted=parts.scheme == "smtps",
        plain=plain,
        user=None if parts.username is None else unquote(parts.username),
        password=unquote(parts.password or ""),
        sender=asked["from"],
        recipients=recipients,
    )


def _send(place: _Place, mail: EmailMessage, timeout_seconds: float) -> None:
    context = ssl.create_default_context()
    if place.encrypted:
        server: smtplib.SMTP = smtplib.SMTP_SSL(place.host, place.port, timeout=timeout_seconds, context=context)
    else:
        server = smtplib.SMTP(place.host, place.port, timeout=timeout_seconds)
    with server:
        server.ehlo()
        if not place.encrypted and not (place.plain and not server.has_extn("starttls")):
            server.starttls(context=context)
            server.ehlo()
        if place.user is not None:
            server.login(place.user, place.password)
        server.send_message(mail, place.sender, place.recipients)


def mail_of(news: News, sender: str, recipients: tuple[str, ...]) -> EmailMessage:
    """The message, with the news' id as its own."""
    mail = EmailMessage()
    mail["From"] = formataddr((REPORTER, sender))
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = harmless(f"[{news.severity}] {news.title}")[:200]
    mail["Date"] = formatdate(news.at)
    mail["Message-ID"] = f"<{news.id}@{REPORTER}>"
    mail["Auto-Submitted"] = "auto-generated"
    lines = [news.message or news.title, "", *(f"{name}: {value}" for name, value in news.metadata.items())]
    mail.set_content("\n".join("".join(harmless(part) for part in line.split("\r")) for line in _split(lines)) + "\n")
    return mail


def _split(lines: list[str]) -> list[str]:
    return [part for line in lines for part in line.split("\n")]
