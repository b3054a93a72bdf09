"""A controller is killed around each of its own writes: before it is durable, right after, and when more followed.

Its own are those that no rollout and no attempt knows of: the revision that it takes, the right to write, and what it
remembers under a name. What becomes of attempts and entries is in test_kill_table.py. A name that controllers write
here and that the table lacks fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import pytest

from tests.simulation.broken_twins import small
from tests.simulation.laws import broken
from tests.simulation.longplay import LongPlay
from tests.simulation.playing import Dies
from tests.simulation.test_kill_table import When
from tests.simulation.trace import Wrote
from tests.simulation.worlds import OUTSIDERS, Deed, Happening, World


@dataclass(frozen=True, slots=True)
class OwnWrite:
    """A method of the journal, how the name of its bookmark begins, and the how-manieth of its calls is meant."""

    method: str
    name: str = ""
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.method} {self.name}{self.nth}"


def at(deed: Deed, seconds: float, device: int = 1) -> Happening:
    return Happening(at=seconds, deed=deed, fleet="a", device=device)


def growing() -> World:
    """Four devices, and then seven: more than half as many again, so that a person is asked."""
    world = small(devices=7, happenings=tuple(at(Deed.JOIN, 3600.0, device=number) for number in (5, 6, 7)))
    devices = tuple(replace(each, group=each.group if each.number < 5 else OUTSIDERS) for each in world.devices)
    return replace(world, devices=devices)


def approved() -> World:
    world = small(happenings=(at(Deed.APPROVE, 3600.0),))
    return replace(world, fleets=(replace(world.fleets[0], approval_required=True),))


PUSHED = small(happenings=(at(Deed.NEW_APPLICATION, 400.0),))
FORCED = small(happenings=(at(Deed.FORCED_PUSH, 600.0), at(Deed.ACCEPT, 800.0)))
REFUSED = small(happenings=(at(Deed.FORCED_PUSH, 600.0), at(Deed.ACCEPT, 2400.0)))

TABLE: Mapping[OwnWrite, World] = {
    OwnWrite("keep_intent"): small(),
    OwnWrite("keep_intent", nth=2): PUSHED,
    OwnWrite("take_epoch"): small(),
    OwnWrite("set_bookmark", "accept/"): FORCED,
    OwnWrite("set_bookmark", "refused/"): REFUSED,
    OwnWrite("set_bookmark", "size/"): small(),
    OwnWrite("set_bookmark", "size/", nth=2): growing(),
    OwnWrite("set_bookmark", "size/", nth=3): growing(),
    OwnWrite("set_bookmark", "offer/"): approved(),
    OwnWrite("keep_plan"): approved(),
}
"""Each own write, and a world in which it comes about. The second and third size: halted for it, and resumed."""


@dataclass
class Death:
    """The first process that comes by a write dies around it."""

    write: OwnWrite
    when: When
    calls: int = 0
    met: bool = False
    done: bool = False
    points_left: int = field(default=0)

    def dies(self, _run: int) -> Dies:
        return self._at

    def _at(self, point: str, given: tuple[Any, ...]) -> bool:
        if self.done:
            return False
        if self.points_left:
            self.points_left -= 1
            self.done = not self.points_left
            return self.done
        time, _, method = point.partition(" ")
        if method != self.write.method or not str(given[0]).startswith(self.write.name):
            return False
        self.calls += time == "before"
        self.met = self.calls == self.write.nth
        if not self.met or time != ("before" if self.when is When.BEFORE else "after"):
            return False
        if self.when is When.AFTER:
            self.points_left = 2
            return False
        self.done = True
        return True


@cache
def undisturbed(world: World) -> LongPlay:
    play = LongPlay(world)
    play.play()
    return play


@pytest.mark.timeout(600)
@pytest.mark.parametrize("when", list(When), ids=lambda when: when.name.lower())
@pytest.mark.parametrize("write", TABLE, ids=str)
def test_killed_around_its_own_write_it_ends_as_if_nothing_had_been(write: OwnWrite, when: When) -> None:
    death = Death(write=write, when=when)
    trace = LongPlay(TABLE[write], dies=death.dies).play()

    assert death.met, "the world does not bring it about"
    assert death.done
    assert trace.crashes == 1
    assert broken(trace) == {}
    assert trace.end_state == undisturbed(TABLE[write]).trace.end_state


def test_whatever_controllers_remember_under_a_name_is_in_the_table() -> None:
    names = {
        str(what.given[0]).partition("/")[0] + "/"
        for world in dict.fromkeys(TABLE.values())
        for entry, what in undisturbed(world).trace.of(Wrote)
        if what.method == "set_bookmark" and entry.run >= 0
    }
    assert names == {write.name for write in TABLE if write.method == "set_bookmark"}
