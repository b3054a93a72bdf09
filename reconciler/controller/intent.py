"""What is desired: the manifests of the last revision that was taken, and whether a newer one may take its place.

A revision is taken when it follows from the one before, its manifests have no problem, and no more fleets are gone
from it than the guards allow. Whatever it fails, the intent before it stands: it was good when it was taken. A person
may say that a forced push, or the loss of fleets, is meant so (`reconciler accept`); a signature that lacks, or a
problem, is none of these.

What was taken is durable before anything follows from it, so that the next process begins with it, also where the
source cannot be reached then. Of several processes on one journal one takes a revision, and the others follow it: the
latest that was taken is what is desired, whoever fetched what.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from reconciler.controller.refused import keep_refused
from reconciler.controller.words.asking import ACCEPT
from reconciler.journal.control_record import TakenMeanwhileError
from reconciler.journal.journal import Journal
from reconciler.manifests import ManifestErrors
from reconciler.model.error import JournalError, ManifestError, OperatorError, ReconcilerError, SourceUnreachableError
from reconciler.model.event import Event, IntentRefused, IntentRestored, IntentTaken
from reconciler.model.fleet import FleetSet
from reconciler.model.instant import Instant
from reconciler.model.revision import RefusedRevision, Revision, TakenIntent
from reconciler.settings.settings import GuardSettings
from reconciler.sources import ManifestSet
from reconciler.sources.applications import with_applications
from reconciler.sources.source import Source, UntrustedRevisionError

NOT_A_DESCENDANT: Final = "PFR6811"
NO_FLEET: Final = "PFR6812"
FLEETS_LOST: Final = "PFR6813"

_PROBLEMS_TOLD_MAX: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is desired now, and the files that its manifests name."""

    taken: TakenIntent
    fleets: FleetSet
    manifests: ManifestSet


