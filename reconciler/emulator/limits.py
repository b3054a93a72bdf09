"""How much the cloud lets a client ask for (facts 5.12): in virtual seconds, as everything here.

The numbers are the world's, but for look-ups by serial number. The lock-out after failed logins is always there: it is
no matter of load.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from reconciler.emulator.message import ApiError
from reconciler.emulator.world import RateLimit
from reconciler.model.instant import Instant

_FAILED_LOGINS_MAX: Final = 10
"""Consecutive ones."""
_LOCKED_OUT_SECONDS: Final = 1800.0
_STREAM_RETRY_SECONDS: Final = 60
_SERIAL_NUMBERS_MAX: Final = 50
_SERIAL_NUMBERS_SECONDS: Final = 3600.0
_REFUSED: Final = 400


class Kind(Enum):
    """What a request is counted as, besides being one."""

    ORDINARY = "ordinary"
    TOKEN_CREATION = "token creation"  # noqa: S105  # the name of a kind of request
    TOKEN_LISTING = "token listing"  # noqa: S105  # the name of a kind of request
    TOKEN_DELETION = "token deletion"  # noqa: S105  # the name of a kind of request
    STREAM = "stream"
    SERIAL_NUMBER = "serial number"


class Limiter:
    """Counts requests and refuses those that are too many. All clients share one address."""

    def __init__(self, limit: RateLimit | None) -> None:
        self._limit = limit
        self._windows: dict[Kind, tuple[Instant, int]] = {}
        self._failed_logins = 0
        self._locked_out_until: Instant | None = None

    def check(self, kind: Kind, now: Instant, streams_open: int) -> None:
        """Count a request. Raises ApiError 429 with Retry-After when it is one too many."""
        if kind is Kind.TOKEN_CREATION and self._locked_out_until is not None and now < self._locked_out_until:
            raise _too_many(self._locked_out_until - now)
        limit = self._limit
        if limit is None:
            return
        self._count(Kind.ORDINARY, limit.requests, limit.seconds, now)
        if kind is Kind.STREAM:
            if streams_open >= limit.streams:
                raise _too_many(_STREAM_RETRY_SECONDS)
            self._count(kind, limit.stream_openings, limit.seconds, now)
        elif kind is Kind.SERIAL_NUMBER:
            self._count(kind, _SERIAL_NUMBERS_MAX, _SERIAL_NUMBERS_SECONDS, now)
        elif kind is not Kind.ORDINARY:
            self._count(kind, limit.tokens, limit.seconds, now)

    def note_login(self, status: int, now: Instant) -> None:
        """What became of a request for a token. Ten refused ones in a row lock the address out for half an hour."""
        self._failed_logins = self._failed_logins + 1 if status == _REFUSED else 0
        if self._failed_logins >= _FAILED_LOGINS_MAX:
            self._failed_logins = 0
            self._locked_out_until = Instant(now + _LOCKED_OUT_SECONDS)

    def _count(self, kind: Kind, requests: int, seconds: float, now: Instant) -> None:
        begun, used = self._windows.get(kind, (now, 0))
        if now - begun >= seconds:
            begun, used = now, 0
        self._windows[kind] = (begun, used + 1)
        if used >= requests:
            raise _too_many(seconds - (now - begun))


def _too_many(seconds: float) -> ApiError:
    left = max(1, int(seconds + 0.999))
    return ApiError(429, "Too many requests", f"Try again in {left} s", Retry_After=str(left))
