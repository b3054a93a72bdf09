"""What people and other programs change in the cloud beside us: seen, named with before and after, remembered.

Field meanings are those of facts 5.3 and 5.6. Values before and after are words: a version, a fleet, `true`, or None
for nothing there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant


class ChangeKind(StrEnum):
    """What was changed. Each is something that the cloud, a person or another program does, never we."""

    LOCK = "lock"
    RELEASE = "release"
    FLEET = "fleet"
    DEVELOPMENT = "development"
    UPDATES_FORCED = "updates_forced"
    APPLICATION = "application"
    DEVICE_OS = "device_os"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleState:
    """What we last saw of a device that others can change. Equal but for `seen_at`: nothing changed.

    - `fleet`: the fleet that it was in, None: it had left all of them; `selection` tells one wording of that fleet's
      selection from another.
    - `lock` and `release`: the application that it is locked to, and the one that the cloud intended for it.
    - `arrived`: the intent (`Desired.intent`) at which it was last seen as desired.
    - `seen_at`: when it was first seen like this.
    """

    device_id: DeviceId
    seen_at: Instant
    fleet: str | None
    selection: str = ""
    groups: tuple[str, ...] = ()
    lock: int | None = None
    release: int | None = None
    development: bool = False
    updates_forced: bool = False
    application: int | None = None
    device_os: str | None = None
    arrived: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleChange:
    """Somebody else changed something of a device between two looks.

    - `fleet` is the fleet that the device is in, or the one that it left; `intent` is what that fleet desired then.
    - `not_before` is the last time at which it was certainly as `before`, `seen_at` when `after` was first seen.
    - `concerns_git`: the manifests say something else about what was changed.
    - `undid`: the id of our own attempt that was undone by it; None: it undid nothing of ours.
    """

    device_id: DeviceId
    fleet: str
    intent: str
    kind: ChangeKind
    before: str | None
    after: str | None
    not_before: Instant
    seen_at: Instant
    concerns_git: bool
    undid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Latch:
    """A device on which somebody kept undoing what we did: nothing is sent to it while its fleet has this intent.

    A person lifts it; another `intent` in Git ends it too.
    """

    device_id: DeviceId
    fleet: str
    intent: str
    why: str
    at: Instant
    lifted: bool = False
