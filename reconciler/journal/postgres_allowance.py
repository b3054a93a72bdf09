"""One request budget for many processes: a row of the journal's database, from which each takes before it sends.

The bucket of `particle/budget.py`, with the server's clock for everybody's. A request costs a round trip to the
database. That the server may forget the last moment when it loses power costs a few requests of the cloud's allowance,
so that nobody waits for its disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Float, bindparam, cast, event, extract, func, select, update
from sqlalchemy.dialects.postgresql import insert

from reconciler.journal.location import PostgresPlace
from reconciler.journal.postgres import engine_on, translated_errors
from reconciler.journal.tables import allowances
from reconciler.model.allowance import Allowance
from reconciler.model.error import JournalError

_AWAY_SECONDS: Final = 2.0
"""A budget that cannot be asked is one that allows nothing: in so long it is asked again."""

_PAUSE_SECONDS_MIN: Final = 0.001

_NOW: Final = cast(extract("epoch", func.clock_timestamp()), Float())
_ROW: Final = allowances.c.name == bindparam("of_name")
_AT: Final = allowances.c.at
_FILLED: Final = func.least(
    bindparam("of_burst", type_=Float()),
    allowances.c.filled + func.greatest(0.0, _NOW - _AT) * bindparam("of_pace", type_=Float()),
)
_ADD: Final = insert(allowances).values(name=bindparam("of_name"), filled=bindparam("of_burst"), at=_NOW)
_TAKE: Final = (
    update(allowances).where(_ROW, _AT <= _NOW, _FILLED >= 1.0).values(filled=_FILLED - 1.0, at=_NOW).returning(_AT)
)
_ASK: Final = select(
    func.greatest(0.0, _AT - _NOW).label("silence"),
    (func.greatest(0.0, 1.0 - _FILLED) / bindparam("of_pace", type_=Float())).label("missing"),
).where(_ROW)
_BE_SILENT: Final = (
    update(allowances)
    .where(_ROW)
    .values(filled=func.least(_FILLED, 1.0), at=func.greatest(_AT, _NOW + bindparam("seconds", type_=Float())))
)


class PostgresAllowance:
    """A bucket under a name, which all who leave by the same address give. See `particle.budget.Bucket`.

    `clock` is that of the budget which it belongs to.
    """

    def __init__(
        self, place: PostgresPlace, name: str, allowance: Allowance, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises JournalError."""
        self._place = place
        self._clock = clock
        self._values = {"of_name": name, "of_burst": float(allowance.at_once), "of_pace": allowance.per_second}
        self._engine = engine_on(place, busy_seconds=2.0).execution_options(isolation_level="AUTOCOMMIT")

        @event.listens_for(self._engine, "connect")
        def _connected(connection: Any, _record: object) -> None:
            with connection.cursor() as cursor:
                cursor.execute("SET synchronous_commit = off")
            connection.commit()

        self.silent_until = clock()
        with translated_errors(place), self._engine.connect() as connection:
            connection.execute(_ADD.on_conflict_do_nothing(), self._values)

    def pause(self, now: float) -> float:
        """See `Bucket.pause`."""
        return self._asked(now, takes=False)

    def take(self, now: float) -> float:
        """See `Bucket.take`."""
        return self._asked(now, takes=True)

    def be_silent(self, until: float) -> None:
        """See `Bucket.be_silent`: nobody sends."""
        self.silent_until = max(self.silent_until, until)
        try:
            with translated_errors(self._place), self._engine.connect() as connection:
                connection.execute(_BE_SILENT, {**self._values, "seconds": until - self._clock()})
        except JournalError:
            return  # this process is silent; the others are told by the cloud

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    def _asked(self, now: float, *, takes: bool) -> float:
        if self.silent_until > now:
            return self.silent_until - now
        try:
            with translated_errors(self._place), self._engine.connect() as connection:
                if takes and connection.execute(_TAKE, self._values).first() is not None:
                    return 0.0
                row = connection.execute(_ASK, self._values).one()
        except JournalError:
            self.silent_until = now + _AWAY_SECONDS
            return _AWAY_SECONDS
        if row.silence > 0:
            self.silent_until = now + row.silence
        pause = float(row.silence + row.missing)
        return max(pause, _PAUSE_SECONDS_MIN) if pause > 0 or takes else 0.0
