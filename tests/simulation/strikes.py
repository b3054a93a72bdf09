"""Processes of a crew that are struck by a signal in the midst of their work, and what holds afterwards."""

from __future__ import annotations

import threading

from tests.simulation.worker_stage import Crew, Worker


def struck_in_the_midst(stage: Crew, number: int, *, flash: int = 3) -> Worker:
    """The process that sends the next flashes gets a signal while the cloud has its request in hand."""
    struck: list[Worker] = []
    done = threading.Event()

    def strike() -> None:
        worker = stage.who_sends()
        worker.send(number)
        struck.append(worker)
        done.set()

    stage.stage.when_flashed(flash, strike)
    stage.wait_for(done.is_set)
    return struck[0]


def wait_until_taken_over(stage: Crew, lost: Worker) -> None:
    """Until others have passed over everything that a process had."""
    had = [product for product, holder in stage.holders().items() if holder == lost.process.pid]
    before = stage.turns()

    def is_taken_over() -> bool:
        holders, turns = stage.holders(), stage.turns()
        return all(
            holders.get(product) not in {None, lost.process.pid} and turns[product] > before[product] for product in had
        )

    stage.wait_for(is_taken_over)


def assert_all_well(stage: Crew, *, release: str = "2.1.0") -> None:
    stage.wait_for_release(release)
    stage.wait_for(lambda: not stage.open_attempts())
    stage.wait_for(stage.is_told)
    for worker in stage.workers:
        if worker.process.poll() is None:
            assert worker.end() == 0, worker.said()
    stage.assert_nothing_wrong()
