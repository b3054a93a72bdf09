"""Run passes over the products in turn until there is nothing more to come back for.

A product that cannot be observed is tried again a few times, then left; one that refuses our token is left at once. The
others go on: one product's trouble is not another's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from reconciler.controller.cycle import reconcile_pass
from reconciler.controller.run import Run, Scope
from reconciler.controller.settle import disown_open_attempts
from reconciler.model.error import ManifestError, ReconcilerError, WireError
from reconciler.particle.error import RateLimitedError, UnauthorisedError

BLIND_PASSES_MAX: Final = 5
"""Passes in a row in which a product could not be observed, each after the wire's own retries of a minute at most."""

SILENCE_SECONDS_MAX: Final = 300.0
"""The vendor's own window (facts 5.12); a longer wish is asked for again."""


@dataclass(slots=True)
class _Progress:
    scope: Scope
    blind_passes: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """A product that was left before it was done, and the error that was the reason."""

    product: str | None
    error: ReconcilerError


@dataclass(slots=True)
class Rest:
    """Why the passes ended: the products that were left; empty when there was nothing more to come back for."""

    left: list[Left] = field(default_factory=list)


def run_to_rest(
    run: Run, scopes: Sequence[Scope], rest: Rest, *, pause: Callable[[float], None], once: bool = False
) -> None:
    """Run passes until every product is done or left, or `once`.

    `pause` waits between rounds, for at least so many seconds; `rest` says what was left. KeyboardInterrupt passes
    through at any moment; everything under way is in the journal.
    """
    disown_open_attempts(run)
    progress = [_Progress(scope) for scope in scopes]
    while True:
        silence_seconds = [_one_pass(run, product, rest) for product in progress if not product.done]
        if once or all(product.done for product in progress):
            return
        pause(max(silence_seconds, default=0.0))


def _one_pass(run: Run, product: _Progress, rest: Rest) -> float:
    """One pass over one product; for how many seconds the cloud wants silence after it."""
    try:
        product.done = not reconcile_pass(run, product.scope)
        product.blind_passes = 0
    except RateLimitedError as error:
        product.blind_passes += 1
        if product.blind_passes < BLIND_PASSES_MAX:
            return min(error.retry_after_seconds or 0.0, SILENCE_SECONDS_MAX)
        _leave(product, error, rest)
    except WireError as error:
        product.blind_passes += 1
        if isinstance(error, UnauthorisedError) or product.blind_passes >= BLIND_PASSES_MAX:
            _leave(product, error, rest)
    except ManifestError as error:
        _leave(product, error, rest)
    return 0.0


def _leave(product: _Progress, error: ReconcilerError, rest: Rest) -> None:
    product.done = True
    rest.left.append(Left(product.scope.product, error))
