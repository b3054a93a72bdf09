"""What a Device OS answers to control requests (facts 7.3), after `system_control_internal.cpp` and `storage.cpp`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from reconciler.emulator.bench import protobuf
from reconciler.emulator.bench.device import UPDATE_BYTES_MAX, BenchDevice
from reconciler.emulator.bench.holdings import Held
from reconciler.emulator.bench.requests import Answer
from reconciler.emulator.bench.timing import Timing
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot

_KIB: Final = 1024
_CHUNK_BYTES: Final = 1024
_OUT_OF_RANGE: Final = -290
_INVALID_STATE: Final = -210
_BAD_DATA: Final = -280
_NOT_SUPPORTED: Final = -120
_PROTECTED: Final = -1801
_TOO_LARGE: Final = -1351
_DISABLED: Final = -1380

_DEVICE_ID, _SERIAL, _VERSION, _CAPABILITIES = 20, 21, 30, 32
_RAW_VERSION: Final = _VERSION
_RESET, _DFU_MODE, _SAFE_MODE = 40, 50, 60
_LISTEN, _STOP_LISTENING, _MODE, _PROTECTED_STATE = 70, 71, 72, 76
_MODULE_INFO: Final = 90
_START, _FINISH, _CANCEL, _DATA = 250, 251, 252, 253
_CLOUD, _CONNECT, _DISCONNECT = 300, 301, 302
_OPEN_WHILE_PROTECTED: Final = frozenset({_DEVICE_ID, _PROTECTED_STATE})

_NEW_MODULE_INFO_SINCE: Final = 5500
"""Module number of Device OS 5.5 (facts 7.3)."""
_PROTECTION_SINCE: Final = 6100
"""Module number of Device OS 6.1 (facts 4.5)."""
_SERIAL_ON_GENERATION_2_SINCE: Final = 1500
_MODE_ON_GENERATION_2_SINCE: Final = 1100
_GENERATION_2: Final = 2
"""The vendor's client names these releases for its requests."""

_OLD_TYPES: Final = {
    ModuleFunction.BOOTLOADER: 1,
    ModuleFunction.SYSTEM_PART: 2,
    ModuleFunction.USER_PART: 3,
    ModuleFunction.MONO_FIRMWARE: 4,
    ModuleFunction.NCP_FIRMWARE: 5,
    ModuleFunction.RADIO_STACK: 6,
}
_CHECKED: Final = 2 | 4 | 8 | 16
_DEPENDENCIES: Final = 4
_CRC_SIZE: Final = 4


class Surroundings(Protocol):
    """What a Device OS asks of the rest of the device."""

    def restart(self, device: BenchDevice, now: float, *, into: str) -> None:
        """Restart in a while: `into` is `dfu`, `safe_mode` or empty."""
        ...

    def installed(self, device: BenchDevice, content: bytes, now: float) -> None:
        """An update was accepted and fetched: put it in its place and restart."""
        ...

    def refused(self, device: BenchDevice, result: int, now: float) -> None:
        """An update was refused."""
        ...


@dataclass(slots=True)
class _Update:
    size: int
    content: bytearray


