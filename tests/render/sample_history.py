"""A fleet's last days: a release that goes bad in its second wave, a person who comes, and what went on beside it."""

from __future__ import annotations

from reconciler.model.action import UploadApplication
from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.console import ChangeKind, ConsoleChange, Latch
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant, instant_from_iso
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.refusal import SystemFlashRefusal
from reconciler.model.revision import RefusedRevision, Revision, TakenIntent
from reconciler.model.rollout_entry import (
    Approved,
    DeviceUnwell,
    Halted,
    Resumed,
    Retried,
    RolloutBegan,
    RolloutCompleted,
    RolloutEntry,
    RolloutSuperseded,
    Suspended,
    WaveCompleted,
    WaveGrew,
    WaveSoaking,
    WaveStarted,
)
from reconciler.model.step import LockApplication, Step
from reconciler.model.version import ApplicationVersion
from reconciler.render.history import History
from tests.fleet_samples import device_id, flash

START = instant_from_iso("2026-11-22T09:00:00Z")
HOUR = 3600.0
INTENT = "6.3.4 required logger:44"
PLAN = "plan-main-3f9c1e0b2a"
LOCK = LockApplication(application=ApplicationVersion(44))
BOOTLOADER = flash("boron", "6.3.4", "bootloader/0")


def later(hours: float, seconds: float = 0) -> Instant:
    return Instant(START + hours * HOUR + seconds)


def members(*numbers: int) -> frozenset[DeviceId]:
    return frozenset(map(device_id, numbers))


def tried(number: int, at: Instant, step: Step = LOCK, plan: str = PLAN, fleet: str = "eu") -> Attempt:
    return Attempt(
        id=f"{fleet}-{number}-{at:.0f}",
        device_id=device_id(number),
        fleet=fleet,
        plan_id=plan,
        step=step,
        state=AttemptState.INTENDED,
        intended_at=at,
        handshake_before=None,
    ).sent(Instant(at + 1))


def took(number: int, at: Instant, step: Step = LOCK, seconds: float = 90, **fields: str) -> Attempt:
    evidence = Evidence.PRESUMED if number == 3 else Evidence.EFFECT
    return tried(number, at, step, **fields).verified(evidence, Instant(at + seconds))


def failed(number: int, at: Instant, detail: str, failure: FailureClass = FailureClass.BOOT) -> Attempt:
    return tried(number, at).failed(failure, detail, Instant(at + 240))


ENTRIES: tuple[RolloutEntry, ...] = (
    RolloutBegan(fleet="eu", at=later(0), rollout_id="eu-7d21", intent="6.3.4 required -", plan_id="p-1", devices=2),
    WaveStarted(fleet="eu", at=later(0), wave="all", devices=2, members=None),
    RolloutSuperseded(fleet="eu", at=later(1), intent=INTENT),
    Approved(fleet="eu", at=later(1), plan_id=PLAN, digest="sha256:3f9c", wave=None, by="ada", source="command"),
    RolloutBegan(fleet="eu", at=later(2), rollout_id="eu-9c1e", intent=INTENT, plan_id=PLAN, devices=60),
    WaveStarted(fleet="eu", at=later(2), wave="canary", devices=3, members=members(1, 2)),
    WaveGrew(fleet="eu", at=later(2.5), wave="canary", members=members(3)),
    WaveSoaking(fleet="eu", at=later(3), wave="canary"),
    WaveCompleted(fleet="eu", at=later(4), wave="canary", verified=2, failed=0, not_reached=1),
    WaveStarted(fleet="eu", at=later(4), wave="rest", devices=57, members=None),
    DeviceUnwell(fleet="eu", at=later(4.2), device_id=device_id(5), check="resets", why="4 resets in 10 min"),
    DeviceUnwell(fleet="eu", at=later(4.3), device_id=device_id(6), check="resets", why="4 resets in 10 min"),
    Halted(fleet="eu", at=later(4.5), reason="4 of its devices failed, rollout.maxFailures allows fewer than 4"),
    Suspended(fleet="eu", at=later(5), reason="nobody is at the desk", until=later(14), by="ben"),
    Retried(fleet="eu", at=later(6), device_id=device_id(5), by="ada"),
    Retried(fleet="eu", at=later(6), device_id=device_id(6), by="ada"),
    Resumed(fleet="eu", at=later(7), by="ada"),
    WaveCompleted(fleet="eu", at=later(9), wave="rest", verified=57, failed=0, not_reached=0),
    RolloutCompleted(fleet="eu", at=later(9)),
    Halted(fleet="us", at=later(9.5), reason="hands \x1b[2Joff", by="cleo"),
    Suspended(fleet="asia", at=later(9.5), reason="trade fair", until=None, by="ben"),
)


def changed(number: int, at: Instant) -> ConsoleChange:
    return ConsoleChange(
        device_id=device_id(number),
        fleet="eu",
        intent=INTENT,
        kind=ChangeKind.LOCK,
        before="44",
        after="43",
        not_before=Instant(at - 60),
        seen_at=at,
        concerns_git=True,
    )


def revision(commit: str, signer: str | None = "ann@example.org") -> Revision:
    source = "https://git.example.org/fleet.git branch main manifests"
    return Revision(source=source, name="main", commit=f"sha1:{commit * 20}", committed_at=START, signer=signer)


def taken(commit: str, at: Instant, digest: str, by: str | None = None) -> TakenIntent:
    return TakenIntent(revision=revision(commit), digest=f"sha256:{digest}", fleets=("eu", "us"), at=at, by=by)


STORY = History(
    entries=ENTRIES,
    intents=(
        taken("1a", later(0, -60), "01"),
        taken("2b", later(0, 700), "01"),
        taken("3c", later(0, 900), "01"),
        taken("5e", later(1), "02", by="ada"),
    ),
    refused=(
        RefusedRevision(
            revision=revision("4d", signer=None),
            code="PFR6517",
            message="main@sha1:4d4d4d4d is not signed: \x1b[31mno signature",
            next_step="sign it with a key that is trusted here",
            at=later(0, 1800),
        ),
    ),
    attempts=(
        took(1, later(0, 5), BOOTLOADER, plan="p-1"),
        *(took(number, later(2, number), BOOTLOADER) for number in (1, 2)),
        *(took(number, later(2, 100 + number)) for number in (1, 2)),
        tried(4, later(4, 1)),
        *(took(number, later(4, number), seconds=300) for number in range(10, 50)),
        *(failed(number, later(4, 10 + number), "it came back in safe mode") for number in (5, 6, 7)),
        failed(8, later(4, 20), "no \x1b[31mspace", FailureClass.INSTALL),
        *(took(number, later(7, number)) for number in (5, 6, 7, 8)),
        took(1, later(8), fleet="us"),
    ),
    on_products=(
        ProductAttempt(
            id="p1",
            product="cold-chain",
            fleet="eu",
            plan_id=PLAN,
            action=UploadApplication(
                product="cold-chain", application=ApplicationVersion(44), platform="boron", sha256="a" * 64, size=12_000
            ),
            state=AttemptState.INTENDED,
            intended_at=later(2),
        )
        .sent(later(2, 1))
        .verified(later(2, 3)),
    ),
    changes=(changed(1, later(8)), changed(2, later(8.1)), changed(3, later(8.5))),
    latches=(Latch(device_id=device_id(3), fleet="eu", intent=INTENT, why="somebody undid it 3 times", at=later(9)),),
    refusals=(SystemFlashRefusal(product_id=12345, at=later(8), words="not \x07allowed"),),
)
