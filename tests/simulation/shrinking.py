"""A world that breaks a law, made smaller as long as it still does: what is left is what matters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from pprint import pformat

from tests.simulation.laws import broken
from tests.simulation.playing import play
from tests.simulation.trace import Trace
from tests.simulation.worlds import World

SECONDS_MAX = 40.0
"""How long a failed test looks for a smaller world. Nothing depends on it but the length of a message."""

_LISTS = ("faults", "happenings", "crashes", "fleets", "devices")


def smaller(world: World) -> Iterator[World]:
    """Worlds with less in them, those with much less first."""
    if world.clients > 1:
        yield replace(world, clients=1)
    if world.on_disk:
        yield replace(world, on_disk=False)
    for name in _LISTS:
        things = getattr(world, name)
        least = 1 if name in ("fleets", "devices") else 0
        part = max(1, len(things) // 2)
        while part:
            for begin in range(0, len(things), part):
                left = things[:begin] + things[begin + part :]
                if least <= len(left) < len(things):
                    yield replace(world, **{name: left})
            part //= 2
    if world.days > 0.1:
        yield replace(world, days=world.days / 2)


def shrunk(world: World, still_broken: Callable[[World], bool], *, seconds_max: float = SECONDS_MAX) -> World:
    """The smallest world that was found in this time in which it is still broken."""
    until = time.monotonic() + seconds_max
    while time.monotonic() < until:
        for other in smaller(world):
            if time.monotonic() >= until:
                break
            if still_broken(other):
                world = other
                break
        else:
            break
    return world


def breaks(
    law: str, folder: Path | None, plays: Callable[[World, Path | None], Trace] = play
) -> Callable[[World], bool]:
    """Whether a world breaks a law when it is played."""

    def still_broken(world: World) -> bool:
        for file in folder.glob("journal-*") if folder is not None else ():
            file.unlink()
        return law in broken(plays(world, folder), only=frozenset({law}))

    return still_broken


def size(world: World) -> int:
    """How much there is to it."""
    return sum(len(getattr(world, name)) for name in _LISTS) + world.clients


def in_words(world: World) -> str:
    """A world as Python that makes it again."""
    return pformat(world, width=120)
