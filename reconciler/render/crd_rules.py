"""What a schema of Kubernetes cannot say of a manifest, as CEL rules for the API server.

The rules:
- A rule says what `manifests.compile` says, for the same documents: `tests/kube/test_rules.py` breaks every one of them
  against a real API server and against `validate`.
- Two things are refused in a cluster alone: a roster and a binary as a file, because a resource has no file beside it.
- What needs other resources, the tables of releases or those of time zones is no rule; the operator says it in the
  status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A CEL expression that is true of a sound value (`self`), and what a person is told of any other."""

    rule: str
    message: str


def _moment(text: str) -> str:
    """A point in time as the manifests write it, as CEL's timestamp; a date is its beginning in UTC."""
    day, seconds = f"{text} + 'T00:00:00Z'", f"{text}.replace(' ', 'T')"
    minutes = f"{text}.substring(0, 16).replace(' ', 'T') + ':00' + {text}.substring(16)"
    return f"timestamp({text}.size() == 10 ? {day} : {text}.matches('^.{{16}}:') ? {seconds} : {minutes})"


def _seconds(text: str) -> str:
    """A duration such as 1h30m or 3d, in seconds: CEL's own reads no days and weeks."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    found = "{text}.findAll('[0-9]+{unit}').map(n, int(n.replace('{unit}', ''))).sum() * {seconds}"
    return " + ".join(found.format(text=text, unit=unit, seconds=seconds) for unit, seconds in units.items())


def _above_zero(field: str, message: str) -> Rule:
    return Rule(rule=f"!has(self.{field}) || self.{field}.matches('[1-9]')", message=message)


def _no_file(field: str, message: str) -> Rule:
    return Rule(rule=f"!has(self.{field})", message=message)


def _last_alone(items: str, is_one: str, last: str) -> str:
    """At most one item is such a one, and it is the last of the list."""
    found = f"{items}.filter(x, {is_one}).size()"
    return f"{found} == 0 || ({found} == 1 && {last})"


_NO_ROSTER: Final = _no_file(
    "roster",
    "a roster is a file beside a manifest in Git, and a resource has none: write the devices, or have the operator read"
    " the manifests from Git",
)
_ONCE_OPEN: Final = "(has(x.{0}) && has(x.{0}.timeZone) && x.{0}.timeZone == 'device')"
_BY_DEVICE: Final = f"self.exists(x, {_ONCE_OPEN.format('allow')} || {_ONCE_OPEN.format('deny')})"
_HAS_ZONES: Final = "self.exists(x, has(x.zones))"
_OF_ALL: Final = "!has({0}.groups) && !has({0}.devices)"
_LAST_WAVE: Final = "self.waves[self.waves.size() - 1]"
_ONE_OF_SELF: Final = "self[self.size() - 1]"

RULES: Final[Mapping[str, tuple[Rule, ...]]] = MappingProxyType(
    {
        "DeviceFleet.spec": (
            Rule(
                rule="!has(self.rolloutPolicyRef) || (!has(self.rollout) && !has(self.windows))",
                message="rollout or windows stand beside rolloutPolicyRef; a fleet has one or the other",
            ),
        ),
        "DeviceOverride.spec": (
            Rule(rule="self.mode != 'pin' || has(self.desired)", message="mode: pin needs desired"),
            Rule(rule="self.mode == 'pin' || !has(self.desired)", message="desired goes with `mode: pin` only"),
        ),
        "PlanApproval.spec": (
            Rule(
                rule=f"!has(self.expires) || {_moment('self.expires')} > {_moment('self.at')}",
                message="the approval expires before it is given",
            ),
        ),
        "allowWindow": (
            Rule(
                rule=f"self.duration.matches('[1-9]') && {_seconds('self.duration')} <= {7 * 86400}",
                message="a window is open for more than 0 and at most 7 days",
            ),
        ),
        "binary": (
            _no_file(
                "file",
                "a file lies beside a manifest in Git, and a resource has none: write a url, or `source: product`",
            ),
        ),
        "denyWindow": (
            Rule(
                rule="!has(self.timeZone) || self.timeZone != 'device' || "
                "(self.from.size() == 10 && self.until.size() == 10)",
                message="a freeze by each device's own zone begins and ends with a day",
            ),
            Rule(
                rule="(has(self.timeZone) && (self.from.size() == 10) != (self.until.size() == 10)) || "
                f"{_moment('self.until')} > {_moment('self.from')}",
                message="the freeze ends before it begins",
            ),
        ),
        "desired": (
            Rule(
                rule="!has(self.deviceOS) || !self.deviceOS.contains('-') || "
                "(has(self.allowPrerelease) && self.allowPrerelease)",
                message="deviceOS is a prerelease: add `allowPrerelease: true` beside it",
            ),
        ),
        "excludeSelector": (_NO_ROSTER,),
        "expectedEvent": (_above_zero("within", "within is above 0"),),
        "healthCheck": (
            _above_zero("interval", "interval is above 0"),
            Rule(
                rule=f"!has(self.timeout) || (self.timeout.matches('[1-9]') && {_seconds('self.timeout')} <= 60)",
                message="an answer may take more than 0 and at most 60s",
            ),
            Rule(
                rule="!has(self.webhook) || self.webhook.matches('^https://[^/?#:]') || "
                r"self.webhook.matches('^http://(localhost|127[.]0[.]0[.]1|\\[::1\\])(:[0-9]+)?([/?#]|$)')",
                message="a webhook is an https address; http only goes to this machine itself",
            ),
        ),
        "instant": (
            Rule(rule=f"{_moment('self')} >= timestamp('0001-01-01T00:00:00Z')", message="there is no such moment"),
        ),
        "resetLoop": (_above_zero("within", "within is above 0"),),
        "rollout": (
            _above_zero("stepDeadline", "a step needs a deadline above 0"),
            Rule(
                rule="!has(self.offlineDeadline) || (self.offlineDeadline.matches('[1-9]') && "
                f"{_seconds('self.offlineDeadline')} <= {365 * 86400})",
                message="an offline device may hold its wave for more than 0 and at most 365 days",
            ),
            Rule(
                rule="!has(self.waves) || "
                + _last_alone(
                    "self.waves",
                    "has(x.size) && x.size == 'remaining'",
                    f"has({_LAST_WAVE}.size) && {_LAST_WAVE}.size == 'remaining'",
                ),
                message="a wave of the remaining devices is the last one, and there is only one",
            ),
        ),
        "select": (_NO_ROSTER,),
        "vitalsBound": (
            Rule(
                rule="!has(self.min) || !has(self.max) || double(self.min) <= double(self.max)",
                message="min is above max: no value is between them",
            ),
        ),
        "wave": (
            Rule(
                rule="!has(self.size) || !string(self.size).matches('^[0.]+%$')",
                message="a wave of 0% takes no device",
            ),
            Rule(
                rule="!has(self.select) || !has(self.size) || self.size != 'remaining'",
                message="a wave of the remaining devices takes them all, and cannot select some",
            ),
        ),
        "waveSelector": (_NO_ROSTER,),
        "windows": (
            Rule(rule=f"!{_BY_DEVICE} || {_HAS_ZONES}", message="timeZone: device needs the zones of the devices"),
            Rule(
                rule=f"!{_HAS_ZONES} || {_BY_DEVICE}",
                message="zones of devices are given, and no window goes by them: write timeZone: device in a window",
            ),
            Rule(
                rule="self.filter(x, has(x.zones)).size() <= 1",
                message="zones are given twice; write all of them in one list",
            ),
        ),
        "window.zones": (
            Rule(
                rule=_last_alone("self", _OF_ALL.format("x"), _OF_ALL.format(_ONE_OF_SELF)),
                message="an entry without groups and devices takes all devices: make it the last entry",
            ),
        ),
    }
)
"""A definition or field of the schemas, or a kind's spec -> what its values must keep."""
