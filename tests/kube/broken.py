"""Documents that break one rule each, and what the API server says: every rule of `render/crd_rules.py` is here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.manifests.sample import APPROVAL, FLEET, OVERRIDE, POLICY, RELEASE, REMOVED, bent

DAY = {"start": "02:00", "duration": "3h"}
LAST = {"name": "rest", "size": "remaining"}
BINARY = {"platform": "boron", "source": "product"}
ZONES = {"zones": [{"groups": ["eu"], "timeZone": "Europe/Berlin"}]}
FROM_DEVICE = {"allow": {**DAY, "timeZone": "device"}}
SOUND_RELEASE = bent(RELEASE, spec__versions=[{"version": 43, "binaries": [BINARY]}, {"version": 44}])
"""A release whose binaries are no files: a resource has no file beside it."""


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A document and what the API server tells a person of it. `in_git`: whether `validate` refuses it as well."""

    document: dict[str, Any]
    says: str
    in_git: bool = True


def waves(*items: dict[str, Any]) -> dict[str, Any]:
    return bent(FLEET, spec__rollout={"waves": list(items)})


def health(**parts: Any) -> dict[str, Any]:
    return bent(FLEET, spec__rollout={"health": parts})


def windows(*items: dict[str, Any]) -> dict[str, Any]:
    return bent(FLEET, spec__windows=list(items))


def deny(start: str, end: str, **more: str) -> dict[str, Any]:
    return windows({"deny": {"from": start, "until": end, "reason": "peak", **more}})


def check(**parts: Any) -> dict[str, Any]:
    return health(checks=[{"name": "ci", "webhook": "https://ci.example.com/go", **parts}])


def binary(**parts: Any) -> dict[str, Any]:
    return bent(RELEASE, spec__versions=[{"version": 1, "binaries": [parts]}])


