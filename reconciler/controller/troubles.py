"""What is in trouble now, told once when it begins and once when it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from reconciler.model.error import JournalError, ReconcilerError
from reconciler.model.event import Event, Recovered, Troubled
from reconciler.model.instant import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What went wrong last, and since when something has."""

    code: str
    message: str
    since: Instant


class Troubles:
    """By what is in trouble: `source`, `journal`, `cloud`, `product …`. Several threads may tell and ask.

    `before` are those of which people were told by an earlier process, and not yet that they have ended.
    """

    def __init__(
        self, clock: Callable[[], Instant], tell: Callable[[Event], None], before: Collection[str] = ()
    ) -> None:
        self._clock = clock
        self._before = set(before)
        self._tell = tell
        self._lock = threading.Lock()
        self._now: dict[str, Trouble] = {}

    def __call__(self) -> Mapping[str, Trouble]:
        """All of them."""
        with self._lock:
            return dict(self._now)

    def began(self, what: str, code: str, message: str) -> None:
        """Something went wrong, and may have before."""
        at = self._clock()
        with self._lock:
            known = self._now.get(what)
            since = at if known is None else known.since
            self._now[what] = Trouble(code=code, message=message, since=since)
        if known is None or known.code != code:
            self._tell(Troubled(at=at, what=what, code=code, message=message))

    def ended(self, what: str) -> None:
        """It went well."""
        with self._lock:
            was_there = self._now.pop(what, None) is not None or what in self._before
            self._before.discard(what)
        if was_there:
            self._tell(Recovered(at=self._clock(), what=what))

    def is_open(self, what: str) -> bool:
        """Whether this is in trouble, as far as people know."""
        with self._lock:
            return what in self._now or what in self._before

    def end_all_but(self, those: Collection[str]) -> None:
        """Nobody looks at anything else any more, so that it cannot be in trouble."""
        with self._lock:
            over = (self._now.keys() | self._before) - set(those)
        for what in sorted(over):
            self.ended(what)

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """What goes wrong in the body is trouble of this, or of the journal."""
        try:
            yield
        except JournalError as error:
            self.began("journal", error.code, error.message)
        except ReconcilerError as error:
            self.began(what, error.code, error.message)
        else:
            self.ended(what)


def trouble_of(product: str | None) -> str:
    """Under which name trouble of a product is kept."""
    return "own devices" if product is None else f"product {product}"
