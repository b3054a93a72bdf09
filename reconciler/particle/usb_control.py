"""Control requests by name: what `ControlSession` promises, in the vendor's messages (facts 7.3)."""

from __future__ import annotations

import contextlib
import re
from typing import Any, Final

from reconciler.model.device import DeviceId, is_device_id
from reconciler.particle.usb import (
    REQUEST_SECONDS,
    UPDATE_SECONDS,
    CloudStatus,
    Listening,
    ModuleReports,
    OnProgress,
    Phase,
    Protection,
    Stopped,
    SystemCapability,
    UsbProgress,
    never_stopped,
    no_progress,
)
from reconciler.particle.usb_clock import Deadline, UsbClock
from reconciler.particle.usb_error import (
    UsbCancelledError,
    UsbError,
    UsbGarbledError,
    UsbGoneError,
    UsbRefusedError,
    UsbUnsupportedError,
)
from reconciler.particle.usb_messages import RequestKind, decode, encode
from reconciler.particle.usb_modules import read_module_reports
from reconciler.particle.usb_pipe import UsbPipe
from reconciler.particle.usb_service import ControlChannel

_CLOUD: Final = tuple(CloudStatus)
_LISTENING: Final = tuple(Listening)
_LISTENING_PAUSE_SECONDS: Final = 0.1
_CANCEL_SECONDS: Final = 5.0
_CHUNK_BYTES_MAX: Final = 32 * 1024
"""More than any device asks for (1024), and what one request has room for."""
_VERSION: Final = re.compile(r"[0-9A-Za-z.+-]{1,40}", re.ASCII)
_SERIAL_NUMBER: Final = re.compile(r"[0-9A-Za-z]{0,16}", re.ASCII)


