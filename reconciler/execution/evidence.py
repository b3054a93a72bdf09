"""What an observation proves about an attempt. The only judge of whether a step is done.

The rules:
- Only an observation newer than the send counts, and success means a new session: a device restarts after every module
  that it takes (facts 6.2). Only a lock to the application that runs already moves nothing: there the lock is seen. The
  answer to the request proves nothing, and neither does a transfer's end alone.
- Where the observation shows the version that the step brings, that decides.
- Where it does not (the cloud shows one system part and the application, no more), a transfer that was heard to end
  well and a session newer than that end are proof enough. When nobody heard it (we crashed, the stream had a gap), a
  new session alone lets us presume; the next step's own acceptance on the device finds out (`docs/adr/0009`).
- After a gap in the stream nothing follows from what was not heard, and an end that was heard behind it may be another
  transfer's: it lets us presume, and fails nothing.
- A transfer that was heard to fail has failed when the device has begun a new session, or when no transfer can go on
  any more: what was heard may be the late end of an earlier one.
- A lock that boots into safe mode leaves the rest to the cloud's healer: safe mode and failed transfers are on the way,
  and only the deadline ends it.
- A device that is online after the deadline and never started a new session has not taken the module.
- Nothing is concluded from the silence of a device that is offline: it may come back either way. What its last session
  showed counts.

All instants are the cloud's: its handshakes, its events, and the dates of its answers. Our own clock is not compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.firmware.catalog import Catalog
from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.device import DeviceMode, ObservedDevice
from reconciler.model.instant import Instant
from reconciler.model.platform import platform_by_id
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step
from reconciler.model.version import DeviceOsVersion
from reconciler.planning.cost import BYTES_PER_SECOND, RESTART_SECONDS

_TRANSFER_TIMEOUT_SECONDS: Final = 300.0
"""Without a chunk for so long a transfer is cancelled (facts 6.2)."""

_UNKNOWN_SIZE_BYTES: Final = 1_500_000
"""The largest system parts that are known are a little smaller (facts 6.1)."""


@dataclass(frozen=True, slots=True)
class HeardTransfer:
    """What the event stream said of the end of a transfer: whether it ended well, and when, by the cloud's clock.

    `behind_gap`: the stream was away between the send and this end, so that it may be of another transfer.
    """

    succeeded: bool
    ended_at: Instant
    behind_gap: bool = False


def judge_of_a_bench(attempt: Attempt, device: ObservedDevice, catalog: Catalog) -> Attempt:
    """What the cloud shows of a step that a bench left open: a session since then, and what it shows, decide.

    Nothing is presumed: who has the device on a bench again sees it as it is.
    """
    is_new = device.last_handshake_at is not None and device.last_handshake_at > attempt.began_at
    shown = shows_effect(attempt.step, device, catalog) if is_new else None
    if shown is None or attempt.state is AttemptState.INTENDED:
        return attempt
    if shown:
        return attempt.verified(Evidence.EFFECT, device.observed_at)
    return _came_back_without(attempt, device)


def judge(
    attempt: Attempt,
    device: ObservedDevice,
    heard: HeardTransfer | None,
    catalog: Catalog,
    *,
    deadline_seconds: float,
    had_gap: bool = False,
) -> Attempt:
    """The attempt after this observation: verified, failed, or as it was when nothing is proven yet.

    `had_gap`: the event stream has been away since the send.
    """
    since = attempt.began_at
    now = device.observed_at
    if attempt.state is AttemptState.INTENDED or now <= since:
        return attempt
    overdue = now - since > deadline_seconds and device.online
    has_new_session = _has_new_session(attempt, device)
    shown = shows_effect(attempt.step, device, catalog) if has_new_session or _only_locked(attempt, device) else None
    if shown:
        return attempt.verified(Evidence.EFFECT, now)
    if (
        has_new_session
        and _is_healed_by_cloud(attempt.step)
        and not (device.online and device.mode is DeviceMode.NORMAL)
    ):
        # Offline it may be on its way out of safe mode: what it runs then, its next session tells.
        late = "the cloud's healer has not brought it out of safe mode before the deadline"
        return attempt.failed(FailureClass.BOOT, late, now) if overdue else attempt
    if heard is not None and heard.behind_gap and (shown is False or not heard.succeeded):
        heard = None
    if (
        heard is not None
        and not heard.succeeded
        and (has_new_session or now - heard.ended_at > _TRANSFER_TIMEOUT_SECONDS)
    ):
        return attempt.failed(FailureClass.INSTALL, "the transfer was reported as failed", now)
    if not has_new_session:
        return (
            attempt.failed(FailureClass.TRANSPORT, "did not restart before the deadline", now) if overdue else attempt
        )
    if heard is not None and (device.last_handshake_at or 0.0) > heard.ended_at:
        is_ours = attempt.state is AttemptState.SENT and not heard.behind_gap
        return _restarted_after_transfer(attempt, device, shown=shown, is_ours=is_ours)
    if shown is False and overdue:
        return _came_back_without(attempt, device)
    if shown is None and (overdue or _may_be_presumed(attempt, device, had_gap=had_gap)):
        return attempt.verified(Evidence.PRESUMED, now)
    return attempt


def _restarted_after_transfer(
    attempt: Attempt, device: ObservedDevice, *, shown: bool | None, is_ours: bool
) -> Attempt:
    """The transfer ended well and a new session began since, which does not show the effect."""
    now = device.observed_at
    if shown is None:
        # Of an attempt that we lost sight of nobody knows that the transfer which was heard was its own.
        return attempt.verified(Evidence.RESTARTED if is_ours else Evidence.PRESUMED, now)
    return _came_back_without(attempt, device)


def _came_back_without(attempt: Attempt, device: ObservedDevice) -> Attempt:
    """The observation shows that the effect is not there. In safe mode it is worse than that: nothing runs."""
    now = device.observed_at
    if device.mode is DeviceMode.SAFE_MODE:
        return attempt.failed(FailureClass.BOOT, "came back in safe mode without the effect", now)
    return attempt.failed(FailureClass.INSTALL, "came back without the effect", now)


def _only_locked(attempt: Attempt, device: ObservedDevice) -> bool:
    """Whether the lock is there and the application too: one that ran already restarts no device."""
    return isinstance(attempt.step, LockApplication) and device.desired_application == attempt.step.application


def _is_healed_by_cloud(step: Step) -> bool:
    """Whether the cloud goes on after this step: the application came first, and needs a later Device OS."""
    return isinstance(step, LockApplication) and step.boots_into is DeviceMode.SAFE_MODE


def _may_be_presumed(attempt: Attempt, device: ObservedDevice, *, had_gap: bool) -> bool:
    """Nobody was there to hear, and there was time for the transfer and the restart twice over."""
    waited = device.observed_at - attempt.began_at
    unheard = had_gap or attempt.state is AttemptState.UNKNOWN
    return device.online and unheard and waited > _expected_seconds(attempt.step)


def shows_effect(step: Step, device: ObservedDevice, catalog: Catalog) -> bool | None:
    """Whether this observation shows that the step's effect is there; None: it cannot show it either way."""
    match step:
        case FlashModule():
            return _shows_module(step, device, catalog)
        case LockApplication() | FlashApplication():
            return device.mode is DeviceMode.NORMAL and device.application == step.application


def _shows_module(step: FlashModule, device: ObservedDevice, catalog: Catalog) -> bool | None:
    if device.modules:
        return any(m.slot == step.module.slot and m.version >= step.module.version for m in device.modules)
    platform = None if device.platform_id is None else platform_by_id(device.platform_id)
    if platform is None or device.device_os is None or step.module.slot != platform.shown_part:
        return None
    release = catalog.release(platform, DeviceOsVersion(device.device_os))
    if release is None:
        return None
    return any(s.module.slot == step.module.slot and s.module.version >= step.module.version for s in release.modules)


def _has_new_session(attempt: Attempt, device: ObservedDevice) -> bool:
    if device.last_handshake_at is None:
        return False
    return attempt.handshake_before is None or device.last_handshake_at > attempt.handshake_before


def _expected_seconds(step: Step) -> float:
    """Twice the time that the transfer and the restart should take."""
    size = _UNKNOWN_SIZE_BYTES if step.size is None else step.size
    return 2 * (size / BYTES_PER_SECOND + RESTART_SECONDS)
