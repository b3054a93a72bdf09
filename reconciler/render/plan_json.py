"""The plan as a JSON document (contracts section 4).

The same plan gives the same bytes: devices ascend by id, fleets by name, everything else by its own content. The digest
covers all that the plan would do and what it was made from, not when and not against what it was held: `plan_id`, the
digests, `created_at`, `expires_at`, `base`, `checked`, each fleet's `membership`, what its `windows` say at the moment,
and the list of current devices (present on request only) stand outside. So a plan that was reviewed with `--base` is
the plan that is made without.

What it was made from includes the time of the observation. The content digest covers what would be done alone: two
plans of the same devices in the same situations have the same one, whenever they were made.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, assert_never

import msgspec

from reconciler.model.action import ProductAction, ReleaseApplication, UploadApplication
from reconciler.model.allowance import REQUESTS
from reconciler.model.change import Change
from reconciler.model.fleet import Share
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.plan import FleetPlan, Plan, Refused, Route, Situation, Waiting
from reconciler.model.state_hash import state_hash
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step
from reconciler.model.summary import Summary
from reconciler.render.change_json import change_document, membership_document
from reconciler.render.desired_json import desired_document
from reconciler.render.pace import limits_document, windows_document
from reconciler.render.rollout_json import rollout_document

FORMAT_VERSION: Final = "1.0"
OUTSIDE_DIGEST: Final = frozenset(
    {
        "plan_id",
        "digest",
        "content_digest",
        "created_at",
        "expires_at",
        "base",
        "checked",
        "manifests",
        "console_changes",
    }
)
CURRENT_DEVICES: Final = "current"
"""The field of a fleet that lists its current devices; the count under the same name stands in `summary`."""
WINDOWS: Final = "windows"
"""The field of a fleet that says when its windows are open, as of the observation."""
OUTSIDE_DIGEST_OF_FLEET: Final = frozenset({CURRENT_DEVICES, WINDOWS, "membership"})
_CONTENT_OF_FLEET: Final = frozenset({"name", "desired", "rollout", "routes", "preparation", "conclusion"})

_ID_DIGITS: Final = 10
_INDENT: Final = 2
_ENTRY_DEPTH: Final = 4
"""How deep the routes of a fleet lie in the document, and other entries with devices."""


def plan_document(
    plan: Plan, *, tool_version: str, show_current: bool = False, change: Change | None = None
) -> dict[str, Any]:
    """The plan in the published format.

    Args:
        plan: The plan.
        tool_version: The version of this program.
        show_current: Whether to list the devices that are as desired, too.
        change: What the plan changes against a base, where it was held against one.
    """
    document: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "tool_version": tool_version,
        "complete": plan.complete,
        "errored": False,
        "source": {
            "revision": plan.source.revision,
            "manifest_digest": plan.source.manifest_digest,
            "catalog_digest": plan.source.catalog_digest,
            "observed_at": iso_from_instant(plan.source.observed_at),
            "observed_digest": plan.source.observed_digest,
        },
        "summary": summary_document(plan.summary),
        "budget": _budget(plan),
        "fleets": [
            _fleet(fleet, change, plan.source.observed_at, show_current=show_current)
            for fleet in sorted(plan.fleets, key=lambda each: each.fleet.name)
        ],
    }
    if plan.findings:
        document["findings"] = sorted(plan.findings)
    if change is not None:
        document["base"] = change_document(change)
    digest = digest_of(document)
    return {
        **document,
        "plan_id": plan_id_of(plan.source.revision, digest),
        "digest": digest,
        "content_digest": content_digest_of(document),
        "created_at": iso_from_instant(plan.created_at),
        "expires_at": iso_from_instant(plan.expires_at),
    }


def plan_json(document: Mapping[str, Any]) -> str:
    """The document as the text that is printed and saved: sorted keys, two spaces, a newline at the end."""
    return b"".join(plan_json_pieces(document)).decode()


def plan_json_pieces(document: Mapping[str, Any]) -> Iterator[bytes]:
    """The same, entry by entry: the text of a million devices is twice as large as the devices."""
    yield from _pieces(document, _ENTRY_DEPTH, b"\n")
    yield b"\n"


def digest_of(document: Mapping[str, Any]) -> str:
    """`sha256:…` over the canonical text of a plan document, without what stands outside the digest."""
    covered: dict[str, Any] = {key: value for key, value in document.items() if key not in OUTSIDE_DIGEST}
    covered["fleets"] = [
        {key: value for key, value in fleet.items() if key not in OUTSIDE_DIGEST_OF_FLEET}
        for fleet in document["fleets"]
    ]
    return _sha256(covered)


def content_digest_of(document: Mapping[str, Any]) -> str:
    """`sha256:…` over what a plan would do to which device, and how it is rolled out; not over when it was made."""
    fleets = [{key: value for key, value in fleet.items() if key in _CONTENT_OF_FLEET} for fleet in document["fleets"]]
    return _sha256({"fleets": fleets})


def _sha256(covered: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(covered, _ENTRY_DEPTH, b""):
        digest.update(piece)
    return "sha256:" + digest.hexdigest()


def plan_id_of(revision: str | None, digest: str) -> str:
    """`plan-`, the branch of the revision or `local`, and the first digits of the digest."""
    branch = (revision or "").partition("@")[0]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", branch).strip("-") or "local"
    return f"plan-{name}-{digest.removeprefix('sha256:')[:_ID_DIGITS]}"


def _pieces(value: Any, depth: int, line: bytes) -> Iterator[bytes]:
    """JSON with sorted keys, whatever lies deeper than `depth` in one piece.

    `line` is the line break with the indentation of this value; empty: no white space at all.
    """
    if not depth or not value or not isinstance(value, dict | list):
        text = msgspec.json.encode(value, order="sorted")
        yield msgspec.json.format(text, indent=_INDENT).replace(b"\n", line) if line else text
        return
    opening, closing = (b"{", b"}") if isinstance(value, dict) else (b"[", b"]")
    inner = line and line + b" " * _INDENT
    before = opening + inner
    for key in sorted(value) if isinstance(value, dict) else range(len(value)):
        yield before
        if isinstance(value, dict):
            yield msgspec.json.encode(key) + (b": " if line else b":")
        yield from _pieces(value[key], depth - 1, inner)
        before = b"," + inner
    yield line + closing


def summary_document(summary: Summary) -> dict[str, int]:
    """The counts, which add up to `devices`."""
    return {
        "devices": summary.devices,
        "current": summary.current,
        "upgrade": summary.upgrade,
        "refused": summary.refused,
        "waiting": summary.waiting,
    }


def _budget(plan: Plan) -> dict[str, Any]:
    requests = plan.cost.requests_with_looks
    return {
        "requests": requests,
        "requests_max": REQUESTS.requests,
        "window_seconds": round(REQUESTS.window_seconds),
        "seconds_at_least": math.ceil(REQUESTS.seconds_at_least(requests)),
    }


def _fleet(plan: FleetPlan, change: Change | None, now: Instant, *, show_current: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": plan.fleet.name,
        "desired": desired_document(plan.fleet.desired),
        "rollout": rollout_document(plan.fleet),
        "summary": summary_document(plan.summary),
        "cost": _cost(plan),
        "limits": limits_document(plan),
        "routes": [_route(route) for route in plan.routes],
        "refused": [set_aside_document(refused) for refused in plan.refused],
        "waiting": [set_aside_document(waiting) for waiting in plan.waiting],
        "membership": membership_document(change, plan.fleet.name),
        "waves": _waves(plan),
    }
    windows = windows_document(plan, now=now)
    if windows:
        document[WINDOWS] = windows
    if plan.preparation:
        document["preparation"] = [action_document(action) for action in plan.preparation]
    if plan.conclusion is not None:
        document["conclusion"] = action_document(plan.conclusion)
    if plan.unreleased:
        document["unreleased"] = list(plan.unreleased)
    if show_current:
        document[CURRENT_DEVICES] = list(plan.current)
    return document


def _waves(plan: FleetPlan) -> list[dict[str, Any]]:
    times, limits = plan.wave_minutes, plan.wave_failures_that_halt
    return [
        {
            "name": planned.name,
            "size": int(size.value) if isinstance(size, Share) and not size.percent else str(size),
            "halts_at_failures": limit,
            "soak_seconds": math.ceil(planned.wave.soak_seconds),
            "approval_required": planned.wave.approval_required,
            "minutes": minutes,
            "devices": list(planned.devices),
        }
        for planned, minutes, limit in zip(plan.waves, times, limits, strict=False)
        for size in (planned.wave.size,)
    ]


def action_document(action: ProductAction) -> dict[str, Any]:
    """An action on a product, in the words of a step."""
    document: dict[str, Any] = {"product": action.product, "application": int(action.application)}
    match action:
        case UploadApplication():
            document |= {"action": "upload_application", "platform": action.platform, "sha256": action.sha256}
            if action.size is not None:
                document["bytes"] = action.size
            if action.bundle:
                document["bundle"] = True
        case ReleaseApplication():
            document |= {"action": "release_application", "groups": list(action.groups)}
            document["product_default"] = action.product_default
        case _:
            assert_never(action)
    return document


def _cost(plan: FleetPlan) -> dict[str, Any]:
    cost = plan.cost
    return {
        "steps": cost.steps,
        "requests": cost.requests,
        "bytes": cost.bytes_known,
        "bytes_unknown": cost.bytes_unknown,
        "restarts": cost.restarts,
        "safe_mode_boots": cost.safe_mode_boots,
        "minutes": plan.minutes,
    }


def _route(route: Route) -> dict[str, Any]:
    healed = {"healed_by_cloud": list(map(step_document, route.healed_by_cloud))} if route.healed_by_cloud else {}
    return {
        "situation": _situation(route.situation),
        "state_hash": state_hash(route.situation),
        "reason": route.reason.value,
        "hops": [hop.text for hop in route.hops],
        "steps": [step_document(step) for step in route.steps],
        **healed,
        **({"time_zone": route.time_zone} if route.time_zone else {}),
        "bytes": route.bytes_known,
        "bytes_unknown": route.bytes_unknown,
        "restarts": route.restarts,
        "safe_mode_boots": route.safe_mode_boots,
        "minutes": route.minutes,
        "requests": route.requests,
        "devices": list(route.devices),
    }


def _situation(situation: Situation) -> dict[str, Any]:
    marks = {"development": situation.development, "own": situation.own}
    return {
        "platform": situation.platform,
        "device_os": None if situation.device_os is None else situation.device_os.text,
        "application": situation.application,
        "mode": situation.mode.value,
        "knowledge": situation.knowledge.value,
        "modules": {str(module.slot): module.version for module in situation.modules},
        **{name: True for name, is_so in marks.items() if is_so},
    }


def step_document(step: Step) -> dict[str, Any]:
    """A step, without what is not known of it."""
    match step:
        case FlashModule():
            document: dict[str, Any] = {
                "action": "flash",
                "module": {
                    "function": step.module.slot.function.label,
                    "index": step.module.slot.index,
                    "version": step.module.version,
                },
                "device_os": step.device_os.text,
                "sha256": step.sha256,
            }
        case LockApplication():
            document = {"action": "lock_application", "application": int(step.application)}
        case FlashApplication():
            document = {"action": "flash_application", "application": int(step.application), "sha256": step.sha256}
        case _:
            assert_never(step)
    document |= {"via": step.via.value, "bytes": step.size, "boots_into": step.boots_into.value}
    return {key: value for key, value in document.items() if value is not None}


def set_aside_document(entry: Refused | Waiting) -> dict[str, Any]:
    """Devices that are refused or wait, and why."""
    return {
        "code": entry.reason.code,
        "reason": entry.reason.reason,
        "message": entry.message,
        "devices": list(entry.devices),
    }
