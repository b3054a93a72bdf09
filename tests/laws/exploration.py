"""All states that a small world can come to, breadth first; the shortest way to the first broken law."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from tests.laws.small_model import Rules, State, broken_in, steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored:
    """What was found. `trace`: the shortest way to the first broken law; empty when none is broken."""

    states: int
    events: int
    broken: tuple[str, ...] = ()
    trace: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()

    def told(self) -> str:
        """The counts, and the way to what is broken."""
        lines = [f"{self.states:,} states, {self.events:,} events"]
        if self.broken or self.stuck:
            lines += [*self.broken, *(f"  {number:2}. {event}" for number, event in enumerate(self.trace, 1))]
        return "\n".join([*lines, *self.stuck])


def explore(rules: Rules, *, beginning: State | None = None, law: str = "") -> Explored:
    """Explore completely, or until a law whose words begin with `law` is broken.

    Every state must have a way to one without an open attempt; where none has, `trace` leads to such a state.
    """
    first = State() if beginning is None else beginning
    number_of: dict[State, int] = {first: 0}
    came_from: list[tuple[int, str]] = [(-1, "")]
    before: list[list[int]] = [[]]
    at_rest: list[int] = []
    events = 0
    queue = deque([first])
    while queue:
        state = queue.popleft()
        here = number_of[state]
        if not any(kept.is_open for kept in state.kept):
            at_rest.append(here)
        for event, after, broken in steps(state, rules):
            events += 1
            there = number_of.get(after)
            found = tuple(each for each in broken if each.startswith(law))
            if there is None:
                there = number_of[after] = len(came_from)
                came_from.append((here, event))
                before.append([])
                queue.append(after)
                found += tuple(each for each in broken_in(after) if each.startswith(law))
            before[there].append(here)
            if found:
                trace = (*_trace(came_from, here), event)
                return Explored(states=len(came_from), events=events, broken=found, trace=trace)
    stuck = _without_way_to_rest(before, at_rest)
    if stuck is None:
        return Explored(states=len(came_from), events=events)
    words = ("P5 from here no state without an open attempt can be reached",)
    return Explored(states=len(came_from), events=events, trace=_trace(came_from, stuck), stuck=words)


def _without_way_to_rest(before: list[list[int]], at_rest: list[int]) -> int | None:
    reached = bytearray(len(before))
    for number in at_rest:
        reached[number] = 1
    queue = deque(at_rest)
    while queue:
        for number in before[queue.popleft()]:
            if not reached[number]:
                reached[number] = 1
                queue.append(number)
    stuck = reached.find(0)
    return None if stuck < 0 else stuck


def _trace(came_from: list[tuple[int, str]], number: int) -> tuple[str, ...]:
    events = []
    while number > 0:
        number, event = came_from[number]
        events.append(event)
    return tuple(reversed(events))
