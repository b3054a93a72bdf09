"""What a forge shows beside a commit: one state, told when it changes."""

from __future__ import annotations

import pytest

from reconciler.journal.memory import MemoryJournal
from reconciler.model.error import BugError
from reconciler.model.event import IntentTaken
from reconciler.model.instant import Instant
from reconciler.model.rollout_entry import Resumed
from reconciler.model.summary import Summary
from reconciler.settings.settings import ChannelKind, ChannelSettings
from reconciler.telemetry.channel import CommitState, DeliveryError
from reconciler.telemetry.commit_courier import Counted, state_of
from reconciler.telemetry.notifications import Telling
from tests.telemetry.world_of_news import (
    COMMIT,
    Clock,
    RememberingForge,
    an_intent,
    halted,
    refused,
    telling,
    until_quiet,
)

THERE, ROLLING = Summary(current=10), Summary(current=4, upgrade=5, waiting=1)
FORGE = ChannelSettings(name="fleets", kind=ChannelKind.GITHUB, repository="o/n")


def counted(at: float = 20, **summaries: Summary) -> dict[str, Counted]:
    return {fleet: Counted(at=Instant(at), summary=summary) for fleet, summary in summaries.items()}


@pytest.mark.parametrize(
    ("counts", "halts", "state"),
    [
        (counted(eu=THERE, us=THERE), {}, (CommitState.SUCCESS, "all 20 devices are as desired")),
        (counted(eu=THERE, us=ROLLING), {}, (CommitState.PENDING, "14 of 20 devices are as desired")),
        (counted(eu=THERE, us=THERE), {"us": "smoke"}, (CommitState.FAILURE, "us is halted: smoke")),
        ({}, {"us": "smoke"}, (CommitState.FAILURE, "us is halted: smoke")),
        (counted(eu=THERE), {}, None),
        (counted(9, eu=THERE, us=THERE), {}, None),
        (counted(eu=THERE, us=THERE), {"lab": "smoke"}, (CommitState.SUCCESS, "all 20 devices are as desired")),
        (
            counted(eu=THERE, us=Summary(current=9, refused=1)),
            {},
            (CommitState.FAILURE, "19 of 20 devices are as desired, the others are refused"),
        ),
    ],
)
def test_the_state_follows_from_halts_and_counts(
    counts: dict[str, Counted], halts: dict[str, str], state: tuple[CommitState, str] | None
) -> None:
    assert state_of(an_intent(), (), halts, counts) == state


def test_a_channel_of_some_fleets_waits_for_these_alone() -> None:
    assert state_of(an_intent(), ("eu",), {"us": "smoke"}, counted(eu=THERE)) == (
        CommitState.SUCCESS,
        "all 10 devices are as desired",
    )


def planned(told: Telling, **summaries: Summary) -> None:
    told._counted = {**told._counted, **counted(**summaries)}


def test_a_rollout_is_shown_from_its_beginning_to_its_end_and_each_state_once() -> None:
    journal, clock, forge = MemoryJournal(), Clock(), RememberingForge()
    told = telling(journal, (FORGE, forge), clock=clock)
    until_quiet(told, clock, 30)
    assert forge.shown == []
    journal.keep_intent(an_intent())
    until_quiet(told, clock, 30)
    for summary in (ROLLING, Summary(current=9, upgrade=1), THERE, THERE):
        planned(told, eu=summary, us=THERE)
        until_quiet(told, clock, 30)
    journal.note([halted()])
    until_quiet(told, clock, 30)
    journal.note([Resumed(fleet="eu", at=Instant(30))])
    until_quiet(told, clock, 30)
    states = [CommitState.PENDING, CommitState.SUCCESS, CommitState.FAILURE, CommitState.SUCCESS]
    assert [each.state for each in forge.shown] == states
    assert {each.commit for each in forge.shown} == {COMMIT}


def test_a_restart_shows_nothing_again_and_waits_for_new_counts() -> None:
    journal, clock, forge = MemoryJournal(), Clock(), RememberingForge()
    journal.keep_intent(an_intent())
    told = telling(journal, (FORGE, forge), clock=clock)
    planned(told, eu=THERE, us=THERE)
    until_quiet(told, clock, 30)
    again = telling(journal, (FORGE, forge), clock=clock)
    until_quiet(again, clock, 30)
    planned(again, eu=THERE, us=THERE)
    until_quiet(again, clock, 30)
    assert [each.state for each in forge.shown] == [CommitState.SUCCESS]


def test_a_commit_that_is_refused_is_shown_as_failed_until_it_is_taken() -> None:
    journal, clock, forge = MemoryJournal(), Clock(), RememberingForge()
    journal.keep_intent(an_intent("aa" * 20, at=1))
    told = telling(journal, (FORGE, forge), clock=clock)
    told.tell(refused("bb" * 20))
    until_quiet(told, clock, 30)
    taken = an_intent("bb" * 20, at=10)
    journal.keep_intent(taken)
    told.tell(IntentTaken(at=Instant(10), intent=taken))
    until_quiet(told, clock, 30)
    assert [(each.commit[:2], each.state) for each in forge.shown] == [
        ("bb", CommitState.FAILURE),
        ("aa", CommitState.PENDING),
        ("bb", CommitState.PENDING),
    ]
    assert "is not taken" in forge.shown[0].description


def test_a_forge_that_is_down_is_shown_what_holds_when_it_is_back() -> None:
    journal, clock, forge = MemoryJournal(), Clock(), RememberingForge(down=DeliveryError("no"))
    journal.keep_intent(an_intent())
    told = telling(journal, (FORGE, forge), clock=clock)
    until_quiet(told, clock, 30)
    planned(told, eu=THERE, us=THERE)
    until_quiet(told, clock, 30)
    forge.down = None
    until_quiet(told, clock, 1000)
    assert [each.state for each in forge.shown] == [CommitState.SUCCESS]


def test_a_closed_journal_is_our_mistake_and_not_the_forges() -> None:
    journal, clock = MemoryJournal(), Clock()
    told = telling(journal, (FORGE, RememberingForge()), clock=clock)
    journal.close()
    with pytest.raises(BugError, match="PFR9506"):
        told.turn()
