"""Every metric: its name, what it counts, and its labels. `docs/metrics.md` is this table; nothing else is exported.

No device is a label: a hundred thousand of them would be a hundred thousand series. Every label has few values: fleets,
products, waves, checks and channels of the settings and the manifests, and words of closed sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class MetricKind(StrEnum):
    """As Prometheus has it."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One. A counter's name ends in `_total`."""

    name: str
    kind: MetricKind
    labels: tuple[str, ...]
    words: str


def _gauge(name: str, labels: tuple[str, ...], words: str) -> Metric:
    return Metric(name=name, kind=MetricKind.GAUGE, labels=labels, words=words)


def _counter(name: str, labels: tuple[str, ...], words: str) -> Metric:
    return Metric(name=name, kind=MetricKind.COUNTER, labels=labels, words=words)


def _histogram(name: str, labels: tuple[str, ...], words: str) -> Metric:
    return Metric(name=name, kind=MetricKind.HISTOGRAM, labels=labels, words=words)


FLEET_INFO: Final = _gauge(
    "pfr_fleet_info",
    ("fleet", "product", "revision", "halted", "suspended"),
    "1 for each fleet, with the revision of the manifests that it is to be as",
)
DEVICES: Final = _gauge("pfr_devices", ("fleet", "state"), "devices: current, upgrade, refused, waiting")
ROLLOUT_WAVE: Final = _gauge(
    "pfr_rollout_wave", ("fleet", "wave", "state"), "1 for the state of each wave: pending, open, soaking, complete"
)
ROLLOUT_PROGRESS: Final = _gauge(
    "pfr_rollout_progress_ratio", ("fleet",), "share of the rollout's devices that are as desired, 0 to 1"
)
DRIFT_DEVICES: Final = _gauge(
    "pfr_drift_devices", ("fleet",), "devices that somebody else changed, and that are so still"
)
PLAN_AGE: Final = _gauge("pfr_plan_age_seconds", ("fleet",), "since the fleet was last looked at and planned")
INTENT_AGE: Final = _gauge("pfr_intent_age_seconds", (), "since the revision that is desired was taken")
SOURCE_AGE: Final = _gauge("pfr_source_age_seconds", (), "since the source was last seen well")
TROUBLE: Final = _gauge("pfr_trouble", ("what",), "1 while something that the controller needs has failed")
READY: Final = _gauge("pfr_ready", ("check",), "1 if this check of readiness is well, 0 if not")
API_REQUESTS: Final = _counter("pfr_api_requests_total", ("class", "status"), "requests to the cloud, and its answers")
RATE_LIMIT_WAIT: Final = _counter("pfr_api_rate_limit_wait_seconds_total", (), "time spent waiting for our own limit")
RECONCILE_DURATION: Final = _histogram("pfr_reconcile_duration_seconds", ("product",), "how long a pass took")
RECONCILES: Final = _counter("pfr_reconcile_total", ("product", "result"), "passes: ok, error")
STEPS: Final = _counter(
    "pfr_steps_total", ("kind", "result", "failure"), "steps that ended: verified, failed with its class, withdrawn"
)
STEP_DURATION: Final = _histogram(
    "pfr_step_duration_seconds", ("kind", "result"), "from the intention of a step to its end"
)
PRODUCT_ACTIONS: Final = _counter("pfr_product_actions_total", ("kind", "result"), "actions on products that ended")
INTENTS: Final = _counter("pfr_intents_total", ("result",), "revisions: taken, refused")
CHANGES: Final = _counter("pfr_console_changes_total", ("kind",), "changes by others that contradict the manifests")
NOTIFICATIONS: Final = _counter("pfr_notifications_total", ("channel", "result"), "tries to tell people: ok, error")
NOTIFICATIONS_WAITING: Final = _gauge("pfr_notifications_waiting", ("channel",), "messages that are to be delivered")

METRICS: Final = (
    FLEET_INFO,
    DEVICES,
    ROLLOUT_WAVE,
    ROLLOUT_PROGRESS,
    DRIFT_DEVICES,
    PLAN_AGE,
    INTENT_AGE,
    SOURCE_AGE,
    TROUBLE,
    READY,
    API_REQUESTS,
    RATE_LIMIT_WAIT,
    RECONCILE_DURATION,
    RECONCILES,
    STEPS,
    STEP_DURATION,
    PRODUCT_ACTIONS,
    INTENTS,
    CHANGES,
    NOTIFICATIONS,
    NOTIFICATIONS_WAITING,
)


def metrics_page() -> str:
    """`docs/metrics.md`."""
    rows = "".join(
        f"| `{each.name}` | {each.kind} | {', '.join(f'`{label}`' for label in each.labels)} | {each.words} |\n"
        for each in METRICS
    )
    return (
        "# Metrics\n\n"
        "What a running controller exports for Prometheus, written by `make metrics` from "
        "`reconciler/telemetry/metric_names.py`.\nNo device is a label, and what is gone loses its series. "
        "[deploy/prometheus/alerts.yaml](../deploy/prometheus/alerts.yaml) has rules to begin\nwith.\n\n"
        "A Kubernetes operator has the same for all of its namespaces: a `fleet` is `namespace/name`, a `check` of a\n"
        "tenant `namespace/check`, and a `what` in trouble says of which namespace. Its chart brings the alerts as a\n"
        "PrometheusRule and the dashboard as a ConfigMap (`metrics.prometheusRule`, `metrics.dashboard`).\n\n"
        "| Metric | Kind | Labels | What |\n|---|---|---|---|\n" + rows
    )
