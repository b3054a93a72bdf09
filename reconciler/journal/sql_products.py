"""The part of a journal in a database that is about attempts on products."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update

from reconciler.journal import rows, tables
from reconciler.journal.journal import Permit, ProductBusyError
from reconciler.journal.rules import check_begin, check_record_product, storable
from reconciler.journal.sql_attempts import add_writes, end_writes
from reconciler.journal.store import SqlStore
from reconciler.model.error import BugError
from reconciler.model.external_write import ExternalWrite, Facts
from reconciler.model.product_attempt import ProductAttempt


class SqlProducts(SqlStore):
    """Attempts on products."""

    def begin_product(self, attempt: ProductAttempt, *, permit: Permit | None = None) -> None:
        """See `Journal.begin_product`."""
        check_begin(attempt)
        table = tables.product_attempts
        with self._writing(permit) as connection:
            if not self._added(connection, table, rows.product_attempt_row(storable(attempt))):
                used = select(table.c.number).where(table.c.id == attempt.id)
                if connection.execute(used).one_or_none() is not None:
                    raise BugError("PFR9503", f"the id of attempt {attempt.id} was used before")
                raise ProductBusyError(attempt.product)

    def record_product(
        self,
        attempt: ProductAttempt,
        *,
        permit: Permit | None = None,
        writes: Sequence[ExternalWrite] = (),
        before: Facts | None = None,
        after: Facts | None = None,
    ) -> None:
        """See `Journal.record_product`."""
        table, changed = tables.product_attempts, rows.changing_values_of_product(storable(attempt))
        with self._writing(permit) as connection:
            found = connection.execute(select(table).where(table.c.id == attempt.id)).one_or_none()
            check_record_product(None if found is None else rows.product_attempt_from(found), attempt)
            connection.execute(update(table).where(table.c.id == attempt.id).values(**changed))
            add_writes(connection, attempt, writes, before)
            end_writes(connection, attempt, after)

    def open_product_attempts(self) -> tuple[ProductAttempt, ...]:
        """See `Journal.open_product_attempts`."""
        table = tables.product_attempts
        query = select(table).where(tables.IS_OPEN_OF_PRODUCT).order_by(table.c.number)
        return tuple(map(rows.product_attempt_from, self._all(query)))

    def product_attempts(self, *, fleet: str | None = None, limit: int | None = None) -> tuple[ProductAttempt, ...]:
        """See `Journal.product_attempts`."""
        table = tables.product_attempts
        query = select(table).order_by(table.c.number.desc()).limit(limit)
        if fleet is not None:
            query = query.where(table.c.fleet == fleet)
        return tuple(map(rows.product_attempt_from, self._all(query)))
