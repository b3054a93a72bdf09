"""How fast a fleet may go, and when: concurrency, budgets, windows; in words and as JSON."""

from __future__ import annotations

from typing import Any, Final, assert_never

from reconciler.model.fleet import Share, Via
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.plan import FleetPlan
from reconciler.render.ink import byte_size, counted, duration
from reconciler.rollout.opening import Outlook, outlook_of
from reconciler.rollout.window import HORIZON_DAYS, IsOpen, NeverOpens, OpensAt, WindowVerdict

OVER: Final = {Via.CLOUD: "over the cloud", Via.USB: "over USB"}

_ZONES_SHOWN: Final = 6


def delivery_in_words(plan: FleetPlan, *, now: Instant, at_bench: bool) -> list[str]:
    """How fast and when. On a bench a person decides that by plugging in: see ADR 0044."""
    if at_bench:
        return ["Delivered on this bench, all at once; waves, windows, approvals and limits do not hold here"]
    return [pace_in_words(plan), *windows_in_words(plan, now=now), *budgets_in_words(plan)]


def pace_in_words(plan: FleetPlan) -> str:
    """By which hand, how many at a time, how long in all, and when the fleet halts."""
    fleet, policy, devices = plan.fleet, plan.fleet.rollout, plan.summary.devices
    if fleet.approval_required:
        return f"Held until a person approves the plan: reconciler approve PLANFILE|PLAN_ID --fleet {fleet.name}"
    if plan.minutes is None:
        return f"Held: rollout.maxConcurrent is 0, nothing is started {OVER[fleet.delivery.via]}"
    closed = ", closed windows not counted" if fleet.windows_allow else ""
    return (
        f"Delivered {OVER[fleet.delivery.via]}, at most {plan.at_a_time:,} at a time"
        f"{_of_whole(policy.concurrent_max, devices)}, about {duration(plan.minutes)} in all{closed}; halts at "
        f"{counted(plan.failures_that_halt, 'failed device')}{_of_whole(policy.failures_max, devices)}"
    )


def budgets_in_words(plan: FleetPlan) -> list[str]:
    """The fleet's own budgets and the least time that they mean; empty without any."""
    sends, of_day = plan.fleet.rollout.sends_per_minute, plan.fleet.bytes_per_day_max
    parts = [] if sends is None else [f"{counted(sends, 'send')} a minute"]
    parts += [] if of_day is None else [f"{byte_size(of_day)} in 24 hours"]
    if not parts or not plan.routes:
        return []
    at_least = f": at least {duration(plan.budget_minutes)}" if plan.budget_minutes >= 1 else ""
    return [f"Budgets: at most {', '.join(parts)}{at_least}"]


def windows_in_words(plan: FleetPlan, *, now: Instant) -> list[str]:
    """Whether the windows are open, until when, and when they open next: a sentence for every zone of devices."""
    outlooks = outlook_of(plan, now=now)
    lines = [f"Windows{_whose(each)}: {verdict_in_words(each.verdict)}" for each in outlooks[:_ZONES_SHOWN]]
    more = len(outlooks) - _ZONES_SHOWN
    return [*lines, f"Windows in {counted(more, 'more zone')}"] if more > 0 else lines


def verdict_in_words(verdict: WindowVerdict) -> str:
    """`closed, next opening 2026-11-23T01:00:00Z`."""
    match verdict:
        case IsOpen():
            return "open" if verdict.until is None else f"open until {iso_from_instant(verdict.until)}"
        case OpensAt():
            return f"closed, next opening {iso_from_instant(verdict.at)}"
        case NeverOpens():
            return f"closed, no opening within {HORIZON_DAYS} days"
        case _:
            assert_never(verdict)


def windows_document(plan: FleetPlan, *, now: Instant) -> list[dict[str, Any]]:
    """What the windows say of the devices with a route, by zone."""
    return [
        {
            "time_zone": each.zone,
            "devices": each.devices,
            "open": isinstance(each.verdict, IsOpen),
            "until": _time(each.verdict.until) if isinstance(each.verdict, IsOpen) else None,
            "next_opening": _time(each.verdict.at) if isinstance(each.verdict, OpensAt) else None,
        }
        for each in outlook_of(plan, now=now)
    ]


def limits_document(plan: FleetPlan) -> dict[str, int | None]:
    """The numbers that the fleet's limits come to, with percentages worked out."""
    policy, devices = plan.fleet.rollout, plan.summary.devices
    return {
        "concurrent_max": policy.concurrent_max.of(devices),
        "halts_at_failures": plan.failures_that_halt,
        "sends_per_minute": policy.sends_per_minute,
        "bytes_per_day": plan.fleet.bytes_per_day_max,
    }


def _of_whole(share: Share, whole: int) -> str:
    return f" ({share} of {whole:,})" if share.percent else ""


def _whose(outlook: Outlook) -> str:
    return "" if outlook.zone is None else f" of {counted(outlook.devices, 'device')} in {outlook.zone}"


def _time(instant: Instant | None) -> str | None:
    return None if instant is None else iso_from_instant(instant)
