"""Metrics for Prometheus: counters and histograms fed by events, gauges by what is known when somebody asks.

Gauges are made anew for every answer, so a fleet that is gone has no series; what was counted of products that are gone
is removed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Final, assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from reconciler.journal.encoding import step_kind
from reconciler.model.action import ProductAction, ReleaseApplication, UploadApplication
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.event import (
    AttemptMoved,
    ConsoleChanged,
    Event,
    IntentRefused,
    IntentTaken,
    PassEnded,
    ProductAttemptMoved,
)
from reconciler.model.instant import Instant
from reconciler.render.ink import harmless
from reconciler.telemetry import metric_names as names
from reconciler.telemetry.courier import Delivery
from reconciler.telemetry.figures import Figures, FleetFigures
from reconciler.telemetry.metric_names import Metric

_LABEL_MAX: Final = 128
"""Characters of a label's value."""

_PASS_BUCKETS: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Seconds: an idle pass takes less than one, a list of 100,000 devices minutes."""

_STEP_BUCKETS: Final = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 21_600.0, 86_400.0)
"""Seconds: a transfer takes a minute or some, a device that sleeps a day."""


class Metrics:
    """All metrics of one controller, in a registry of their own. Every method may be called from any thread."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        """`figures` is asked at every answer; it must not wait for anything."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own words have no types
        self._registry = CollectorRegistry()
        self._lock = threading.Lock()
        self._seen: dict[str, set[str]] = {}  # results by product
        self._figures = figures
        # First: what it finds to be gone is not in the rest of the same answer.
        self._registry.register(_Gauges(self._asked))
        self._passes = _histogram(names.RECONCILE_DURATION, self._registry, _PASS_BUCKETS)
        self._pass_results = _counter(names.RECONCILES, self._registry)
        self._steps = _counter(names.STEPS, self._registry)
        self._step_durations = _histogram(names.STEP_DURATION, self._registry, _STEP_BUCKETS)
        self._actions = _counter(names.PRODUCT_ACTIONS, self._registry)
        self._intents = _counter(names.INTENTS, self._registry)
        self._changes = _counter(names.CHANGES, self._registry)
        self._notifications = _counter(names.NOTIFICATIONS, self._registry)
        waiting = names.NOTIFICATIONS_WAITING
        self._waiting = Gauge(waiting.name, waiting.words, waiting.labels, registry=self._registry)

    def tell(self, event: Event) -> None:
        """Count an event."""
        match event:
            case PassEnded(product=product, seconds=seconds, code=code):
                label, result = _product(product), "ok" if code is None else "error"
                with self._lock:
                    self._seen.setdefault(label, set()).add(result)
                    self._passes.labels(label).observe(seconds)
                    self._pass_results.labels(label, result).inc()
            case AttemptMoved(attempt=attempt) if not attempt.is_open:
                self._count_step(attempt)
            case ProductAttemptMoved(attempt=on_product) if not on_product.is_open:
                self._actions.labels(_action_kind(on_product.action), on_product.state.value).inc()
            case IntentTaken():
                self._intents.labels("taken").inc()
            case IntentRefused():
                self._intents.labels("refused").inc()
            case ConsoleChanged(change=change) if change.concerns_git:
                self._changes.labels(change.kind.value).inc()
            case _:
                pass

    @property
    def registry(self) -> CollectorRegistry:
        """All of them, for who answers Prometheus."""
        return self._registry

    def delivered(self, delivery: Delivery) -> None:
        """Count a try to tell people."""
        self._notifications.labels(_label(delivery.channel), "ok" if delivery.ok else "error").inc()
        self._waiting.labels(_label(delivery.channel)).set(delivery.left)

    def answer(self, accept: str = "") -> tuple[bytes, str]:
        """What Prometheus reads, and its content type, by its `Accept` header."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _count_step(self, attempt: Attempt) -> None:
        kind, result = step_kind(attempt.step), attempt.state.value
        failure = "" if attempt.failure is None else attempt.failure.value
        self._steps.labels(kind, result, failure).inc()
        if attempt.ended_at is not None and attempt.state is not AttemptState.WITHDRAWN:
            self._step_durations.labels(kind, result).observe(max(0.0, attempt.ended_at - attempt.intended_at))

    def _asked(self) -> Figures:
        """What is known now; products that are gone are forgotten."""
        figures = self._figures()
        there = {_product(fleet.product) for fleet in figures.fleets}
        with self._lock:
            # No fleet at all: the manifests have not been read yet.
            for product in self._seen.keys() - there if there else ():
                self._passes.remove(product)
                for result in self._seen.pop(product):
                    self._pass_results.remove(product, result)
        return figures


class _Gauges(Collector):
    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures

    def describe(self) -> Iterable[Family]:
        """Nothing is asked for when it is registered."""
        return ()

    def collect(self) -> Iterator[Family]:
        """Every gauge as it is now."""
        figures = self._figures()
        yield from _of_fleets(figures.fleets, figures.at)
        yield _gauge(names.INTENT_AGE, [((), _age(figures.at, figures.intent_at))])
        yield _gauge(names.SOURCE_AGE, [((), _age(figures.at, figures.seen_at))])
        yield _gauge(names.TROUBLE, [((what,), 1.0) for what in sorted(figures.troubles)])
        yield _gauge(names.READY, [((name,), float(ok)) for name, ok in figures.checks.items()])
        requests = CounterMetricFamily(
            names.API_REQUESTS.name, names.API_REQUESTS.words, labels=names.API_REQUESTS.labels
        )
        for key, number in sorted(figures.requests.items()):
            requests.add_metric(list(map(_label, key)), number)
        yield requests
        wait = names.RATE_LIMIT_WAIT
        yield CounterMetricFamily(wait.name, wait.words, value=figures.rate_limit_wait_seconds)


_Samples = Iterable[tuple[tuple[str, ...], float | None]]


def _of_fleets(fleets: Iterable[FleetFigures], at: Instant) -> Iterator[Family]:
    fleets = sorted(fleets, key=lambda each: each.name)
    yield _gauge(names.FLEET_INFO, [(_info(each), 1.0) for each in fleets])
    yield _gauge(
        names.DEVICES,
        [
            ((each.name, state), float(getattr(each.summary, state)))
            for each in fleets
            for state in ("current", "upgrade", "refused", "waiting")
        ],
    )
    waves = [((each.name, wave, state), 1.0) for each in fleets for wave, state in each.waves.items()]
    yield _gauge(names.ROLLOUT_WAVE, waves)
    yield _gauge(names.ROLLOUT_PROGRESS, [((each.name,), each.progress) for each in fleets])
    yield _gauge(names.DRIFT_DEVICES, [((each.name,), float(each.drift_devices)) for each in fleets])
    yield _gauge(names.PLAN_AGE, [((each.name,), _age(at, each.planned_at)) for each in fleets])


def _info(fleet: FleetFigures) -> tuple[str, ...]:
    return fleet.name, _product(fleet.product), fleet.revision, str(fleet.halted).lower(), str(fleet.suspended).lower()


def _age(now: Instant, then: Instant | None) -> float | None:
    return None if then is None else max(0.0, now - then)


def _gauge(metric: Metric, samples: _Samples) -> GaugeMetricFamily:
    family = GaugeMetricFamily(metric.name, metric.words, labels=metric.labels)
    for labels, value in samples:
        if value is not None:
            family.add_metric(list(map(_label, labels)), value)
    return family


def _counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    return Counter(metric.name, metric.words, metric.labels, registry=registry)


def _histogram(metric: Metric, registry: CollectorRegistry, buckets: tuple[float, ...]) -> Histogram:
    return Histogram(metric.name, metric.words, metric.labels, registry=registry, buckets=buckets)


def _label(value: str) -> str:
    return harmless(value)[:_LABEL_MAX]


def _product(product: str | None) -> str:
    return "own devices" if product is None else _label(product)


def _action_kind(action: ProductAction) -> str:
    match action:
        case UploadApplication():
            return "upload_application"
        case ReleaseApplication():
            return "release_application"
        case _:
            assert_never(action)
