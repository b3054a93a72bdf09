"""Whose turn each product is, and when: what `controller/schedule.py` keeps for one process, kept for many.

The rules are the schedule's. Beside them:
- Times are the server's, so that no two machines disagree about them.
- Every pass has a number, its turn. Who was overtaken has an old one, and says nothing of the product any more.
- A product stays with the worker that had its last pass, its holder, which remembers of it what no journal has. It
  loses it when it dies, or leaves it lying for longer than others wait.

Nothing here is a lock: what is written about devices is guarded by the epochs of the journal.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, TextClause, text

from reconciler.journal.location import PostgresPlace
from reconciler.journal.postgres import engine_on, translated_errors

LOST_SECONDS: Final = 300.0
"""A pass that nobody has ended after so long is begun again behind itself, whatever has become of it."""

_NEWS: Final = 1
_WORD: Final = 2

_ADD: Final = text("""
INSERT INTO turns (product, turn, under_way, woken, failures, due_at, earliest_at)
SELECT wanted, 0, false, 0, 0, extract(epoch FROM clock_timestamp()), 0 FROM unnest(CAST(:products AS text[])) AS wanted
ON CONFLICT DO NOTHING
""")
_WAKE: Final = text("""
UPDATE turns SET woken = greatest(woken, :woken), due_at = CASE
  WHEN under_way THEN due_at
  WHEN :woken = 2 THEN least(due_at, extract(epoch FROM clock_timestamp()))
  ELSE least(due_at, greatest(earliest_at, extract(epoch FROM clock_timestamp()))) END
WHERE product = :product
""")
_DUE: Final = text("""
SELECT product, holder, extract(epoch FROM clock_timestamp()) - due_at AS waited, under_way FROM turns
WHERE product = ANY(CAST(:products AS text[])) AND due_at <= extract(epoch FROM clock_timestamp())
ORDER BY due_at, product
""")
_BEGIN: Final = text("""
WITH before AS (SELECT product, holder, under_way FROM turns WHERE product = :product FOR UPDATE)
UPDATE turns SET holder = :holder, turn = turn + 1, under_way = true, woken = 0,
  due_at = extract(epoch FROM clock_timestamp()) + :lost
FROM before WHERE turns.product = before.product
RETURNING turns.turn, turns.failures, before.holder = :holder AND NOT before.under_way AS goes_on
""")
_END: Final = text("""
UPDATE turns SET under_way = false, failures = 0,
  earliest_at = extract(epoch FROM clock_timestamp()) + :at_least,
  due_at = extract(epoch FROM clock_timestamp())
    + CASE woken WHEN 2 THEN 0 WHEN 1 THEN :at_least ELSE greatest(:at_least, :at_most) END
WHERE product = :product AND turn = :turn
""")
_FAIL: Final = text("""
UPDATE turns SET under_way = false, failures = failures + 1,
  earliest_at = extract(epoch FROM clock_timestamp()) + CASE woken WHEN 2 THEN 0 ELSE :wait END,
  due_at = extract(epoch FROM clock_timestamp()) + CASE woken WHEN 2 THEN 0 ELSE :wait END
WHERE product = :product AND turn = :turn
""")
_DECLINE: Final = text("""
UPDATE turns SET holder = CASE WHEN holder = :holder THEN NULL ELSE holder END,
  due_at = greatest(due_at, extract(epoch FROM clock_timestamp()) + :wait)
WHERE product = :product AND NOT under_way
""")
_RELEASE: Final = text("""
UPDATE turns SET holder = NULL, under_way = false, due_at = least(due_at, extract(epoch FROM clock_timestamp()))
WHERE product = :product AND turn = :turn
""")
_NUMBERS: Final = text("SELECT product, turn FROM turns")
_HELD: Final = text("SELECT product FROM turns WHERE holder = :holder")
_LEAVE: Final = text("UPDATE turns SET holder = NULL WHERE holder = :holder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A product that is due: who had it last, if that one still has it, and for how many seconds it waits."""

    product: str
    holder: str | None
    waited: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A pass that begins. `goes_on`: nobody else had the product since this holder's last pass."""

    product: str
    number: int
    failures: int
    goes_on: bool


class PostgresTurns:
    """The turns of products in the journal at `place`, for one worker, `holder`. For any number of threads.

    Every method raises JournalError when the server cannot be reached.
    """

    def __init__(self, place: PostgresPlace, *, holder: str) -> None:
        self._place = place
        self._holder = holder
        self._engine = engine_on(place, busy_seconds=5.0)

    def wake(self, product: str, *, by_word: bool) -> None:
        """See `Schedule.wake`."""
        self._do(_WAKE, product=product, woken=_WORD if by_word else _NEWS)

    def due(self, products: Collection[str]) -> Sequence[Due]:
        """Which of these products are due, the longest due first. Those that nobody knew are."""
        wanted = sorted(products)
        self._do(_ADD, products=wanted)
        return [Due(product=row.product, holder=row.holder, waited=row.waited) for row in self._rows(_DUE, wanted)]

    def held(self) -> frozenset[str]:
        """The products whose last pass was this holder's."""
        with translated_errors(self._place), self._engine.begin() as connection:
            return frozenset(connection.execute(_HELD, {"holder": self._holder}).scalars())

    def begin(self, product: str) -> Turn | None:
        """A pass begins here; None: nobody knows the product."""
        row = self._do(_BEGIN, product=product, holder=self._holder, lost=LOST_SECONDS)
        if row is None:
            return None
        return Turn(product=product, number=row.turn, failures=row.failures, goes_on=bool(row.goes_on))

    def end(self, turn: Turn, *, at_least: float, at_most: float) -> None:
        """See `Schedule.end`; nothing where somebody has overtaken."""
        self._do(_END, product=turn.product, turn=turn.number, at_least=at_least, at_most=at_most)

    def fail(self, turn: Turn, *, wait: float) -> None:
        """See `Schedule.fail`; nothing where somebody has overtaken."""
        self._do(_FAIL, product=turn.product, turn=turn.number, wait=wait)

    def decline(self, product: str, *, seconds: float) -> None:
        """It cannot be done here, now: somebody else may, or this one in so many seconds."""
        self._do(_DECLINE, product=product, holder=self._holder, wait=seconds)

    def numbers(self) -> Mapping[str, int]:
        """The number of every product's latest turn."""
        with translated_errors(self._place), self._engine.begin() as connection:
            return {row.product: row.turn for row in connection.execute(_NUMBERS)}

    def release(self, product: str, *, number: int) -> None:
        """Whoever has this turn is dead: it is due for everybody; nothing where somebody has overtaken."""
        self._do(_RELEASE, product=product, turn=number)

    def leave(self) -> None:
        """This holder ends."""
        self._do(_LEAVE, holder=self._holder)

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    def _do(self, statement: TextClause, **values: object) -> Row[Any] | None:
        with translated_errors(self._place), self._engine.begin() as connection:
            done = connection.execute(statement, values)
            return done.first() if done.returns_rows else None

    def _rows(self, statement: TextClause, products: Sequence[str]) -> Sequence[Row[Any]]:
        with translated_errors(self._place), self._engine.begin() as connection:
            return connection.execute(statement, {"products": products}).all()
