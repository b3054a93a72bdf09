"""Whether the cloud takes Device OS modules for devices that are not marked as development: learnt with few requests.

Until one flash of a product's device was accepted in this run, they are sent one after the other. So a cloud that
refuses them is asked REFUSALS_THAT_TEACH times in all, however many devices are ready to start, and not once more.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from reconciler.model.device import ObservedDevice
from reconciler.model.fleet import Via
from reconciler.model.step import FlashModule, Step

REFUSALS_THAT_TEACH: Final = 3
"""One refusal may be about the device; three in a row, and not one acceptance between them, are about the product."""


def is_direct_system_flash(step: Step, device: ObservedDevice) -> bool:
    """Whether this is an act of which it is not known for sure that the cloud allows it (facts 5.4, 8)."""
    of_product = device.product_id not in (None, device.platform_id)
    return isinstance(step, FlashModule) and step.via is Via.CLOUD and of_product and not device.development


class DirectFlashes:
    """What this run has seen so far, by product. Asked by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[int, threading.Lock] = {}
        self._accepted: set[int] = set()
        self._refusals: dict[int, int] = {}

    @contextmanager
    def turn(self, product_id: int | None) -> Iterator[None]:
        """Wait for one's turn, until one was accepted. None: no such flash, nothing to wait for."""
        if product_id is None or self._is_accepted(product_id):
            yield
            return
        with self._lock:
            turn = self._turns.setdefault(product_id, threading.Lock())
        with ExitStack() as held:
            held.enter_context(turn)
            if self._is_accepted(product_id):  # while we waited
                held.close()
            yield

    def accepted(self, product_id: int) -> None:
        """The cloud took one."""
        with self._lock:
            self._accepted.add(product_id)
            self._refusals.pop(product_id, None)

    def refused(self, product_id: int) -> bool:
        """The cloud refused one. True: now it is clear that it refuses them all."""
        with self._lock:
            self._accepted.discard(product_id)
            refusals = self._refusals.get(product_id, 0) + 1
            is_clear = refusals >= REFUSALS_THAT_TEACH
            # What was learnt is forgotten after a while; then as many teach it again.
            self._refusals[product_id] = 0 if is_clear else refusals
            return is_clear

    def _is_accepted(self, product_id: int) -> bool:
        with self._lock:
            return product_id in self._accepted