class LibusbControl:
    """A device in normal mode or safe mode, opened."""

    def __init__(self, pipe: UsbPipe, clock: UsbClock) -> None:
        self._channel = ControlChannel(pipe)
        self._name = pipe.name
        self._clock = clock
        self._channel.forget_all(self._deadline("ending old requests"))

    def device_id(self) -> DeviceId:
        """As promised."""
        text = self._ask(RequestKind.DEVICE_ID, "DeviceIdReply").id.lower()
        if not is_device_id(text):
            raise self._nonsense("a device id")
        return DeviceId(text)

    def serial_number(self) -> str:
        """As promised."""
        return self._spelt(_SERIAL_NUMBER, self._ask(RequestKind.SERIAL_NUMBER, "SerialNumberReply").serial)

    def system_version(self) -> str:
        """As promised. The low-level request, which every Device OS since 0.6.0 answers, protected or not."""
        text = self._channel.raw_text(RequestKind.SYSTEM_VERSION, self._deadline("the Device OS version"))
        return self._spelt(_VERSION, text)

    def capabilities(self) -> SystemCapability:
        """As promised; flags that are new to us are left out."""
        flags = self._ask(RequestKind.SYSTEM_CAPABILITIES, "SystemCapabilitiesReply").flags
        return SystemCapability(flags & SystemCapability.COMPRESSED_OTA)

    def protection(self) -> Protection:
        """As promised."""
        try:
            reply = self._ask(RequestKind.PROTECTED_STATE, "ProtectedStateReply")
        except UsbUnsupportedError:
            return Protection.UNKNOWN
        if reply.state:
            return Protection.PROTECTED
        return Protection.SERVICE if reply.overridden else Protection.OPEN

    def modules(self) -> ModuleReports:
        """As promised."""
        return read_module_reports(self._request(RequestKind.MODULE_INFO))

    def listening(self) -> Listening:
        """As promised."""
        mode: int = self._ask(RequestKind.DEVICE_MODE, "DeviceModeReply").mode
        if mode >= len(_LISTENING):
            raise self._nonsense(f"the mode {mode}")
        return _LISTENING[mode]

    def start_listening(self) -> None:
        """As promised. A Device OS that cannot say whether it listens is believed."""
        self._request(RequestKind.START_LISTENING)
        deadline = self._deadline("starting to listen")
        with contextlib.suppress(UsbUnsupportedError):
            while self.listening() is not Listening.LISTENING:
                deadline.pause(_LISTENING_PAUSE_SECONDS)

    def stop_listening(self) -> None:
        """As promised."""
        self._request(RequestKind.STOP_LISTENING)

    def cloud_status(self) -> CloudStatus:
        """As promised."""
        status: int = self._ask(RequestKind.CLOUD_STATUS, "CloudStatusReply").status
        if status >= len(_CLOUD):
            raise self._nonsense(f"the cloud status {status}")
        return _CLOUD[status]

    def connect_cloud(self) -> None:
        """As promised."""
        self._request(RequestKind.CLOUD_CONNECT)

    def disconnect_cloud(self) -> None:
        """As promised."""
        self._request(RequestKind.CLOUD_DISCONNECT)

    def enter_dfu(self) -> None:
        """As promised."""
        self._request(RequestKind.DFU_MODE)

    def enter_safe_mode(self) -> None:
        """As promised."""
        self._request(RequestKind.SAFE_MODE)

    def reset(self) -> None:
        """As promised."""
        self._request(RequestKind.RESET)

    def update(
        self,
        content: bytes,
        *,
        on_progress: OnProgress = no_progress,
        stopped: Stopped = never_stopped,
        deadline_seconds: float = UPDATE_SECONDS,
    ) -> None:
        """As promised."""
        deadline = Deadline(self._clock, deadline_seconds, f"{self._name}: the update")
        try:
            self._send(content, on_progress, stopped, deadline)
        except UsbGoneError:
            raise
        except UsbError:
            with contextlib.suppress(UsbError):
                self._cancel(deadline.another(_CANCEL_SECONDS, f"{self._name}: cancelling the update"))
            raise
        on_progress(UsbProgress(phase=Phase.APPLYING, done_bytes=0, total_bytes=len(content)))
        try:
            self._channel.request(RequestKind.FINISH_UPDATE, encode("FinishUpdateRequest"), deadline)
        except UsbError as error:
            # Its answer was lost, or it said no: only a look at the device tells.
            error.may_have_changed = not isinstance(error, UsbRefusedError)
            raise
        on_progress(UsbProgress(phase=Phase.APPLYING, done_bytes=len(content), total_bytes=len(content)))

    def cancel_update(self) -> None:
        """As promised."""
        self._cancel(self._deadline("cancelling the update"))

    def _send(self, content: bytes, on_progress: OnProgress, stopped: Stopped, deadline: Deadline) -> None:
        on_progress(UsbProgress(phase=Phase.PREPARING, done_bytes=0, total_bytes=len(content)))
        start = encode("StartUpdateRequest", size=len(content))
        reply = decode("StartUpdateReply", self._channel.request(RequestKind.START_UPDATE, start, deadline))
        if not 0 < reply.chunk_size <= _CHUNK_BYTES_MAX:
            raise self._nonsense(f"a chunk size of {reply.chunk_size}")
        for offset in range(0, len(content), reply.chunk_size):
            if stopped():
                raise UsbCancelledError(f"{self._name}: stopped after {offset} of {len(content)} bytes")
            chunk = content[offset : offset + reply.chunk_size]
            self._channel.request(RequestKind.UPDATE_DATA, encode("UpdateDataRequest", data=chunk), deadline)
            done = offset + len(chunk)
            on_progress(UsbProgress(phase=Phase.SENDING, done_bytes=done, total_bytes=len(content)))

    def _cancel(self, deadline: Deadline) -> None:
        self._channel.request(RequestKind.CANCEL_UPDATE, b"", deadline)

    def _ask(self, kind: RequestKind, message: str) -> Any:
        return decode(message, self._request(kind))

    def _request(self, kind: RequestKind) -> bytes:
        return self._channel.request(kind, b"", self._deadline(f"request {kind.name}"))

    def _deadline(self, work: str) -> Deadline:
        return Deadline(self._clock, REQUEST_SECONDS, f"{self._name}: {work}")

    def _spelt(self, spelling: re.Pattern[str], text: str) -> str:
        if not spelling.fullmatch(text):
            raise self._nonsense(f"{text[:40]!r}")
        return text

    def _nonsense(self, what: str) -> UsbGarbledError:
        return UsbGarbledError(f"{self._name}: the device answers with {what}, which makes no sense")
