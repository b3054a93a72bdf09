"""What tests of telling people begin with: channels that remember, events, and a clock that only tests move."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from reconciler.journal.journal import Journal
from reconciler.model.device import DeviceId
from reconciler.model.event import DeviceSetAside, IntentRefused, PlanOffered, Recovered, Troubled
from reconciler.model.instant import Instant
from reconciler.model.revision import Revision, TakenIntent
from reconciler.model.rollout_entry import Approved, Halted
from reconciler.settings.settings import ChannelKind, ChannelSettings
from reconciler.telemetry.channel import CommitStatus, DeliveryError
from reconciler.telemetry.courier import Delivery
from reconciler.telemetry.news import News
from reconciler.telemetry.notifications import Telling
from reconciler.telemetry.pace import Pace

COMMIT = "1f" * 20


class Killed(BaseException):
    """The process dies here."""


@dataclass
class Remembering:
    """A channel that takes what comes, unless it is down; or dies before or after it took a message."""

    taken: list[News] = field(default_factory=list)
    down: DeliveryError | Exception | None = None
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None

    def deliver(self, news: News, *, timeout_seconds: float) -> None:
        self.before()
        if self.down is not None:
            raise self.down
        self.taken.append(news)
        self.after()

    @property
    def reasons(self) -> list[str]:
        return [each.reason for each in self.taken]


@dataclass
class RememberingForge:
    shown: list[CommitStatus] = field(default_factory=list)
    down: DeliveryError | None = None

    def post(self, status: CommitStatus, *, timeout_seconds: float) -> None:
        if self.down is not None:
            raise self.down
        self.shown.append(status)


@dataclass
class Clock:
    at: float = 1_000_000.0

    def __call__(self) -> float:
        return self.at


def settings(name: str = "ops", *, fleets: Iterable[str] = (), only_bad: bool = False) -> ChannelSettings:
    return ChannelSettings(
        name=name, kind=ChannelKind.SLACK, url="https://chat.example", fleets=tuple(fleets), only_bad=only_bad
    )


def telling(
    journal: Journal,
    *channels: tuple[ChannelSettings, Remembering | RememberingForge],
    clock: Clock,
    pace: Pace | None = None,
    report: Callable[[Delivery], None] = lambda _: None,
) -> Telling:
    return Telling(journal, list(channels), now=clock, pace=pace, report=report)


def until_quiet(told: Telling, clock: Clock, seconds: float = 400.0) -> None:
    """Let time pass, turn by turn, until nothing is to be expected any more."""
    end = clock.at + seconds
    while clock.at < end:
        clock.at += max(told.turn(), 0.5)


def halted(fleet: str = "eu", at: float = 1.0, reason: str = "3 of 3 failed") -> Halted:
    return Halted(fleet=fleet, at=Instant(at), reason=reason)


def troubled(what: str = "the source", code: str = "PFR6505", at: float = 1.0) -> Troubled:
    return Troubled(at=Instant(at), what=what, code=code, message="it cannot be reached")


def recovered(what: str = "the source", at: float = 2.0) -> Recovered:
    return Recovered(at=Instant(at), what=what)


def offered(fleet: str = "eu", plan_id: str = "plan-1", at: float = 20.0) -> PlanOffered:
    return PlanOffered(at=Instant(at), fleet=fleet, plan_id=plan_id, digest="sha256:1", devices=6)


def approved(fleet: str = "eu", plan_id: str = "plan-1", at: float = 30.0) -> Approved:
    return Approved(
        fleet=fleet, at=Instant(at), plan_id=plan_id, digest="sha256:1", wave=None, by="ada", source="command"
    )


def set_aside(device: str, fleet: str = "eu", message: str = "no answer", at: float = 1.0) -> DeviceSetAside:
    return DeviceSetAside(at=Instant(at), fleet=fleet, device_id=DeviceId(device), reason="boot", message=message)


def an_intent(commit: str = COMMIT, fleets: tuple[str, ...] = ("eu", "us"), at: float = 10.0) -> TakenIntent:
    return TakenIntent(revision=a_revision(commit), digest="sha256:1", fleets=fleets, at=Instant(at))


def a_revision(commit: str = COMMIT) -> Revision:
    return Revision(source="https://git.example/fleets", name="main", commit=f"sha1:{commit}", committed_at=Instant(5))


def refused(commit: str = COMMIT, code: str = "PFR1001", at: float = 5.0) -> IntentRefused:
    return IntentRefused(at=Instant(at), revision=a_revision(commit), code=code, message="broken", next_step="mend it")
