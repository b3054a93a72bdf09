"""What can go wrong between a host and a device, ordered by the transfer that it spoils."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from reconciler.emulator.bench.requests import busy_reply
from reconciler.emulator.bench.transfer import Failure, Outcome, Setup


class TransferKind(StrEnum):
    """What a transfer is about."""

    ANY = "any"
    DESCRIPTOR = "descriptor"
    INIT = "init"
    CHECK = "check"
    SEND = "send"
    RECV = "recv"
    DFU_COMMAND = "dfu_command"
    DFU_WRITE = "dfu_write"
    DFU_READ = "dfu_read"
    DFU_STATUS = "dfu_status"


class FaultKind(StrEnum):
    """What happens instead of the transfer, or to it.

    - STALL, SILENCE: the device does not take it; nothing happens to it.
    - LOST: the device does what it was sent, and the host hears nothing of it.
    - UNPLUG: the power goes before the transfer.
    - SHORT: half of the answer comes. FLIP: one bit arrives wrong, on the way in or out. GARBAGE: every bit does.
    - BUSY: the Device OS has no room for another request.
    """

    STALL = "stall"
    SILENCE = "silence"
    LOST = "lost"
    UNPLUG = "unplug"
    SHORT = "short"
    FLIP = "flip"
    GARBAGE = "garbage"
    BUSY = "busy"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchFault:
    """One fault, at a transfer of a kind, counted from 1 by device, and `times` in a row. `device` None: any."""

    kind: FaultKind
    of: TransferKind = TransferKind.ANY
    device: str | None = None
    transfer: int = 1
    times: int = 1


_SERVICES: Final = {1: TransferKind.INIT, 2: TransferKind.CHECK, 3: TransferKind.SEND, 4: TransferKind.RECV}
_BIT_AT: Final = 0
_BEFORE: Final = {FaultKind.STALL: Failure.STALL, FaultKind.SILENCE: Failure.SILENCE, FaultKind.UNPLUG: Failure.GONE}


class Faults:
    """All faults of a bench, and how many transfers of each kind every device has had."""

    def __init__(self, faults: Iterable[BenchFault]) -> None:
        self._faults = tuple(faults)
        self._counts: Counter[tuple[str, TransferKind]] = Counter()

    def due(self, device: str, setup: Setup) -> FaultKind | None:
        """Count a transfer, and say what happens to it."""
        kinds = (TransferKind.ANY, kind_of(setup))
        self._counts.update((device, kind) for kind in kinds)
        for fault in self._faults:
            count = self._counts[device, fault.of] if fault.of in kinds else 0
            if fault.device in (None, device) and fault.transfer <= count < fault.transfer + fault.times:
                return fault.kind
        return None


def instead(fault: FaultKind | None, setup: Setup) -> Outcome | None:
    """What the host gets instead of a transfer that never reaches the device; None: it does."""
    if fault is FaultKind.BUSY:
        return busy_reply() if kind_of(setup) is TransferKind.INIT else Failure.STALL
    return _BEFORE.get(fault) if fault is not None else None


def spoilt_on_the_way(fault: FaultKind | None, data: bytes) -> bytes:
    """The data that the device gets."""
    return _flipped(data) if fault is FaultKind.FLIP else data


def spoilt_on_the_way_back(fault: FaultKind | None, outcome: Outcome) -> Outcome:
    """What the host gets of what the device answered."""
    if fault is FaultKind.LOST:
        return Failure.SILENCE
    if isinstance(outcome, Failure):
        return outcome
    match fault:
        case FaultKind.SHORT:
            return outcome[: len(outcome) // 2]
        case FaultKind.FLIP:
            return _flipped(outcome)
        case FaultKind.GARBAGE:
            return bytes(byte ^ 0xFF for byte in outcome)
        case _:
            return outcome


def kind_of(setup: Setup) -> TransferKind:
    """What a transfer is about, by its first eight bytes."""
    if setup.is_vendor:
        return _SERVICES.get(setup.request, TransferKind.ANY)
    if not setup.is_class:
        return TransferKind.DESCRIPTOR
    match setup.request:
        case 1:
            return TransferKind.DFU_WRITE if setup.value > 1 else TransferKind.DFU_COMMAND
        case 2:
            return TransferKind.DFU_READ
        case 3:
            return TransferKind.DFU_STATUS
        case _:
            return TransferKind.ANY


def _flipped(data: bytes) -> bytes:
    return bytes((data[_BIT_AT] ^ 1,)) + data[1:] if data else data
