"""The laws S1 to S20 and P1 to P9 of the references, and C1 to C4 of controllers that run for long.

Each has its sentence, and says where it is checked.

`referee`: the emulator's referee judges its own log (docs/referee.md). `trace`: a function here or in the files beside
judges what the clients did and wrote. A law that is not checked in simulations says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from reconciler.model.attempt import Evidence
from tests.simulation import laws_of_controllers as controllers
from tests.simulation import laws_of_devices as devices
from tests.simulation import laws_of_fleets as fleets
from tests.simulation import laws_of_progress as progress
from tests.simulation.trace import Trace

Check = Callable[[Trace], Iterator[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """One law. `elsewhere`: why simulations do not check it, and what does. `jumps`: see `broken`."""

    id: str
    sentence: str
    referee: bool = False
    trace: Check | None = None
    jumps: bool = False
    elsewhere: str = ""


_ALL: Final = (
    Law(id="S1", sentence="No module and no application ever falls because of us.", referee=True),
    Law(id="S2", sentence="Nothing is sent to another platform or product than it is for.", referee=True),
    Law(id="S3", sentence="Nothing is sent whose dependencies the device does not meet.", referee=True),
    Law(id="S4", sentence="No release is passed that a route must stop at.", referee=True),
    Law(
        id="S5",
        sentence="A device has at most one step under way.",
        referee=True,
        trace=devices.one_open_attempt_each,
    ),
    Law(id="S6", sentence="The intent is in the journal before the request leaves.", trace=devices.journal_before_send),
    Law(
        id="S7",
        sentence="Nothing is sent again before a newer look at the device.",
        referee=True,
        trace=devices.unknown_ends_by_a_look,
    ),
    Law(id="S8", sentence="The bytes that are sent are the ones that were planned.", referee=True),
    Law(id="S9", sentence="Whom a person holds gets nothing.", referee=True),
    Law(id="S10", sentence="Nothing starts outside the fleet's windows.", trace=fleets.inside_windows),
    Law(id="S11", sentence="Nothing is sent on what is older than our last send or too old.", referee=True),
    Law(id="S12", sentence="No more devices are under way than may be.", trace=fleets.within_concurrency),
    Law(
        id="S13", sentence="A wave starts nothing before the waves before it are complete.", trace=fleets.waves_in_turn
    ),
    Law(id="S14", sentence="After a halt nothing starts.", trace=fleets.nothing_after_a_halt),
    Law(id="S15", sentence="Too many failures halt the fleet within one pass.", trace=fleets.halted_within_one_pass),
    Law(
        id="S16",
        sentence="No more requests leave than the vendor allows, no more sends and bytes than the fleet allows.",
        referee=True,
        trace=fleets.within_rates,
    ),
    Law(
        id="S17",
        sentence="The commit that is applied descends from the last one.",
        trace=controllers.descends,
    ),
    Law(
        id="S18",
        sentence="A change that would touch too many devices needs a person.",
        trace=fleets.within_the_limit_of_devices,
    ),
    Law(id="S19", sentence="What is not known is not acted on.", referee=True),
    Law(id="S20", sentence="Every send can be explained.", trace=devices.every_send_is_explained),
    Law(
        id="P1", sentence="The same inputs give the same plan, byte for byte.", trace=progress.plans_are_the_same_again
    ),
    Law(id="P2", sentence="After a verified step the rest of the route remains.", trace=progress.the_rest_remains),
    Law(id="P3", sentence="Every verified step leaves less to do.", trace=progress.less_to_do),
    Law(
        id="P4", sentence="A fleet that is as desired has an empty plan and is asked nothing.", trace=progress.fixpoint
    ),
    Law(
        id="P5", sentence="When all is well again every device arrives, or a person is needed.", trace=progress.arrival
    ),
    Law(id="P6", sentence="A client may die anywhere, and the end is the same.", trace=progress.same_end),
    Law(id="P7", sentence="Nothing is tried for ever.", trace=progress.bounded_attempts),
    Law(id="P8", sentence="One that cannot be reached holds up nobody else.", trace=progress.nobody_is_held_up),
    Law(id="C1", sentence="Nothing is done for a revision that was not taken.", trace=controllers.only_what_was_taken),
    Law(id="C2", sentence="A halt is heard within two seconds.", trace=controllers.halts_are_heard),
    Law(id="C3", sentence="A source that is away changes nothing.", trace=controllers.nothing_while_away),
    Law(
        id="C4",
        sentence="A pass over an unchanged fleet writes nothing.",
        trace=controllers.nothing_is_written_at_rest,
    ),
    Law(id="P9", sentence="A clock that jumps breaks none of this.", jumps=True),
)

LAWS: Final[Mapping[str, Law]] = MappingProxyType({law.id: law for law in _ALL})

BUG: Final = "bug"
"""What is no law and never happens: an error that nobody expects."""


def broken(trace: Trace, *, only: frozenset[str] | None = None) -> dict[str, list[str]]:
    """What was broken, law by law, in words; empty: nothing. `only`: look at these laws alone.

    What is presumed of a module that nobody can see may be wrong, and costs one boot into safe mode (ADR 0009): such a
    device does not break S3. Nor does a fall break S1 that nobody could foresee: see `crossed_by_a_person`. P9 is
    broken where another law of safety is, in a world in which a clock jumps.
    """
    found: dict[str, list[str]] = {}
    if trace.bugs:
        found[BUG] = list(trace.bugs)
    presumed = {each.device_id for each in trace.attempts if each.evidence is Evidence.PRESUMED}
    for violation in trace.violations:
        if violation.law == "S3" and violation.device in presumed:
            continue
        if violation.law == "S1" and devices.crossed_by_a_person(trace, violation):
            continue
        found.setdefault(violation.law, []).append(f"referee: {violation.device} {violation.detail}")
    for law in _ALL:
        if law.trace is not None and (only is None or law.id in only):
            words = list(law.trace(trace))
            if words:
                found.setdefault(law.id, []).extend(words)
    of_safety = [words for law, words in found.items() if law.startswith("S")]
    if of_safety and progress.has_jumps(trace.world):
        found["P9"] = [words[0] for words in of_safety]
    return found
