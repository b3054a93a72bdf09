"""What resources say becomes words in the journal: once each, and durable before it counts as heard."""

from __future__ import annotations

from reconciler.cli.catalog_file import read_catalog
from reconciler.journal.memory import MemoryJournal
from reconciler.kube.resource import APPROVAL
from reconciler.kube.words import APPROVE, HALT, RECONCILE, RESUME, Words, reconcile_token
from reconciler.model.instant import Instant
from tests.kube.resource_samples import resource

FLEET = "team-a/eu"


def words(journal: MemoryJournal | None = None) -> Words:
    return Words(journal or MemoryJournal(), read_catalog(None), lambda: Instant(1_000.0))


def halts(hearing: Words) -> list[str]:
    return [halt.reason for halt in hearing.journal.halts()]


def test_a_halt_is_heard_once_and_taken_back_with_its_annotation() -> None:
    hearing, halted = words(), resource(annotations={HALT: "smoke"})
    assert hearing.hear_fleet(halted)
    assert not hearing.hear_fleet(halted)
    assert halts(hearing) == ["smoke"]
    assert hearing.hear_fleet(resource(annotations={}))
    assert halts(hearing) == []


def test_a_resource_that_says_nothing_new_is_not_looked_up_again() -> None:
    journal = MemoryJournal()
    looks: list[str] = []
    bookmark = journal.bookmark
    journal.bookmark = lambda name: (looks.append(name), bookmark(name))[1]  # type: ignore[method-assign]  # counted
    hearing, approval = words(journal), resource("yes", kind=APPROVAL, planId="plan-x")
    for version, reason in enumerate(("smoke", "smoke", "smoke", "fire", "fire")):
        hearing.hear_fleet(resource(annotations={HALT: reason}, version=version))
    assert len(looks) == 2
    for _ in range(3):
        hearing.hear_approval(approval)
    assert len(looks) == 5, "what could not be done is tried again"
    hearing.forget_all_but([])
    assert hearing.misheard == {}


def test_the_next_process_does_not_hear_the_same_word_again() -> None:
    hearing = words()
    hearing.hear_fleet(resource(annotations={HALT: "smoke"}))
    hearing.hear_fleet(resource(annotations={HALT: "smoke", RESUME: "now"}))
    later = words(hearing.journal)  # type: ignore[arg-type]  # a journal of the same process
    assert not later.hear_fleet(resource(annotations={HALT: "smoke", RESUME: "now"}))
    assert halts(later) == []


def test_taking_a_halt_out_lifts_no_halt_of_somebody_else() -> None:
    hearing = words()
    hearing.journal.halt(FLEET, "too much failed", Instant(1.0), by=None)
    hearing.hear_fleet(resource(annotations={HALT: "smoke"}))
    hearing.hear_fleet(resource(annotations={}))
    assert halts(hearing) == ["too much failed"]
    hearing.hear_fleet(resource(annotations={RESUME: "now"}))
    assert halts(hearing) == []


def test_a_fleet_that_says_nothing_leaves_no_trace() -> None:
    hearing = words()
    assert not hearing.hear_fleet(resource(annotations={HALT: "false"}))
    assert hearing.journal.bookmarks("") == {}


def test_a_fleet_made_anew_under_the_same_name_says_its_words_anew() -> None:
    hearing = words()
    hearing.hear_fleet(resource(annotations={HALT: "smoke"}, uid="first"))
    hearing.hear_fleet(resource(annotations={HALT: "smoke", RESUME: "1"}, uid="first"))
    assert hearing.hear_fleet(resource(annotations={HALT: "smoke"}, uid="second"))
    assert halts(hearing) == ["smoke"]


def test_an_approval_of_a_plan_that_nobody_knows_is_tried_again_and_says_why_not() -> None:
    hearing = words()
    approval = resource("yes", kind=APPROVAL, planId="plan-x", digest="sha256:0", by="ann")
    assert not hearing.hear_approval(approval)
    assert not hearing.hear_fleet(resource(annotations={APPROVE: "plan-x"}))
    assert {error.code for error in hearing.misheard.values()} == {"PFR6721"}
    assert len(hearing.misheard) == 2
    assert list(hearing.journal.entries()) == []


def test_of_two_wishes_for_a_look_the_later_one_counts() -> None:
    both = {RECONCILE[0]: "2026-11-22T20:00:00Z", RECONCILE[1]: "2026-11-22T21:00:00Z"}
    assert reconcile_token(resource(annotations=both)) == "2026-11-22T21:00:00Z"
    assert reconcile_token(resource()) == ""
