"""Who asks: tokens by role, from files that may rotate; and those who try tokens that are none."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from reconciler.serving.problem import RequestError
from reconciler.serving.secret_file import SecretFile
from reconciler.settings.settings import Role, TokenSettings

_RANK: Final = {role: rank for rank, role in enumerate((Role.READ, Role.APPROVE, Role.OPERATE))}

_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="reconciler"'}

_FREE_TRIES: Final = 10
"""A person who mistypes, or a machine whose token has just rotated, is answered at once."""

_FORGOTTEN_AFTER_SECONDS: Final = 60.0
_SLOW_SECONDS: Final = 1.0
_SLOWED_AT_ONCE_MAX: Final = 64
_ADDRESSES_MAX: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Whose token it is: the name is the author of their words."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether their role is this one or a later one."""
        return _RANK[self.role] >= _RANK[role]


class Tokens:
    """The tokens of the settings. Every one is compared with, in constant time, whichever it is."""

    def __init__(self, settings: Sequence[TokenSettings]) -> None:
        self._known = [(Bearer(name=each.name, role=each.role), SecretFile(each.token_file)) for each in settings]

    def __bool__(self) -> bool:
        return bool(self._known)

    def bearer(self, authorization: str | None) -> Bearer | None:
        """Whose token an `Authorization` header has; None: nobody's."""
        scheme, _, given = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            return None
        # Headers are bytes, read as Latin-1. Digests are of one length: comparing does not tell how long a token is.
        digest = hashlib.sha256(given.strip().encode("latin-1", "replace")).digest()
        found = None
        for bearer, file in self._known:
            secret = file.secret()
            is_it = secret is not None and hmac.compare_digest(hashlib.sha256(secret).digest(), digest)
            if is_it and found is None:
                found = bearer
        return found

    def admitted(self, authorization: str | None, role: Role) -> Bearer:
        """Whose token it is. Raises RequestError PFR6911: nobody's; PFR6912: they may not."""
        if not self._known:
            message = "no token is configured here: only health, readiness, metrics and webhooks are answered"
            raise RequestError("PFR6911", message, status=401, next_step=_HOW_TO_ADD, headers=_CHALLENGE)
        bearer = self.bearer(authorization)
        if bearer is None:
            message = "this needs a token" if authorization is None else "this token is not known here"
            raise RequestError("PFR6911", message, status=401, next_step=_HOW_TO_SEND, headers=_CHALLENGE)
        if not bearer.may(role):
            message = f"the token {bearer.name} has the role {bearer.role.value}, and this needs {role.value}"
            raise RequestError("PFR6912", message, status=403, next_step="ask with a token of that role")
        return bearer


_HOW_TO_ADD: Final = "add a token under `serving.tokens` in the settings of the controller"
_HOW_TO_SEND: Final = "send `Authorization: Bearer …` with the content of one of the controller's token files"


class Tries:
    """Failed tries by address. Who fails often is answered slowly, and nobody who has a token ever is.

    A lock-out would let anybody who reaches the port keep the operator from halting a fleet.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._slowed = 0

    def failed(self, address: str) -> float:
        """Note a failed try; returns how many seconds its answer waits. Raises RequestError PFR6925: too many wait."""
        now = self._clock()
        with self._lock:
            count, last = self._failed.pop(address, (0, now))
            count = 1 if now - last > _FORGOTTEN_AFTER_SECONDS else count + 1
            self._failed[address] = (count, now)
            while len(self._failed) > _ADDRESSES_MAX:
                self._failed.popitem(last=False)
        if count <= _FREE_TRIES:
            return 0.0
        if self._slowed >= _SLOWED_AT_ONCE_MAX:
            raise RequestError("PFR6925", "too many wrong tokens at once", status=429, headers={"Retry-After": "60"})
        return _SLOW_SECONDS

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While an answer waits."""
        with self._lock:
            self._slowed += 1
        try:
            yield
        finally:
            with self._lock:
                self._slowed -= 1
