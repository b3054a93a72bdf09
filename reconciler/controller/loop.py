"""The loop of a controller that runs for long: a source that is watched, and passes over products when they are due.

`turn` is all of it, and waits for nothing: it hears what people said, looks at the source when it is time, lets a new
intent take the place of the old one between two passes, and begins what is due. Who calls it again and again, and on
which threads its work is done, is not decided here: a daemon does it by real clocks, a simulation by virtual ones.

A source in trouble changes nothing of what is desired, and halting works whatever is in trouble.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import Final

from reconciler.controller.intent import Intent
from reconciler.controller.means import CLOUD, CREDENTIAL, ENDLESS, JOURNAL, LONG_SECONDS, SOURCE, Means
from reconciler.controller.passes import Passes, unforeseen
from reconciler.controller.troubles import Troubles
from reconciler.controller.words.asking import EVERY_FLEET, RECONCILE
from reconciler.journal.control_record import Line

OTHERS: Final = "others"

TURN_SECONDS: Final = 1.0
"""Between two turns: within so long a person's word is heard."""


@dataclass(slots=True)
class Loop:
    """See the module. `turn` runs on one thread; passes and looks at the source run where `launch` has them.

    `passes`: the products. `troubles`: what is in trouble now. `stopping`: nothing new is begun any more. `turned_at`:
    when it turned last.
    """

    means: Means
    troubles: Troubles = field(init=False)
    passes: Passes = field(init=False)
    stopping: bool = False
    turned_at: float = field(init=False)
    _awaited: Intent | None = None
    _follow_due: float = 0.0
    _source_due: float = 0.0
    _others_due: float = 0.0
    _at_work: dict[str, float] = field(default_factory=dict)
    _entries_read: int = 0
    _taken: int = 0
    _words_heard: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.troubles = Troubles(self.means.clock, self.means.tell, self.means.troubled_before)
        self.passes = Passes(self.means, self.troubles)
        self.turned_at = self.means.monotonic()

    def begin(self) -> None:
        """Go on with what was desired when the last process ended; the source is looked at in the first turn."""
        self._hear_words(begins=True)
        with self.troubles.of(SOURCE):
            if self.means.intents.recall():
                self._awaited = self.means.intents.intent

    def turn(self) -> None:
        """Hear, and begin what is due."""
        now = self.means.monotonic()
        with self.troubles.of(JOURNAL):
            if self.troubles.is_open(JOURNAL):
                self.means.prove_writing()
            self._hear_words()
        self._tell_of_others(now)
        if not self.stopping:
            self._look_at_source(now)
            self._take_up(now)
            if self._awaited is None:
                self.passes.release()
                self.passes.runner.begin_due()
                self._look_at_others(now)
        self.turned_at = now

    def next_turn(self) -> float:
        """When there is something to do for `turn`, unless news come before that; never later than `TURN_SECONDS`."""
        now = self.means.monotonic()
        return min(now + TURN_SECONDS, max(now, self.next_due()))

    def next_due(self) -> float:
        """When a turn begins something, if nobody says anything before that; infinity: it would begin nothing."""
        if self.stopping:
            return math.inf
        with self._lock:
            at_work = set(self._at_work)
        source_due = math.inf if SOURCE in at_work else self._source_due
        if self._awaited is None:
            return min(source_due, self.passes.runner.next_due())
        is_free = CLOUD not in at_work and not self.passes.are_under_way
        return min(source_due, self._follow_due if is_free else math.inf)

    def stop(self) -> None:
        """Begin nothing new; what is being sent is finished and written down."""
        self.stopping = True
        self.passes.stop()

    def is_at_rest(self) -> bool:
        """Whether nothing is under way here any more."""
        with self._lock:
            return not self._at_work and not self.passes.are_under_way

    def fetch_now(self) -> None:
        """Look at the source in the next turn."""
        self._source_due = self.means.monotonic()

    def _hear_words(self, *, begins: bool = False) -> None:
        """An entry of somebody else, or a wish for a look: who it concerns has its next pass at once."""
        journal, runs = self.means.journal, self.passes.runs
        for noted in journal.entries(after=self._entries_read):
            self._entries_read = noted.number
            is_news = not any(noted.number <= run.entries_read for run in runs)
            if not begins and is_news and self.passes.is_ours(noted.entry.fleet):
                self.passes.reconcile_now(noted.entry.fleet)
        for mark, token in journal.bookmarks(RECONCILE).items():
            if self._is_new(mark, token) and not begins:
                fleet = mark.removeprefix(RECONCILE)
                self.passes.reconcile_now(None if fleet == EVERY_FLEET else fleet)
                self.fetch_now()
        taken = journal.last_number(Line.INTENTS)
        if taken != self._taken and not begins and not self.means.intents.is_latest():
            self.fetch_now()  # another worker has taken it
        self._taken = taken
        mark = self.means.intents.accept_mark
        if self._is_new(mark, journal.bookmark(mark) or ""):
            self.fetch_now()

    def _tell_of_others(self, now: float) -> None:
        """Trouble in which nothing fails: a token that cannot be replaced, and what has begun and does not end."""
        token_trouble = self.means.token_trouble()
        if token_trouble is None:
            self.troubles.ended(CREDENTIAL)
        else:
            message = f"{token_trouble.message}; the last token that could be read goes on"
            self.troubles.began(CREDENTIAL, token_trouble.code, message)
        with self._lock:
            at_work = {**self._at_work}
        at_work |= self.passes.at_work()
        for what, began in at_work.items():
            if now - began > LONG_SECONDS:
                message = f"it has been looked at for more than {LONG_SECONDS / 60:g} min, and that does not end"
                self.troubles.began(what, ENDLESS, message)

    def _is_new(self, mark: str, token: str) -> bool:
        before = self._words_heard.get(mark, "")
        self._words_heard[mark] = token
        return token != before

    def _look_at_source(self, now: float) -> None:
        if now >= self._source_due and self._begins(SOURCE):
            self._source_due = now + self._source_interval()
            self.means.launch(self._look)

    def _look(self) -> None:
        try:
            with self.troubles.of(SOURCE):
                if self.means.intents.look():
                    with self._lock:
                        self._awaited = self.means.intents.intent
        except Exception as error:  # noqa: BLE001  # a mistake of ours must not end the loop
            unforeseen(self.means, self.troubles, SOURCE, error)
        finally:
            self._ends(SOURCE)

    def _look_at_others(self, now: float) -> None:
        if self.means.shows_all and now >= self._others_due and self._begins(OTHERS):
            self._others_due = now + self.passes.schedule.jittered(self.means.settings.interval_seconds)
            self.means.launch(self._look_on)

    def _look_on(self) -> None:
        try:
            with self.troubles.of(CLOUD):
                self.passes.look_on()
        except Exception as error:  # noqa: BLE001  # as above
            unforeseen(self.means, self.troubles, CLOUD, error)
        finally:
            self._ends(OTHERS)

    def _take_up(self, now: float) -> None:
        """A newer intent takes its place between two passes."""
        is_time = self._awaited is not None and now >= self._follow_due
        if is_time and self.passes.hold() and self._begins(CLOUD):
            self._follow_due = now + self._source_interval()
            self.means.launch(self._follow)

    def _follow(self) -> None:
        intent = self._awaited
        assert intent is not None
        try:
            with self.troubles.of(CLOUD):
                scopes = self.means.connection.follow(intent.fleets, intent.manifests)
                self.means.connection.listen()
                self.means.connection.recall(self.means.journal)
                self.passes.follow(intent, scopes)
                self._follow_due = 0.0
                with self._lock:
                    if self._awaited is intent:  # and not a newer one, which was taken meanwhile
                        self._awaited = None
        except Exception as error:  # noqa: BLE001  # as above
            unforeseen(self.means, self.troubles, CLOUD, error)
        finally:
            self._ends(CLOUD)

    def _source_interval(self) -> float:
        return self.passes.schedule.jittered(self.means.settings.source_interval_seconds)

    def _begins(self, what: str) -> bool:
        with self._lock:
            is_free = what not in self._at_work
            self._at_work.setdefault(what, self.means.monotonic())
            return is_free

    def _ends(self, what: str) -> None:
        with self._lock:
            self._at_work.pop(what, None)