BROKEN = {
    # Choices that the schemas make, with their hints as messages.
    "a selection of nothing": Broken(document=bent(FLEET, spec__select={}), says="select must choose devices"),
    "an exclusion of nothing": Broken(document=bent(FLEET, spec__select__exclude={}), says="exclude must name devices"),
    "nothing desired": Broken(document=bent(FLEET, spec__desired={}), says="desired must ask for a deviceOS"),
    "an empty policy": Broken(document=bent(POLICY, spec={}), says="a policy needs a rollout, windows, or both"),
    "two windows in one": Broken(
        document=windows({"allow": DAY, "deny": {"from": "2026-12-20", "until": "2026-12-21", "reason": "x"}}),
        says="a window is one allow, one deny, or the zones of devices",
    ),
    "an empty window": Broken(document=windows({}), says="a window is one allow, one deny, or the zones of devices"),
    "a wave of nothing": Broken(document=waves({"name": "one"}, LAST), says="a wave needs a size, or the devices"),
    "a wave that selects nothing": Broken(document=waves({"name": "one", "select": {}}, LAST), says="a wave selects"),
    "a bound without a number": Broken(
        document=health(vitals=[{"path": "device.power"}]), says="a bound needs min, max, or both"
    ),
    "a check by two ways": Broken(document=check(command=["true"]), says="a check has a webhook or a command"),
    "a binary from two places": Broken(
        document=binary(platform="boron", source="product", url="https://a.example.com/x.bin", sha256="a" * 64),
        says="a binary comes from exactly one of",
    ),
    "a url without its sum": Broken(
        document=binary(platform="boron", url="https://a.example.com/x.bin"), says="url needs sha256"
    ),
    # What the schemas cannot say.
    "a policy twice": Broken(
        document=bent(FLEET, spec__rolloutPolicyRef="careful", spec__rollout={"maxConcurrent": 1}),
        says="a fleet has one or the other",
    ),
    "a pin without desired": Broken(document=bent(OVERRIDE, spec__mode="pin"), says="mode: pin needs desired"),
    "a hold with desired": Broken(
        document=bent(OVERRIDE, spec__desired={"deviceOS": "6.3.4"}), says="desired goes with `mode: pin` only"
    ),
    "an approval that is over before it is given": Broken(
        document=bent(APPROVAL, spec__expires="2026-11-22"), says="the approval expires before it is given"
    ),
    "a window of a moment": Broken(
        document=windows({"allow": {**DAY, "duration": "0h"}}), says="a window is open for more than 0"
    ),
    "a window of nine days": Broken(
        document=windows({"allow": {**DAY, "duration": "1w2d"}}), says="a window is open for more than 0"
    ),
    "a freeze by local times": Broken(
        document=windows(
            FROM_DEVICE,
            ZONES,
            {"deny": {"from": "2026-12-20T08:00:00Z", "until": "2026-12-21", "reason": "x", "timeZone": "device"}},
        ),
        says="begins and ends with a day",
    ),
    "a freeze that ends before it begins": Broken(
        document=deny("2026-12-20", "2026-12-19"), says="the freeze ends before it begins"
    ),
    "a freeze without length by offsets": Broken(
        document=deny("2026-12-20T08:00+01:00", "2026-12-20 07:00:00Z"), says="the freeze ends before it begins"
    ),
    "a prerelease": Broken(
        document=bent(FLEET, spec__desired__deviceOS="5.5.0-rc.1"), says="add `allowPrerelease: true`"
    ),
    "a device id with a digit too few": Broken(
        document=bent(FLEET, spec__select={"devices": ["e00fce68aaaaaaaaaaaaaaa"]}), says="should match"
    ),
    "an event within no time": Broken(
        document=health(events=[{"name": "up", "within": "0s"}]), says="within is above 0"
    ),
    "a reset loop within no time": Broken(document=health(resetLoop={"within": "0m"}), says="within is above 0"),
    "a check without pause": Broken(document=check(interval="0s"), says="interval is above 0"),
    "a check of two minutes": Broken(document=check(timeout="1m60s"), says="at most 60s"),
    "a check without TLS": Broken(
        document=check(webhook="http://ci.example.com/go"), says="a webhook is an https address"
    ),
    "a moment that does not exist": Broken(
        document=bent(OVERRIDE, spec__expires="2026-02-30"), says="there is no such moment"
    ),
    "a step without time": Broken(document=bent(FLEET, spec__rollout={"stepDeadline": "0s"}), says="above 0"),
    "an offline device for two years": Broken(
        document=bent(FLEET, spec__rollout={"offlineDeadline": "104w2d"}), says="at most 365 days"
    ),
    "the rest before the last": Broken(
        document=waves(LAST, {"name": "late", "size": 5}), says="a wave of the remaining devices is the last one"
    ),
    "the rest twice": Broken(
        document=waves({**LAST, "name": "first"}, LAST), says="a wave of the remaining devices is the last one"
    ),
    "min above max": Broken(
        document=health(vitals=[{"path": "device.power", "min": "3.6", "max": 3}]), says="min is above max"
    ),
    "a wave of no percent": Broken(
        document=waves({"name": "one", "size": "0.0%"}, LAST), says="a wave of 0% takes no device"
    ),
    "a selection of the rest": Broken(
        document=waves({**LAST, "select": {"groups": ["eu"]}}), says="takes them all, and cannot select some"
    ),
    "local windows without zones": Broken(document=windows(FROM_DEVICE), says="needs the zones of the devices"),
    "zones that nobody asks for": Broken(document=windows({"allow": DAY}, ZONES), says="no window goes by them"),
    "zones twice": Broken(document=windows(FROM_DEVICE, ZONES, ZONES), says="zones are given twice"),
    "a zone of all before others": Broken(
        document=windows(FROM_DEVICE, {"zones": [{"timeZone": "UTC"}, {"groups": ["eu"], "timeZone": "UTC"}]}),
        says="make it the last entry",
    ),
    # Lists whose items differ.
    "a wave's name twice": Broken(
        document=waves({"name": "a", "size": 1}, {"name": "a", "size": 2}), says="duplicate entries"
    ),
    "a version twice": Broken(document=bent(RELEASE, spec__versions=[{"version": 1}] * 2), says="duplicate entries"),
    "a platform twice": Broken(
        document=bent(RELEASE, spec__versions=[{"version": 1, "binaries": [BINARY, BINARY]}]), says="duplicate entries"
    ),
    "a group twice": Broken(document=bent(FLEET, spec__select={"groups": ["eu", "eu"]}), says="duplicate entries"),
    "an event twice": Broken(document=health(events=[{"name": "up", "within": "1m"}] * 2), says="duplicate entries"),
    "a check twice": Broken(document=health(checks=[{"name": "a", "command": ["true"]}] * 2), says="duplicate entries"),
    # What types, patterns and bounds say.
    "an unknown field": Broken(document=bent(FLEET, spec__selct={}), says="field not declared in schema"),
    "a version as a number": Broken(document=bent(FLEET, spec__desired__deviceOS=6.3), says="expected string"),
    "a product of zero": Broken(document=bent(FLEET, spec__product=0), says="greater than or equal to 1"),
    "a product of two words": Broken(document=bent(FLEET, spec__product="a b"), says="should match"),
    "a share of too much": Broken(document=bent(FLEET, spec__rollout={"maxFailures": "101%"}), says="should match"),
    "an unknown platform": Broken(document=bent(FLEET, spec__select={"platforms": ["borron"]}), says="Unsupported"),
    "a name of two words": Broken(document=bent(FLEET, metadata__name="a_b"), says="Invalid value"),
    "a name of 64 characters": Broken(document=bent(FLEET, metadata__name="a" * 64), says="Invalid value"),
    "no select": Broken(document=bent(FLEET, spec__select=REMOVED), says="Required value"),
    "no author": Broken(document=bent(APPROVAL, spec__by=REMOVED), says="Required value"),
    # What a cluster has not.
    "a roster": Broken(document=bent(FLEET, spec__select={"roster": "a.txt"}), says="a roster is a file", in_git=False),
    "a roster left out": Broken(
        document=bent(FLEET, spec__select__exclude={"roster": "a.txt"}), says="a roster is a file", in_git=False
    ),
    "a roster of a wave": Broken(
        document=waves({"name": "one", "select": {"roster": "a.txt"}}, LAST), says="a roster is a file", in_git=False
    ),
    "a binary in a file": Broken(
        document=binary(platform="boron", file="a.bin", sha256="a" * 64), says="a file lies beside", in_git=False
    ),
}
"""What is wrong -> the document."""

