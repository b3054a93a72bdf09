"""The status document of a DeviceFleet (`schemas/fleetstatus.v1alpha1.schema.json`), from what is known of it. Pure.

What nobody has looked at since the process began stays as it was written last: a new process is no news of a fleet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.kube.counts import Counts, Sample, counts_of, samples_of, shortened
from reconciler.kube.judgement import Judgement, judgement_of, needs_approval
from reconciler.kube.situation import NEVER_JUDGED, ConditionType, FleetSituation, Reason, State
from reconciler.model.device_life import DeviceState
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.plan import WaitingReason
from reconciler.model.rollout import RolloutState, WaveState
from reconciler.render.rollout_status import RolloutStatus, WaveStatus
from reconciler.render.status import FleetStatus

MESSAGE_BYTES_MAX: Final = 1024
WAVES_MAX: Final = 32
_REVISION_CHARACTERS_MAX: Final = 512
_WAVE_NAME_CHARACTERS_MAX: Final = 63

_READY: Final[Mapping[State, str]] = {State.READY: "True", State.UNKNOWN: "Unknown"}
_BESIDE: Final[Mapping[State, ConditionType]] = {
    State.PROGRESSING: ConditionType.RECONCILING,
    State.AWAITING_APPROVAL: ConditionType.RECONCILING,
    State.UNKNOWN: ConditionType.RECONCILING,
    State.STALLED: ConditionType.STALLED,
}
_WAVE_STATES: Final[Mapping[WaveState, str]] = {
    WaveState.PENDING: "Pending",
    WaveState.OPEN: "Running",
    WaveState.SOAKING: "Soaking",
    WaveState.COMPLETE: "Complete",
}
_DRIFT: Final = frozenset({WaitingReason.DRIFTED, WaitingReason.FIGHT})
_STAYS: Final = ("devices", "display", "waves", "samples", "samplesTruncated", "plan")
"""What is kept from the status before where nothing was observed."""


def status_of(situation: FleetSituation, previous: Mapping[str, Any] | None, now: Instant) -> dict[str, Any]:
    """The status now. `previous` is the one that the resource has, None: none was ever written."""
    before: Mapping[str, Any] = previous or {}
    if situation.judged == NEVER_JUDGED:
        situation = replace(situation, judged=before.get("observedGeneration", NEVER_JUDGED))
    said = judgement_of(situation)
    fleet = situation.fleet
    keeps_all = said.state is State.UNKNOWN and _was_judged(before, situation)
    document: dict[str, Any] = {"observedGeneration": situation.judged}
    document |= _revisions(situation, before, said)
    if fleet is not None and fleet.plan is not None:
        document |= _figures(fleet, situation, said)
    else:
        document |= {name: before[name] for name in _STAYS if name in before}
        if not keeps_all:
            document["display"] = {"current": "", "wave": "", **document.get("display", {}), "state": said.state.value}
    if keeps_all:
        document["conditions"] = [dict(each) for each in before["conditions"]]
    else:
        also = _of_the_domain(fleet, said)
        document["conditions"] = conditions_of(said, before, now, judged=situation.judged, also=also)
    return document


def _was_judged(before: Mapping[str, Any], situation: FleetSituation) -> bool:
    """Whether the status before says something of the generation that nobody has looked at since."""
    is_same = before.get("observedGeneration") == situation.judged == situation.generation != NEVER_JUDGED
    return is_same and any(each["type"] == ConditionType.READY for each in before.get("conditions", ()))


def _revisions(situation: FleetSituation, before: Mapping[str, Any], said: Judgement) -> dict[str, str]:
    found = {
        name: before[name]
        for name in ("lastAttemptedRevision", "lastAppliedRevision", "lastHandledReconcileAt")
        if name in before
    }
    if situation.taken is not None:
        found["lastAttemptedRevision"] = situation.taken.revision.text[:_REVISION_CHARACTERS_MAX]
        if said.state is State.READY:
            found["lastAppliedRevision"] = found["lastAttemptedRevision"]
    if situation.refusal is not None:
        found["lastAttemptedRevision"] = situation.refusal.revision.text[:_REVISION_CHARACTERS_MAX]
    if situation.reconcile_handled is not None:
        found["lastHandledReconcileAt"] = situation.reconcile_handled[:256]
    return found


def _figures(fleet: FleetStatus, situation: FleetSituation, said: Judgement) -> dict[str, Any]:
    """All that follows from an observation."""
    counts, (samples, truncated) = counts_of(fleet), samples_of(fleet)
    rollout = fleet.progress.rollout
    document: dict[str, Any] = {
        "devices": _devices(counts),
        "display": {
            "state": said.state.value,
            "current": f"{counts.current}/{counts.total}",
            "wave": "" if rollout is None else _wave_under_way(rollout),
        },
        "waves": [] if rollout is None else _waves(rollout),
        "samples": [_sample(each) for each in samples],
        "samplesTruncated": truncated,
    }
    if situation.plan is not None:
        approved = not needs_approval(fleet)
        document["plan"] = {"id": situation.plan.id, "digest": situation.plan.digest, "approved": approved}
    return document


def _devices(counts: Counts) -> dict[str, int]:
    return {
        "total": counts.total,
        "current": counts.current,
        "upgrading": counts.upgrading,
        "pending": counts.pending,
        "failed": counts.failed,
        "blocked": counts.blocked,
        "offline": counts.offline,
    }


def _sample(sample: Sample) -> dict[str, str]:
    code = {"code": sample.code} if sample.code else {}
    return {"device": sample.device, "state": sample.state, **code, "message": sample.message}


def _wave_under_way(rollout: RolloutStatus) -> str:
    """`2/4 early`, or nothing where no wave is under way."""
    if rollout.state in (RolloutState.COMPLETE, RolloutState.SUPERSEDED) or not rollout.waves:
        return ""
    number, whole = len(rollout.waves), len(rollout.waves) + len(rollout.to_come)
    return f"{number}/{whole} {rollout.waves[-1].name[:_WAVE_NAME_CHARACTERS_MAX]}"


def _waves(rollout: RolloutStatus) -> list[dict[str, Any]]:
    """All waves in their order; of more than `WAVES_MAX` those from just before the one under way on."""
    pending = [{"name": name[:_WAVE_NAME_CHARACTERS_MAX], "state": "Pending"} for name in rollout.to_come]
    whole = [*map(_wave, rollout.waves), *pending]
    first = max(0, min(len(rollout.waves) - 2, len(whole) - WAVES_MAX))
    return whole[first : first + WAVES_MAX]


def _wave(wave: WaveStatus) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": wave.name[:_WAVE_NAME_CHARACTERS_MAX],
        "state": _WAVE_STATES[wave.state],
        "total": wave.devices,
    }
    if wave.standings is not None:
        document["current"] = wave.standings.get(DeviceState.DONE, 0)
        document["failed"] = wave.standings.get(DeviceState.FAILED, 0)
    if wave.soaks_until is not None:
        document["soaksUntil"] = _second(wave.soaks_until)
    return document


def conditions_of(
    said: Judgement, before: Mapping[str, Any], now: Instant, *, judged: int, also: Iterable[ConditionType] = ()
) -> list[dict[str, Any]]:
    """Ready first, then what is true beside it. `before` is the status before, `judged` the generation it is about."""
    statuses = {ConditionType.READY: _READY.get(said.state, "False")}
    if said.state in _BESIDE:
        statuses[_BESIDE[said.state]] = "True"
    statuses |= dict.fromkeys(also, "True")
    known = {each["type"]: each for each in before.get("conditions", ())}
    message = _steady(said, known.get(ConditionType.READY))
    return [
        {
            "type": kind.value,
            "status": status,
            "observedGeneration": judged,
            "lastTransitionTime": _transition(known.get(kind.value), status, now),
            "reason": said.reason.value,
            "message": message,
        }
        for kind, status in statuses.items()
    ]


def _steady(said: Judgement, known: Mapping[str, Any] | None) -> str:
    """The message; while a trouble lasts the one that it began with, or every try would be a write."""
    if known is not None and said.cause and known["reason"] == said.reason and known["message"].startswith(said.cause):
        return str(known["message"])
    return _message(said.message)


def _of_the_domain(fleet: FleetStatus | None, said: Judgement) -> Iterator[ConditionType]:
    """What people and scripts ask for by name. Each has the reason and message of the whole."""
    if fleet is None:
        return
    if fleet.halted is not None:
        yield ConditionType.HALTED
    if fleet.progress.suspensions or said.reason is Reason.CONCURRENCY_ZERO:
        yield ConditionType.SUSPENDED
    if said.state is State.AWAITING_APPROVAL:
        yield ConditionType.AWAITING_APPROVAL
    if fleet.plan is not None and any(waiting.reason in _DRIFT for waiting in fleet.plan.waiting):
        yield ConditionType.DRIFT_DETECTED


def _transition(known: Mapping[str, Any] | None, status: str, now: Instant) -> str:
    if known is not None and known["status"] == status:
        return str(known["lastTransitionTime"])
    return _second(now)


def _second(at: Instant) -> str:
    """To the second: Kubernetes keeps no more, and what it read back would differ from what was written."""
    return iso_from_instant(Instant(math.floor(at)))


def _message(text: str) -> str:
    """Harmless, on one line, at most `MESSAGE_BYTES_MAX` long."""
    line = shortened(text, MESSAGE_BYTES_MAX)
    encoded = line.encode()
    if len(encoded) <= MESSAGE_BYTES_MAX:
        return line
    return encoded[: MESSAGE_BYTES_MAX - len("…".encode())].decode(errors="ignore") + "…"
