"""Run passes over the products in turn until there is nothing more to come back for.

A product that cannot be observed is tried again a few times, then left; one that refuses our token is left at once. The
others go on: one product's trouble is not another's, unless nothing at all can be seen any more.
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

BLIND_PASSES_MAX: Final = 3
"""Passes in a row in which nothing could be observed, each after the wire's own retries of a minute at most: of one
product, and of all products together when none of them can be seen."""

SILENT_PASSES_MAX: Final = 5
"""Passes in a row that the cloud turned away as too many, with its own silence kept after each."""

SILENCE_SECONDS_MAX: Final = 300.0
"""The vendor's own window (facts 5.12); a longer wish is asked for again."""


@dataclass(slots=True)
class _Progress:
    """One product, its passes in a row without sight with the last error, and those turned away as too many."""

    scope: Scope
    blind_passes: int = 0
    error: WireError | None = None
    silent_passes: int = 0
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
    run.take_over(scopes)
    disown_open_attempts(run)
    progress = [_Progress(scope) for scope in scopes]
    while True:
        silence_seconds = 0.0
        for product in progress:
            if not product.done:
                silence_seconds = max(silence_seconds, _one_pass(run, product, progress, rest))
        if once or all(product.done for product in progress):
            return
        pause(silence_seconds)


def _one_pass(run: Run, product: _Progress, progress: Sequence[_Progress], rest: Rest) -> float:
    """One pass over one product; for how many seconds the cloud wants silence after it."""
    try:
        product.done = not reconcile_pass(run, product.scope)
        product.blind_passes = product.silent_passes = 0
    except RateLimitedError as error:
        product.silent_passes += 1
        if product.silent_passes < SILENT_PASSES_MAX:
            return min(error.retry_after_seconds or 0.0, SILENCE_SECONDS_MAX)
        _leave(product, error, rest)
    except (UnauthorisedError, ManifestError) as error:
        _leave(product, error, rest)
    except WireError as error:
        product.blind_passes += 1
        product.error = error
        if product.blind_passes >= BLIND_PASSES_MAX:
            _leave(product, error, rest)
        _leave_all_in_the_dark(progress, rest)
    return 0.0


def _leave_all_in_the_dark(progress: Sequence[_Progress], rest: Rest) -> None:
    """When no product can be seen, it is the way to the cloud that is closed, and each need not find out by itself."""
    going_on = [product for product in progress if not product.done]
    if all(product.blind_passes for product in going_on):
        passes = sum(product.blind_passes for product in going_on)
        for product in going_on if passes >= BLIND_PASSES_MAX else []:
            assert product.error is not None
            _leave(product, product.error, rest)


def _leave(product: _Progress, error: ReconcilerError, rest: Rest) -> None:
    product.done = True
    rest.left.append(Left(product.scope.product, error))
