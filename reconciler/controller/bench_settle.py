"""What one look at a device on the bench proves of its open attempt. Nothing here waits for a session of the cloud.

The rules:
- A look over USB shows every module as it is. So the step's module is there, and the step is verified; or it is not,
  and the step has failed. Only a look that is newer than the send counts.
- Hands on the bench return when their work is done, so that nothing is under way when we look. What an earlier process,
  or a device that was unplugged, left open is unknown until this look.
- A device that has taken a module may show its old self until it restarts: for a while nothing follows from that.
- A step of the cloud's hand may still arrive: where it is not seen, it stays open, and is the cloud's to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reconciler.controller.facts import facts_of
from reconciler.controller.run import Run
from reconciler.execution.evidence import shows_effect
from reconciler.firmware.catalog import Catalog
from reconciler.inventory.usb import Written
from reconciler.journal.journal import Journal
from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.device import DeviceId, DeviceMode, ObservedDevice
from reconciler.model.fleet import Via
from reconciler.model.module import Module
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, goes_in_dfu_mode

RESTART_GRACE_SECONDS: Final = 20.0
"""For how long after its send a module that the running device took may not be seen. A restart takes a few seconds."""


def open_attempt(run: Run, device_id: DeviceId) -> Attempt | None:
    """What is open on a device, whoever sent it."""
    return next((each for each in run.tools.journal.open_attempts() if each.device_id == device_id), None)


def disown(run: Run, attempt: Attempt) -> Attempt:
    """An attempt of the bench that nobody is at any more: unknown from now on."""
    if attempt.step.via is not Via.USB or attempt.state is AttemptState.UNKNOWN:
        return attempt
    unknown = attempt.lost_sight("found open when the device was plugged in")
    run.record(unknown)
    return unknown


def settle_device(run: Run, device: ObservedDevice) -> Attempt | None:
    """Judge what is open on this device by this look; what stays open, or None."""
    attempt = open_attempt(run, device.id)
    if attempt is None:
        return None
    judged = judge_at_bench(attempt, device, run.tools.catalog)
    if judged is attempt:
        return attempt
    run.record(judged, after=facts_of(device))
    return None


def judge_at_bench(attempt: Attempt, device: ObservedDevice, catalog: Catalog) -> Attempt:
    """The attempt after this look: verified, failed, or as it was when nothing is proven yet."""
    now = device.observed_at
    if attempt.state is AttemptState.INTENDED or now <= attempt.began_at:
        return attempt
    if shows_effect(attempt.step, device, catalog):
        return attempt.verified(Evidence.EFFECT, now)
    if attempt.step.via is not Via.USB:
        return attempt
    if (
        attempt.state is AttemptState.SENT
        and _needs_a_restart(attempt)
        and now - attempt.began_at < RESTART_GRACE_SECONDS
    ):
        return attempt
    why = f": {attempt.detail}" if attempt.detail else ""
    if device.mode is DeviceMode.SAFE_MODE and attempt.state is AttemptState.SENT:
        return attempt.failed(FailureClass.BOOT, "read again, it is not there, and the device is in safe mode", now)
    return attempt.failed(FailureClass.INSTALL, f"read again, it is not there{why}", now)


class JournalRecord:
    """What our own attempts taught of a device, for eyes that cannot see it: see `inventory.usb.BenchRecord`."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def application(self, device_id: DeviceId) -> Written | None:
        """The last application that was verified; None too where the cloud's hand has put another one there since."""
        for attempt in self._journal.attempts(device_id=device_id):
            if attempt.state is AttemptState.VERIFIED and isinstance(attempt.step, FlashApplication | LockApplication):
                is_ours = attempt.step.via is Via.USB
                return Written(attempt.step.application, attempt.ended_at) if is_ours and attempt.ended_at else None
        return None

    def modules(self, device_id: DeviceId) -> Sequence[Module]:
        """Modules that were verified to be there."""
        return self._journal.learnt(device_id=device_id).get(device_id, ())


def _needs_a_restart(attempt: Attempt) -> bool:
    step = attempt.step
    return isinstance(step, FlashModule) and not goes_in_dfu_mode(step.module.slot.function, step.via)
