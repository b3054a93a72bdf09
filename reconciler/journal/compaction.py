"""Which attempts of the past nothing follows from any more. Pure.

An attempt that ended before the given time stays nevertheless when it is, of its device,
- the latest that ended in its way, of those about the same slot, or the application;
- the latest lock that stands;
- a module that was verified, unless a look has proven (`Evidence.EFFECT`) a higher one of the same slot, or the same
  later: what was only presumed may be doubted at any time, and then what was known before counts again;
- a failure that raises doubts about a module that stays;
- of the fleet's latest rollout: a run that starts reads them all.

Why so much: it is little. A device has few modules, and gets few of them in a year.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reconciler.journal.lessons import DOUBT_FAILURES
from reconciler.journal.rules import lock_may_stand
from reconciler.model.attempt import Attempt, AttemptState, Evidence
from reconciler.model.instant import Instant
from reconciler.model.module import Module, ModuleSlot
from reconciler.model.rollout import stories_of
from reconciler.model.rollout_entry import Approved, RolloutBegan, RolloutEntry
from reconciler.model.since import Since
from reconciler.model.step import FlashModule, Step


def live_since(entries: Iterable[RolloutEntry]) -> dict[str, Since]:
    """From when on attempts are of each fleet's latest rollout; `entries` are those of all fleets."""
    return {fleet: story.began for fleet, story in stories_of(entries).items() if story.rollout is not None}


def plans_named(entries: Iterable[RolloutEntry]) -> set[str]:
    """The plans that entries of rollouts are about."""
    return {entry.plan_id for entry in entries if isinstance(entry, RolloutBegan | Approved)}


def removable(attempts: Sequence[Attempt], ended_before: Instant, live: Mapping[str, Since]) -> frozenset[str]:
    """The ids of those of one device's attempts, in the order of their beginning, that may be removed."""
    ended = [attempt for attempt in attempts if not attempt.is_open]
    stays = {attempt.id for attempt in ended if attempt.ended_at is None or attempt.ended_at >= ended_before}
    stays |= {attempt.id for attempt in ended if attempt.fleet in live and live[attempt.fleet].counts(attempt)}
    stays |= set({_subject(attempt): attempt.id for attempt in ended}.values())
    stays |= {lock.id for lock in [attempt for attempt in ended if lock_may_stand(attempt)][-1:]}
    stays |= _lessons(ended)
    return frozenset(attempt.id for attempt in ended) - stays


def _subject(attempt: Attempt) -> tuple[type[Step], ModuleSlot | None, AttemptState]:
    step = attempt.step
    return type(step), step.module.slot if isinstance(step, FlashModule) else None, attempt.state


def _lessons(ended: Sequence[Attempt]) -> set[str]:
    """The attempts that what was learnt follows from, today or after any later failure."""
    verified = [
        (number, attempt, attempt.step.module)
        for number, attempt in enumerate(ended)
        if attempt.state is AttemptState.VERIFIED and isinstance(attempt.step, FlashModule)
    ]
    proven = [(number, module) for number, attempt, module in verified if attempt.evidence is Evidence.EFFECT]
    kept = [(number, attempt) for number, attempt, module in verified if not _is_outdone(number, module, proven)]
    doubted_from = min(
        (number for number, attempt in kept if attempt.evidence is not Evidence.EFFECT), default=len(ended)
    )
    doubts = [attempt.id for attempt in ended[doubted_from:] if attempt.failure in DOUBT_FAILURES]
    return {attempt.id for _, attempt in kept} | set(doubts)


def _is_outdone(number: int, module: Module, proven: Iterable[tuple[int, Module]]) -> bool:
    return any(
        other.slot == module.slot and (other.version, later) > (module.version, number) for later, other in proven
    )
