"""A plan that waits for an approval: people are told once, and the commit shows it for as long as it is so."""

from __future__ import annotations

import pytest

from reconciler.journal.journal import Journal
from reconciler.journal.memory import MemoryJournal
from reconciler.model.event import IntentTaken, RolloutMoved
from reconciler.model.instant import Instant
from reconciler.model.summary import Summary
from reconciler.settings.settings import ChannelKind, ChannelSettings
from reconciler.telemetry.channel import CommitState
from reconciler.telemetry.commit_courier import Counted
from reconciler.telemetry.news import Severity
from tests.telemetry.world_of_news import (
    Clock,
    Remembering,
    RememberingForge,
    an_intent,
    approved,
    offered,
    settings,
    telling,
    until_quiet,
)

FORGE = ChannelSettings(name="forge", kind=ChannelKind.GITHUB, repository="o/n")


@pytest.fixture
def journal() -> Journal:
    return MemoryJournal()


def test_a_plan_that_waits_is_told_once_whatever_is_restarted(journal: Journal) -> None:
    channel, clock = Remembering(), Clock()
    for _ in range(3):
        told = telling(journal, (settings(), channel), clock=clock)
        told.tell(offered())
        until_quiet(told, clock)
    (message,) = channel.taken
    assert (message.reason, message.severity, message.fleet) == ("PlanOffered", Severity.INFO, "eu")
    assert message.message == "eu: 6 devices wait for an approval: reconciler approve plan-1"


def test_another_plan_is_told_and_so_is_one_that_waits_again(journal: Journal) -> None:
    channel, clock = Remembering(), Clock()
    told = telling(journal, (settings(), channel), clock=clock)
    for event in (offered(), offered(plan_id="plan-2"), RolloutMoved(at=Instant(30), entry=approved()), offered()):
        told.tell(event)
        until_quiet(told, clock)
    assert [each.message.rpartition(" ")[2] for each in channel.taken] == ["plan-1", "plan-2", "plan-1"]


def test_the_commit_shows_who_is_waited_for_until_it_is_approved(journal: Journal) -> None:
    forge, clock = RememberingForge(), Clock()
    told = telling(journal, (FORGE, forge), clock=clock)
    journal.keep_intent(an_intent())
    rolling = Counted(at=Instant(20), summary=Summary(current=1, upgrade=9))
    told._counted = {"eu": rolling, "us": rolling}
    until_quiet(told, clock)
    told.tell(offered())
    until_quiet(told, clock)
    told.tell(RolloutMoved(at=Instant(30), entry=approved()))
    until_quiet(told, clock)
    assert [(each.state, each.description) for each in forge.shown] == [
        (CommitState.PENDING, "2 of 20 devices are as desired"),
        (CommitState.PENDING, "eu: an approval is waited for"),
        (CommitState.PENDING, "2 of 20 devices are as desired"),
    ]


def test_a_fleet_that_is_gone_waits_for_nobody(journal: Journal) -> None:
    forge, clock = RememberingForge(), Clock()
    told = telling(journal, (FORGE, forge), clock=clock)
    intent = an_intent(fleets=("us",))
    journal.keep_intent(intent)
    told.tell(offered())
    until_quiet(told, clock)
    told.tell(IntentTaken(at=intent.at, intent=intent))
    until_quiet(told, clock)
    assert forge.shown[-1].description == "the fleets are being looked at"
