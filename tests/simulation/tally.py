"""How much was played: counted in every chunk, told at the end of the test run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import ClassVar

from reconciler.emulator.records import RequestKind
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.rollout_entry import Halted, WaveCompleted
from tests.simulation.trace import Trace


class Tally:
    """Sums over plays."""

    NAME: ClassVar = "simulated"

    def __init__(self) -> None:
        self._sums: Counter[str] = Counter()

    def count(self, trace: Trace) -> None:
        """One more world."""
        twins = [trace] if trace.twin is None else [trace, trace.twin]
        for play in twins:
            writes = (RequestKind.FLASH, RequestKind.LOCK, RequestKind.RELEASE, RequestKind.UPLOAD)
            self._sums += Counter(
                {
                    "worlds": int(play is trace),
                    "devices": len(play.world.devices),
                    "device-days": round(play.device_days),
                    "faults": play.faults_struck.total(),
                    "deeds of people": len(play.world.happenings),
                    "deaths": play.crashes,
                    "runs": play.runs,
                    "requests": len(play.requests),
                    "requests that change something": sum(request.kind in writes for request in play.requests),
                    "steps": sum(each.state is AttemptState.INTENDED for _, each in play.of(Attempt)),
                    "waves completed": sum(1 for _ in play.of(WaveCompleted)),
                    "halts": sum(1 for _ in play.of(Halted)),
                }
            )

    def document(self) -> dict[str, int]:
        """For a test's report."""
        return dict(self._sums)


def in_words(documents: Iterable[dict[str, int]]) -> str:
    """All sums of a test run in one line; empty: nothing was played."""
    sums: Counter[str] = Counter()
    for document in documents:
        sums.update(document)
    return ", ".join(f"{count:,} {name}" for name, count in sums.items() if count)
