"""The small world of `small_model.py`, explored completely: no law is broken in any state, and each one bites.

What is explored is printed (`pytest -s`), and so is the shortest way to each broken law.
"""

from __future__ import annotations

import pytest

from reconciler.model.attempt import MOVES, OPEN_STATES, AttemptState
from tests.laws.exploration import Explored, explore
from tests.laws.real_attempts import Shown, judged, moved
from tests.laws.small_model import Budget, Rules, State

CALM = Budget(crashes=0, lost_answers=0, stale_looks=0, bad_transfers=0, refusals=0, halts=0)
WORLDS = {
    "a crash, a lost answer, a stale look and a halt": Budget(
        crashes=1, lost_answers=1, stale_looks=1, bad_transfers=0, refusals=0, halts=1
    ),
    "devices that fail, until the fleet halts by itself": CALM._replace(bad_transfers=2),
    "a refusal and a bad transfer": CALM._replace(refusals=1, bad_transfers=1),
}
STATES_MIN = 10_000

MISTAKES = {
    "a send before its intent is durable": (Rules(journal_before_send=False), CALM, "S6"),
    "a crash after a send that nobody wrote down": (
        Rules(journal_before_send=False),
        CALM._replace(crashes=1),
        "S5",
    ),
    "no fencing": (Rules(fencing=False), CALM, "S11"),
    "a resend without a look": (Rules(look_before_resend=False), CALM._replace(lost_answers=1), "S7"),
    "a resend while the first transfer goes on": (
        Rules(look_before_resend=False),
        CALM._replace(lost_answers=1),
        "S5",
    ),
    "a send by the list alone": (Rules(look_before_send=False), CALM._replace(stale_looks=1), "S11"),
    "slots that are counted first and taken afterwards": (
        Rules(slot_in_transaction=False, fencing=False),
        CALM,
        "S12",
    ),
    "a halt that is answered before it is durable": (Rules(halt_before_answer=False), CALM._replace(halts=1), "S14"),
    "a halt that is looked for at the beginning of a pass alone": (
        Rules(halt_in_transaction=False),
        CALM._replace(halts=1),
        "S14",
    ),
    "failures that are counted by each run alone": (
        Rules(failures_from_journal=False),
        CALM._replace(bad_transfers=2),
        "S15",
    ),
    "a process that sleeps between intent and send for longer than a deadline": (
        Rules(no_long_sleep=False),
        CALM._replace(bad_transfers=1),
        "S5",
    ),
}
"""What somebody could get wrong, what else must happen for it to matter, and the law that it breaks."""


def told(name: str, found: Explored) -> None:
    """For who runs it with `-s`, and in the report of a failure."""
    print(f"\n{name}: {found.told()}")  # noqa: T201  # the counts and the counterexamples are what one wants to see


@pytest.mark.parametrize("name", WORLDS)
def test_no_law_is_broken_in_any_state_and_each_has_a_way_to_rest(name: str) -> None:
    found = explore(Rules(), beginning=State(left=WORLDS[name]))
    told(name, found)
    assert (found.broken, found.stuck) == ((), ()), found.told()
    assert found.states >= STATES_MIN


@pytest.mark.parametrize("name", MISTAKES)
def test_every_law_bites(name: str) -> None:
    rules, left, law = MISTAKES[name]
    found = explore(rules, beginning=State(left=left), law=law)
    told(name, found)
    assert found.broken, f"nobody noticed {name}: {found.told()}"
    assert found.trace


def test_slots_in_the_transaction_hold_even_without_fencing() -> None:
    found = explore(Rules(fencing=False), beginning=State(left=CALM), law="S12 more intents")
    told("slots without fencing", found)
    assert not found.broken, found.told()


def test_the_model_moves_attempts_by_the_real_table() -> None:
    """Every move that the model can make is one of `MOVES`, and every move to another open state is in the model."""
    verbs = ("accepted", "refused", "lost", "given up unseen", "disowned")
    made = {
        (state, after[0])
        for state in OPEN_STATES
        for verb in verbs
        if not (verb == "disowned" and state is AttemptState.UNKNOWN)
        if (after := moved(state, verb)) is not None
    }
    assert all(after in MOVES[before] for before, after in made)
    to_open = {(before, after) for before in OPEN_STATES for after in MOVES[before] & OPEN_STATES}
    assert to_open <= made


def test_the_model_asks_the_real_judge() -> None:
    """An open attempt that left has an end that can be reached, and one that was never sent has none by a look."""
    ends = {
        state: {judged(state, shown, overdue)[0] for shown in Shown for overdue in (False, True)} - {state}
        for state in OPEN_STATES
    }
    assert ends[AttemptState.SENT] == ends[AttemptState.UNKNOWN] == {AttemptState.VERIFIED, AttemptState.FAILED}
    assert ends[AttemptState.INTENDED] == set()
