"""The status for a person with a phone at night: the worst first, short, and what to do next beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.plan import Refused, Waiting
from reconciler.render.ink import Page, Style, counted, harmless
from reconciler.render.plan_text import counts_in_words, desired_in_words
from reconciler.render.rollout_status import progress_lines
from reconciler.render.rollout_words import halted_by
from reconciler.render.status import (
    BudgetStatus,
    FailedDevice,
    FleetStatus,
    RunStatus,
    Status,
    TokenState,
    TokenStatus,
)
from reconciler.render.step_words import duration_in_words, step_in_words, time_in_words

_FRESH_SECONDS: Final = 60.0
_SHOWN: Final = 3
"""Devices that stand for all of them."""

_FINDS_OUT: Final = "the next look at its devices finds out what became of them"


def status_text(status: Status, *, width: int = 100, colour: bool = False) -> str:
    """The verdict first, then fleet by fleet, the worst first; then the run, the API budget and the token."""
    page = Page(width=width, colour=colour)
    lines = [*_verdict(page, status), *_blind(page, status)]
    if status.token.state is TokenState.REFUSED:
        lines += _token(page, status.token)
    for fleet in sorted(status.fleets, key=_worst_first):
        lines += ["", *_fleet(page, fleet, status.at, is_running=bool(status.run.under_way))]
    lines += ["", *_run(page, status.run, status.at), *_budget(page, status.budget)]
    if status.token.state is not TokenState.REFUSED:
        lines += _token(page, status.token)
    return "\n".join([*lines, ""])


def _worst_first(fleet: FleetStatus) -> tuple[object, ...]:
    overdue = any(each.overdue for each in fleet.under_way)
    refused, rest = (0, 0) if fleet.plan is None else (fleet.plan.summary.refused, fleet.plan.summary.upgrade)
    return fleet.halted is None, not fleet.failed, not overdue, not refused, not rest, not fleet.under_way, fleet.name


def _verdict(page: Page, status: Status) -> list[str]:
    fleets = status.fleets
    halted = sum(each.halted is not None for each in fleets)
    suspended = sum(bool(each.progress.suspensions) for each in fleets)
    failed = sum(len(each.failed) for each in fleets)
    under_way = [each for fleet in fleets for each in fleet.under_way]
    overdue = sum(each.overdue for each in under_way)
    bad = [
        "the token is refused" if status.token.state is TokenState.REFUSED else "",
        f"{counted(halted, 'fleet')} of {len(fleets):,} halted" if halted else "",
        f"{counted(failed, 'device')} failed" if failed else "",
        f"{counted(overdue, 'step')} past the deadline" if overdue else "",
        "a run broke off" if status.run.broken_off else "",
    ]
    plans = [each.plan for each in fleets if each.plan is not None]
    counts = [(sum(plan.summary.upgrade for plan in plans), "to upgrade")]
    counts += [(sum(plan.summary.refused for plan in plans), "refused")]
    rolling = sum(each.progress.rollout is not None and each.progress.rollout.is_rolling for each in fleets)
    neutral = [
        f"{counted(suspended, 'fleet')} suspended" if suspended else "",
        f"{counted(rolling, 'rollout')} under way" if rolling else "",
        *(f"{number:,} {what}" for number, what in counts if number),
        f"{counted(len(under_way), 'step')} under way" if under_way else "",
    ]
    words = [*filter(None, [*bad, *neutral])]
    style = Style.BAD if any(bad) else Style.CHANGE if words else Style.GOOD
    nothing = "all that can be done is done" if plans else "nothing is under way"
    sentence = f"Status at {iso_from_instant(status.at)}: {', '.join(words) or nothing}"
    return [page.ink(line, style) for line in page.wrapped(sentence, hanging=2)]


def _blind(page: Page, status: Status) -> list[str]:
    if status.blind_because:
        sentence = f"Where the devices stand is not known: {status.blind_because}. What follows is from the journal."
    elif not status.complete:
        sentence = "The observation is not complete: devices that were not seen are not counted."
    elif status.observed_at is not None and status.at - status.observed_at > _FRESH_SECONDS:
        sentence = f"The devices are shown as they were {_age(status.observed_at, status.at)} ago."
    else:
        return []
    return [page.ink(line, Style.WAITING) for line in page.wrapped(sentence, hanging=2)]


def _fleet(page: Page, fleet: FleetStatus, now: Instant, *, is_running: bool) -> list[str]:
    desired = (
        ", known by the journal alone" if fleet.desired is None else f" should run {desired_in_words(fleet.desired)}"
    )
    lines = [page.ink(line, Style.TITLE) for line in page.wrapped(f"Fleet {fleet.name}{desired}", hanging=2)]
    if fleet.halted is not None:
        when = f"{time_in_words(fleet.halted.at)}, {_age(fleet.halted.at, now)} ago"
        lines += _bad(page, f"HALTED {halted_by(fleet.halted.by)} at {when}: {fleet.halted.reason}")
        lines += _next(page, f"reconciler history {fleet.name}; then reconciler resume {fleet.name}")
    lines += progress_lines(page, fleet.name, fleet.progress, now)
    if fleet.plan is not None:
        lines += page.wrapped(counts_in_words(fleet.plan.summary), indent=2, hanging=2)
    if fleet.held:
        until = "" if fleet.held_until is None else f"; next opening {iso_from_instant(fleet.held_until)}"
        lines += page.wrapped(f"held: {fleet.held}{until}", indent=2, hanging=2)
    lines += _failed(page, fleet.failed, now)
    lines += _under_way(page, fleet, now, is_running=is_running)
    if fleet.plan is not None:
        lines += _reasons(page, "refused", Style.BAD, fleet.plan.refused)
        lines += _reasons(page, "waiting", Style.WAITING, fleet.plan.waiting)
    return lines


def _failed(page: Page, failed: Sequence[FailedDevice], now: Instant) -> list[str]:
    if not failed:
        return []
    lines = _bad(page, f"{counted(len(failed), 'device')} failed")
    for each in failed[:_SHOWN]:
        attempt = each.attempt
        when = "" if attempt.ended_at is None else f" {_age(attempt.ended_at, now)} ago"
        tries = f"left alone after {counted(each.tries, 'try', 'tries')}" if each.given_up else "may be tried again"
        detail = f": {attempt.detail}" if attempt.detail else ""
        failure = attempt.failure or "failed"
        sentence = f"{attempt.device_id} {step_in_words(attempt.step)}: {failure}{when}, {tries}{detail}"
        lines += page.wrapped(sentence, indent=4, hanging=2)
    lines += _more(len(failed))
    worst = failed[0]
    again = f"reconciler retry {worst.attempt.device_id}" if worst.given_up else "another `apply` tries again"
    return lines + _next(page, f"reconciler history --device {worst.attempt.device_id}; {again}")


def _under_way(page: Page, fleet: FleetStatus, now: Instant, *, is_running: bool) -> list[str]:
    under_way = fleet.under_way
    if not under_way:
        return []
    overdue = sum(each.overdue for each in under_way)
    late = f", {overdue:,} past the deadline" if overdue else ""
    lines = [page.ink(f"  {counted(len(under_way), 'step')} under way{late}", Style.BAD if late else Style.CHANGE)]
    for each in under_way[:_SHOWN]:
        attempt = each.attempt
        age = _age(attempt.began_at, now)
        sentence = f"{attempt.device_id} {step_in_words(attempt.step)}: {attempt.state}, {age} ago"
        lines += page.wrapped(sentence, indent=4, hanging=2)
    lines += _more(len(under_way))
    if fleet.desired is None and (overdue or not is_running):
        return lines + _next(page, f"no manifest here has {fleet.name}; where one has it, {_FINDS_OUT}")
    return lines if is_running else lines + _next(page, "run `apply` again: it finds out what became of them")


def _reasons(page: Page, word: str, style: Style, entries: Iterable[Refused | Waiting]) -> list[str]:
    lines: list[str] = []
    for entry in sorted(entries, key=lambda each: (-len(each.devices), each.reason.code, each.message)):
        sentence = f"{len(entry.devices):,} {word}, {entry.reason.reason} ({entry.reason.code}): {entry.message}"
        lines += [page.ink(line, style) for line in page.wrapped(sentence, indent=2, hanging=4)]
    return lines


def _run(page: Page, run: RunStatus, now: Instant) -> list[str]:
    if not run.journal_found:
        return page.wrapped("Run: there is no journal, so nothing is known of any run", hanging=2)
    if run.under_way:
        first = f"Run: under way, {run.under_way}"
    elif run.broken_off:
        first = f"Run: {run.broken_off}, broke off"
    else:
        first = "Run: none is under way"
    lines = [page.ink(each, Style.BAD if run.broken_off else Style.FAINT) for each in page.wrapped(first, hanging=2)]
    if run.broken_off:
        lines += _next(page, "begin it again: it goes on where it was")
    if run.last is None:
        return [*lines, "  no step was ever begun"]
    last = run.last
    ends = (
        (last.verified, "verified"),
        (last.failed, "failed"),
        (last.under_way, "open"),
        (last.withdrawn, "withdrawn"),
    )
    told = ", ".join(f"{number:,} {what}" for number, what in ends if number)
    ages = f"the first {_age(last.began_at, now)} ago, the last {_age(last.moved_at, now)} ago"
    return lines + page.wrapped(f"last steps: {last.plan_id}, {ages}: {told}", indent=2, hanging=2)


def _budget(page: Page, budget: BudgetStatus) -> list[str]:
    minutes = duration_in_words(budget.window_seconds)
    sentence = (
        f"API budget: {budget.requests_max:,} requests in {minutes} for one process. This command made "
        f"{budget.requests_of_this_command:,}; in the last {minutes} the journal saw "
        f"{counted(budget.steps_begun, 'step')} begin, each a look and a send; other programs are not counted."
    )
    return page.wrapped(sentence, hanging=2)


def _token(page: Page, token: TokenStatus) -> list[str]:
    match token.state:
        case TokenState.VALID:
            expires = f"expires {token.expires_at}" if token.expires_at else "no end is said"
            scopes = "scopes not said" if token.scopes is None else f"scopes: {', '.join(token.scopes) or 'none'}"
            return page.wrapped(f"Token: valid, {expires}, {scopes}", hanging=2)
        case TokenState.REFUSED:
            lines = [page.ink(line, Style.BAD) for line in page.wrapped(f"Token: refused: {token.detail}", hanging=2)]
            return [*lines, *_next(page, "make a new token with the scopes it needs; nothing can be done without")]
        case TokenState.UNKNOWN:
            return page.wrapped(f"Token: not known: {token.detail}", hanging=2)


def _bad(page: Page, sentence: str) -> list[str]:
    return [page.ink(line, Style.BAD) for line in page.wrapped(sentence, indent=2, hanging=2)]


def _next(page: Page, words: str) -> list[str]:
    return page.wrapped(f"next: {words}", indent=4, hanging=2)


def _more(number: int) -> list[str]:
    return [f"    and {number - _SHOWN:,} more"] if number > _SHOWN else []


def _age(then: Instant, now: Instant) -> str:
    return harmless(duration_in_words(now - then))
