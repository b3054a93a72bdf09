"""How the bench shows what happens: a large table on a terminal, lines elsewhere, JSON lines for machines; and a log.

The table is for a person with gloves on, two metres away: one line for each device, a colour and a word in capitals
that says what to do. Green UNPLUG ME, yellow leave it, red look here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

from rich.box import HEAVY
from rich.console import Console, OverflowMethod
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from reconciler.cli.saying import say
from reconciler.controller.seat import Seat, SeatState
from reconciler.model.event import AttemptMoved, DeviceArrived, Event, Finding
from reconciler.particle.usb import Phase
from reconciler.render.event_json import event_document

_WORDS: Final = {
    SeatState.LOOKING: ("LOOKING", "black on yellow"),
    SeatState.WORKING: ("WORKING", "black on yellow"),
    SeatState.DONE: ("UNPLUG ME", "bold white on green"),
    SeatState.STRANGER: ("NOT OURS", "white on blue"),
    SeatState.ASIDE: ("SET ASIDE", "white on blue"),
    SeatState.FAILED: ("FAILED", "bold white on red"),
    SeatState.TROUBLE: ("LOOK HERE", "bold white on red"),
    SeatState.GONE: ("PLUG IN AGAIN", "bold white on red"),
}
_WORD_LETTERS: Final = max(len(word) for word, _ in _WORDS.values()) + 2
_ID_DIGITS: Final = 24
"""Of a device id: neither it nor the word that says what to do is broken, on a narrow screen either."""
_FRAMES_PER_SECOND: Final = 4
_SPANS: Final = {
    Phase.PREPARING: (0.0, 0.0),
    Phase.ERASING: (0.0, 0.3),
    Phase.SENDING: (0.3, 0.9),
    Phase.VERIFYING: (0.9, 1.0),
    Phase.APPLYING: (0.9, 1.0),
}
"""From where to where a phase brings the bar of its step, so that it never goes back."""


class BenchDisplay(Protocol):
    """Shows seats; many threads call `seat`."""

    def seat(self, seat: Seat) -> None:
        """A seat has changed."""

    def seats(self, seats: Sequence[Seat]) -> None:
        """All seats as they are now; called again and again."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Lines:
    """A line when a seat says something new; JSON when a machine listens."""

    def __init__(self, *, as_json: bool, sound: bool) -> None:
        self._as_json = as_json
        self._sound = Sound(enabled=sound)
        self._said: dict[str, str] = {}
        self._lock = threading.Lock()

    def seat(self, seat: Seat) -> None:
        """See `BenchDisplay`."""
        key = seat.device_id or seat.port
        line = json.dumps(seat_document(seat), sort_keys=True) if self._as_json else _line(seat)
        with self._lock:
            if self._said.get(key) == line:
                return
            self._said[key] = line
            say(line)
        self._sound.seat(seat)

    def seats(self, seats: Sequence[Seat]) -> None:
        """Nothing: what is new was said."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


class LiveTable:
    """The table, drawn anew a few times a second."""

    def __init__(self, *, colour: bool, sound: bool) -> None:
        self._console = Console(stderr=False, no_color=not colour)
        self._live = Live(console=self._console, refresh_per_second=_FRAMES_PER_SECOND, screen=False)
        self._sound = Sound(enabled=sound, bell=self._console.bell)

    def seat(self, seat: Seat) -> None:
        """See `BenchDisplay`."""
        self._sound.seat(seat)

    def seats(self, seats: Sequence[Seat]) -> None:
        """See `BenchDisplay`."""
        self._live.update(fitting_table(seats, self._console))

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()


class Sound:
    """The terminal's bell: once for a device that is done, three times for one that needs a person."""

    def __init__(self, *, enabled: bool, bell: Callable[[], object] = lambda: say("\a", err=True, nl=False)) -> None:
        self._enabled = enabled
        self._bell = bell
        self._last: dict[str, SeatState] = {}

    def seat(self, seat: Seat) -> None:
        """Ring when a seat has come to rest."""
        key = seat.device_id or seat.port
        is_news = self._last.get(key) is not seat.state
        self._last[key] = seat.state
        if not self._enabled or not is_news:
            return
        needs_a_person = seat.state in (SeatState.FAILED, SeatState.TROUBLE, SeatState.GONE)
        for _ in range(3 if needs_a_person else int(seat.state is SeatState.DONE)):
            self._bell()


