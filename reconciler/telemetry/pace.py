"""How often people are told, and how long somebody who does not answer is waited for. All in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The numbers of every channel.

    - `gather`: from the first thing that is new until it is told, so that what belongs together is one message.
    - `rest`: between one burst and the next; `unhurried_rest` where there is nothing but devices, which fail one by one
      over hours, and trouble that is over, which may come back.
    - `burst_max`: about how many messages at once.
    - `retry_first`, `retry_max`: pauses after a failure; they double.
    - `timeout`: for one try; `poll`: between looks at what other processes wrote into the journal.
    """

    gather: float = 3.0
    rest: float = 15.0
    unhurried_rest: float = 300.0
    burst_max: int = 10
    retry_first: float = 5.0
    retry_max: float = 900.0
    timeout: float = 10.0
    poll: float = 5.0

    def pause_after(self, failures: int, wished: float | None) -> float:
        """How long to wait after so many failures in a row (1 or more), and what the other side wished."""
        pause = min(self.retry_first * 2.0 ** min(failures - 1, 30), self.retry_max)
        return pause if wished is None else min(max(pause, wished), self.retry_max)
