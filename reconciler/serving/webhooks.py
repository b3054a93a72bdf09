"""Webhooks: who says that something was pushed, whether it is really them, and whether it is about what is followed.

Signatures are of the raw body, compared in constant time, before a byte of it is read:

- github: `X-Hub-Signature-256`, `sha256=` and the HMAC in hex. Gitea, Forgejo: `X-Gitea-Signature`, the HMAC in hex.
- gitlab: `X-Gitlab-Token` is the secret itself; or, where GitLab has a signing token, as generic.
- generic: Standard Webhooks (standardwebhooks.com): `webhook-id`, `webhook-timestamp` and `webhook-signature`, which is
  `v1,` and the HMAC in base64 of id, timestamp and body with dots between; a secret `whsec_…` is base64.

What has a time in its signature is good for five minutes and once. The others have none: a repeated delivery is known
by its body for a while, and after that does no more than have the source looked at once more.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, assert_never
from urllib.parse import parse_qs

from reconciler.serving.problem import RequestError
from reconciler.settings.settings import GitSettings, Reference, WebhookKind

_TOLERANCE_SECONDS: Final = 300.0
"""As Standard Webhooks recommends."""

_REMEMBERED_MAX: Final = 1024
_REMEMBERED_SECONDS: Final = 600.0

_EVENT_HEADERS: Final = {
    WebhookKind.GITHUB: "x-github-event",
    WebhookKind.GITEA: "x-gitea-event",
    WebhookKind.GITLAB: "x-gitlab-event",
}
_PUSHES: Final = frozenset({"push", "Push Hook", "Tag Push Hook"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A webhook as it came. Headers by their names in lower case."""

    headers: Mapping[str, str]
    body: bytes


class Deliveries:
    """The deliveries of the last minutes, by what was signed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, float] = OrderedDict()

    def is_repeated(self, mark: str) -> bool:
        """Whether it came before; it has come now."""
        now = self._clock()
        with self._lock:
            while self._seen and next(iter(self._seen.values())) < now - _REMEMBERED_SECONDS:
                self._seen.popitem(last=False)
            if mark in self._seen:
                return True
            self._seen[mark] = now
            if len(self._seen) > _REMEMBERED_MAX:
                self._seen.popitem(last=False)
            return False


def checked(kind: WebhookKind, delivery: Delivery, secret: bytes | None, *, now: float) -> str:
    """The mark by which this delivery is known again. `now` is in seconds since the Unix epoch.

    Raises RequestError PFR6924: it is not signed with the secret (None: there is none that could be read), or is old.
    """
    headers, body = delivery.headers, delivery.body
    if secret is None:
        raise _unsigned("the secret of this webhook cannot be read here")
    match kind:
        case WebhookKind.GITHUB:
            signed = _same(headers.get("x-hub-signature-256"), b"sha256=" + _hex(secret, body))
        case WebhookKind.GITEA:
            signed = _same(headers.get("x-gitea-signature"), _hex(secret, body))
        case WebhookKind.GITLAB if "webhook-signature" not in headers:
            signed = _same(headers.get("x-gitlab-token"), secret)
        case WebhookKind.GITLAB | WebhookKind.GENERIC:
            return _standard(headers, body, secret, now)
        case _:
            assert_never(kind)
    if not signed:
        raise _unsigned("it is not signed with the secret of this webhook")
    # GitLab's own name for the delivery; the others have nothing but the body that cannot be chosen freely.
    return f"{kind.value} {headers.get('idempotency-key', '')} {hashlib.sha256(body).hexdigest()}"


def _standard(headers: Mapping[str, str], body: bytes, secret: bytes, now: float) -> str:
    name, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    key = secret
    if secret.startswith(b"whsec_"):
        try:
            key = base64.b64decode(secret.removeprefix(b"whsec_"), validate=True)
        except binascii.Error:
            raise _unsigned("the secret of this webhook is no base64 behind whsec_") from None
    signed = f"{name}.{sent}.".encode("latin-1", "replace") + body
    due = b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256"))
    # Several signatures are from keys that are being replaced; each is compared.
    if True not in [_same(given, due) for given in headers.get("webhook-signature", "").split()]:
        raise _unsigned("it is not signed with the secret of this webhook")
    if not (sent.isascii() and sent.isdigit()) or abs(now - int(sent[:15])) > _TOLERANCE_SECONDS:
        raise _unsigned("it was signed more than five minutes ago, or its clock or ours is wrong")
    return f"standard {name}"


def _hex(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, body, "sha256").hex().encode()


def _same(given: str | None, due: bytes) -> bool:
    # Headers are bytes, read as Latin-1.
    return hmac.compare_digest((given or "").encode("latin-1", "replace"), due)


def _unsigned(why: str) -> RequestError:
    next_step = "give the webhook the secret that the controller's settings name for it"
    return RequestError("PFR6924", why, status=401, next_step=next_step)


def why_ignored(kind: WebhookKind, delivery: Delivery, followed: GitSettings | None) -> str:
    """Why nothing follows from a delivery that is well signed; empty: something was pushed that may be followed.

    Raises RequestError PFR6916: it is no JSON.
    """
    header = _EVENT_HEADERS.get(kind)
    event = "push" if header is None else delivery.headers.get(header, "")
    if event not in _PUSHES:
        return f"this is about {event or 'no event'}, and not about a push"
    pushed = _document(delivery).get("ref")
    if followed is None or not isinstance(pushed, str):
        return ""
    match followed.reference:
        case Reference.BRANCH:
            ref = f"refs/heads/{followed.reference_name}"
        case Reference.TAG:
            ref = f"refs/tags/{followed.reference_name}"
        case Reference.COMMIT:
            return "a commit is followed, which no push changes"
        case _:
            assert_never(followed.reference)
    return "" if pushed == ref else f"{ref} is followed, and this is about another one"


def _document(delivery: Delivery) -> Mapping[str, Any]:
    body = delivery.body
    if delivery.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        body = (parse_qs(body).get(b"payload") or [b""])[0]
    if not body.strip():
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError("PFR6916", "the webhook's body is no JSON", status=400) from None
    return found if isinstance(found, dict) else {}
