"""What `usb apply` and `usb bench` share: a hall with a display, until it is at rest or a person leaves."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from reconciler.bench_wiring import BenchWork, open_hall
from reconciler.cli.carrying_out import terminated_like_interrupted
from reconciler.cli.usb.inputs import OpenBench
from reconciler.cli.usb.showing import BenchDisplay, Lines, LiveTable, SerialLogs
from reconciler.controller.bench_hall import Hall
from reconciler.controller.seat import Seat, SeatState
from reconciler.journal.location import JournalPlace, journal_location
from reconciler.journal.lock import sole_run
from reconciler.journal.opening import open_journal
from reconciler.journal.run_under_way import RunUnderWayError
from reconciler.journal.sql import SqlJournal
from reconciler.model.instant import Instant

LOOK_SECONDS: Final = 0.5
"""Between two looks at the ports."""
INTERRUPTED: Final = 130
DEVICES_FAILED: Final = 3
_BAD: Final = frozenset({SeatState.FAILED, SeatState.TROUBLE, SeatState.GONE})


def display_of(*, output: str, colour: bool, sound: bool) -> BenchDisplay:
    """A table where a person looks, lines elsewhere."""
    if output == "json" or not sys.stdout.isatty():
        return Lines(as_json=output == "json", sound=sound)
    return LiveTable(colour=colour, sound=sound)


@contextmanager
def bench_journal(given: JournalPlace | None, *, is_real: bool) -> Iterator[SqlJournal]:
    """Where the bench writes. A pretend one forgets, unless a person gave it a journal.

    Pretend devices have the ids of real ones: what is proven of them must not be believed of those.
    """
    with ExitStack() as stack:
        if not is_real and given is None:
            given = Path(stack.enter_context(TemporaryDirectory(prefix="pretend-bench-"))) / "journal.sqlite"
        yield stack.enter_context(open_journal(journal_location(given, os.environ)))


@contextmanager
def sole_bench(place: JournalPlace, *, is_real: bool) -> Iterator[None]:
    """The only bench of this person on this machine's ports, and the only run on a journal in a file.

    A journal on a server is shared: there it keeps two hands apart itself, by the one open attempt of a device. But two
    benches on the same ports would each take the other's open step for one that broke off.
    """
    now = Instant(time.time())
    with ExitStack() as stack:
        if is_real:
            try:
                stack.enter_context(sole_run(_ports_of_this_machine(), now=now))
            except RunUnderWayError as error:
                message = "another `usb apply` or `usb bench` is at work on this machine's ports"
                raise RunUnderWayError(error.code, message, next_step=error.next_step) from None
        if isinstance(place, Path):
            stack.enter_context(sole_run(place, now=now))
        yield


def _ports_of_this_machine() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or Path.home()) / ".particle-bench"


def work(
    here: OpenBench, what: BenchWork, display: BenchDisplay, logs: SerialLogs, *, is_over: Callable[[Hall], bool]
) -> tuple[Sequence[Seat], bool]:
    """Serve until it is over, or until Ctrl-C: then what is being written is finished first.

    Returns the seats, and whether a person interrupted.
    """
    stopping = False

    def show(seat: Seat) -> None:
        display.seat(seat)
        logs.seat(seat)

    def tell(event: object) -> None:
        logs.event(event)  # type: ignore[arg-type]  # every event of a run

    prepared = replace(what, show=show, tell=tell, stopped=lambda: stopping)
    interrupted = False
    with display, open_hall(here.settings, prepared) as hall:
        try:
            with terminated_like_interrupted():
                while True:
                    hall.look_around()
                    display.seats(hall.seats())
                    if is_over(hall):
                        break
                    time.sleep(LOOK_SECONDS / max(1.0, here.speed))
        except KeyboardInterrupt:
            stopping = interrupted = True
        hall.wait()
        display.seats(hall.seats())
        seats = hall.seats()
    return seats, interrupted


def outcome(seats: Sequence[Seat]) -> str:
    """How many are done, of those that are ours to bring there."""
    ours = [seat for seat in seats if seat.state is not SeatState.STRANGER]
    done = sum(seat.state is SeatState.DONE for seat in ours)
    strangers = len(seats) - len(ours)
    aside = f"; {strangers} {'is' if strangers == 1 else 'are'} not ours, and not touched" if strangers else ""
    return counted(done, len(ours)) + aside


def counted(done: int, of: int) -> str:
    """How many of so many are done."""
    return f"{done} of {of} {'device is' if of == 1 else 'devices are'} done"


def exit_code(seats: Sequence[Seat], *, interrupted: bool) -> int:
    """0, or 3 when a device failed or was left in the middle, or 130 when a person left while there was work."""
    if interrupted and any(not seat.state.is_at_rest for seat in seats):
        return INTERRUPTED
    return DEVICES_FAILED if any(seat.state in _BAD for seat in seats) else 0
