"""The laws of the bench, read from its log alone. An empty answer is a clean record.

- B1: no module becomes older, and no application falls (upgrade-only).
- B2: nothing is erased or written outside of the places of modules that go by DFU.
- B3: no module is left incomplete: neither by a restart that the host asked for, nor at the end. What a power cut left
  incomplete may be restarted, to be mended.
- B4: nothing happens to a device that is nobody's business here.
- B5: a restart that the host asked for does not lead to unmet needs where there were none before, unless that is
  allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final

from reconciler.emulator.bench.records import BenchEntry, BenchMoment
from reconciler.emulator.evidence import Violation
from reconciler.model.platform import platform_by_id

_FLASHED: Final = (BenchMoment.ERASED, BenchMoment.WRITTEN, BenchMoment.INSTALLED)
_SETTLED: Final = (BenchMoment.RESTARTED, BenchMoment.INSTALLED, BenchMoment.PLUGGED)
_OPEN_TO_DFU: Final = {
    "stm32f2xx": ((0x08020000, 0x080C0000),),
    "nrf52840": ((0x00001000, 0x000F4000),),
    "rtl872x": ((0x08060000, 0x081E0000), (0x08480000, 0x08600000)),
}
"""Facts 3.2 and 7.4, by a reading of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRules:
    """What a person allows. `desired`: the devices that may be touched; None: all of them. `ended`: work is over."""

    desired: frozenset[str] | None = None
    unmet_allowed: bool = False
    ended: bool = True


def judge_bench(entries: Iterable[BenchEntry], rules: BenchRules) -> tuple[Violation, ...]:
    """Every violation, by device and then in the order in which it happened."""
    by_device = attrgetter("device")
    found: list[Violation] = []
    for _, story in groupby(sorted(entries, key=by_device), by_device):
        found += _judge(sorted(story, key=attrgetter("ordinal")), rules)
    return tuple(found)


def _judge(story: Sequence[BenchEntry], rules: BenchRules) -> Iterator[Violation]:
    yield from _falls(story)
    yield from _forbidden(story)
    yield from _incomplete(story, rules)
    if rules.desired is not None and story[0].device not in rules.desired:
        for entry in story:
            if entry.moment in _FLASHED:
                yield _violation("B4", entry, f"{entry.moment} on a device that is in no fleet")
    if not rules.unmet_allowed:
        yield from _unmet(story)


def _falls(story: Sequence[BenchEntry]) -> Iterator[Violation]:
    highest = dict(story[0].versions)
    application = story[0].application
    for entry in story:
        for slot, version in entry.versions.items():
            if version < highest.get(slot, 0):
                yield _violation("B1", entry, f"{slot} fell from {highest[slot]} to {version}")
            highest[slot] = version
        if entry.application is not None:
            if application is not None and entry.application[0] == application[0] and entry.application < application:
                yield _violation("B1", entry, f"the application fell from {application[1]} to {entry.application[1]}")
            application = entry.application


def _forbidden(story: Sequence[BenchEntry]) -> Iterator[Violation]:
    for entry in story:
        if entry.moment not in (BenchMoment.ERASED, BenchMoment.WRITTEN):
            continue
        platform = platform_by_id(entry.platform_id)
        ranges = _OPEN_TO_DFU.get(platform.mcu, ()) if platform else ()
        if entry.chip != "internal" or not any(low <= entry.start < entry.end <= high for low, high in ranges):
            yield _violation("B2", entry, f"{entry.chip} {entry.start:#x} to {entry.end:#x} was {entry.moment}")


def _incomplete(story: Sequence[BenchEntry], rules: BenchRules) -> Iterator[Violation]:
    already = set(story[0].broken)
    touched = any(entry.moment in _FLASHED for entry in story)
    for entry in story:
        if entry.moment in _SETTLED and not entry.by_host:
            already = set(entry.broken)  # what a power cut left: a restart into DFU mode may be the way to mend it
        broken = [str(slot) for slot in entry.broken if slot not in already]
        if entry.moment is BenchMoment.RESTARTED and entry.by_host and broken:
            yield _violation("B3", entry, f"it was restarted with {', '.join(broken)} incomplete")
    last = story[-1]
    if rules.ended and touched and last.broken:
        yield _violation("B3", last, f"{', '.join(map(str, last.broken))} incomplete at the end")


def _unmet(story: Sequence[BenchEntry]) -> Iterator[Violation]:
    unmet = story[0].unmet
    for entry in story:
        if entry.moment not in _SETTLED:
            continue
        if entry.moment is BenchMoment.RESTARTED and entry.by_host and entry.unmet and not unmet:
            yield _violation("B5", entry, f"it was restarted although {', '.join(entry.unmet)}")
        if entry.moment is not BenchMoment.INSTALLED:
            unmet = entry.unmet


def _violation(law: str, entry: BenchEntry, detail: str) -> Violation:
    return Violation(law=law, device=entry.device, at=entry.at, detail=detail)