class SerialLogs:
    """One file for each device, `FOLDER/<device id>.jsonl`: what was done to it, for the record. Only ever added to."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._last: dict[str, str] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def event(self, event: Event) -> None:
        """What happened to an attempt, and who has arrived."""
        device_id = None
        match event:
            case AttemptMoved(attempt=attempt):
                device_id = attempt.device_id
            case DeviceArrived(device_id=arrived):
                device_id = arrived
            case Finding(device_id=found):
                device_id = found
        if device_id is not None:
            self._add(device_id, dict(event_document(event)))

    def seat(self, seat: Seat) -> None:
        """How a device came to rest."""
        if seat.device_id is None or not seat.state.is_at_rest:
            return
        document = seat_document(seat)
        if self._last.get(seat.device_id) != json.dumps(document, sort_keys=True):
            self._last[seat.device_id] = json.dumps(document, sort_keys=True)
            self._add(seat.device_id, {"logged_at": _now(), **document})

    def _add(self, device_id: str, document: dict[str, Any]) -> None:
        if self._folder is None:
            return
        with self._lock, (self._folder / f"{device_id}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(document, sort_keys=True) + "\n")


def seat_document(seat: Seat) -> dict[str, Any]:
    """A seat for machines: one event of the stream that `usb apply` and `usb bench` write."""
    return {
        "event": "seat",
        "port": seat.port,
        "device": seat.device_id,
        "name": seat.name,
        "platform": seat.platform,
        "fleet": seat.fleet,
        "state": seat.state.value,
        "what": seat.what,
        "steps_done": seat.steps_done,
        "steps": seat.steps,
        "code": seat.code,
        "message": seat.message,
    }


class Room(Enum):
    """How much room a device has in the table: five lines or more, two and a rule, or one and no more."""

    LARGE = "large"
    CLOSE = "close"
    LINE = "line"


def fitting_table(seats: Sequence[Seat], console: Console) -> Table:
    """The largest table that the screen has room for: whoever is cut off below would never be unplugged."""
    for room in (Room.LARGE, Room.CLOSE):
        table = table_of(seats, room)
        if len(console.render_lines(table, pad=False)) <= console.height:
            return table
    return table_of(seats, Room.LINE)


def table_of(seats: Sequence[Seat], room: Room = Room.LARGE) -> Table:
    """The table as it is drawn."""
    is_flat = room is Room.LINE
    table = Table(box=HEAVY, expand=True, show_lines=not is_flat, padding=(int(room is Room.LARGE), 1))
    long: OverflowMethod = "ellipsis" if is_flat else "fold"
    least = None if is_flat else _ID_DIGITS
    table.add_column("PORT", no_wrap=True)
    table.add_column("DEVICE", min_width=least, max_width=_ID_DIGITS, overflow=long, no_wrap=is_flat)
    table.add_column("", min_width=_WORD_LETTERS, no_wrap=True)
    table.add_column("WHAT", ratio=3, overflow=long, no_wrap=is_flat)
    table.add_column("", ratio=2)
    for seat in seats:
        word, style = _WORDS[seat.state]
        bar = ProgressBar(total=max(1, seat.steps), completed=completed(seat))
        table.add_row(
            Text(seat.port, style="bold"),
            Text(_names(seat, room)),
            Text(f" {word} ", style=style, justify="center"),
            Text(_what(seat)),
            bar if seat.steps else "",
        )
    if not seats:
        table.add_row("", "plug something in", "", "", "")
    return table


def _names(seat: Seat, room: Room) -> str:
    known_as = seat.name or seat.platform
    if room is not Room.LINE:
        return f"{known_as}\n{seat.device_id or ''}"
    # The end of an id tells two devices apart.
    return f"{known_as} …{seat.device_id[-6:]}" if seat.device_id and not seat.name else known_as


def completed(seat: Seat) -> float:
    """How many of its steps, with the part of the one under way; it only grows within a step."""
    if seat.state is SeatState.DONE:
        return float(seat.steps)
    begins, ends = (0.0, 0.0) if seat.phase is None else _SPANS[seat.phase]
    return min(float(seat.steps), seat.steps_done + begins * (1 - seat.share) + ends * seat.share)


def _what(seat: Seat) -> str:
    if seat.state.is_at_rest:
        return f"{seat.code}: {seat.message}" if seat.code else seat.message
    step = f"step {seat.steps_done + 1} of {seat.steps}: " if seat.steps_done < seat.steps else ""
    phase = f" ({seat.phase}, {seat.share:.0%})" if seat.phase is not None else ""
    return f"{step}{seat.what}{phase}"


def _line(seat: Seat) -> str:
    word = _WORDS[seat.state][0]
    return f"{seat.port:<8} {seat.device_id or '-':<24} {word:<13} {_what(seat)}".rstrip()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
