"""Rollouts and windows, of fleets and of policies that fleets share."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from functools import cache
from typing import Final

from reconciler.manifests.document import Document, Node
from reconciler.manifests.problem import ProblemCode, did_you_mean
from reconciler.manifests.quantity import minute_of, seconds_of, share_of
from reconciler.manifests.scope import Scope, section, text_of
from reconciler.model.fleet import AllowWindow, DenyWindow, RolloutPolicy, Share, Wave, WaveSize

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEK_SECONDS: Final = 7 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A rollout with its windows."""

    rollout: RolloutPolicy
    allow: tuple[AllowWindow, ...]
    deny: tuple[DenyWindow, ...]


def policy_of(scope: Scope, document: Document, spec: Node) -> Policy:
    """The rollout and windows that stand in a spec, with defaults for what does not."""
    allow: list[AllowWindow] = []
    deny: list[DenyWindow] = []
    for window in section(spec, "windows").items:
        if "allow" in window.members:
            allow.extend(_allow(scope, document, window.members["allow"]))
        elif "deny" in window.members:
            deny.extend(_deny(scope, document, window.members["deny"]))
    rollout = _rollout(scope, document, section(spec, "rollout"))
    return Policy(rollout=rollout, allow=tuple(allow), deny=tuple(deny))


def _rollout(scope: Scope, document: Document, node: Node) -> RolloutPolicy:
    default = RolloutPolicy()
    deadline = node.members.get("stepDeadline")
    if deadline is not None and seconds_of(str(deadline.value)) <= 0:
        scope.report(document, deadline, ProblemCode.OUT_OF_RANGE, "a step needs a deadline above 0")
    return RolloutPolicy(
        waves=_waves(scope, document, section(node, "waves")),
        concurrent_max=_share(node, "maxConcurrent") or default.concurrent_max,
        failures_max=_share(node, "maxFailures") or default.failures_max,
        step_deadline_seconds=seconds_of(str(deadline.value)) if deadline else default.step_deadline_seconds,
    )


def _share(node: Node, key: str) -> Share | None:
    member = node.members.get(key)
    return None if member is None or not isinstance(member.value, int | str) else share_of(member.value)


def _waves(scope: Scope, document: Document, node: Node) -> tuple[Wave, ...]:
    waves = []
    named: dict[str, Node] = {}
    for position, item in enumerate(node.items):
        name, size = item.members.get("name"), item.members.get("size")
        devices = scope.devices(document, item.members.get("devices")) or frozenset()
        if name is not None and str(name.value) in named:
            message = f"the wave {name.value!r} is there twice; first at line {named[str(name.value)].line}"
            scope.report(document, name, ProblemCode.WAVE, message)
        elif name is not None:
            named[str(name.value)] = name
        if size is not None and size.value == WaveSize.REMAINING and position != len(node.items) - 1:
            message = "a wave of the remaining devices is the last one, and there is only one"
            scope.report(document, size, ProblemCode.WAVE, message, "give this wave a number or a percentage")
        if size is not None and isinstance(size.value, str) and size.value.strip("0.") == "%":
            scope.report(document, size, ProblemCode.WAVE, "a wave of 0% takes no device")
        soak = text_of(item, "soak")
        waves.append(
            Wave(
                name=text_of(item, "name") or "",
                size=_wave_size(size),
                soak_seconds=seconds_of(soak) if soak else 0.0,
                failures_max=_share(item, "maxFailures"),
                approval_required=text_of(item, "approval") == "required",
                devices=devices,
            )
        )
    return tuple(waves)


def _wave_size(size: Node | None) -> Share | WaveSize:
    if size is None or not isinstance(size.value, int | str):
        return WaveSize.LISTED
    return WaveSize.REMAINING if size.value == WaveSize.REMAINING else share_of(size.value)


def _allow(scope: Scope, document: Document, node: Node) -> tuple[AllowWindow, ...]:
    start, duration, zone = (node.members.get(key) for key in ("start", "duration", "timeZone"))
    days = scope.names(document, node.members.get("days"))
    seconds = seconds_of(str(duration.value)) if duration else 0.0
    if duration is not None and not 0 < seconds <= _WEEK_SECONDS:
        scope.report(document, duration, ProblemCode.WINDOW, "a window is open for more than 0 and at most 7 days")
    if zone is not None and zone.value not in _zones():
        suggestion = did_you_mean(str(zone.value), _zones()) or "an IANA zone such as Europe/Berlin"
        scope.report(document, zone, ProblemCode.WINDOW, f"{zone.value!r} is not a time zone", suggestion)
    if start is None or duration is None:
        return ()
    return (
        AllowWindow(
            days=tuple(_DAYS.index(day) for day in _DAYS if days is None or day in days),
            start_minute=minute_of(str(start.value)),
            duration_seconds=seconds,
            time_zone="UTC" if zone is None else str(zone.value),
        ),
    )


def _deny(scope: Scope, document: Document, node: Node) -> tuple[DenyWindow, ...]:
    begins = scope.instant(document, node.members.get("from"))
    ends = scope.instant(document, node.members.get("until"))
    if begins is None or ends is None:
        return ()
    if ends <= begins:
        scope.report(document, node.members["until"], ProblemCode.WINDOW, "the freeze ends before it begins")
    return (DenyWindow(from_instant=begins, until_instant=ends, reason=text_of(node, "reason") or ""),)


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
