"""What the cloud has refused to do for a whole product, and for how long that is believed.

Whether the cloud takes a Device OS module for a product's device that is not marked as development is not known for
sure (facts 5.4, 8). A refusal is something learnt, and what is learnt may change: after a week it is tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.model.instant import Instant

KEPT_SECONDS: Final = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFlashRefusal:
    """The cloud refused Device OS modules for devices of this product; `words` are its own, `at` by its own clock."""

    product_id: int
    at: Instant
    words: str

    @property
    def until(self) -> Instant:
        """From then on it is tried again."""
        return Instant(self.at + KEPT_SECONDS)
