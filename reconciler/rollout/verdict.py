"""What a rollout says of a device now."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant
from reconciler.model.plan import Route
from reconciler.model.step import Step


class Hold(Enum):
    """Why a device with a route does not start its next step now."""

    IN_FLIGHT = "a step of it is under way"
    RECEIVING = "something is being transferred to it, by the cloud itself or by somebody else"
    NO_SLOT = "as many devices as rollout.maxConcurrent allows are under way"
    BUDGET_SPENT = "as much was begun or sent as the fleet allows in a minute or a day"
    PAUSED = "a step failed; it is tried again after a pause"
    HELD = "its steps keep failing; it is left alone for a while, or until a person comes with `reconciler retry`"
    TURNED_BACK = "it changed every time just before its step"
    HALTED = "the fleet is halted; a person lifts it with `reconciler resume`"
    AWAITING_APPROVAL = "the fleet, or its wave, asks for an approval"
    APPROVAL_STALE = "it is not as in the plan that was approved; approve a new one"
    OUTSIDE_WINDOW = "outside the fleet's windows"
    WINDOW_ENDING = "what is left of the fleet's window is too short for its next step"
    SUSPENDED = "the fleet is suspended by a person; `reconciler resume` ends that"
    EARLIER_WAVE = "an earlier wave is not complete"
    SOAKING = "an earlier wave soaks"
    CONCURRENCY_ZERO = "rollout.maxConcurrent is 0"
    UPLOADING = "its application is being uploaded to the product"
    NOT_UPLOADED = "the product lacks its application, and this run does not upload it"
    NOT_APPROVED = "this step is not in the plan that was agreed to"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Start this step on this device now."""

    device_id: DeviceId
    route: Route
    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Not now; `until` is when it may be otherwise, where that is known."""

    device_id: DeviceId
    hold: Hold
    until: Instant | None = None


Verdict = Start | Wait

FINAL_HOLDS = frozenset(
    {
        Hold.HELD,
        Hold.TURNED_BACK,
        Hold.HALTED,
        Hold.AWAITING_APPROVAL,
        Hold.APPROVAL_STALE,
        Hold.OUTSIDE_WINDOW,
        Hold.WINDOW_ENDING,
        Hold.SUSPENDED,
        Hold.EARLIER_WAVE,
        Hold.SOAKING,
        Hold.CONCURRENCY_ZERO,
        Hold.NOT_UPLOADED,
        Hold.NOT_APPROVED,
    }
)
"""Holds that this run does not outlast: a person, or a later run, must come. Of waves that move on by time the run
knows by `waves.may_pass_by_time`."""
