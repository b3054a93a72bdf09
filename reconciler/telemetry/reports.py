"""What the journal has that is new, as news for people: grouped, so that a wave of devices is one message. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from reconciler.model.console import ConsoleChange, Latch
from reconciler.model.device import DeviceId
from reconciler.model.event import IntentTaken
from reconciler.model.instant import Instant
from reconciler.model.revision import TakenIntent
from reconciler.model.rollout_entry import (
    Approved,
    DeviceUnwell,
    Halted,
    Resumed,
    Retried,
    RolloutBegan,
    RolloutCompleted,
    RolloutEntry,
    RolloutSuperseded,
    Suspended,
    WaveCompleted,
    WaveGrew,
    WaveSoaking,
    WaveStarted,
)
from reconciler.render.console_text import change_with_undoing
from reconciler.render.event_text import event_line
from reconciler.render.ink import counted, device_sample, harmless
from reconciler.render.rollout_words import entry_in_words
from reconciler.render.step_words import time_in_words
from reconciler.telemetry.matters import OFFERED, Matter
from reconciler.telemetry.news import MESSAGE_MAX, News, Severity, bounded

UNHURRIED: Final = frozenset({"DevicesSetAside", "DevicesUnwell", "DevicesChanged", "DevicesHeld", "Recovered"})
"""What comes device by device over hours, and the end of trouble that may come back: gathered for longer."""

BELIEF: Final = " # "
"""Between a matter's key and what it is about, in `News.opens`."""

_WHY_MAX: Final = 5
"""Different reasons that one message spells out."""

_WELL: Final = {"IntentRefused": "are taken again", "ProductActionFailed": "has been done"}
"""How a matter ended, behind what it is about."""

_QUIET: Final = (WaveGrew, WaveSoaking, Retried)
"""Entries that are in the history and tell nobody anything to do."""

_REASONS: Final[dict[type[RolloutEntry], str]] = {
    RolloutBegan: "RolloutBegan",
    WaveStarted: "WaveStarted",
    WaveCompleted: "WaveCompleted",
    RolloutCompleted: "RolloutCompleted",
    RolloutSuperseded: "RolloutSuperseded",
    Halted: "RolloutHalted",
    Resumed: "RolloutResumed",
    Suspended: "FleetSuspended",
    Approved: "PlanApproved",
}


def news_of_entries(entries: Sequence[RolloutEntry]) -> list[News]:
    """One for each turn of a rollout and each word of a person, in order; one for all unwell devices of a fleet."""
    found = [_of_entry(entry) for entry in entries if not isinstance(entry, (*_QUIET, DeviceUnwell))]
    unwell: dict[str, list[tuple[DeviceId, str]]] = defaultdict(list)
    at: dict[str, Instant] = {}
    for entry in entries:
        if isinstance(entry, DeviceUnwell):
            unwell[entry.fleet].append((entry.device_id, f"{entry.check}: {entry.why}"))
            at[entry.fleet] = entry.at
    return found + [_of_devices(fleet, "DevicesUnwell", "unwell", ones, at[fleet]) for fleet, ones in unwell.items()]


def _of_entry(entry: RolloutEntry) -> News:
    opens, closes = None, None
    match entry:
        case Halted():
            opens = f"halt/{entry.fleet}"
        case Resumed():
            closes = f"halt/{entry.fleet}"
        case RolloutCompleted():
            closes = f"devices/{entry.fleet}"
    wave = getattr(entry, "wave", None)
    return News(
        at=entry.at,
        reason=_REASONS[type(entry)],
        message=bounded(harmless(f"{entry.fleet}: {entry_in_words(entry)}")),
        severity=Severity.ERROR if isinstance(entry, Halted) else Severity.INFO,
        fleet=entry.fleet,
        opens=opens,
        closes=closes,
        metadata={"wave": wave} if wave else {},
    )


def news_of_changes(changes: Iterable[ConsoleChange]) -> list[News]:
    """One for each fleet in which others changed what Git says."""
    of_fleets: dict[str, list[ConsoleChange]] = defaultdict(list)
    for change in changes:
        if change.concerns_git:
            of_fleets[change.fleet].append(change)
    return [
        _of_devices(
            fleet,
            "DevicesChanged",
            "changed by somebody else",
            [(each.device_id, change_with_undoing(each)) for each in of_fleet],
            of_fleet[-1].seen_at,
        )
        for fleet, of_fleet in of_fleets.items()
    ]


def news_of_latches(latches: Iterable[Latch]) -> list[News]:
    """One for each fleet with devices that are held because somebody keeps undoing what we do."""
    of_fleets: dict[str, list[Latch]] = defaultdict(list)
    for latch in latches:
        of_fleets[latch.fleet].append(latch)
    return [
        _of_devices(
            fleet,
            "DevicesHeld",
            "held until a person comes",
            [(each.device_id, each.why) for each in of_fleet],
            of_fleet[-1].at,
        )
        for fleet, of_fleet in of_fleets.items()
    ]


