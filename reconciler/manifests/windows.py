"""Windows: openings, freezes, and in which time zones devices are."""

from __future__ import annotations

import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final

from reconciler.manifests.document import Document, Node
from reconciler.manifests.problem import ProblemCode, did_you_mean
from reconciler.manifests.quantity import date_of, minute_of
from reconciler.manifests.scope import Scope, text_of
from reconciler.model.duration import seconds_of
from reconciler.model.fleet import AllowWindow, DenyDays, DenyWindow, Selector, ZoneRule
from reconciler.model.instant import Instant, first_moment

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEK_SECONDS: Final = 7 * 86400
_OWN_ZONE: Final = "device"
"""In place of a zone: that of each device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """What `windows` says: when something may start, when not, and the zones of devices."""

    allow: tuple[AllowWindow, ...]
    deny: tuple[DenyWindow | DenyDays, ...]
    zones: tuple[ZoneRule, ...]


def windows_of(scope: Scope, document: Document, node: Node) -> Windows:
    """Compile `windows`; what is spoilt (and reported) is left out."""
    allow: list[AllowWindow] = []
    deny: list[DenyWindow | DenyDays] = []
    zones: list[Node] = []
    by_device: list[Node] = []
    for window in node.items:
        body = next(iter(window.members.values()), window)
        zone = body.members.get("timeZone")
        if zone is not None and zone.value == _OWN_ZONE:
            by_device.append(zone)
        if "allow" in window.members:
            allow.extend(_allow(scope, document, body))
        elif "deny" in window.members:
            deny.extend(_deny(scope, document, body))
        elif "zones" in window.members:
            zones.append(body)
    _report_unmatched(scope, document, zones, by_device)
    return Windows(allow=tuple(allow), deny=tuple(deny), zones=_zone_rules(scope, document, zones[0]) if zones else ())


def _report_unmatched(scope: Scope, document: Document, zones: Sequence[Node], by_device: Sequence[Node]) -> None:
    if by_device and not zones:
        message = "timeZone: device needs the zones of the devices"
        suggestion = "add to windows: - zones: [{groups: [eu], timeZone: Europe/Berlin}]"
        scope.report(document, by_device[0], ProblemCode.WINDOW, message, suggestion)
    if zones and not by_device:
        message = "zones of devices are given, and no window goes by them"
        scope.report(document, zones[0], ProblemCode.WINDOW, message, "write timeZone: device in a window")
    for again in zones[1:]:
        message = f"zones are given twice; first at line {zones[0].line}"
        scope.report(document, again, ProblemCode.WINDOW, message, "write all of them in one list")


def _allow(scope: Scope, document: Document, node: Node) -> tuple[AllowWindow, ...]:
    start, duration, zone = (node.members.get(key) for key in ("start", "duration", "timeZone"))
    days = scope.names(document, node.members.get("days"))
    seconds = seconds_of(str(duration.value)) if duration else 0.0
    if duration is not None and not 0 < seconds <= _WEEK_SECONDS:
        scope.report(document, duration, ProblemCode.WINDOW, "a window is open for more than 0 and at most 7 days")
    is_own = zone is not None and zone.value == _OWN_ZONE
    name = None if is_own else _zone(scope, document, zone)
    if start is None or duration is None:
        return ()
    return (
        AllowWindow(
            days=tuple(_DAYS.index(day) for day in _DAYS if days is None or day in days),
            start_minute=minute_of(str(start.value)),
            duration_seconds=seconds,
            time_zone=name,
        ),
    )


def _deny(scope: Scope, document: Document, node: Node) -> tuple[DenyWindow | DenyDays, ...]:
    begins, ends, zone = (node.members.get(key) for key in ("from", "until", "timeZone"))
    reason = text_of(node, "reason") or ""
    if begins is None or ends is None:
        return ()
    window: DenyWindow | DenyDays
    if zone is not None and zone.value == _OWN_ZONE:
        found = _days(scope, document, begins, ends)
        if found is None:
            return ()
        window, is_empty = DenyDays(from_day=found[0], until_day=found[1], reason=reason), found[1] <= found[0]
    else:
        name = _zone(scope, document, zone)
        from_, until = _moment(scope, document, begins, name), _moment(scope, document, ends, name)
        if from_ is None or until is None:
            return ()
        window, is_empty = DenyWindow(from_instant=from_, until_instant=until, reason=reason), until <= from_
    if is_empty:
        scope.report(document, ends, ProblemCode.WINDOW, "the freeze ends before it begins")
    return (window,)


def _moment(scope: Scope, document: Document, node: Node, zone: str) -> Instant | None:
    """A point in time; a date is the beginning of that day in the zone. None: there is none (reported)."""
    try:
        day = date_of(str(node.value))
        return scope.instant(document, node) if day is None else first_moment(day, zoneinfo.ZoneInfo(zone))
    except ValueError:
        scope.report(document, node, ProblemCode.TIME, f"there is no such moment: {node.value}")
        return None


def _days(scope: Scope, document: Document, begins: Node, ends: Node) -> tuple[date, date] | None:
    """Both ends as dates; None: one is none (reported)."""
    found = []
    for node in (begins, ends):
        try:
            day = date_of(str(node.value))
        except ValueError:
            scope.report(document, node, ProblemCode.TIME, f"there is no such day: {node.value}")
            continue
        if day is None:
            message = "a freeze by each device's own zone begins and ends with a day"
            scope.report(document, node, ProblemCode.WINDOW, message, f"write {str(node.value)[:10]}, or name a zone")
            continue
        found.append(day)
    return (found[0], found[1]) if len(found) == 2 else None  # noqa: PLR2004  # begin and end


def _zone(scope: Scope, document: Document, node: Node | None) -> str:
    """The zone that stands there; UTC without one, or with one that is not known (reported)."""
    if node is None:
        return "UTC"
    name = str(node.value)
    if name in _zones():
        return name
    suggestion = did_you_mean(name, _zones()) or "an IANA zone such as Europe/Berlin"
    scope.report(document, node, ProblemCode.WINDOW, f"{name!r} is not a time zone", suggestion)
    return "UTC"


def _zone_rules(scope: Scope, document: Document, node: Node) -> tuple[ZoneRule, ...]:
    rules = []
    for position, item in enumerate(node.items):
        groups = scope.names(document, item.members.get("groups"))
        devices = scope.devices(document, item.members.get("devices"))
        if groups is None and devices is None and position != len(node.items) - 1:
            message = "an entry without groups and devices takes all devices, so that no later one counts"
            scope.report(document, item, ProblemCode.WINDOW, message, "make it the last entry")
        zone = _zone(scope, document, item.members.get("timeZone"))
        rules.append(ZoneRule(select=Selector(groups=groups, devices=devices), time_zone=zone))
    return tuple(rules)


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
