"""What a rollout wants to know of its devices' health, compiled (`rollout.health`)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from reconciler.manifests.document import Document, Node
from reconciler.manifests.problem import ProblemCode
from reconciler.manifests.scope import Scope, section, text_of
from reconciler.model.duration import seconds_of
from reconciler.model.health import ExpectedEvent, HealthCheck, HealthPolicy, ResetLoop, VitalsBound

_TIMEOUT_SECONDS_MAX: Final = 60.0
"""A pass never waits for an answer, but the end of a run does."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def health_of(scope: Scope, document: Document, node: Node) -> HealthPolicy:
    """What stands in `rollout.health`, with defaults for what does not."""
    _once(scope, document, section(node, "events"), "name")
    _once(scope, document, section(node, "checks"), "name")
    return HealthPolicy(
        reset_loop=_reset_loop(scope, document, section(node, "resetLoop")),
        events=tuple(_event(scope, document, item) for item in section(node, "events").items),
        vitals=tuple(_bound(scope, document, item) for item in section(node, "vitals").items),
        checks=tuple(_check(scope, document, item) for item in section(node, "checks").items),
    )


def _reset_loop(scope: Scope, document: Document, node: Node) -> ResetLoop | None:
    default = ResetLoop()
    resets = node.members.get("resets")
    count = resets.value if resets is not None and isinstance(resets.value, int) else default.resets
    within = _seconds(scope, document, node, "within", default.within_seconds)
    return ResetLoop(resets=count, within_seconds=within) if count else None


def _event(scope: Scope, document: Document, node: Node) -> ExpectedEvent:
    every = node.members.get("every")
    return ExpectedEvent(
        name=text_of(node, "name") or "",
        within_seconds=_seconds(scope, document, node, "within", 0.0),
        every=every is not None and every.value is True,
    )


def _bound(scope: Scope, document: Document, node: Node) -> VitalsBound:
    least, most = (text_of(node, key) for key in ("min", "max"))
    bound = VitalsBound(
        path=text_of(node, "path") or "",
        min=None if least is None else float(least),
        max=None if most is None else float(most),
    )
    if bound.min is not None and bound.max is not None and bound.min > bound.max:
        scope.report(document, node.members["min"], ProblemCode.HEALTH, "min is above max: no value is between them")
    return bound


def _check(scope: Scope, document: Document, node: Node) -> HealthCheck:
    default = HealthCheck(name="")
    webhook, command, limit = (node.members.get(key) for key in ("webhook", "command", "failureLimit"))
    timeout = _seconds(scope, document, node, "timeout", default.timeout_seconds)
    if timeout > _TIMEOUT_SECONDS_MAX:
        message = f"an answer may take {_TIMEOUT_SECONDS_MAX:g}s at most"
        scope.report(document, node.members["timeout"], ProblemCode.HEALTH, message)
    if webhook is not None and not _is_safe(str(webhook.value)):
        message = "a webhook is an https address; http only goes to this machine itself"
        scope.report(document, webhook, ProblemCode.HEALTH, message, "write https://")
    return HealthCheck(
        name=text_of(node, "name") or "",
        webhook=None if webhook is None else str(webhook.value),
        command=() if command is None else tuple(str(item.value) for item in command.items),
        interval_seconds=_seconds(scope, document, node, "interval", default.interval_seconds),
        timeout_seconds=timeout,
        no_go_max=limit.value if limit is not None and isinstance(limit.value, int) else default.no_go_max,
    )


def _is_safe(address: str) -> bool:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return False
    if not parts.hostname or parts.username is not None or port == 0:
        return False
    return parts.scheme == "https" or parts.hostname in _LOOPBACK


def _seconds(scope: Scope, document: Document, node: Node, key: str, default: float) -> float:
    """A duration above 0; else it is reported."""
    member = node.members.get(key)
    seconds = default if member is None else seconds_of(str(member.value))
    if member is not None and seconds <= 0:
        scope.report(document, member, ProblemCode.OUT_OF_RANGE, f"{key} is above 0")
    return seconds


def _once(scope: Scope, document: Document, node: Node, key: str) -> None:
    """Every item of a list has another name; else it is reported."""
    first: dict[str, Node] = {}
    for item in node.items:
        name = item.members.get(key)
        if name is not None and str(name.value) in first:
            message = f"{name.value!r} is there twice; first at line {first[str(name.value)].line}"
            scope.report(document, name, ProblemCode.DUPLICATE_ENTRY, message, "keep one of them")
        elif name is not None:
            first[str(name.value)] = name
