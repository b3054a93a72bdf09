"""What one channel has been told: read from the journal, written down before it is sent, and crossed out when it was.

    look:     what the journal has behind the channel's position, grouped, and without what the channel does not want
    write:    one bookmark gets the new position and the messages, each with its id: from here on they cannot be lost
    deliver:  one message after the other, each crossed out in the bookmark when it was taken

Whoever is killed between a delivery and its crossing out sends that one message again, with the same id.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from reconciler.journal.control_record import Line
from reconciler.journal.encoding import unreadable
from reconciler.journal.journal import Journal
from reconciler.model.error import ReconcilerError
from reconciler.model.rollout import story_of
from reconciler.settings.settings import ChannelSettings
from reconciler.telemetry.channel import DeliveryError, MessageChannel
from reconciler.telemetry.matters import Matter
from reconciler.telemetry.news import News, identified, news_from
from reconciler.telemetry.pace import Pace
from reconciler.telemetry.reports import (
    BELIEF,
    UNHURRIED,
    in_few_messages,
    news_of_changes,
    news_of_entries,
    news_of_intents,
    news_of_latches,
    news_of_matters,
)

PREFIX: Final = "telling/channel/"

_PAGE: Final = 500
"""Of each line that is looked at in one turn; what is behind that is told in the next one."""

_MATTERS: Final = "matters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One try to tell people: by which channel, whether it went well, why not, and how many messages are left.

    An empty channel: something was wrong before any channel came into it.
    """

    channel: str
    ok: bool
    why: str = ""
    left: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """The bookmark of a channel.

    `upto`: the numbers up to which it knows each line, and the matters; `known`: what it was told of and whose end it
    waits for; `outbox`: what is to be delivered, in order; `count`: of all messages ever, which makes ids unique.
    """

    upto: Mapping[str, int]
    known: frozenset[str] = frozenset()
    outbox: tuple[Mapping[str, Any], ...] = ()
    count: int = 0
    sent_at: float = 0.0

    def written(self) -> str:
        """As JSON."""
        document = {name: getattr(self, name) for name in _Told.__slots__}
        return json.dumps({**document, "known": sorted(self.known)}, sort_keys=True)


def _told_from(text: str) -> _Told:
    try:
        document = json.loads(text)
        return _Told(**{**document, "known": frozenset(document["known"]), "outbox": tuple(document["outbox"])})
    except (ValueError, KeyError, TypeError) as error:
        raise unreadable("what a channel was told", text, error) from error


@dataclass(slots=True)
class _Waiting:
    """What a courier waits for, in this process alone."""

    first_seen: float | None = None
    not_before: float = 0.0
    failures: int = 0


