"""`Idempotency-Key`: a word that comes twice is said once, also when the controller was restarted in between.

What was answered is kept in the journal, under the author and the key, for a day. A key that was begun and has no
answer is of a word of which nobody can tell whether it was said: it is not said again, for somebody may have spoken
since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.journal.journal import Journal
from reconciler.model.instant import Instant
from reconciler.serving.problem import RequestError

KEY_CHARACTERS_MAX: Final = 200

_PREFIX: Final = "said/"
_KEPT_SECONDS: Final = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was answered to a word: the status, and the body."""

    status: int
    body: Mapping[str, Any]


class SaidBefore:
    """The keyed words of one author. Not for two threads with one key: words are said one after the other."""

    def __init__(self, journal: Journal, *, author: str, key: str, request: Mapping[str, Any]) -> None:
        self._journal = journal
        self._name = _PREFIX + _digest([author, key])
        self._request = _digest(request)

    def answer(self) -> Answer | None:
        """What was answered; None: the key is new.

        Raises RequestError PFR6922: the key was used for another word; PFR6923: what came of it, nobody can tell.
        """
        kept = self._journal.bookmark(self._name)
        if kept is None:
            return None
        found = json.loads(kept)
        if found["request"] != self._request:
            raise RequestError(
                "PFR6922", "this Idempotency-Key was used for another word", status=422, next_step="make a new key"
            )
        if found["status"] is None:
            raise RequestError(
                "PFR6923",
                "the controller was stopped while this was said, and cannot tell whether it was",
                status=409,
                next_step="look at the history of the fleet; if it is not there, say it again with a new key",
            )
        return Answer(status=found["status"], body=found["body"])

    def begin(self, at: Instant) -> None:
        """From now on it may have been said. What was kept for longer than a day is forgotten."""
        for name, kept in self._journal.bookmarks(_PREFIX).items():
            if abs(at - json.loads(kept)["at"]) > _KEPT_SECONDS:
                self._journal.set_bookmark(name, None)
        self._keep(at, None)

    def end(self, answer: Answer, at: Instant) -> None:
        """This was answered."""
        self._keep(at, answer)

    def forget(self) -> None:
        """Nothing was said."""
        self._journal.set_bookmark(self._name, None)

    def _keep(self, at: Instant, answer: Answer | None) -> None:
        status, body = (None, None) if answer is None else (answer.status, answer.body)
        kept = {"at": at, "request": self._request, "status": status, "body": body}
        self._journal.set_bookmark(self._name, json.dumps(kept, sort_keys=True))


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
