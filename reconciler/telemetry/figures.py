"""What a running controller knows at one moment and metrics show: Values alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.model.instant import Instant
from reconciler.model.summary import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetFigures:
    """One fleet.

    `product` None: the token's own devices. `progress` is the share of its devices that are as desired, in a rollout;
    None: there is none.

    `waves` are the states of the latest rollout's waves, by name. `planned_at`: when its product was last looked at.
    """

    name: str
    product: str | None
    revision: str
    summary: Summary
    halted: bool = False
    suspended: bool = False
    drift_devices: int = 0
    progress: float | None = None
    waves: Mapping[str, str] = field(default_factory=dict)
    planned_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All of them at `at`.

    - `checks`: what readiness rests on, by name; `troubles`: what has failed, as `Troubled.what`.
    - `intent_at`: when what is desired was taken; `seen_at`: when the source was last seen well.
    - `requests`: to the cloud since the start, by class (`read`, `write`, …) and status (`200`, `none`).
    """

    at: Instant
    fleets: tuple[FleetFigures, ...] = ()
    checks: Mapping[str, bool] = field(default_factory=dict)
    troubles: frozenset[str] = frozenset()
    intent_at: Instant | None = None
    seen_at: Instant | None = None
    requests: Mapping[tuple[str, str], int] = field(default_factory=dict)
    rate_limit_wait_seconds: float = 0.0
