"""A POST of a small document to an address that may itself be a secret.

The rules:
- No redirect is followed: whoever answers for an address does not choose where the next secret goes.
- No environment, no `.netrc`, no cookies; nothing is repeated by itself.
- Nothing of the address, the headers or the answer is in an error, but the status code; and no error has a cause, whose
  words would have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import requests
from requests.exceptions import ConnectionError as NoConnectionError
from requests.exceptions import RequestException, SSLError, Timeout
from urllib3.exceptions import HTTPError

from reconciler.particle.failure import retry_after_seconds
from reconciler.particle.session import new_session
from reconciler.telemetry.channel import DeliveryError

_ANSWER_MAX: Final = 4096
"""Bytes of an answer that are looked at; the rest is not even read."""

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

_OK: Final = range(200, 300)
_REDIRECT: Final = range(300, 400)
_TOO_MANY: Final = 429


class Poster:
    """Connections of one channel."""

    def __init__(self, *, proxies: Mapping[str, str] | None = None, trust: str | None = None) -> None:
        """`trust`: a file of certificates of authorities, in place of the public ones."""
        self._session = new_session(proxies=proxies, trust=trust)

    def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout_seconds: float,
        fine: tuple[int, str] | None = None,
    ) -> None:
        """Send it; returns when the answer says that it was taken. `fine`: a status with these words is as good.

        Raises DeliveryError.
        """
        try:
            with self._session.post(
                url, data=body, headers=dict(headers), timeout=timeout_seconds, allow_redirects=False, stream=True
            ) as answer:
                _judge(answer, fine)
        except SSLError:
            raise DeliveryError("the encrypted connection failed") from None
        except Timeout:
            raise DeliveryError(f"no answer came within {timeout_seconds:.0f} seconds") from None
        except NoConnectionError:
            raise DeliveryError("no connection could be made, or it broke") from None
        except (RequestException, HTTPError, OSError, ValueError) as error:
            raise DeliveryError(f"the answer could not be read ({type(error).__name__})") from None


def _judge(answer: requests.Response, fine: tuple[int, str] | None) -> None:
    status = answer.status_code
    if status in _OK:
        return
    if status in _REDIRECT:
        raise DeliveryError(f"it answers with a redirect (HTTP {status}), which is not followed")
    if fine is not None and status == fine[0] and fine[1] in _beginning(answer):
        return
    wait = retry_after_seconds({name.lower(): value for name, value in answer.headers.items()})
    words = "it takes no more for now" if status == _TOO_MANY else "it was refused"
    raise DeliveryError(f"{words} (HTTP {status})", retry_after_seconds=wait)


def _beginning(answer: requests.Response) -> str:
    """One piece as it comes: who trickles is not waited for."""
    return bytes(answer.raw.read1(_ANSWER_MAX)).decode("utf-8", "replace")


def checked_url(text: str, *, encrypted: bool) -> str:
    """The address. Raises ValueError that says what is wrong with it without saying it.

    `encrypted`: it must be https, unless it is on this machine: it is a secret, or carries one.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("its address cannot be read") from None
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        raise ValueError("its address is no http:// or https:// address")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError("its address has spaces or control characters")
    if parts.username is not None:
        raise ValueError("its address has a user name in it")
    if encrypted and parts.scheme != "https" and host not in _LOOPBACK:
        raise ValueError("its address must begin with https://, because of the secret that goes there")
    return text
