"""The command line, killed by SIGKILL at a named point: `python mortal.py POINT NTH COMMAND…`.

The point is reached by wrapping what the product calls there, so that the product needs no hook for its own death. At
the NTH time that it is reached the process dies as it would by a power cut, without a word.
"""

from __future__ import annotations

import inspect
import itertools
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import urllib3.connection

from reconciler.cli.main import main
from reconciler.inventory.hearing import Hearing
from reconciler.journal.sqlite import SqliteJournal
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.product_attempt import ProductAttempt
from reconciler.particle.http import CloudWire
from reconciler.particle.stream import CloudEvent

Reached = Callable[..., bool]


def _writes(_wire: object, call: Any, *_rest: object) -> bool:
    return bool(call.is_write)


def _is_put(connection: Any, *_rest: object) -> bool:
    return bool(connection._method == "PUT")


def _is_upload(connection: Any, *_rest: object) -> bool:
    return bool(connection._method == "POST")


def _is_release(connection: Any, *_rest: object) -> bool:
    return str(connection._response_options.request_url).endswith("/firmware/release")


def _becomes(state: AttemptState) -> Reached:
    def reached(_journal: object, attempt: Attempt | ProductAttempt, **_at: object) -> bool:
        return attempt.state is state

    return reached


def _tells(name: str, data: str) -> Reached:
    def reached(_hearing: object, event: CloudEvent) -> bool:
        return event.name == name and event.data.strip() == data

    return reached


def _always(*_arguments: object, **_named: object) -> bool:
    return True


_BEFORE: Final = False
_AFTER: Final = True
POINTS: Final[dict[str, tuple[type, str, bool, Reached]]] = {
    "plan-kept": (SqliteJournal, "keep_plan", _AFTER, _always),
    "intent-half-written": (SqliteJournal, "_add_move", _BEFORE, _always),
    "intent-written": (SqliteJournal, "begin", _AFTER, _always),
    "request-left": (urllib3.connection.HTTPConnection, "getresponse", _BEFORE, _is_put),
    "answer-came": (CloudWire, "_received", _AFTER, _writes),
    "answer-written": (SqliteJournal, "record", _AFTER, _becomes(AttemptState.SENT)),
    "transfer-began": (Hearing, "hear", _AFTER, _tells("spark/flash/status", "started")),
    "transfer-ended": (Hearing, "hear", _AFTER, _tells("spark/flash/status", "success")),
    "device-came-back": (Hearing, "hear", _AFTER, _tells("spark/status", "online")),
    "settling": (SqliteJournal, "record", _BEFORE, _becomes(AttemptState.VERIFIED)),
    "settled": (SqliteJournal, "record", _AFTER, _becomes(AttemptState.VERIFIED)),
    "action-written": (SqliteJournal, "begin_product", _AFTER, _always),
    "upload-left": (urllib3.connection.HTTPConnection, "getresponse", _BEFORE, _is_upload),
    "release-left": (urllib3.connection.HTTPConnection, "getresponse", _BEFORE, _is_release),
    "action-answered": (SqliteJournal, "record_product", _AFTER, _becomes(AttemptState.SENT)),
    "action-settled": (SqliteJournal, "record_product", _BEFORE, _becomes(AttemptState.VERIFIED)),
    "disowning": (SqliteJournal, "record", _AFTER, _becomes(AttemptState.UNKNOWN)),
}
"""Class, method, whether its work is done first, and which of its calls count."""

OF_PRODUCTS: Final = ("action-", "upload-", "release-")
"""How the names of those points begin that a run reaches in what it does to a product: see test_product_actions."""


def arm(point: str, nth: int) -> None:
    """Let this process die when the point is reached for the nth time."""
    owner, name, after, reached = POINTS[point]
    is_static = isinstance(inspect.getattr_static(owner, name), staticmethod)
    original = getattr(owner, name)
    counted = itertools.count(1)

    @wraps(original)
    def mortal(*arguments: Any, **named: Any) -> Any:
        counts = reached(*arguments, **named)
        result = original(*arguments, **named) if after or not counts else None
        if counts and next(counted) >= nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return result if after or not counts else original(*arguments, **named)

    setattr(owner, name, staticmethod(mortal) if is_static else mortal)


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    del sys.argv[1:3]
    main()
