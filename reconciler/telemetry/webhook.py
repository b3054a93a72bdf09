"""A generic webhook: an event in Flux's form, signed as Standard Webhooks says (https://www.standardwebhooks.com).

`webhook-id` is the same for every try, so that a receiver knows what it has; `webhook-timestamp` is the time of the
try, so that it can refuse what somebody recorded; `webhook-signature` is over both and the body. Libraries that check
it exist for every language.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Final

from reconciler.settings.settings import ChannelSettings
from reconciler.telemetry.channel import ChannelError
from reconciler.telemetry.news import News, flux_event
from reconciler.telemetry.posting import Poster, checked_url
from reconciler.telemetry.secrets_of_channels import address_of, secret_of

_SECRET_PREFIX: Final = "whsec_"  # noqa: S105  # how a secret begins is none
"""Before a secret in base64; without it the secret is the file's own bytes."""


class WebhookChannel:
    """`MessageChannel` to any program. Without `secret_file` nothing is signed."""

    def __init__(self, settings: ChannelSettings, poster: Poster, now: Callable[[], float]) -> None:
        """Raises ChannelError."""
        self._settings = settings
        self._poster = poster
        self._now = now
        self._address()
        self._secret()

    def deliver(self, news: News, *, timeout_seconds: float) -> None:
        """See `MessageChannel`."""
        body = json.dumps(flux_event(news), sort_keys=True).encode()
        stamp = str(int(self._now()))
        headers = {"Content-Type": "application/json", "webhook-id": news.id, "webhook-timestamp": stamp}
        secret = self._secret()
        if secret is not None:
            headers["webhook-signature"] = signature(secret, news.id, stamp, body)
        self._poster.post(self._address(), body, headers, timeout_seconds=timeout_seconds)

    def _address(self) -> str:
        try:
            return checked_url(address_of(self._settings), encrypted=False)
        except ValueError as error:
            raise ChannelError(self._settings.name, str(error)) from None

    def _secret(self) -> bytes | None:
        if self._settings.secret_file is None:
            return None
        text = secret_of(self._settings)
        if not text.startswith(_SECRET_PREFIX):
            return text.encode()
        try:
            return base64.b64decode(text.removeprefix(_SECRET_PREFIX), validate=True)
        except ValueError:
            raise ChannelError(self._settings.name, "what follows whsec_ in its secret_file is no base64") from None


def signature(secret: bytes, name: str, stamp: str, body: bytes) -> str:
    """The value of `webhook-signature`."""
    digest = hmac.new(secret, b".".join((name.encode(), stamp.encode(), body)), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
