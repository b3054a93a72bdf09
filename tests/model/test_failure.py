"""The table of failures is whole, and its page shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.model.attempt import FailureClass
from reconciler.model.failure import CONSEQUENCES, Counts, Retry

PAGE = (Path(__file__).parents[2] / "docs" / "failures.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("`"): cells[2:]
    for line in PAGE.splitlines()
    if line.startswith("| `") and (cells := [cell.strip() for cell in line.strip("|").split("|")])
}


def test_every_class_of_failure_has_its_row() -> None:
    assert set(CONSEQUENCES) == set(FailureClass)


def test_the_page_has_a_row_for_every_class_and_no_other() -> None:
    assert set(ROWS) == {failure.value for failure in FailureClass}


@pytest.mark.parametrize("failure", FailureClass)
def test_the_page_says_what_the_table_says(failure: FailureClass) -> None:
    follows = CONSEQUENCES[failure]
    pause = f"{follows.first_pause_seconds:g} s" if follows.first_pause_seconds else "-"
    changed = "yes" if follows.reached_device else "no"
    assert ROWS[failure.value] == [
        follows.counts.value,
        follows.retry.value,
        str(follows.tries),
        pause,
        changed,
        follows.must_act.value,
    ]


@pytest.mark.parametrize("failure", FailureClass)
def test_what_is_never_tried_again_has_one_try(failure: FailureClass) -> None:
    follows = CONSEQUENCES[failure]
    assert (follows.tries == 1) == (follows.retry is Retry.NEVER)


@pytest.mark.parametrize("failure", FailureClass)
def test_what_may_be_repeated_without_a_look_never_reached_a_device(failure: FailureClass) -> None:
    follows = CONSEQUENCES[failure]
    assert follows.retry is not Retry.AFTER_PAUSE or not follows.reached_device


def test_wrong_bytes_halt_the_fleet() -> None:
    assert CONSEQUENCES[FailureClass.INTEGRITY].counts is Counts.HALTS_FLEET
