"""What happened, put in order: chapter by chapter, a chapter being one rollout of one fleet, or the time without one.

What was desired when is a chapter for each source: the revisions that were taken, and those that were not.

People want to read that 400 devices took a module, not 400 lines. Between two turns of a rollout (a wave starts, soaks,
is complete; a halt; a word of a person) tries at the same step are one happening, and so are like changes by others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from reconciler.model.attempt import Attempt
from reconciler.model.console import ConsoleChange, Latch
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.refusal import SystemFlashRefusal
from reconciler.model.revision import RefusedRevision, TakenIntent
from reconciler.model.rollout import FleetStory, Rollout
from reconciler.model.rollout_entry import DeviceUnwell, Retried, RolloutBegan, RolloutEntry, RolloutSuperseded
from reconciler.render.console_text import change_with_undoing
from reconciler.render.step_words import step_in_words

OfSource = TakenIntent | RefusedRevision
"""What became of a revision of the manifests."""

OfFleet = RolloutEntry | Attempt | ProductAttempt | ConsoleChange

One = OfFleet | OfSource
"""Something that happened at one time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything that may be told, as the journal has it: each in the order in which it was written down.

    `entries` are all of the fleets that it is about: what they come to follows from all of them. `latches` and
    `refusals` are those in force.
    """

    entries: tuple[RolloutEntry, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    on_products: tuple[ProductAttempt, ...] = ()
    changes: tuple[ConsoleChange, ...] = ()
    intents: tuple[TakenIntent, ...] = ()
    refused: tuple[RefusedRevision, ...] = ()
    latches: tuple[Latch, ...] = ()
    refusals: tuple[SystemFlashRefusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One thing, or several that are told as one: all of one kind, in the order of time."""

    at: Instant
    ones: tuple[One, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One rollout of a fleet as it was at its end, or None: before the first one. Happenings are in their order.

    `fleet` None: it is of a source, and says what was desired of all fleets.
    """

    fleet: str | None
    rollout: Rollout | None
    happenings: tuple[Happening, ...]
    source: str | None = None


def rollouts_of(entries: Iterable[RolloutEntry]) -> tuple[Rollout, ...]:
    """Every rollout that ever began, as it was at its end or is now, in the order in which they began."""
    stories: dict[str, FleetStory] = {}
    found: dict[str, Rollout] = {}
    for entry in entries:
        story = stories[entry.fleet] = stories.get(entry.fleet, FleetStory(fleet=entry.fleet)).told(entry)
        if story.rollout is not None:
            found[story.rollout.id] = story.rollout
    return tuple(found.values())


def chapters_of(
    history: History,
    *,
    device_id: DeviceId | None = None,
    since: Instant | None = None,
    each_alone: bool = False,
) -> tuple[Chapter, ...]:
    """The chapters in the order in which they began; of one device, and from `since` on, where given.

    `each_alone`: nothing is put together.
    """
    rollouts = rollouts_of(history.entries)
    ones: dict[str, list[OfFleet]] = defaultdict(list)
    told = (*history.entries, *history.attempts, *history.on_products, *history.changes)
    for one in told:
        ones[one.fleet].append(one)
    chapters = [] if device_id is not None else list(_of_sources(history, since, each_alone=each_alone))
    for fleet, of_fleet in ones.items():
        # Sorted is stable: of what has one time, what was noted of the rollout stands before what it led to.
        parts = _parts(sorted(of_fleet, key=when), [each for each in rollouts if each.fleet == fleet])
        for rollout, part in parts:
            kept = [one for one in _turns(part) if _is_asked_for(one[1], device_id, since)]
            happenings = tuple(_put_together(kept, each_alone=each_alone))
            if happenings:
                chapters.append(Chapter(fleet=fleet, rollout=rollout, happenings=happenings))
    return tuple(sorted(chapters, key=lambda each: each.happenings[0].at))


def last_of(chapters: Sequence[Chapter], limit: int) -> tuple[Chapter, ...]:
    """The last so many happenings of all chapters."""
    ordered = sorted((happening.at for chapter in chapters for happening in chapter.happenings), reverse=True)
    if len(ordered) <= limit:
        return tuple(chapters)
    room, found = limit, []
    first = ordered[limit - 1]
    for chapter in reversed(chapters):
        late = [happening for happening in chapter.happenings if happening.at >= first]
        kept = late[max(0, len(late) - room) :]
        room -= len(kept)
        if kept:
            found.append(replace(chapter, happenings=tuple(kept)))
    return tuple(reversed(found))


def attempts_of(chapters: Iterable[Chapter]) -> tuple[str, ...]:
    """The ids of all attempts on devices."""
    ones = (one for chapter in chapters for happening in chapter.happenings for one in happening.ones)
    return tuple(one.id for one in ones if isinstance(one, Attempt))


def when(one: One) -> Instant:
    """When it happened: an attempt when it was intended, a change of others when it was seen."""
    match one:
        case Attempt() | ProductAttempt():
            return one.intended_at
        case ConsoleChange():
            return one.seen_at
        case _:
            return one.at


def _of_sources(history: History, since: Instant | None, *, each_alone: bool) -> Iterator[Chapter]:
    """Commits that ask for what was asked for already are one happening, unless it took a person's word."""
    by_source: dict[str, list[OfSource]] = defaultdict(list)
    became: tuple[OfSource, ...] = (*history.intents, *history.refused)
    for one in sorted(became, key=when):
        if since is None or one.at >= since:
            by_source[one.revision.source].append(one)
    for source, ones in by_source.items():
        runs: list[list[One]] = []
        for one in ones:
            before = runs[-1][-1] if runs and not each_alone else None
            match before, one:
                case TakenIntent(digest=asked), TakenIntent(digest=asks, by=None) if asked == asks:
                    runs[-1].append(one)
                case _:
                    runs.append([one])
        happenings = tuple(Happening(at=when(run[0]), ones=tuple(run)) for run in runs)
        yield Chapter(fleet=None, rollout=None, happenings=happenings, source=source)


def _parts(ones: Sequence[OfFleet], rollouts: Sequence[Rollout]) -> Iterator[tuple[Rollout | None, list[OfFleet]]]:
    """What happened before the first rollout, and in each of them."""
    by_id = {rollout.id: rollout for rollout in rollouts}
    rollout: Rollout | None = None
    part: list[OfFleet] = []
    afterwards: list[OfFleet] = []  # what follows the end of a rollout leads to the next one, such as an approval
    is_over = False
    for one in ones:
        if isinstance(one, RolloutBegan):
            yield rollout, part
            rollout, part, afterwards, is_over = by_id[one.rollout_id], afterwards, [], False
        (afterwards if is_over else part).append(one)
        is_over = is_over or isinstance(one, RolloutSuperseded)
    yield rollout, part + afterwards


def _turns(ones: Iterable[OfFleet]) -> Iterator[tuple[int, OfFleet]]:
    """Each with the number of turns of the rollout before it."""
    turn = 0
    for one in ones:
        turn += not isinstance(one, Attempt | ProductAttempt | ConsoleChange | DeviceUnwell | Retried)
        yield turn, one


def _is_asked_for(one: OfFleet, device_id: DeviceId | None, since: Instant | None) -> bool:
    if since is not None and when(one) < since:
        return False
    if device_id is None:
        return True
    match one:
        case Attempt() | ConsoleChange() | DeviceUnwell() | Retried():
            return one.device_id == device_id
        case ProductAttempt():
            return False
        case _:
            return device_id in (getattr(one, "members", None) or ())


def _put_together(ones: Iterable[tuple[int, OfFleet]], *, each_alone: bool) -> Iterator[Happening]:
    """The second try of a device is told after the first ones of all: what lies between them may be its reason."""
    together: dict[Hashable, list[OfFleet]] = {}
    tries: Counter[Hashable] = Counter()
    for number, (turn, one) in enumerate(ones):
        like = None if each_alone else _like(one)
        nth = 0
        if isinstance(one, Attempt):
            tries[turn, like, one.device_id] += 1
            nth = tries[turn, like, one.device_id]
        together.setdefault(number if like is None else (turn, like, nth), []).append(one)
    for like_ones in together.values():
        yield Happening(at=when(like_ones[0]), ones=tuple(like_ones))


def _like(one: OfFleet) -> Hashable:
    """What those have in common that are told as one; None: it is told alone."""
    match one:
        case Attempt():
            return "step", step_in_words(one.step)
        case ConsoleChange():
            return "change", change_with_undoing(one)
        case DeviceUnwell():
            return "unwell", one.check, one.why
        case Retried():
            return "retried", one.by
        case _:
            return None
