"""What an observation proves about an attempt: one row, one verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from reconciler.execution.evidence import HeardTransfer, judge, shows_effect
from reconciler.firmware.known import known_catalog
from reconciler.model.attempt import Attempt, AttemptState, Evidence, FailureClass
from reconciler.model.device import DeviceMode, ObservedDevice
from reconciler.model.instant import Instant
from reconciler.model.step import FlashApplication, Step
from tests.fleet_samples import LOCK, NOW, attempt, device, flash, modules

SYSTEM = flash()  # of a Boron: the part that the cloud shows
BOOTLOADER = flash(slot="bootloader/0")  # the cloud does not show it
BEFORE = Instant(NOW - 3600)  # the session in which the step was sent
DEADLINE = 1800.0

Verdict = Evidence | FailureClass | None
"""What the attempt ended with; None: it stays as it was."""


class Row(NamedTuple):
    """One observation: what was sent and seen, and what it proves. Times are seconds after the send."""

    says: str
    verdict: Verdict
    step: Step = BOOTLOADER
    state: AttemptState = AttemptState.SENT
    session_at: float | None = None  # None: the session of the send still runs
    heard: tuple[bool, float] | None = None  # succeeded, when
    seen_at: float = 600.0
    shows: bool | None = None  # None: the observation cannot show it
    mode: DeviceMode = DeviceMode.NORMAL
    online: bool = True
    had_gap: bool = False  # the stream was away since the send
    behind_gap: bool = False  # what was heard came after that


OK, BAD = (True, 90.0), (False, 90.0)
SAFE = DeviceMode.SAFE_MODE
UNKNOWN = AttemptState.UNKNOWN

ROWS = [
    Row("nothing heard, no new session", None),
    Row("nothing heard, a new session that cannot show it", None, session_at=200),
    Row(
        "the answer was lost, and there was time for it twice over",
        Evidence.PRESUMED,
        session_at=200,
        state=UNKNOWN,
        seen_at=900,
    ),
    Row("the answer was lost, and there was not yet time for it", None, session_at=100, state=UNKNOWN, seen_at=120),
    Row(
        "the answer was lost, time for it, but now offline",
        None,
        session_at=200,
        state=UNKNOWN,
        seen_at=900,
        online=False,
    ),
    Row("the answer was lost and no new session", None, state=UNKNOWN, seen_at=900),
    Row("the transfer ended well, no restart yet", None, heard=OK),
    Row("the transfer ended well, and the session is older than its end", None, heard=OK, session_at=60),
    Row("the transfer ended well, then a new session", Evidence.RESTARTED, heard=OK, session_at=200),
    Row("the same, and offline again", Evidence.RESTARTED, heard=OK, session_at=200, online=False),
    Row("the same, in safe mode without a report", Evidence.RESTARTED, heard=OK, session_at=200, mode=SAFE),
    Row(
        "the answer was lost, and somebody's transfer ended well, then a new session",
        Evidence.PRESUMED,
        heard=OK,
        session_at=200,
        state=UNKNOWN,
    ),
    Row(
        "the answer was lost, somebody's transfer ended well, and a new session shows the version",
        Evidence.EFFECT,
        heard=OK,
        session_at=200,
        state=UNKNOWN,
        step=SYSTEM,
        shows=True,
    ),
    Row("the transfer failed", FailureClass.INSTALL, heard=BAD),
    Row("a transfer failed, which may be an earlier one that ended late", None, heard=BAD, seen_at=380),
    Row("the same, and a new session", FailureClass.INSTALL, heard=BAD, seen_at=380, session_at=200),
    Row("the transfer failed, then a new session that cannot show it", FailureClass.INSTALL, heard=BAD, session_at=200),
    Row(
        "the transfer failed, but the version is there",
        Evidence.EFFECT,
        heard=BAD,
        session_at=200,
        step=SYSTEM,
        shows=True,
    ),
    Row("overdue, online, no new session", FailureClass.TRANSPORT, seen_at=1801),
    Row("at the deadline, online, no new session", None, seen_at=1800),
    Row("overdue and offline, no new session", None, seen_at=1801, online=False),
    Row("overdue, a new session that cannot show it", Evidence.PRESUMED, session_at=200, seen_at=1801),
    Row("overdue and offline, a new session that cannot show it", None, session_at=200, seen_at=1801, online=False),
    Row("a new session shows the version", Evidence.EFFECT, session_at=200, step=SYSTEM, shows=True),
    Row(
        "a new session showed the version, now offline",
        Evidence.EFFECT,
        session_at=200,
        step=SYSTEM,
        shows=True,
        online=False,
    ),
    Row("the version is shown, but the session is the old one", None, step=SYSTEM, shows=True),
    Row("a new session without the version, nothing heard", None, session_at=200, step=SYSTEM, shows=False),
    Row("the same, overdue", FailureClass.INSTALL, session_at=200, step=SYSTEM, shows=False, seen_at=1801),
    Row("the same, overdue and offline", None, session_at=200, step=SYSTEM, shows=False, seen_at=1801, online=False),
    Row(
        "the same, overdue and in safe mode",
        FailureClass.BOOT,
        session_at=200,
        step=SYSTEM,
        shows=False,
        seen_at=1801,
        mode=SAFE,
    ),
    Row("the same, after a lost answer", None, session_at=200, step=SYSTEM, shows=False, state=UNKNOWN, seen_at=900),
    Row(
        "the transfer ended well, a new session without the version",
        FailureClass.INSTALL,
        session_at=200,
        step=SYSTEM,
        shows=False,
        heard=OK,
    ),
    Row("the same, in safe mode", FailureClass.BOOT, session_at=200, step=SYSTEM, shows=False, heard=OK, mode=SAFE),
    Row("a lock, a new session without the application", None, session_at=200, step=LOCK, shows=False),
    Row("a lock, a new session with the application", Evidence.EFFECT, session_at=200, step=LOCK, shows=True),
    Row(
        "a lock, the transfer ended well, safe mode",
        FailureClass.BOOT,
        session_at=200,
        step=LOCK,
        shows=True,
        heard=OK,
        mode=SAFE,
    ),
    Row(
        "a lock, nothing heard, overdue in safe mode",
        FailureClass.BOOT,
        session_at=200,
        step=LOCK,
        shows=False,
        seen_at=1801,
        mode=SAFE,
    ),
    Row("a lock, no new session, overdue and offline", None, step=LOCK, seen_at=1801, online=False),
    Row("a lock, no new session, overdue and online", FailureClass.TRANSPORT, step=LOCK, seen_at=1801, shows=False),
    Row(
        "an application by flash, shown",
        Evidence.EFFECT,
        session_at=200,
        step=FlashApplication(application=LOCK.application),
        shows=True,
    ),
    Row("a gap, nothing heard, no new session", None, had_gap=True, seen_at=900),
    Row(
        "a gap, nothing heard, a new session, time for it", Evidence.PRESUMED, had_gap=True, session_at=200, seen_at=900
    ),
    Row("a gap, nothing heard, a new session, not yet time for it", None, had_gap=True, session_at=100, seen_at=120),
    Row("the same, and offline", None, had_gap=True, session_at=200, seen_at=900, online=False),
    Row(
        "a gap, nothing heard, a new session without the version",
        None,
        had_gap=True,
        session_at=200,
        seen_at=900,
        step=SYSTEM,
        shows=False,
    ),
    Row("a gap after the transfer was heard to end well", Evidence.RESTARTED, heard=OK, session_at=200, had_gap=True),
    Row("a gap after the transfer was heard to fail", FailureClass.INSTALL, heard=BAD, had_gap=True),
    Row(
        "a transfer that ended well behind a gap may be another one's",
        Evidence.PRESUMED,
        heard=OK,
        session_at=200,
        had_gap=True,
        behind_gap=True,
    ),
    Row("a transfer that failed behind a gap may be another one's", None, heard=BAD, had_gap=True, behind_gap=True),
    Row(
        "a transfer that ended well behind a gap, and a new session without the version",
        None,
        heard=OK,
        session_at=200,
        step=SYSTEM,
        shows=False,
        had_gap=True,
        behind_gap=True,
    ),
    Row("seen before the send", None, seen_at=-1, session_at=-5, step=SYSTEM, shows=True),
    Row("seen at the instant of the send", None, seen_at=0, session_at=-5, step=SYSTEM, shows=True),
    Row("intended and not yet answered", None, state=AttemptState.INTENDED, session_at=200, step=SYSTEM, shows=True),
]


def after(row: Row) -> Attempt:
    began = attempt(row.state, step=row.step, handshake_before=BEFORE)
    seen = device(
        device_os="6.3.4" if row.shows and row.step is SYSTEM else "2.0.1",
        application=44 if row.shows and row.step is not SYSTEM else 12,
        mode=row.mode,
        online=row.online,
        last_handshake_at=BEFORE if row.session_at is None else Instant(NOW + row.session_at),
        observed_at=Instant(NOW + row.seen_at),
    )
    heard = None
    if row.heard is not None:
        heard = HeardTransfer(row.heard[0], Instant(NOW + row.heard[1]), behind_gap=row.behind_gap)
    return judge(began, seen, heard, known_catalog(), deadline_seconds=DEADLINE, had_gap=row.had_gap)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.says)
def test_one_observation_proves(row: Row) -> None:
    judged = after(row)
    if row.verdict is None:
        assert (judged.state, judged.evidence, judged.failure) == (row.state, None, None)
    else:
        assert row.verdict in (judged.evidence, judged.failure)
        ended = AttemptState.VERIFIED if isinstance(row.verdict, Evidence) else AttemptState.FAILED
        assert (judged.state, judged.ended_at) == (ended, NOW + row.seen_at)


def test_what_is_judged_is_dated_from_the_answer_where_there_was_one() -> None:
    sent = attempt(AttemptState.SENT, sent_at=Instant(NOW + 100), step=SYSTEM)
    early = device(device_os="6.3.4", last_handshake_at=Instant(NOW + 50), observed_at=Instant(NOW + 90))
    assert judge(sent, early, None, known_catalog(), deadline_seconds=DEADLINE) is sent


@pytest.mark.parametrize(("lock", "application", "proves"), [(44, 44, True), (13, 44, False), (44, 12, False)])
def test_a_lock_to_what_runs_already_needs_no_new_session(lock: int, application: int, proves: bool) -> None:
    began = attempt(AttemptState.SENT, step=LOCK, sent_at=NOW, handshake_before=BEFORE)
    seen = device(
        application=application, desired_application=lock, last_handshake_at=BEFORE, observed_at=Instant(NOW + 15)
    )
    judged = judge(began, seen, None, known_catalog(), deadline_seconds=DEADLINE)
    assert (judged.evidence is Evidence.EFFECT) is proves


def test_a_device_without_a_handshake_never_started_a_session() -> None:
    seen = device(device_os="6.3.4", last_handshake_at=None, observed_at=Instant(NOW + 600))
    sent = attempt(AttemptState.SENT, step=SYSTEM)
    assert judge(sent, seen, None, known_catalog(), deadline_seconds=DEADLINE) is sent


def test_a_device_that_had_no_session_before_has_a_new_one_with_its_first() -> None:
    seen = device(device_os="6.3.4", last_handshake_at=Instant(NOW + 60), observed_at=Instant(NOW + 600))
    sent = attempt(AttemptState.SENT, step=SYSTEM, handshake_before=None)
    assert judge(sent, seen, None, known_catalog(), deadline_seconds=DEADLINE).evidence is Evidence.EFFECT


def test_a_session_older_than_the_one_before_is_no_new_one() -> None:
    seen = device(device_os="6.3.4", last_handshake_at=Instant(BEFORE - 1), observed_at=Instant(NOW + 600))
    sent = attempt(AttemptState.SENT, step=SYSTEM)
    assert judge(sent, seen, None, known_catalog(), deadline_seconds=DEADLINE) is sent


@pytest.mark.parametrize(
    ("step", "fields", "expected"),
    [
        (SYSTEM, {"device_os": "6.3.4"}, True),
        (SYSTEM, {"device_os": "6.4.1"}, True),
        (SYSTEM, {"device_os": "2.0.1"}, False),
        (SYSTEM, {"device_os": None}, None),
        (SYSTEM, {"device_os": "9.9.9"}, None),
        (SYSTEM, {"platform_id": None}, None),
        (BOOTLOADER, {"device_os": "6.3.4"}, None),
        (BOOTLOADER, {"modules": modules(bootloader_0=3200)}, True),
        (BOOTLOADER, {"modules": modules(bootloader_0=3100)}, False),
        (BOOTLOADER, {"modules": modules(system_part_1=6305)}, False),
        (BOOTLOADER, {"modules": ()}, None),
        (SYSTEM, {"device_os": "6.3.4", "modules": modules(system_part_1=2011)}, False),
        (LOCK, {"application": 44}, True),
        (LOCK, {"application": 44, "mode": SAFE}, False),
        (LOCK, {"application": 45}, False),
        (LOCK, {"application": None}, False),
    ],
)
def test_what_an_observation_shows_of_a_step(step: Step, fields: dict[str, Any], expected: bool | None) -> None:
    assert shows_effect(step, replace(device(), **fields), known_catalog()) is expected


def test_of_an_electron_only_part_2_is_shown() -> None:
    electron: ObservedDevice = device(platform_name="electron", device_os="2.0.0")
    parts = {slot: flash("electron", "2.0.0", slot) for slot in ("system_part/1", "system_part/2", "system_part/3")}
    shown = {slot: shows_effect(step, electron, known_catalog()) for slot, step in parts.items()}
    assert shown == {"system_part/1": None, "system_part/2": True, "system_part/3": None}