class Courier:
    """One channel that takes messages. One thread at a time."""

    def __init__(
        self,
        journal: Journal,
        settings: ChannelSettings,
        channel: MessageChannel,
        *,
        pace: Pace,
        report: Callable[[Delivery], None],
    ) -> None:
        """A channel that is new begins with what is to come. Raises JournalError."""
        self.name = settings.name
        self._journal = journal
        self._settings = settings
        self._channel = channel
        self._pace = pace
        self._report = report
        self._waiting = _Waiting()
        kept = journal.bookmark(f"{PREFIX}{self.name}")
        if kept is None:
            self._told = _Told(upto={line.value: journal.last_number(line) for line in Line} | {_MATTERS: 0})
            self._keep(self._told)
        else:
            self._told = _told_from(kept)

    @property
    def told_matters(self) -> int:
        """The number up to which it knows matters."""
        return self._told.upto.get(_MATTERS, 0)

    def turn(self, now: float, matters: Iterable[Matter], *, last: bool = False) -> float:
        """Do what is due; returns in how many seconds there may be more. `last`: the process ends, nothing is gathered.

        Raises JournalError.
        """
        waiting = self._waiting
        if now < waiting.not_before:
            return waiting.not_before - now
        if not self._told.outbox:
            pause = self._look(now, matters, last=last)
            if pause is not None:
                return pause
        return self._deliver(now)

    def _look(self, now: float, matters: Iterable[Matter], *, last: bool) -> float | None:
        """Put what is new into the outbox; or in how many seconds to look again."""
        new, news = self._new(matters)
        if not news:
            # Nothing for this channel: it is not worth a write, and would be found again.
            more_behind = dict(new.upto) != dict(self._told.upto)
            self._told = new
            self._waiting.first_seen = None
            return 0.0 if more_behind else self._pace.poll
        if not last:
            if self._waiting.first_seen is None:
                self._waiting.first_seen = now
            is_unhurried = all(each.reason in UNHURRIED for each in news)
            rest = self._pace.unhurried_rest if is_unhurried else self._pace.rest
            due = max(self._waiting.first_seen + self._pace.gather, self._told.sent_at + rest)
            if now < due:
                return min(due - now, self._pace.poll)
        self._waiting.first_seen = None
        self._keep(self._with_outbox(new, news))
        return None

    def _new(self, matters: Iterable[Matter]) -> tuple[_Told, list[News]]:
        """The position behind all that is new, and what of it the channel wants."""
        upto = dict(self._told.upto)
        found: dict[Line, list[Any]] = {}
        for line in Line:
            page = self._journal.line(line, after=upto.get(line.value, 0), limit=_PAGE)
            found[line] = [each.what for each in page]
            upto[line.value] = page[-1].number if page else upto.get(line.value, 0)
        matters = list(matters)
        news = [
            *news_of_intents(found[Line.INTENTS]),
            *news_of_entries(found[Line.ENTRIES]),
            *news_of_changes(found[Line.CHANGES]),
            *news_of_latches(found[Line.LATCHES]),
            *news_of_matters(matters, self.told_matters),
        ]
        upto[_MATTERS] = max([self.told_matters, *(each.number for each in matters)])
        known = set(self._told.known)
        wanted = [each for each in news if self._wants(each, known)]
        return replace(self._told, upto=upto, known=frozenset(known)), wanted

    def _wants(self, news: News, known: set[str]) -> bool:
        if self._settings.fleets and news.fleet is not None and news.fleet not in self._settings.fleets:
            return False
        was_known = news.closes in known
        known.discard(news.closes or "")
        if news.opens is not None:
            key, belief, _ = news.opens.partition(BELIEF)
            if belief and news.opens in known:
                return False  # it was over for a moment, of which nobody was told
            known -= {each for each in known if each.partition(BELIEF)[0] == key}
            known.add(news.opens)
        return news.is_bad or was_known or not self._settings.only_bad

    def _with_outbox(self, told: _Told, news: list[News]) -> _Told:
        intents = self._journal.intents(limit=1)
        revision = {"revision": intents[0].revision.text} if intents else {}
        few = in_few_messages(news, self._pace.burst_max)
        outbox = tuple(
            identified(
                replace(each, metadata={**revision, **self._wave(each), **each.metadata}),
                f"{self.name} {told.count + number}",
            )
            for number, each in enumerate(few)
        )
        return replace(told, outbox=outbox, count=told.count + len(few))

    def _wave(self, news: News) -> dict[str, str]:
        """The wave that is under way, for news of devices."""
        if news.fleet is None or not news.is_bad:
            return {}
        rollout = story_of(news.fleet, (noted.entry for noted in self._journal.entries(fleet=news.fleet))).rollout
        if rollout is None or rollout.wave_under_way is None:
            return {}
        return {"rollout": rollout.id, "wave": rollout.wave_under_way.name}

    def _deliver(self, now: float) -> float:
        waiting = self._waiting
        while self._told.outbox:
            first, *rest = self._told.outbox
            try:
                self._channel.deliver(news_from(first), timeout_seconds=self._pace.timeout)
            except Exception as error:  # noqa: BLE001  # a channel that is wrong in any way is one that is down
                waiting.failures += 1
                wished = error.retry_after_seconds if isinstance(error, DeliveryError) else None
                pause = self._pace.pause_after(waiting.failures, wished)
                waiting.not_before = now + pause
                left = len(self._told.outbox)
                self._report(Delivery(channel=self.name, ok=False, why=why_not(error), left=left))
                return pause
            waiting.failures = 0
            # Remembered first: where the journal cannot be written, people are not told again and again.
            self._told = replace(self._told, outbox=tuple(rest), sent_at=now)
            self._keep(self._told)
            self._report(Delivery(channel=self.name, ok=True, left=len(rest)))
        return 0.0

    def _keep(self, told: _Told) -> None:
        self._journal.set_bookmark(f"{PREFIX}{self.name}", told.written())
        self._told = told


def why_not(error: Exception) -> str:
    """Why something was not delivered, without the words of libraries: they have addresses in them."""
    if isinstance(error, DeliveryError):
        return error.why
    return error.message if isinstance(error, ReconcilerError) else f"unforeseen: {type(error).__name__}"
