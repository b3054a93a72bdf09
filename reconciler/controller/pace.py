"""How soon to look again: at once when there is news, else at the pace that was asked for; never at any price. Pure.

A look at all devices costs a request for every page of the list (facts 5.3). What looking takes of the request budget,
sending cannot have; and looking seldom makes every step wait. So a look has to last for a while: as long as it needs to
take no more than `LOOKING_SHARE` of the budget, within `LOOK_SECONDS_MIN` and `LOOK_SECONDS_MAX`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LOOKING_SHARE: Final = 0.05
"""Of all requests. A fleet that is slowed down by the budget is slowed down by a twentieth more."""

LOOK_SECONDS_MIN: Final = 3.0
"""Between two looks: what is news together is looked at together."""

LOOK_SECONDS_MAX: Final = 60.0
"""Between two looks at a fleet of 8,000 or more devices, where a look costs 80 requests and more."""

POLL_SECONDS: Final = 15.0
"""Between two looks when nothing is heard: events get lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Seconds between two looks: at least so many; at most so many, without news in between."""

    at_least: float
    at_most: float


def pause_after(
    requests_a_look: int, requests_per_second: float, *, poll_seconds: float | None, silence: float
) -> Pause:
    """The pause after a look that took so many requests, when the cloud wants so many seconds of silence.

    `poll_seconds` is a person's wish for looks as frequent as that, whatever they cost; None: no wish.
    """
    worth = requests_a_look / requests_per_second / LOOKING_SHARE
    worth = min(max(worth, LOOK_SECONDS_MIN), LOOK_SECONDS_MAX)
    wish = POLL_SECONDS if poll_seconds is None else poll_seconds
    at_least = max(silence, worth if poll_seconds is None else min(worth, poll_seconds))
    return Pause(at_least=at_least, at_most=max(at_least, wish))
