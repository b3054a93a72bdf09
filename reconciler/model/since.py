"""From when on attempts count: at the beginning of a rollout, and at the word of a person who settles what there was.

By the journal's own numbers, which no clock disorders. A time decides only where a number is missing: in entries of an
earlier version, and for attempts that no journal has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.model.attempt import Attempt
from reconciler.model.instant import NEVER, Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """A point in the order of a fleet's attempts.

    - `latest_attempt`: the number of the latest attempt that had begun; 0: there was none; None: nobody looked.
    - `under_way`: attempts of which nobody knew then what would come of them. What came of them is news.
    - `at`: the time that decides where a number is missing.
    """

    at: Instant = NEVER
    latest_attempt: int | None = None
    under_way: frozenset[str] = frozenset()

    def counts(self, attempt: Attempt) -> bool:
        """Whether an attempt, or what came of it, is later than this."""
        if attempt.id in self.under_way:
            return True
        if self.latest_attempt is None or attempt.number is None:
            return attempt.intended_at >= self.at
        return attempt.number > self.latest_attempt


ALWAYS: Final = Since()
"""Every attempt counts."""
