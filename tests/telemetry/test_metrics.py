"""What Prometheus reads: real text, read back by its own parser; and that the page and the alerts agree with it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from reconciler.model.action import ReleaseApplication
from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.console import ChangeKind, ConsoleChange
from reconciler.model.device import DeviceId
from reconciler.model.event import AttemptMoved, ConsoleChanged, IntentTaken, PassEnded, ProductAttemptMoved
from reconciler.model.instant import Instant
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.step import LockApplication
from reconciler.model.summary import Summary
from reconciler.model.version import ApplicationVersion
from reconciler.telemetry.courier import Delivery
from reconciler.telemetry.figures import Figures, FleetFigures
from reconciler.telemetry.metric_names import METRICS, MetricKind, metrics_page
from reconciler.telemetry.metrics import Metrics
from tests.telemetry.world_of_news import an_intent, refused

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
EU = FleetFigures(
    name="eu",
    product="cold-chain",
    revision="main@sha1:1",
    summary=Summary(current=700, upgrade=250, refused=6, waiting=44),
    drift_devices=3,
    progress=0.7,
    waves={"canary": "complete", "rest": "open"},
    planned_at=Instant(990),
)
US = FleetFigures(name="us", product=None, revision="main@sha1:1", summary=Summary(), halted=True)
ALL = Figures(
    at=Instant(1000),
    fleets=(EU, US),
    checks={"journal": True, "source": False},
    troubles=frozenset({"the source"}),
    intent_at=Instant(400),
    seen_at=Instant(900),
    requests={("read", "200"): 12, ("write", "429"): 1},
    rate_limit_wait_seconds=4.5,
)


class Known:
    """What the controller knows, which a test changes."""

    def __init__(self, figures: Figures = ALL) -> None:
        self.figures = figures

    def __call__(self) -> Figures:
        return self.figures


Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(metrics: Metrics) -> Samples:
    body, content_type = metrics.answer()
    assert content_type.startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((name, tuple(sorted(labels.items()))))


def an_attempt(number: int = 1) -> Attempt:
    return Attempt(
        id=f"a{number}",
        device_id=DeviceId(f"e00fce68{number:016x}"),
        fleet="eu",
        plan_id="p",
        step=LockApplication(application=ApplicationVersion(44)),
        state=AttemptState.INTENDED,
        intended_at=Instant(100),
        handshake_before=None,
    )


def live(metrics: Metrics, number: int = 1) -> None:
    for attempt in (
        an_attempt(number),
        an_attempt(number).sent(Instant(101)),
        an_attempt(number).sent(Instant(101)).verified(Evidence.EFFECT, Instant(140)),
    ):
        metrics.tell(AttemptMoved(at=Instant(140), attempt=attempt))


def everything_told(metrics: Metrics) -> None:
    live(metrics)
    failed = an_attempt(2).failed(FailureClass.REFUSED, "no", Instant(110))
    metrics.tell(AttemptMoved(at=Instant(110), attempt=failed))
    for code in (None, None, "PFR3001"):
        metrics.tell(PassEnded(at=Instant(1), product="cold-chain", seconds=2.0, devices=9, started_steps=1, code=code))
    metrics.tell(PassEnded(at=Instant(1), product=None, seconds=2.0, devices=9, started_steps=1))
    metrics.tell(IntentTaken(at=Instant(1), intent=an_intent()))
    metrics.tell(refused())
    change = ConsoleChange(
        device_id=DeviceId("d1"),
        fleet="eu",
        intent="i",
        kind=ChangeKind.LOCK,
        before=None,
        after="1",
        not_before=Instant(1),
        seen_at=Instant(2),
        concerns_git=True,
    )
    metrics.tell(ConsoleChanged(at=Instant(2), change=change))
    released = ProductAttempt(
        id="p1",
        product="cold-chain",
        fleet="eu",
        plan_id="p",
        action=ReleaseApplication(product="cold-chain", application=ApplicationVersion(44), groups=("eu",)),
        state=AttemptState.VERIFIED,
        intended_at=Instant(300),
    )
    metrics.tell(ProductAttemptMoved(at=Instant(2), attempt=released))
    metrics.delivered(Delivery(channel="ops", ok=False, why="no", left=2))


def test_steps_and_passes_are_counted_and_timed() -> None:
    metrics = Metrics(Known())
    everything_told(metrics)
    assert value(metrics, "pfr_steps_total", kind="lock_application", result="verified", failure="") == 1
    assert value(metrics, "pfr_steps_total", kind="lock_application", result="failed", failure="refused") == 1
    assert value(metrics, "pfr_step_duration_seconds_sum", kind="lock_application", result="verified") == 40
    assert value(metrics, "pfr_reconcile_total", product="cold-chain", result="ok") == 2
    assert value(metrics, "pfr_reconcile_total", product="cold-chain", result="error") == 1
    assert value(metrics, "pfr_reconcile_duration_seconds_count", product="own devices") == 1
    assert value(metrics, "pfr_notifications_total", channel="ops", result="error") == 1
    assert value(metrics, "pfr_notifications_waiting", channel="ops") == 2
    assert value(metrics, "pfr_product_actions_total", kind="release_application", result="verified") == 1


def test_gauges_are_as_the_controller_knows_it_now() -> None:
    known = Known()
    metrics = Metrics(known)
    assert value(metrics, "pfr_devices", fleet="eu", state="waiting") == 44
    assert value(metrics, "pfr_rollout_wave", fleet="eu", wave="rest", state="open") == 1
    assert value(metrics, "pfr_plan_age_seconds", fleet="eu") == 10
    assert value(metrics, "pfr_plan_age_seconds", fleet="us") is None
    assert value(metrics, "pfr_intent_age_seconds") == 600
    assert value(metrics, "pfr_ready", check="source") == 0
    assert value(metrics, "pfr_trouble", what="the source") == 1
    assert value(metrics, "pfr_api_requests_total", **{"class": "write", "status": "429"}) == 1
    assert value(metrics, "pfr_api_rate_limit_wait_seconds_total") == 4.5
    info = {"fleet": "us", "product": "own devices", "revision": "main@sha1:1", "halted": "true", "suspended": "false"}
    assert value(metrics, "pfr_fleet_info", **info) == 1
    known.figures = Figures(at=Instant(2000), fleets=(EU,))
    assert value(metrics, "pfr_plan_age_seconds", fleet="eu") == 1010
    assert value(metrics, "pfr_trouble", what="the source") is None


def test_a_fleet_that_is_gone_loses_its_series() -> None:
    known = Known()
    metrics = Metrics(known)
    everything_told(metrics)
    known.figures = Figures(at=Instant(2000), fleets=(US,))
    left = [labels for _, labels in samples(metrics) if {"eu", "cold-chain"} & {text for _, text in labels}]
    assert left == []
    metrics.tell(PassEnded(at=Instant(1), product="cold-chain", seconds=2.0, devices=9, started_steps=1))
    known.figures = ALL
    assert value(metrics, "pfr_reconcile_total", product="cold-chain", result="ok") == 1


def test_series_do_not_grow_with_devices() -> None:
    metrics = Metrics(Known())
    live(metrics, 1)
    before = len(samples(metrics))
    for number in range(2, 500):
        live(metrics, number)
    assert len(samples(metrics)) == before
    assert "e00fce68" not in metrics.answer()[0].decode()


def test_words_of_strangers_in_labels_break_nothing() -> None:
    odd = FleetFigures(name='e"u\n\\\x1b{}', product="p" * 500, revision="r", summary=Summary(current=1))
    metrics = Metrics(Known(Figures(at=Instant(1), fleets=(odd,))))
    found = [dict(labels) for name, labels in samples(metrics) if name == "pfr_fleet_info"]
    assert len(found) == 1
    assert "\n" not in found[0]["fleet"]
    assert len(found[0]["product"]) == 128


def test_who_reads_while_others_count_reads_something_whole() -> None:
    known = Known()
    metrics = Metrics(known)
    errors: list[BaseException] = []

    def count() -> None:
        try:
            for number in range(300):
                everything_told(metrics)
                known.figures = ALL if number % 2 else Figures(at=Instant(1), fleets=(US,))
        except BaseException as error:  # noqa: BLE001  # told below
            errors.append(error)

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        samples(metrics)
    for thread in threads:
        thread.join()
    assert errors == []


def test_everything_that_is_exported_is_in_the_table_and_the_other_way_round() -> None:
    metrics = Metrics(Known())
    everything_told(metrics)
    body = metrics.answer()[0].decode()
    exported = dict(re.findall(r"^# TYPE (\S+) (\S+)$", body, re.MULTILINE))
    assert exported == {each.name: each.kind.value for each in METRICS}
    labels: dict[str, set[str]] = {}
    for name, found in samples(metrics):
        stem = re.sub(r"_(bucket|sum|count)$", "", name)
        labels.setdefault(stem, set()).update({label for label, _ in found} - {"le"})
    assert labels == {each.name: set(each.labels) for each in METRICS}
    assert all(each.name.endswith("_total") == (each.kind is MetricKind.COUNTER) for each in METRICS)


def test_openmetrics_is_answered_to_who_asks_for_it() -> None:
    body, content_type = Metrics(Known()).answer("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.rstrip().endswith(b"# EOF")


def test_the_page_is_written_from_the_table() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == metrics_page(), "run: make metrics"


def test_every_alert_is_about_metrics_and_labels_that_there_are() -> None:
    known = {each.name: set(each.labels) for each in METRICS}
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 5
    for rule in rules:
        names = re.findall(r"\bpfr_\w+", rule["expr"])
        assert names
        assert set(names) <= known.keys(), rule["alert"]
        used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        used |= set(re.findall(r"[{,]\s*(\w+)\s*!?=", rule["expr"])) | set(re.findall(r"by \((\w+)\)", rule["expr"]))
        assert used <= set.union(*(known[name] for name in names)), rule["alert"]


def test_promtool_takes_the_alerts() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        reason = "promtool is not installed (package prometheus): its own check of the alerts was left out"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    done = subprocess.run([promtool, "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
