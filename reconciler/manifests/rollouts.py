"""Rollouts, of fleets and of policies that fleets share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.manifests.document import Document, Node
from reconciler.manifests.health import health_of
from reconciler.manifests.problem import ProblemCode
from reconciler.manifests.quantity import share_of
from reconciler.manifests.scope import Scope, section, text_of
from reconciler.manifests.selectors import selector_of
from reconciler.manifests.windows import Windows, windows_of
from reconciler.model.duration import seconds_of
from reconciler.model.fleet import RolloutPolicy, Share, Wave, WaveSize

_YEAR_SECONDS: Final = 365 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A rollout with its windows."""

    rollout: RolloutPolicy
    windows: Windows


def policy_of(scope: Scope, document: Document, spec: Node) -> Policy:
    """The rollout and windows that stand in a spec, with defaults for what does not."""
    rollout = _rollout(scope, document, section(spec, "rollout"))
    return Policy(rollout=rollout, windows=windows_of(scope, document, section(spec, "windows")))


def _rollout(scope: Scope, document: Document, node: Node) -> RolloutPolicy:
    default = RolloutPolicy()
    deadline = node.members.get("stepDeadline")
    if deadline is not None and seconds_of(str(deadline.value)) <= 0:
        scope.report(document, deadline, ProblemCode.OUT_OF_RANGE, "a step needs a deadline above 0")
    offline = node.members.get("offlineDeadline")
    if offline is not None and not 0 < seconds_of(str(offline.value)) <= _YEAR_SECONDS:
        message = "an offline device may hold its wave for more than 0 and at most 365 days"
        scope.report(document, offline, ProblemCode.OUT_OF_RANGE, message)
    sends = node.members.get("sendsPerMinute")
    return RolloutPolicy(
        waves=_waves(scope, document, section(node, "waves")),
        concurrent_max=_share(node, "maxConcurrent") or default.concurrent_max,
        failures_max=_share(node, "maxFailures") or default.failures_max,
        step_deadline_seconds=seconds_of(str(deadline.value)) if deadline else default.step_deadline_seconds,
        offline_deadline_seconds=seconds_of(str(offline.value)) if offline else default.offline_deadline_seconds,
        sends_per_minute=sends.value if sends is not None and isinstance(sends.value, int) else None,
        health=health_of(scope, document, section(node, "health")),
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
        select = item.members.get("select")
        if select is not None and size is not None and size.value == WaveSize.REMAINING:
            message = "a wave of the remaining devices takes them all, and cannot select some"
            scope.report(
                document, select, ProblemCode.WAVE, message, "leave size out, and let the last wave have the rest"
            )
        soak = text_of(item, "soak")
        waves.append(
            Wave(
                name=text_of(item, "name") or "",
                size=_wave_size(size),
                soak_seconds=seconds_of(soak) if soak else 0.0,
                failures_max=_share(item, "maxFailures"),
                approval_required=text_of(item, "approval") == "required",
                devices=devices,
                select=None if select is None else selector_of(scope, document, select),
            )
        )
    return tuple(waves)


def _wave_size(size: Node | None) -> Share | WaveSize:
    if size is None or not isinstance(size.value, int | str):
        return WaveSize.LISTED
    return WaveSize.REMAINING if size.value == WaveSize.REMAINING else share_of(size.value)
