"""How many requests the vendor's limits leave us, as a number that a plan can be held against.

The limits are by address (facts 5.12): 10,000 requests in 5 minutes, and among them 100 openings of event streams. We
take 80 % of each: consoles, other tools and other runs of this program behind the same address share them, and none of
them knows of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """At most `requests` in any window of `window_seconds`; of these `at_once` without a pause, the rest evenly spread.

    Raises ValueError unless some may leave at once and some are left to be spread.
    """

    requests: int
    window_seconds: float
    at_once: int

    def __post_init__(self) -> None:
        if not 0 < self.at_once < self.requests or self.window_seconds <= 0:
            message = f"{self} lets nothing leave at once, or nothing afterwards"
            raise ValueError(message)

    @property
    def per_second(self) -> float:
        """The pace when all that may leave at once has left: in any window both together are `requests`."""
        return (self.requests - self.at_once) / self.window_seconds

    def seconds_at_least(self, requests: int) -> float:
        """How long so many requests need at least when nobody else sends any; 0 when they may leave at once."""
        return max(0, requests - self.at_once) / self.per_second


REQUESTS: Final = Allowance(requests=8_000, window_seconds=300.0, at_once=2_000)
"""All requests: 2,000 at once, which is a step on 1,000 devices or a list of 200,000, then 20 a second."""

STREAM_OPENINGS: Final = Allowance(requests=80, window_seconds=300.0, at_once=50)
"""Openings of event streams: many at once, because a run opens one for each of its products when it starts."""
