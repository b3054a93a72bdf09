"""The page of lives is what the code does, and the tables of moves are too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from reconciler.model.attempt import MOVES
from reconciler.model.device_life import DEVICE_MOVES, DeviceState, may_follow
from reconciler.model.rollout import ROLLOUT_MOVES, WAVE_MOVES
from tests.tidy.lives import PAGE, Arrow, attempt_arrows, page, rollout_arrows, wave_arrows


def test_the_page_is_drawn_from_the_code() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.tidy.lives"


@pytest.mark.parametrize(
    ("arrows", "table"),
    [(attempt_arrows(), MOVES), (rollout_arrows(), ROLLOUT_MOVES), (wave_arrows(), WAVE_MOVES)],
    ids=["attempt", "rollout", "wave"],
)
def test_what_the_code_allows_is_what_its_table_says(
    arrows: list[Arrow], table: Mapping[object, Iterable[object]]
) -> None:
    done = {(before, after) for before, after, _ in arrows if before != after}
    assert done == {(str(before), str(after)) for before, moves in table.items() for after in moves}


def test_every_state_of_a_device_has_its_moves() -> None:
    assert set(DEVICE_MOVES) == set(DeviceState)


@pytest.mark.parametrize("before", [DeviceState.DONE, DeviceState.UNREACHED])
def test_nothing_begins_on_a_device_that_was_not_seen_ready(before: DeviceState) -> None:
    assert not may_follow(before, DeviceState.MOVING)
