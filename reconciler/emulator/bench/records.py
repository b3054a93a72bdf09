"""What the pretend bench writes down. The referee judges from these alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.emulator.records import Versions
from reconciler.model.instant import Instant
from reconciler.model.module import ModuleSlot


class BenchMode(StrEnum):
    """What runs on a device."""

    NORMAL = "normal"
    SAFE_MODE = "safe_mode"
    DFU = "dfu"


class BenchMoment(StrEnum):
    """What can happen to a device on the bench."""

    PLUGGED = "plugged"
    UNPLUGGED = "unplugged"
    RESTARTED = "restarted"
    ERASED = "erased"
    WRITTEN = "written"
    INSTALLED = "installed"
    REFUSED = "refused"
    SEEN = "seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchEntry:
    """One thing that happened to a device, and how it stood afterwards.

    - `start` and `end`: the addresses that were erased or written over DFU, on `chip`.
    - `result`: why the device refused an update (facts 6.2).
    - `versions`: of every slot that holds a module that is whole; `broken`: slots whose module is not.
    - `application`: product id and version of the application; None: it has none, or it is of no product.
    - `unmet`: which needs of its modules are not met, in words.
      At an erasure or a write, these are as they were before the first of several: a module in the middle of its change
      is nothing that could be judged.
    - `by_host`: a restart that the host asked for; False: a power cut, or the device's own doing.
    """

    ordinal: int
    at: Instant
    device: str
    platform_id: int
    moment: BenchMoment
    port: str
    mode: BenchMode
    chip: str = ""
    start: int = 0
    end: int = 0
    result: int = 0
    by_host: bool = False
    versions: Versions
    broken: tuple[ModuleSlot, ...]
    application: tuple[int, int] | None
    unmet: tuple[str, ...]