def news_of_intents(intents: Iterable[TakenIntent]) -> list[News]:
    """One for each."""
    return [
        News(
            at=intent.at,
            reason="IntentTaken",
            message=bounded(harmless(event_line(IntentTaken(at=intent.at, intent=intent), verbose=False))),
            severity=Severity.INFO,
            metadata={"revision": harmless(intent.revision.text)},
        )
        for intent in intents
    ]


def news_of_matters(matters: Iterable[Matter], told: int) -> list[News]:
    """What has changed of matters behind the number up to which was told; devices that are left alone by fleets."""
    found = []
    aside: dict[str, list[Matter]] = defaultdict(list)
    for matter in matters:
        if matter.number <= told:
            continue
        if matter.reason == "DevicesSetAside":
            if matter.opened > told:
                aside[matter.fleet or ""].append(matter)
        elif matter.reason == OFFERED:
            # Its end is an approval, or a commit: of both is told elsewhere.
            found += [_of_offered(matter)] if matter.ended is None and matter.opened > told else []
        elif matter.opened > told:
            found.append(_of_opened(matter))
        else:
            found.append(_of_ended(matter))
    for fleet, ones in aside.items():
        devices = [(DeviceId(each.what), each.message) for each in ones]
        found.append(_of_devices(fleet, "DevicesSetAside", "left alone", devices, ones[-1].since))
    return found


def _of_opened(matter: Matter) -> News:
    over = "" if matter.ended is None else f"\nIt is over since {time_in_words(matter.ended)}."
    return News(
        at=matter.since,
        reason=matter.reason,
        message=bounded(_lines_harmless(matter.message + over)),
        severity=Severity.ERROR,
        fleet=matter.fleet,
        opens=_belief(matter) if matter.ended is None else None,
        metadata={} if matter.revision is None else {"revision": harmless(matter.revision)},
    )


def _of_offered(matter: Matter) -> News:
    message = bounded(harmless(matter.message))
    return News(at=matter.since, reason=OFFERED, message=message, severity=Severity.INFO, fleet=matter.fleet)


def _belief(matter: Matter) -> str:
    """What people believe to be wrong who were told of it: trouble of another kind with the same is another belief."""
    return f"{matter.key}{BELIEF}{matter.about}"


def _of_ended(matter: Matter) -> News:
    return News(
        at=matter.ended or matter.since,
        reason="Recovered",
        message=bounded(harmless(f"{matter.what} {_WELL.get(matter.reason, 'is well again')}")),
        severity=Severity.INFO,
        fleet=matter.fleet,
        closes=_belief(matter),
    )


def _of_devices(fleet: str, reason: str, what: str, ones: Sequence[tuple[DeviceId, str]], at: Instant) -> News:
    """`eu: 12 devices are left alone`, and each reason with some of the devices, the most frequent first."""
    alike: dict[str, set[DeviceId]] = defaultdict(set)
    for device_id, why in ones:
        alike[why].add(device_id)
    number = len({device_id for device_id, _ in ones})
    ordered = sorted(alike.items(), key=lambda each: (-len(each[1]), each[0]))
    lines = [f"{fleet}: {counted(number, 'device')} {'is' if number == 1 else 'are'} {what}"]
    lines += [f"{_short(why)}: {device_sample(devices)}" for why, devices in ordered[:_WHY_MAX]]
    lines += [f"and for {len(ordered) - _WHY_MAX} other reasons"] if len(ordered) > _WHY_MAX else []
    return News(
        at=at,
        reason=reason,
        message=bounded("\n".join(map(harmless, lines))),
        severity=Severity.ERROR,
        fleet=fleet,
        opens=f"devices/{fleet}",
        metadata={"devices": str(number)},
    )


def _short(why: str) -> str:
    return why if len(why) <= MESSAGE_MAX // 10 else f"{why[: MESSAGE_MAX // 10]}…"


def _lines_harmless(text: str) -> str:
    return "\n".join(map(harmless, text.split("\n")))


def in_few_messages(news: Sequence[News], most: int) -> list[News]:
    """The same in about `most` messages: good news are told together, then bad ones line by line; no bad one is cut."""
    if len(news) <= most:
        return list(news)
    bad = [each for each in news if each.is_bad]
    good = [each for each in news if not each.is_bad]
    told = bad if len(bad) < most else _together(bad, "MuchIsWrong", Severity.ERROR, every=True)
    return told + _together(good, "MuchHasHappened", Severity.INFO, every=False)


def _together(news: Sequence[News], reason: str, severity: Severity, *, every: bool) -> list[News]:
    """Their first lines, in as many messages as that takes, or in one that says how many more there are."""
    pages: list[list[str]] = [[]]
    for number, each in enumerate(news):
        line = each.message.split("\n")[0][: MESSAGE_MAX // 5]
        if sum(map(len, pages[-1])) + len(pages[-1]) + len(line) > MESSAGE_MAX - 100:
            if not every:
                pages[-1].append(f"and {len(news) - number} more")
                break
            pages.append([])
        pages[-1].append(line)
    at = news[-1].at if news else Instant(0)
    return [News(at=at, reason=reason, message="\n".join(page), severity=severity) for page in pages if page]
