"""An application that exists as a file alone: uploaded, brought to every device, then released, by the command line.

The fleet is small; what matters is what happens to the product around it, and when.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.emulator.cloud import Cloud
from reconciler.emulator.message import Answer
from reconciler.emulator.records import RequestRecord
from reconciler.firmware.builder import build_application
from reconciler.journal.sqlite import SqliteJournal
from reconciler.model.attempt import AttemptState, FailureClass
from reconciler.model.version import ApplicationVersion
from reconciler.particle.connect import connect_api
from reconciler.particle.token import AccessToken
from tests.fleet_samples import platform
from tests.simulation.mortal import OF_PRODUCTS, POINTS
from tests.simulation.stage import MORTAL, TOKEN, Stage, set_stage

DEVICES = """
  - {count: 3, product: cold-chain, platform: boron, deviceOS: "6.3.4", application: 1, groups: [all]}
  - {count: 1, product: cold-chain, platform: boron, deviceOS: "5.5.0", application: 1, groups: [all]}
"""
APPLICATION = build_application(platform("boron"), system_version=6305, product=(12301, 3), size=20_000)
OTHER = build_application(platform("boron"), system_version=6305, product=(12301, 3), size=24_000)

MANIFESTS = """\
apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata: {{name: cold-chain}}
spec:
  product: cold-chain
  select: {select}
  desired: {{deviceOS: "6.3.4", application: {{release: logger, version: 3}}}}
  delivery: {delivery}
  rollout: {{maxConcurrent: "100%", maxFailures: "100%", stepDeadline: 15m}}
---
apiVersion: fleet.reconciler.dev/v1alpha1
kind: ApplicationRelease
metadata: {{name: logger}}
spec:
  product: cold-chain
  versions:
    - version: 3
      binaries: [{{platform: boron, file: logger.bin, sha256: {sha256}}}]
