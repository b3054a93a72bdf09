"""Several namespaces of a cluster share a journal and the people who are told, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from reconciler.journal.memory import MemoryJournal
from reconciler.model.event import IntentTaken
from reconciler.telemetry.matters import Matters
from tests.telemetry.world_of_news import (
    Clock,
    Remembering,
    a_revision,
    an_intent,
    offered,
    refused,
    settings,
    telling,
    until_quiet,
)


def test_every_namespace_of_a_cluster_has_refusals_and_offers_of_its_own() -> None:
    journal, clock, channel = MemoryJournal(), Clock(), Remembering()
    told = telling(journal, (settings(), channel), clock=clock)
    ours, theirs = (replace(a_revision(), source=f"kubernetes:{name}", name=name) for name in ("team-a", "team-b"))
    for revision in (ours, theirs):
        told.tell(replace(refused(), revision=revision))
        until_quiet(told, clock)
    told.tell(offered(fleet="team-b/eu"))
    until_quiet(told, clock)
    assert channel.reasons == ["IntentRefused", "IntentRefused", "PlanOffered"]
    taken = replace(an_intent(fleets=()), revision=ours)
    journal.keep_intent(taken)
    told.tell(IntentTaken(at=taken.at, intent=taken))
    until_quiet(told, clock)
    assert channel.reasons[3:] == ["IntentTaken", "Recovered"]
    assert "the manifests of team-a" in channel.taken[4].message
    open_now = {each.key for each in Matters(journal, number=0).all() if each.ended is None}
    assert open_now == {"refused/team-b", "offer/team-b/eu"}
