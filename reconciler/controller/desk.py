"""What may be seen of a running controller, and said to it: the promise that HTTP and the operator serve from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from reconciler.firmware.catalog import Catalog
from reconciler.journal.journal import Journal
from reconciler.model.event import Event
from reconciler.model.instant import Instant
from reconciler.model.revision import Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that readiness rests on: the source, the journal, the token, the loop. `since`: as it is now."""

    name: str
    ok: bool
    message: str
    since: Instant | None = None


class Desk(Protocol):
    """Every method may be called from any thread, answers from memory and never waits for the cloud or for Git."""

    @property
    def journal(self) -> Journal:
        """Where a person's words are noted; the loop hears them within a second or two."""

    @property
    def catalog(self) -> Catalog:
        """The releases that plans are made with; a plan that is approved is read with them."""

    def now(self) -> Instant:
        """The time by which the controller goes: the cloud's, or this machine's where nothing was seen yet."""

    def alive(self) -> bool:
        """Whether the loop still turns. False: only a new start helps."""

    def checks(self) -> Sequence[Check]:
        """What readiness rests on; ready means that all are ok."""

    def revision(self) -> Revision | None:
        """The revision whose manifests are desired now; None: none was ever taken."""

    def status(self) -> Mapping[str, Any]:
        """The document of `schemas/status.v1.schema.json`."""

    def plan(self, fleet: str | None = None) -> Mapping[str, Any] | None:
        """The last plan's document (`schemas/plan.v1.schema.json`), of one fleet or of all; None: there is none yet."""

    def plan_text(self, fleet: str | None = None) -> str | None:
        """The same plan as `reconciler plan` writes it for people; None: there is none yet."""

    def plan_at(self, reference: str) -> Mapping[str, Any] | None:
        """The plan of another branch, tag or commit on what was seen last, and what it changes; None: nothing was seen.

        The exception to the rule above: it fetches, and waits for that. Raises OperatorError, or ManifestError.
        """

    def fetch_now(self) -> None:
        """Look at the source at once: somebody has pushed."""

    def reconcile_now(self, fleet: str | None = None) -> None:
        """Look at the fleet's product (None: at all) at once."""

    def subscribe(self, tell: Callable[[Event], None]) -> Callable[[], None]:
        """Have `tell` called with every event from now on, on any thread; it must not block. Returns what ends it."""