SOUND = {
    "a fleet": FLEET,
    "a release": SOUND_RELEASE,
    "a policy": POLICY,
    "an override": OVERRIDE,
    "an approval": APPROVAL,
    "a product by number": bent(FLEET, spec__product=12345),
    "a suspension": bent(FLEET, spec__suspend=True),
    "a suspension with its reason": bent(FLEET, spec__suspend={"reason": "a fair", "until": "2026-12-01", "by": "ann"}),
    "an announced prerelease": bent(FLEET, spec__desired={"deviceOS": "5.5.0-rc.1", "allowPrerelease": True}),
    "an override that pins": bent(OVERRIDE, spec__mode="pin", spec__desired={"deviceOS": "6.3.4"}),
    "waves": waves({"name": "a", "size": 5, "soak": "1h30m"}, {"name": "b", "size": "12.5%"}, LAST),
    "only the rest": waves(LAST),
    "windows by device": windows(
        FROM_DEVICE,
        {"zones": [{"groups": ["eu"], "timeZone": "Europe/Berlin"}, {"timeZone": "UTC"}]},
        {"deny": {"from": "2026-12-20", "until": "2026-12-21", "reason": "x", "timeZone": "device"}},
    ),
    "a window of a week": windows({"allow": {**DAY, "duration": "6d23h60m"}}),
    "a freeze of a second across offsets": deny("2026-12-20T08:00:00+01:00", "2026-12-20T07:00:01Z"),
    "a freeze from a day to a time": deny("2026-12-20", "2026-12-20T00:01Z"),
    "a check on this machine": check(webhook="http://[::1]:8080/go", timeout="60s"),
    "numbers as texts": health(vitals=[{"path": "device.power", "min": -110, "max": "3.6"}]),
    "a long offline deadline": bent(FLEET, spec__rollout={"offlineDeadline": "52w1d"}),
    "a device by a name of hexadecimal digits": bent(FLEET, spec__select={"devices": ["beef", "e00fce68" * 3]}),
    "an override until a minute": bent(OVERRIDE, spec__expires="2027-01-01T08:00Z"),
}
"""Documents that both accept."""
