"""DfuSe by the letter: what `DfuSession` promises, in the requests of facts 7.4.

A request that writes is followed by GETSTATUS until the device is done; it says itself how long that takes. An address
is set in front of every chunk, and reading counts in blocks of the device's own transfer size. After a failure the
device is brought back to idle, so that the next session finds it usable.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from reconciler.model.platform import Platform
from reconciler.particle.dfu_layout import is_layout, parse_configuration, parse_layout
from reconciler.particle.usb import (
    REQUEST_SECONDS,
    UPDATE_SECONDS,
    DfuWrite,
    MemoryLayout,
    OnProgress,
    Phase,
    Protection,
    Segment,
    Stopped,
    UsbProgress,
    never_stopped,
    no_progress,
)
from reconciler.particle.usb_clock import Deadline, UsbClock
from reconciler.particle.usb_error import (
    DfuError,
    ForbiddenRangeError,
    UsbCancelledError,
    UsbError,
    UsbGarbledError,
    UsbGoneError,
    UsbProtectedError,
    UsbStalledError,
    UsbTransferError,
    UsbUnsupportedError,
    UsbVerifyError,
)
from reconciler.particle.usb_image import is_writable
from reconciler.particle.usb_pipe import UsbPipe

_TO_DEVICE: Final = 0x21
_FROM_DEVICE: Final = 0xA1
_DNLOAD, _UPLOAD, _GETSTATUS, _CLRSTATUS, _GETSTATE, _ABORT = range(1, 7)
_INTERFACE: Final = 0
_CONFIGURATION: Final = 2
_STATUS_BYTES: Final = 6
_COMMAND_BLOCK: Final = 0
_DATA_BLOCK: Final = 2
_SET_ADDRESS: Final = 0x21
_ERASE: Final = 0x41
_ENTER_SAFE_MODE: Final = 0xFA
_COMMANDS_BYTES_MAX: Final = 64
_PROTECTION_TEXT: Final = 0xFA
_PROTECTION_WORDS: Final = {
    "sm=o": Protection.OPEN,
    "sm=p": Protection.PROTECTED,
    "sm=s": Protection.SERVICE,
}
_VENDOR_ERROR: Final = 0x0B
_IDLE_SECONDS: Final = 5.0
_IDLE_TRIES: Final = 6
_POLL_SECONDS_MIN: Final = 0.001
_POLL_SECONDS_MAX: Final = 10.0
"""A device that wants more patience than this between two looks is not believed."""


class DfuState(IntEnum):
    """The states of the DFU specification, section 6.1.2."""

    APP_IDLE = 0
    APP_DETACH = 1
    IDLE = 2
    DNLOAD_SYNC = 3
    DNBUSY = 4
    DNLOAD_IDLE = 5
    MANIFEST_SYNC = 6
    MANIFEST = 7
    MANIFEST_WAIT_RESET = 8
    UPLOAD_IDLE = 9
    ERROR = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class DfuStatus:
    """The answer to GETSTATUS: `status` 0 is well, `poll_seconds` how long to wait before the next."""

    status: int
    poll_seconds: float
    state: DfuState
    text_number: int


def parse_status(data: bytes) -> DfuStatus:
    """Read it. Raises UsbGarbledError when it has another size, or a state that nobody knows."""
    if len(data) != _STATUS_BYTES or data[4] not in DfuState.__members__.values():
        raise UsbGarbledError(f"a DFU status of {len(data)} bytes: {data[:8].hex()}")
    return DfuStatus(
        status=data[0],
        poll_seconds=min(max(int.from_bytes(data[1:4], "little") / 1000, _POLL_SECONDS_MIN), _POLL_SECONDS_MAX),
        state=DfuState(data[4]),
        text_number=data[5],
    )


class LibusbDfu:
    """A bootloader, opened."""

    def __init__(self, pipe: UsbPipe, platform: Platform, clock: UsbClock) -> None:
        self._pipe = pipe
        self._platform = platform
        self._clock = clock
        self._alternate: int | None = None
        self._layouts = self._read_layouts(self._deadline("reading the memory layout"))

    def layouts(self) -> tuple[MemoryLayout, ...]:
        """As promised."""
        return self._layouts

    def protection(self) -> Protection:
        """As promised. A bootloader too old to say shows it by its layout: nothing but erasable (facts 7.4)."""
        with contextlib.suppress(UsbStalledError, UsbGarbledError):
            text = self._pipe.text(_PROTECTION_TEXT, self._deadline("asking for protection"))
            for word, protection in _PROTECTION_WORDS.items():
                if text.startswith(word):
                    return protection
        segments = [segment for layout in self._layouts for segment in layout.segments]
        if all(segment.erasable and not segment.readable and not segment.writable for segment in segments):
            return Protection.PROTECTED
        return Protection.UNKNOWN

    def flash(
        self,
        write: DfuWrite,
        *,
        on_progress: OnProgress = no_progress,
        stopped: Stopped = never_stopped,
        deadline_seconds: float = UPDATE_SECONDS,
    ) -> None:
        """As promised."""
        layout, sectors = self._may_be_written(write)
        deadline = Deadline(self._clock, deadline_seconds, f"{self._pipe.name}: writing to {write.address:#x}")
        self._begin(layout.alternate, deadline)
        try:
            self._erase(sectors, on_progress, stopped, deadline)
            self._write(write, layout.transfer_bytes, on_progress, stopped, deadline)
            found = self._upload(
                layout, write.address, len(write.content), Phase.VERIFYING, on_progress, stopped, deadline
            )
        except UsbError as error:
            error.may_have_changed = True
            self._calm(error, deadline)
            raise
        if found != write.content:
            at = next(
                offset for offset, both in enumerate(zip(found, write.content, strict=True)) if both[0] != both[1]
            )
            failure = UsbVerifyError(f"{self._pipe.name}: the byte at {write.address + at:#x} is not what was written")
            failure.may_have_changed = True
            raise failure

    def read(
        self,
        address: int,
        size_bytes: int,
        *,
        alternate: int = 0,
        on_progress: OnProgress = no_progress,
        stopped: Stopped = never_stopped,
        deadline_seconds: float = UPDATE_SECONDS,
    ) -> bytes:
        """As promised."""
        layout = self._layout(alternate)
        for segment in _segments(layout, address, address + size_bytes):
            if not segment.readable:
                raise UsbProtectedError(f"{self._pipe.name}: {segment.start:#x} cannot be read")
        deadline = Deadline(self._clock, deadline_seconds, f"{self._pipe.name}: reading from {address:#x}")
        self._begin(alternate, deadline)
        try:
            return self._upload(layout, address, size_bytes, Phase.VERIFYING, on_progress, stopped, deadline)
        except UsbError as error:
            self._calm(error, deadline)
            raise

    def leave(self) -> None:
        """As promised. The device may be gone before it has said that it goes."""
        deadline = self._deadline("leaving DFU mode")
        self._idle(deadline)
        self._out(_DNLOAD, _DATA_BLOCK, b"", deadline)
        self._depart(deadline)

    def enter_safe_mode(self) -> None:
        """As promised."""
        deadline = self._deadline("entering safe mode")
        self._idle(deadline)
        commands = self._pipe.read(_FROM_DEVICE, _UPLOAD, _COMMAND_BLOCK, _INTERFACE, _COMMANDS_BYTES_MAX, deadline)
        if _ENTER_SAFE_MODE not in commands:
            raise UsbUnsupportedError(f"{self._pipe.name}: its bootloader cannot start safe mode")
        self._idle(deadline)
        self._out(_DNLOAD, _COMMAND_BLOCK, bytes((_ENTER_SAFE_MODE,)), deadline)
        self._depart(deadline)

    def _read_layouts(self, deadline: Deadline) -> tuple[MemoryLayout, ...]:
        size = int.from_bytes(self._pipe.descriptor(_CONFIGURATION, 0, 9, deadline)[2:4], "little")
        try:
            interface = parse_configuration(self._pipe.descriptor(_CONFIGURATION, 0, max(size, 9), deadline))
            layouts: list[MemoryLayout] = []
            for alternate in interface.alternates:
                text = self._pipe.text(alternate.text_number, deadline) if alternate.text_number else ""
                if is_layout(text):
                    name, segments = parse_layout(text)
                    layouts.append(
                        MemoryLayout(
                            alternate=alternate.number,
                            name=name,
                            segments=segments,
                            transfer_bytes=interface.transfer_bytes,
                        )
                    )
        except UsbGarbledError as error:
            raise UsbGarbledError(f"{self._pipe.name}: {error.message}") from None
        if not layouts:
            raise UsbGarbledError(f"{self._pipe.name}: the bootloader describes no memory")
        return tuple(layouts)

    def _may_be_written(self, write: DfuWrite) -> tuple[MemoryLayout, list[tuple[int, int]]]:
        """The layout and the sectors, as address and size, or the refusal; nothing has been sent."""
        layout = self._layout(write.alternate)
        end = write.address + len(write.content)
        segments = _segments(layout, write.address, end)
        sectors = [
            (address, segment.sector_bytes)
            for segment in segments
            for address in range(segment.start, segment.end, segment.sector_bytes)
            if address < end and write.address < address + segment.sector_bytes
        ]
        covered = sum(min(end, segment.end) - max(write.address, segment.start) for segment in segments)
        if not write.content or covered != len(write.content):
            raise ForbiddenRangeError(
                f"{self._pipe.name}: the device has no memory from {write.address:#x} to {end:#x}"
            )
        first, last = sectors[0][0], sum(sectors[-1])
        if not is_writable(self._platform, first, last, alternate=write.alternate):
            raise ForbiddenRangeError(
                f"{self._pipe.name}: {first:#x} to {last:#x} of {self._platform} is never written"
            )
        if not all(segment.readable and segment.erasable and segment.writable for segment in segments):
            raise UsbProtectedError(f"{self._pipe.name}: {first:#x} to {last:#x} cannot be read and written")
        return layout, sectors

    def _erase(
        self, sectors: list[tuple[int, int]], on_progress: OnProgress, stopped: Stopped, deadline: Deadline
    ) -> None:
        total = sum(size for _, size in sectors)
        done = 0
        for address, size in sectors:
            self._unless(stopped)
            self._command(_ERASE, address, deadline)
            done += size
            on_progress(UsbProgress(phase=Phase.ERASING, done_bytes=done, total_bytes=total))

    def _write(
        self, write: DfuWrite, chunk_bytes: int, on_progress: OnProgress, stopped: Stopped, deadline: Deadline
    ) -> None:
        total = len(write.content)
        for offset in range(0, total, chunk_bytes):
            self._unless(stopped)
            chunk = write.content[offset : offset + chunk_bytes]
            self._command(_SET_ADDRESS, write.address + offset, deadline)
            self._out(_DNLOAD, _DATA_BLOCK, chunk, deadline)
            self._await_done(deadline)
            on_progress(UsbProgress(phase=Phase.SENDING, done_bytes=offset + len(chunk), total_bytes=total))

    def _upload(
        self,
        layout: MemoryLayout,
        address: int,
        size: int,
        phase: Phase,
        on_progress: OnProgress,
        stopped: Stopped,
        deadline: Deadline,
    ) -> bytes:
        self._command(_SET_ADDRESS, address, deadline)
        self._idle(deadline)
        data = bytearray()
        for block, offset in enumerate(range(0, size, layout.transfer_bytes), start=_DATA_BLOCK):
            self._unless(stopped)
            wanted = min(layout.transfer_bytes, size - offset)
            chunk = self._pipe.read(_FROM_DEVICE, _UPLOAD, block, _INTERFACE, wanted, deadline)
            if len(chunk) != wanted:
                raise UsbTransferError(
                    f"{self._pipe.name}: {len(chunk)} of {wanted} bytes came at {address + offset:#x}"
                )
            data += chunk
            on_progress(UsbProgress(phase=phase, done_bytes=len(data), total_bytes=size))
        self._idle(deadline)
        return bytes(data)

    def _begin(self, alternate: int, deadline: Deadline) -> None:
        if self._alternate != alternate:
            self._pipe.choose_alternate(alternate)
            self._alternate = alternate
        self._idle(deadline)

    def _command(self, command: int, address: int, deadline: Deadline) -> None:
        self._out(_DNLOAD, _COMMAND_BLOCK, bytes((command,)) + address.to_bytes(4, "little"), deadline)
        self._await_done(deadline)

    def _await_done(self, deadline: Deadline) -> None:
        """Until the device has done what it was sent."""
        while (status := self._status(deadline)).state is not DfuState.DNLOAD_IDLE:
            self._raise_error(status, deadline)
            if status.state not in (DfuState.DNBUSY, DfuState.DNLOAD_SYNC):
                raise UsbGarbledError(f"{self._pipe.name}: the bootloader is {status.state.name} after a write")
            deadline.pause(status.poll_seconds)
        self._raise_error(status, deadline)

    def _depart(self, deadline: Deadline) -> None:
        with contextlib.suppress(UsbGoneError, UsbStalledError, UsbTransferError):
            status = self._status(deadline)
            while status.state in (DfuState.DNLOAD_SYNC, DfuState.DNBUSY, DfuState.MANIFEST_SYNC):
                deadline.pause(status.poll_seconds)
                status = self._status(deadline)
            self._raise_error(status, deadline)

    def _idle(self, deadline: Deadline) -> None:
        """Bring it to idle from whatever state an earlier session left it in. A stall is a way into the error state."""
        for _attempt in range(_IDLE_TRIES):
            try:
                status = self._status(deadline)
                match status.state:
                    case DfuState.IDLE:
                        return
                    case DfuState.ERROR:
                        self._out(_CLRSTATUS, 0, b"", deadline)
                    case DfuState.DNBUSY:
                        deadline.pause(status.poll_seconds)
                    case _:
                        self._out(_ABORT, 0, b"", deadline)
            except UsbStalledError:
                with contextlib.suppress(UsbStalledError):
                    self._out(_CLRSTATUS, 0, b"", deadline)
        raise UsbGarbledError(f"{self._pipe.name}: the bootloader does not come to rest")

    def _calm(self, error: UsbError, deadline: Deadline) -> None:
        if not isinstance(error, UsbGoneError):
            with contextlib.suppress(UsbError):
                self._idle(deadline.another(_IDLE_SECONDS, f"{self._pipe.name}: coming to rest"))

    def _raise_error(self, status: DfuStatus, deadline: Deadline) -> None:
        if status.state is not DfuState.ERROR and status.status == 0:
            return
        words = ""
        if status.text_number:
            with contextlib.suppress(UsbError):
                words = self._pipe.text(status.text_number, deadline)
        if status.status == _VENDOR_ERROR and "protected" in words:
            raise UsbProtectedError(f"{self._pipe.name}: the bootloader says: {words}")
        said = f" ({words})" if words else ""
        raise DfuError(f"{self._pipe.name}: the bootloader reports error {status.status}{said}", status=status.status)

    def _status(self, deadline: Deadline) -> DfuStatus:
        return parse_status(self._pipe.read(_FROM_DEVICE, _GETSTATUS, 0, _INTERFACE, _STATUS_BYTES, deadline))

    def _out(self, request: int, block: int, data: bytes, deadline: Deadline) -> None:
        self._pipe.write(_TO_DEVICE, request, block, _INTERFACE, data, deadline)

    def _unless(self, stopped: Stopped) -> None:
        if stopped():
            raise UsbCancelledError(f"{self._pipe.name}: stopped by a person")

    def _layout(self, alternate: int) -> MemoryLayout:
        for layout in self._layouts:
            if layout.alternate == alternate:
                return layout
        raise ForbiddenRangeError(f"{self._pipe.name}: the bootloader has no memory with the number {alternate}")

    def _deadline(self, work: str) -> Deadline:
        return Deadline(self._clock, REQUEST_SECONDS, f"{self._pipe.name}: {work}")


def _segments(layout: MemoryLayout, start: int, end: int) -> list[Segment]:
    return [segment for segment in layout.segments if segment.start < end and start < segment.end]