class DeviceOs:
    """The Device OS of one device, since its last start."""

    def __init__(self, device: BenchDevice, surroundings: Surroundings, timing: Timing, version: str) -> None:
        self._device = device
        self._around = surroundings
        self._timing = timing
        self._version = version
        self._update: _Update | None = None

    def raw(self, kind: int) -> bytes | None:
        """A request of the low level; None: a stall."""
        return self._version.encode() + b"\0" if kind == _RAW_VERSION else None

    def answer(self, kind: int, payload: bytes, now: float) -> Answer:
        """The answer to a request."""
        handler = self._handlers().get(kind)
        if self._device.is_closed and kind not in _OPEN_WHILE_PROTECTED:
            return Answer(result=_PROTECTED)
        if handler is None:
            return Answer(result=_NOT_SUPPORTED)
        try:
            answer = handler(protobuf.fields(payload), now)
        except protobuf.ProtobufError:
            return Answer(result=_BAD_DATA)
        self._device.seconds_spent += answer.seconds
        return answer

    def _handlers(self) -> dict[int, Callable[[dict[int, int | bytes], float], Answer]]:
        device, wait = self._device, self._timing.answer

        def text(value: str) -> Callable[[dict[int, int | bytes], float], Answer]:
            return lambda _message, _now: Answer(payload=protobuf.blob(1, value.encode()), seconds=wait)

        def flag(name: str, value: bool) -> Callable[[dict[int, int | bytes], float], Answer]:  # setattr
            def change(_message: dict[int, int | bytes], _now: float) -> Answer:
                setattr(device, name, value)
                return Answer(seconds=wait)

            return change

        def restart(into: str) -> Callable[[dict[int, int | bytes], float], Answer]:
            return lambda _message, _now: Answer(
                seconds=wait, afterwards=lambda then: self._around.restart(device, then, into=into)
            )

        handlers: dict[int, Callable[[dict[int, int | bytes], float], Answer]] = {
            _DEVICE_ID: text(device.id),
            _SERIAL: text(device.serial_number),
            _VERSION: text(self._version),
            _CAPABILITIES: lambda _m, _n: Answer(payload=protobuf.fixed32(1, self._capabilities()), seconds=wait),
            _RESET: restart(""),
            _DFU_MODE: restart("dfu"),
            _SAFE_MODE: restart("safe_mode"),
            _LISTEN: flag("listening", value=True),
            _STOP_LISTENING: flag("listening", value=False),
            _MODE: lambda _m, _n: Answer(payload=protobuf.varint(1, int(device.listening)), seconds=wait),
            _PROTECTED_STATE: lambda _m, _n: Answer(payload=self._protection(), seconds=wait),
            _MODULE_INFO: lambda _m, _n: Answer(payload=self._modules(), seconds=wait),
            _START: self._start,
            _DATA: self._take,
            _FINISH: self._finish,
            _CANCEL: self._cancel,
            _CLOUD: lambda _m, _n: Answer(payload=protobuf.varint(1, 2 * int(device.is_online)), seconds=wait),
            _CONNECT: flag("wants_cloud", value=True),
            _DISCONNECT: flag("wants_cloud", value=False),
        }
        return {kind: handler for kind, handler in handlers.items() if kind not in self._unknown()}

    def _unknown(self) -> set[int]:
        """Requests that this release does not know."""
        number = self._device.system_number
        unknown = {_PROTECTED_STATE} if number < _PROTECTION_SINCE else set()
        if self._device.platform.generation == _GENERATION_2:
            unknown |= {_SERIAL, _DEVICE_ID} if number < _SERIAL_ON_GENERATION_2_SINCE else set()
            unknown |= {_MODE} if number < _MODE_ON_GENERATION_2_SINCE else set()
        return unknown

    def _capabilities(self) -> int:
        bootloader = self._device.holdings.held.get(ModuleSlot(ModuleFunction.BOOTLOADER, 0))
        unpacks = bootloader is not None and bootloader.installed.module.version >= 1000  # noqa: PLR2004  # facts 1.8
        return int(unpacks and self._device.platform.generation > _GENERATION_2)

    def _protection(self) -> bytes:
        return protobuf.varint(1, int(self._device.is_closed)) + protobuf.varint(2, int(self._device.service))

    def _start(self, message: dict[int, int | bytes], _now: float) -> Answer:
        size = protobuf.number(message, 1)
        self._update = None
        if protobuf.number(message, 2):
            return Answer(result=_NOT_SUPPORTED)
        if not self._device.updates_enabled:
            return Answer(result=_DISABLED)
        if size > UPDATE_BYTES_MAX:
            return Answer(result=_TOO_LARGE)
        self._update = _Update(size, bytearray())
        seconds = self._timing.erase_kib * size / _KIB
        return Answer(payload=protobuf.varint(1, _CHUNK_BYTES), seconds=seconds)

    def _take(self, message: dict[int, int | bytes], _now: float) -> Answer:
        update, self._update = self._update, None
        if update is None:
            return Answer(result=_INVALID_STATE)
        data = message.get(1, b"")
        if not isinstance(data, bytes) or not 0 < len(data) <= update.size - len(update.content):
            return Answer(result=_OUT_OF_RANGE)
        update.content += data
        self._update = update
        return Answer(seconds=self._timing.program_kib * len(data) / _KIB)

    def _finish(self, message: dict[int, int | bytes], now: float) -> Answer:
        update, self._update = self._update, None
        if update is None or len(update.content) < update.size:
            return Answer(result=_INVALID_STATE)
        content = bytes(update.content)
        error = self._device.judge(content)
        if error is not None:
            self._around.refused(self._device, error.code, now)
            return Answer(result=error.code)
        if protobuf.number(message, 1):
            return Answer()
        return Answer(afterwards=lambda then: self._around.installed(self._device, content, then))

    def _cancel(self, _message: dict[int, int | bytes], _now: float) -> Answer:
        self._update = None
        return Answer()

    def _modules(self) -> bytes:
        holdings = self._device.holdings
        unmet = {module for module, _ in holdings.loadout.unmet}
        new = self._device.system_number >= _NEW_MODULE_INFO_SINCE
        return b"".join(
            _new_module(self._device, held, met=held.installed.module not in unmet)
            if new
            else _old_module(held, met=held.installed.module not in unmet)
            for _, held in sorted(holdings.held.items())
        )


def _old_module(held: Held, *, met: bool) -> bytes:
    module = held.installed.module
    body = _identity(_OLD_TYPES[module.slot.function], module.slot.index, module.version)
    body += protobuf.varint(4, held.size - _CRC_SIZE) + protobuf.varint(5, 0 if met else 2)
    for need in module.dependencies:
        body += protobuf.blob(6, _need(need, _OLD_TYPES[need.slot.function]))
    return protobuf.blob(1, body)


def _new_module(device: BenchDevice, held: Held, *, met: bool) -> bytes:
    module: Module = held.installed.module
    bounds = device.platform.bounds[module.slot]
    body = _identity(int(module.slot.function), module.slot.index, module.version)
    body += protobuf.varint(5, bounds.size_max) + protobuf.fixed32(6, _CHECKED)
    body += protobuf.fixed32(7, _CHECKED if met else _CHECKED & ~_DEPENDENCIES)
    body += protobuf.blob(8, bytes.fromhex(held.installed.sha256 or "00" * 32))
    for need in module.dependencies:
        body += protobuf.blob(9, _need(need, int(need.slot.function)))
    return protobuf.blob(2, body + protobuf.varint(11, held.size))


def _need(need: Dependency, kind: int) -> bytes:
    return _identity(kind, need.slot.index, need.version)


def _identity(kind: int, index: int, version: int) -> bytes:
    return protobuf.varint(1, kind) + protobuf.varint(2, index) + protobuf.varint(3, version)
