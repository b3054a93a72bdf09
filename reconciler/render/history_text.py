"""What happened, for people: a heading a chapter, a line a happening, and at the end what holds now."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, assert_never

from reconciler.model.attempt import Attempt, AttemptState, Evidence
from reconciler.model.console import ConsoleChange
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.revision import RefusedRevision, TakenIntent
from reconciler.model.rollout import FleetStory, RolloutState
from reconciler.model.rollout_entry import (
    DeviceUnwell,
    Halted,
    Retried,
    RolloutBegan,
    RolloutCompleted,
    RolloutEntry,
    WaveCompleted,
)
from reconciler.render.console_text import change_with_undoing, console_change_in_words
from reconciler.render.history import Chapter, Happening, History
from reconciler.render.ink import Page, Style, counted, device_sample
from reconciler.render.plan_text import action_in_words
from reconciler.render.revision_words import refused_in_words, taken_in_words
from reconciler.render.rollout_words import entry_in_words, halted_by, intent_in_words, until_when
from reconciler.render.step_words import duration_in_words, step_in_words, time_in_words

_EVIDENCE: Final = {
    Evidence.EFFECT: "the device reports it",
    Evidence.RESTARTED: "the transfer ended well and the device restarted",
    Evidence.PRESUMED: "presumed: the device restarted, and nobody heard how the transfer ended",
}
_HANGING: Final = 24
"""Below the words, beside the times."""
_FAILURES_SHOWN: Final = 5
_ENDS: Final = (
    AttemptState.VERIFIED,
    AttemptState.FAILED,
    AttemptState.UNKNOWN,
    AttemptState.SENT,
    AttemptState.INTENDED,
    AttemptState.WITHDRAWN,
)
_STATES: Final = {
    RolloutState.ROLLING: ("under way", Style.CHANGE),
    RolloutState.HALTED: ("HALTED", Style.BAD),
    RolloutState.COMPLETE: ("complete", Style.GOOD),
    RolloutState.SUPERSEDED: ("superseded", Style.FAINT),
}


def history_text(chapters: Sequence[Chapter], *, width: int = 100, colour: bool = False) -> str:
    """The chapters, one after the other; empty where nothing happened."""
    page = Page(width=width, colour=colour)
    lines: list[str] = []
    for chapter in chapters:
        lines += [*([""] if lines else []), *_heading(page, chapter)]
        for happening in chapter.happenings:
            lines += _happening(page, happening)
    return "".join(f"{line}\n" for line in lines)


def in_force_text(
    history: History, stories: Iterable[FleetStory], *, now: Instant, width: int = 100, colour: bool = False
) -> str:
    """What holds now, whenever it happened: halts, suspensions, latches and refusals; empty where nothing does."""
    page = Page(width=width, colour=colour)
    told = []
    for story in stories:
        if story.halted is not None:
            since = f"since {time_in_words(story.halted.at)}, {halted_by(story.halted.by)}"
            told.append(f"Fleet {story.fleet} is halted {since}: {story.halted.reason}")
        if story.suspended is not None and story.is_suspended(now):
            told.append(
                f"Fleet {story.fleet} is suspended {until_when(story.suspended.until)}: {story.suspended.reason}"
            )
    told += [
        f"Device {latch.device_id} of {latch.fleet} is held since {time_in_words(latch.at)}: {latch.why}"
        for latch in history.latches
    ]
    told += [
        f"Since {time_in_words(refusal.at)} the cloud refuses Device OS modules for product {refusal.product_id}, "
        f"tried again after {time_in_words(refusal.until)}: {refusal.words}"
        for refusal in history.refusals
    ]
    return "".join(f"{page.ink(line, Style.WAITING)}\n" for each in told for line in page.wrapped(each, hanging=2))


def outcome_in_words(attempt: Attempt | ProductAttempt) -> str:
    """What came of an attempt, how long it took, and how that is known."""
    took = "" if attempt.ended_at is None else f" after {duration_in_words(attempt.ended_at - attempt.intended_at)}"
    detail = f": {attempt.detail}" if attempt.detail else ""
    match attempt.state:
        case AttemptState.INTENDED:
            return "intended, not known to be sent"
        case AttemptState.SENT:
            return "sent, its outcome is still to come"
        case AttemptState.UNKNOWN:
            return f"unknown{detail}; the next observation will tell"
        case AttemptState.VERIFIED:
            shown = attempt.evidence if isinstance(attempt, Attempt) else None
            evidence = "" if shown is None else f", {_EVIDENCE[shown]}"
            return f"verified{took}{evidence}"
        case AttemptState.FAILED:
            return f"failed{took} ({attempt.failure or 'for no known reason'}){detail}"
        case AttemptState.WITHDRAWN:
            return f"withdrawn, nothing was sent{detail}"
        case _:
            assert_never(attempt.state)


def _heading(page: Page, chapter: Chapter) -> list[str]:
    rollout = chapter.rollout
    if rollout is None:
        title = f"Manifests of {chapter.source}" if chapter.fleet is None else f"Fleet {chapter.fleet}"
        return [page.ink(line, Style.TITLE) for line in page.wrapped(title, hanging=2)]
    state, style = _STATES[rollout.state]
    sentence = f"Fleet {chapter.fleet}, rollout {rollout.id} towards {intent_in_words(rollout.intent)}: {state}"
    return [page.ink(line, style) for line in page.wrapped(sentence, hanging=2)]


def _happening(page: Page, happening: Happening) -> list[str]:
    sentence, details, style = _told(happening)
    # Times stand in a column of their own, so that the eye finds the words below one another.
    lines = page.wrapped(f"{time_in_words(happening.at)}  {sentence}", indent=2, hanging=_HANGING - 2)
    lines = lines if style is None else [page.ink(line, style) for line in lines]
    for detail in details:
        lines += page.wrapped(detail, indent=_HANGING, hanging=2)
    return lines


def _told(happening: Happening) -> tuple[str, list[str], Style | None]:
    """The sentence, what is spelt out below it, and its style."""
    first, *others = happening.ones
    match first:
        case Attempt():
            attempts = [one for one in happening.ones if isinstance(one, Attempt)]
            return _steps(attempts) if others else (_step(first), [], Style.BAD if first.failure else None)
        case ProductAttempt():
            words = f"product {first.product}  {action_in_words(first.action)}: {outcome_in_words(first)}"
            return words, [], Style.BAD if first.failure else None
        case ConsoleChange():
            if not others:
                return f"{first.device_id}  somebody else: {console_change_in_words(first)}", [], None
            devices = [one.device_id for one in happening.ones if isinstance(one, ConsoleChange)]
            return f"{_many(devices)}  somebody else: {change_with_undoing(first)}", [device_sample(set(devices))], None
        case TakenIntent():
            again = [one.revision.short for one in others if isinstance(one, TakenIntent)]
            same = f"{counted(len(again), 'later commit')} asked for the same, up to {again[-1]}" if again else ""
            return taken_in_words(first.revision.short, first), [same] if same else [], None
        case RefusedRevision(next_step=next_step):
            words = refused_in_words(first.revision.short, first.message, first.code)
            return words, [f"next: {next_step}"] if next_step else [], Style.BAD
        case DeviceUnwell() | Retried():
            if not others:
                return entry_in_words(first), [], _style(first)
            devices = [one.device_id for one in happening.ones if isinstance(one, DeviceUnwell | Retried)]
            words = entry_in_words(first).removeprefix(first.device_id).replace(" is ", " are ", 1)
            return f"{_many(devices)}{words}", [device_sample(set(devices))], _style(first)
        case _:
            return entry_in_words(first), [], _style(first)


def _step(attempt: Attempt) -> str:
    return f"{attempt.device_id}  {step_in_words(attempt.step)}: {outcome_in_words(attempt)}"


def _steps(attempts: Sequence[Attempt]) -> tuple[str, list[str], Style | None]:
    devices = {attempt.device_id for attempt in attempts}
    states = Counter(attempt.state for attempt in attempts)
    ends = ", ".join(f"{states[state]:,} {state}" for state in _ENDS if states[state])
    presumed = sum(attempt.evidence is Evidence.PRESUMED for attempt in attempts)
    doubt = f" ({presumed:,} of them presumed)" if presumed else ""
    ended = [attempt.ended_at for attempt in attempts if attempt.ended_at is not None]
    within = f", within {duration_in_words(max(ended) - attempts[0].intended_at)}" if ended else ""
    sentence = f"{_many(devices)}  {step_in_words(attempts[0].step)}: {ends}{doubt}{within}"
    return sentence, _failures(attempts), Style.BAD if states[AttemptState.FAILED] else None


def _failures(attempts: Iterable[Attempt]) -> list[str]:
    """Every failure by its class and words, the most frequent first, with some of the devices."""
    alike: dict[tuple[str, str], set[DeviceId]] = defaultdict(set)
    for attempt in attempts:
        if attempt.state is AttemptState.FAILED:
            alike[attempt.failure or "for no known reason", attempt.detail].add(attempt.device_id)
    ordered = sorted(alike.items(), key=lambda each: (-len(each[1]), each[0]))
    lines = [
        f"{len(devices):,} failed ({failure}){f': {detail}' if detail else ''}: {device_sample(devices)}"
        for (failure, detail), devices in ordered[:_FAILURES_SHOWN]
    ]
    rest = len(ordered) - _FAILURES_SHOWN
    return lines + ([f"and in {counted(rest, 'other way')}; --verbose shows each"] if rest > 0 else [])


def _many(devices: Iterable[DeviceId]) -> str:
    return counted(len(set(devices)), "device")


def _style(entry: RolloutEntry) -> Style | None:
    match entry:
        case Halted() | DeviceUnwell():
            return Style.BAD
        case WaveCompleted() | RolloutCompleted():
            return Style.GOOD
        case RolloutBegan():
            return Style.CHANGE
        case _:
            return None
