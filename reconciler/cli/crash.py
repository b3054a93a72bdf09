"""What a person sees of a mistake of ours: where it happened, without values, and without any access token.

A traceback of Python shows no local variables; but the words of an error may be anything, so tokens are taken out.
"""

from __future__ import annotations

import sys
import threading
import traceback
from types import TracebackType

from reconciler.model.error import BugError
from reconciler.particle.token import without_tokens


def mistake_of_ours(error: BaseException) -> BugError:
    """Print where it happened on standard error; what to say of it last."""
    _print(type(error), error, error.__traceback__)
    return BugError(
        "PFR9003",
        f"something that must not happen has happened: {type(error).__name__}",
        next_step="please report it with the lines above; `apply` can be run again, it goes on where it was",
    )


def watch_threads() -> None:
    """A thread that dies of a mistake of ours says so in the same way."""

    def say(end: threading.ExceptHookArgs) -> None:
        _print(end.exc_type, end.exc_value, end.exc_traceback)

    threading.excepthook = say


def _print(kind: type[BaseException], error: BaseException | None, frames: TracebackType | None) -> None:
    sys.stderr.write(without_tokens("".join(traceback.format_exception(kind, error, frames))))