"""


def write_manifests(stage: Stage, *, select: str = "{groups: [all]}", delivery: str = "{via: cloud}") -> None:
    sha256 = hashlib.sha256(APPLICATION).hexdigest()
    stage.write_manifests({"fleet.yaml": MANIFESTS.format(select=select, delivery=delivery, sha256=sha256)})
    (stage.folder / "manifests" / "logger.bin").write_bytes(APPLICATION)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with set_stage(tmp_path, devices=DEVICES, products=(), speed=600.0) as stage:
        write_manifests(stage)
        yield stage


def of_product(stage: Stage) -> list[RequestRecord]:
    """The requests that change the product as a whole."""
    return [request for request in stage.writes() if "/firmware" in request.path]


def released(stage: Stage) -> tuple[dict[str, int], int | None]:
    with stage.emulator.locked() as cloud:
        product = next(product for product in cloud.state.products.values() if product.slug == "cold-chain")
        groups = {group: release.version for group, release in product.releases.items()}
        return groups, None if product.default is None else product.default.version


def put_into_product(stage: Stage, binary: bytes) -> int:
    """Somebody uploads version 3 in the console; how many requests have changed something since the beginning."""
    api = connect_api(stage.url, AccessToken(TOKEN))
    api.upload_product_firmware("cold-chain", ApplicationVersion(3), title="3", binary=binary)
    api.wire.close()
    return len(stage.writes())


def applications(stage: Stage) -> set[int | None]:
    return {application for _, application, _ in stage.end_state().values()}


def assert_done(stage: Stage) -> None:
    assert applications(stage) == {3}
    assert released(stage) == ({"all": 3}, None)
    with SqliteJournal(stage.journal, create=False) as kept:
        assert kept.open_product_attempts() == ()
    planned = stage.run("plan", "--detailed-exitcode")
    assert planned.code == 0, planned.out
    stage.assert_nothing_wrong()


def test_it_is_uploaded_before_the_devices_and_released_after_them(stage: Stage) -> None:
    planned = stage.run("plan")
    assert "upload application 3 for boron to product cold-chain" in planned.out
    assert "When every device of the fleet is there: release application 3 of product cold-chain to group all" in (
        " ".join(planned.out.split())
    )

    assert stage.run("apply").code == 0

    writes = stage.writes()
    assert [writes.index(request) for request in of_product(stage)] == [
        min(place for place, write in enumerate(writes) if write.method == "POST"),
        len(writes) - 1,
    ]
    assert [request.status for request in of_product(stage)] == [201, 200]
    assert_done(stage)
    before = len(stage.writes())
    assert stage.run("apply").code == 0
    assert len(stage.writes()) == before
    assert "upload application 3" in stage.history()


def test_a_saved_plan_does_what_it_says_and_no_more(stage: Stage) -> None:
    write_manifests(stage, delivery="{release: never}")
    assert stage.run("plan", "--out", "locks.json").code == 0
    assert stage.run("apply", manifests="locks.json").code == 0
    assert (applications(stage), released(stage)) == ({3}, ({}, None))

    write_manifests(stage)
    document = json.loads(stage.run("plan", "--output", "json", "--out", "release.json").out)
    assert document["fleets"][0]["conclusion"]["groups"] == ["all"]
    assert stage.run("apply", manifests="locks.json").code == 0
    assert released(stage) == ({}, None)
    assert stage.run("apply", manifests="release.json").code == 0
    assert_done(stage)


def test_a_fleet_that_is_its_whole_product_is_released_as_the_default(stage: Stage) -> None:
    write_manifests(stage, select="{platforms: [boron]}")
    assert stage.run("apply").code == 0
    assert released(stage) == ({}, 3)
    assert stage.run("plan", "--detailed-exitcode").code == 0
    stage.assert_nothing_wrong()


def test_nobody_outside_the_fleet_is_moved(stage: Stage) -> None:
    left_out = min(stage.end_state())
    stage.write_manifests(
        {
            "override.yaml": "apiVersion: fleet.reconciler.dev/v1alpha1\nkind: DeviceOverride\n"
            f"metadata: {{name: lent}}\nspec: {{devices: [{left_out}], mode: exclude, reason: lent, author: ops, "
            'expires: "2030-01-01T00:00:00Z"}\n'
        }
    )
    applied = stage.run("apply")
    assert applied.code == 0, applied.err
    assert "1 device outside the fleet would be moved by a release to group all" in " ".join(applied.out.split())
    assert (applications(stage), released(stage)) == ({1, 3}, ({}, None))
    assert stage.run("plan", "--detailed-exitcode").code == 0
    stage.assert_nothing_wrong()


def test_what_somebody_else_uploaded_under_the_number_is_never_locked_to_nor_overwritten(stage: Stage) -> None:
    before = put_into_product(stage, OTHER)
    applied = stage.run("apply")
    assert applied.code == 0, applied.err
    assert "PFR2020" in applied.out
    assert len(stage.writes()) == before


def test_what_somebody_else_uploaded_with_the_same_bytes_is_not_uploaded_again(stage: Stage) -> None:
    put_into_product(stage, APPLICATION)
    assert stage.run("apply").code == 0
    assert [request.method for request in of_product(stage)] == ["POST", "PUT"]
    assert_done(stage)


def spoil(
    monkeypatch: pytest.MonkeyPatch, times: int, is_meant: Callable[[Any], bool], name: str, answer: Callable[..., Any]
) -> None:
    """Let the pretend cloud go wrong at some requests, before (`_without_effect`) or after they take effect."""
    original, left = getattr(Cloud, name), [times]

    def spoilt(cloud: Any, call: Any, *rest: Any) -> Any:
        if is_meant(call.request) and left[0]:
            left[0] -= 1
            return answer(cloud, *rest)
        return original(cloud, call, *rest)

    monkeypatch.setattr(Cloud, name, spoilt)


def is_upload(request: Any) -> bool:
    return bool(request.method == "POST" and request.path.endswith("/firmware"))


def is_release(request: Any) -> bool:
    return bool(request.path.endswith("/firmware/release"))


@pytest.mark.parametrize("is_meant", [is_upload, is_release])
@pytest.mark.parametrize("name", ["_without_effect", "_after_effect"], ids=["lost request", "lost answer"])
def test_a_request_that_may_have_arrived_is_not_repeated_before_a_look(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, is_meant: Callable[[Any], bool], name: str
) -> None:
    spoil(monkeypatch, 1, is_meant, name, lambda cloud, *rest: (cloud._lost(), "lost"))
    assert stage.run("apply").code == 0
    sent = [request for request in stage.requests() if is_meant(request)]
    assert len(sent) == (2 if name == "_without_effect" else 1)
    looks = [request for request in stage.requests() if request.method == "GET" and request.path.endswith("/firmware")]
    assert all(any(a.at < look.at < b.at for look in looks) for a, b in itertools.pairwise(sent))
    assert_done(stage)


def test_bytes_that_are_not_ours_when_read_back_halt_the_fleet(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_read_back(request: Any) -> bool:
        return bool(request.path.endswith("/firmware/3/binary"))

    spoil(monkeypatch, 9, is_read_back, "_after_effect", lambda *_: (Answer(status=200, body=OTHER), "other bytes"))
    applied = stage.run("apply")
    assert applied.code == 3, applied.err
    assert "other bytes" in applied.err
    assert 3 not in applications(stage)
    with SqliteJournal(stage.journal, create=False) as kept:
        assert "other bytes" in kept.halts()[0].reason
        assert kept.product_attempts()[0].failure is FailureClass.INTEGRITY


CHAINS = (
    ("action-written 1", "upload-left 1", "action-settled 1", "release-left 1"),
    ("action-answered 1", "action-settled 1", "action-answered 1", "action-settled 1"),
    ("action-written 2", "action-written 1"),
)
"""Where `apply` dies, run after run: a point of `mortal.py`, and at the how manieth time that it is reached."""


@pytest.mark.parametrize("chain", CHAINS, ids=["requests", "answers", "intents"])
def test_killed_around_every_request_it_ends_as_if_nothing_had_been(stage: Stage, chain: tuple[str, ...]) -> None:
    for point in chain:
        killed = stage.run("apply", runner=(str(MORTAL), *point.split()))
        assert killed.code == -signal.SIGKILL, (point, killed.out, killed.err)
    assert stage.apply_until_rest().code == 0
    assert_done(stage)
    assert [request.status for request in of_product(stage) if is_upload(request)].count(201) == 1
    with SqliteJournal(stage.journal, create=False) as kept:
        states = {attempt.state for attempt in kept.product_attempts()}
    assert states <= {AttemptState.VERIFIED, AttemptState.FAILED}


def test_every_point_of_a_product_is_in_a_chain() -> None:
    points = {name for name in POINTS if name.startswith(OF_PRODUCTS)}
    assert {point.split()[0] for chain in CHAINS for point in chain} == points