class Intents:
    """The watched source and what is desired of it. `preview` may be asked on any thread, the rest on one.

    - `also_known`: Device OS releases beside the published ones, which manifests may name.
    - `guards_losses`: no revision is taken that has no fleet, or lost more of them than the guards allow. False where
      each fleet is taken away by a word of its own.
    - `refused_before`: people believe, since an earlier process, that a revision is refused.
    - `intent`: what is desired; None: nothing was ever taken, so nothing is done.
    - `refusal`: the revision that was seen last, where it is not taken.
    - `seen_at`: when the source was last seen, by our own clock.
    """

    def __init__(
        self,
        source: Source,
        journal: Journal,
        *,
        guards: GuardSettings,
        clock: Callable[[], Instant],
        tell: Callable[[Event], None],
        also_known: Collection[str] = (),
        guards_losses: bool = True,
        refused_before: bool = False,
    ) -> None:
        self._source = source
        self._journal = journal
        self._guards = guards
        self._clock = clock
        self._tell = tell
        self._also_known = also_known
        self._guards_losses = guards_losses
        self._is_refusal_told = refused_before
        self._lock = threading.Lock()
        self.intent: Intent | None = None
        self.refusal: RefusedRevision | None = None
        self.seen_at: Instant | None = None

    @property
    def accept_mark(self) -> str:
        """The journal's bookmark under which a person accepts a revision of this source."""
        return f"{ACCEPT}{self._source.name}"

    def recall(self) -> bool:
        """What was desired when the last process ended, as far as the source still has it. Returns whether it is there.

        Raises OperatorError: it was taken, and cannot be read any more.
        """
        taken = self._latest()
        if taken is None:
            return False
        self._adopt(taken)
        return True

    def is_latest(self) -> bool:
        """Whether what is desired here is what was taken last, by whomever. Raises JournalError."""
        return self.intent is not None and self._latest() == self.intent.taken

    def look(self) -> bool:
        """Fetch, and take what may be taken. Returns whether something else is desired now.

        Raises OperatorError: the source cannot be looked at, or is not what it must be.
        """
        with self._lock:
            return self._look()

    def preview(self, reference: str) -> tuple[Revision, FleetSet]:
        """What a branch, tag or commit would ask for, without taking it. May wait for a look that is under way.

        Raises:
            OperatorError: There is no such revision, or it cannot be fetched.
            ManifestError: Its manifests have problems, all of them named.
        """
        with self._lock:
            revision = self._source.at(reference)
            return revision, self._compiled(self._source.manifests(revision))

    def _look(self) -> bool:
        # Before the source is looked at: what is seen there then is no older than what anybody took until now.
        latest = self._latest()
        revision = self._trusted()
        self.seen_at = self._clock()
        unread: ReconcilerError | None = None
        is_another = latest is not None and (self.intent is None or self.intent.taken != latest)
        if latest is not None and is_another:
            try:
                self._adopt(latest)
            except (ManifestError, OperatorError) as error:
                unread = error
        if revision is not None and self._judge(revision, latest):
            return True
        if unread is not None:
            raise unread
        return is_another

    def _trusted(self) -> Revision | None:
        """What the source has now; None: it has what nobody may take, and that is told."""
        try:
            return self._source.look()
        except UntrustedRevisionError as error:
            self._refuse(error.revision, error)
            return None

    def _judge(self, revision: Revision, latest: TakenIntent | None) -> bool:
        """Take a revision, if it may be. Returns whether it was."""
        if self.intent is not None and revision.commit == self.intent.taken.revision.commit:
            self._end_refusal(self.intent.taken)
            return False
        try:
            self.intent = self._judged(revision, latest)
        except TakenMeanwhileError:
            return False  # the next look finds it
        except (JournalError, SourceUnreachableError):
            raise
        except (ManifestError, OperatorError) as error:
            self._refuse(revision, error)
            return False
        self.refusal, self._is_refusal_told = None, False
        self._tell(IntentTaken(at=self.intent.taken.at, intent=self.intent.taken))
        return True

    def _judged(self, revision: Revision, before: TakenIntent | None) -> Intent:
        """The intent that a revision comes to after another, written down. Raises what it fails."""
        accepted_by = self._accepted_by(revision)
        if before is not None and accepted_by is None and not self._source.follows(revision, before.revision.commit):
            message = f"{revision.text} does not follow from {before.revision.text}, which is desired now"
            raise OperatorError(NOT_A_DESCENDANT, message, next_step=_how_to_accept(revision))
        manifests = self._source.manifests(revision)
        fleets = self._compiled(manifests)
        names = tuple(fleet.name for fleet in fleets.fleets)
        if accepted_by is None and self._guards_losses:
            self._guard(revision, before, names)
        taken = TakenIntent(revision=revision, digest=fleets.digest, fleets=names, at=self._clock(), by=accepted_by)
        self._journal.keep_intent(taken, only_after="" if before is None else before.revision.commit)
        if accepted_by is not None:
            self._journal.set_bookmark(self.accept_mark, None)
        return Intent(taken=taken, fleets=fleets, manifests=manifests)

    def _guard(self, revision: Revision, before: TakenIntent | None, names: Collection[str]) -> None:
        if not names:
            message = f"{revision.text} has no fleet: the folder may have been emptied or moved by mistake"
            raise OperatorError(NO_FLEET, message, next_step=_how_to_accept(revision))
        lost = () if before is None else sorted(set(before.fleets) - set(names))
        if before is not None and len(lost) > self._guards.fleets_lost_share * len(before.fleets):
            message = f"{revision.text} has lost {len(lost)} of {len(before.fleets)} fleets: {', '.join(lost[:5])}"
            raise OperatorError(FLEETS_LOST, message, next_step=_how_to_accept(revision))

    def _latest(self) -> TakenIntent | None:
        """What was taken last of this source."""
        return next(iter(self._journal.intents(source=self._source.name, limit=1)), None)

    def _adopt(self, taken: TakenIntent) -> None:
        """What somebody took is desired here, too. Raises OperatorError: it cannot be read here."""
        manifests = self._source.manifests(taken.revision)
        self.intent = Intent(taken=taken, fleets=self._compiled(manifests), manifests=manifests)

    def _accepted_by(self, revision: Revision) -> str | None:
        """Who accepts this very revision."""
        said = self._journal.bookmark(self.accept_mark)
        if said is None:
            return None
        word = json.loads(said)
        commit = revision.commit.partition(":")[2]
        return str(word["by"]) or "somebody" if commit.startswith(word["commit"]) else None

    def _compiled(self, manifests: ManifestSet) -> FleetSet:
        return with_applications(manifests.compile(also_known=self._also_known), manifests)

    def _end_refusal(self, taken: TakenIntent) -> None:
        """The source has again what is desired: told to whoever was told that it had something else."""
        if self._is_refusal_told:
            self._tell(IntentRestored(at=self._clock(), intent=taken))
        self.refusal, self._is_refusal_told = None, False

    def _refuse(self, revision: Revision, error: ManifestError | OperatorError) -> None:
        """Told once for every revision and reason, and written down once."""
        code, message, next_step = _why(error)
        before = self.refusal
        is_known = before is not None and (before.revision, before.code, before.message) == (revision, code, message)
        if before is None or not is_known:
            now = self._clock()
            before = RefusedRevision(revision=revision, code=code, message=message, next_step=next_step, at=now)
            self.refusal, self._is_refusal_told = before, True
            self._tell(IntentRefused(at=now, revision=revision, code=code, message=message, next_step=next_step))
        keep_refused(self._journal, before)


def _how_to_accept(revision: Revision) -> str:
    commit = revision.commit.partition(":")[2]
    return f"if it is meant so: reconciler accept {commit[:12]}; else mend the repository"


def _why(error: ManifestError | OperatorError) -> tuple[str, str, str]:
    """The code, the message and the next step of a refusal; of many problems the first ones."""
    if not isinstance(error, ManifestErrors):
        return error.code, error.message, error.next_step
    problems = error.problems
    first = [f"{problem.place}: {problem.code.value} {problem.message}" for problem in problems[:_PROBLEMS_TOLD_MAX]]
    more = f"; and {len(problems) - len(first)} more" if len(problems) > len(first) else ""
    message = f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'}: {'; '.join(first)}{more}"
    return problems[0].code.value, message, "run `reconciler validate` on the folder, mend it and push"
