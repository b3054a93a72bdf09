"""The bootloader in DFU mode, after the vendor's `usbd_dfu.cpp` (nRF52840, Realtek) and `usbd_dfu_core.c` (Gen 2).

What differs by generation: Gen 2 asks a host to wait while it erases, and says on leaving that it is idle; the others
answer late, report the state MANIFEST, and know two commands more. In service mode these others look after the system
part: they erase while they write, and take none below 6.0.0 (facts 4.5). A request that has no place in a state is
stalled and leads to the error state.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final

from reconciler.emulator.bench.device import BenchDevice
from reconciler.emulator.bench.memory import Chip, Memory, memories
from reconciler.emulator.bench.timing import Timing
from reconciler.emulator.bench.transfer import Failure, Outcome, Setup
from reconciler.model.module import ModuleFunction, ModuleSlot

TRANSFER_BYTES: Final = 4096
"""What the functional descriptor says."""
ERROR_TEXT: Final = 0x0B
"""The number of the string that says what went wrong."""
ERROR_WORDS: Final = "Device is in protected mode"

_KIB: Final = 1024
_SYSTEM_PART: Final = ModuleSlot(ModuleFunction.SYSTEM_PART, 1)
_SYSTEM_6_0: Final = 6000
_VERSION_AT: Final = 10
"""Of a module's version in its prefix (facts 1.2)."""
_GENERATION_2: Final = 2
_SET_ADDRESS: Final = 0x21
_ERASE: Final = 0x41
_SAFE_MODE: Final = 0xFA
_CLEAR_OVERRIDE: Final = 0xFB
_COMMANDS: Final = bytes((0, _SET_ADDRESS, _ERASE, _SAFE_MODE, _CLEAR_OVERRIDE))
_COMMANDS_OF_GENERATION_2: Final = _COMMANDS[:3]
_ADDRESS_COMMAND_BYTES: Final = 5
_OK: Final = 0
_ERROR_TARGET: Final = 1
_ERROR_VENDOR: Final = 11
_ERROR_UNKNOWN: Final = 14
_ERROR_STALLED: Final = 15

OnChange = Callable[[str, Chip, int, int, float], None]
"""Called after flash was `erased` or `written`: the chip, the first address, the one behind the last, and when."""


class _State(IntEnum):
    IDLE = 2
    DNLOAD_SYNC = 3
    DNBUSY = 4
    DNLOAD_IDLE = 5
    MANIFEST_SYNC = 6
    MANIFEST = 7
    WAIT_RESET = 8
    UPLOAD_IDLE = 9
    ERROR = 10


class DfuMachine:
    """The bootloader of one device since it came up."""

    def __init__(
        self,
        device: BenchDevice,
        timing: Timing,
        *,
        on_change: OnChange,
        on_leave: Callable[[float, str], None],
    ) -> None:
        self._device = device
        self._timing = timing
        self._on_change = on_change
        self._on_leave = on_leave
        self._memories = memories(device.platform)
        self._is_old = device.platform.generation == _GENERATION_2
        self._state = _State.IDLE
        self._status = _OK
        self._text = 0
        self._alternate = 0
        self._address = 0
        self._block = 0
        self._data = b""
        self._into = ""
        self._busy_until = 0.0
        self._refuses_system_part = False

    def choose(self, alternate: int) -> Outcome:
        """SET_INTERFACE."""
        if alternate >= len(self._memories):
            return Failure.STALL
        self._alternate = alternate
        return b""

    def wait_seconds(self, now: float) -> float:
        """How long the next transfer is held up by what the device is doing."""
        return max(self._busy_until - now, 0.0)

    def transfer(self, setup: Setup, data: bytes, now: float) -> Outcome:
        """One control transfer of class type."""
        match setup.request, setup.to_host:
            case 1, False:
                return self._download(setup, data)
            case 2, True:
                return self._upload(setup)
            case 3, True:
                return self._get_status(now)
            case 4, False:
                return self._clear_status()
            case 5, True:
                busy = self._state in (_State.DNBUSY, _State.MANIFEST, _State.WAIT_RESET)
                return self._stalled() if busy else bytes((self._state,))
            case 6, False:
                return self._abort()
            case _:
                return Failure.STALL

    def _download(self, setup: Setup, data: bytes) -> Outcome:
        if self._state not in (_State.IDLE, _State.DNLOAD_IDLE) or len(data) > TRANSFER_BYTES:
            return self._stalled()
        self._block, self._data = setup.value, data
        self._state = _State.DNLOAD_SYNC if data else _State.MANIFEST_SYNC
        return b""

    def _upload(self, setup: Setup) -> Outcome:
        if self._state not in (_State.IDLE, _State.UPLOAD_IDLE):
            return self._stalled()
        if setup.value == 0:
            self._state = _State.IDLE
            return (_COMMANDS_OF_GENERATION_2 if self._is_old else _COMMANDS)[: setup.length]
        if setup.value == 1:
            return self._stalled()
        if self._device.is_closed:
            self._fail_protected()
            return b""
        memory = self._memories[self._alternate]
        address = self._address + (setup.value - 2) * TRANSFER_BYTES
        if not memory.start <= address <= address + setup.length <= memory.end:
            return self._stalled()
        self._state = _State.UPLOAD_IDLE
        return self._device.chips[memory.chip].read(address, setup.length)

    def _get_status(self, now: float) -> Outcome:
        milliseconds = 0
        match self._state:
            case _State.DNLOAD_SYNC:
                self._state = _State.DNBUSY
                reported, seconds = _State.DNBUSY, self._work_seconds()
                self._busy_until = now + seconds
                if self._is_old:
                    milliseconds = int(seconds * 1000)
                self._device.seconds_spent += seconds
                answer = self._answer(reported, milliseconds)
                self._carry_out(now)
                return answer
            case _State.MANIFEST_SYNC:
                self._state = _State.WAIT_RESET
                self._status = _OK
                self._on_leave(now, self._into)
                return self._answer(_State.DNLOAD_IDLE if self._is_old else _State.MANIFEST, 0)
            case _State.WAIT_RESET:
                return self._stalled()
            case _:
                return self._answer(self._state, 0)

    def _answer(self, state: _State, milliseconds: int) -> bytes:
        return bytes((self._status, *milliseconds.to_bytes(3, "little"), state, self._text))

    def _work_seconds(self) -> float:
        if self._block > 1:
            return self._timing.program_kib * len(self._data) / _KIB
        if self._data[:1] == bytes((_ERASE,)) and len(self._data) == _ADDRESS_COMMAND_BYTES:
            memory = self._memories[self._alternate]
            address = int.from_bytes(self._data[1:], "little")
            if memory.start <= address < memory.end:
                return self._timing.erase_kib * memory.sector(address)[1] / _KIB
        return 0.0

    def _carry_out(self, now: float) -> None:
        """What the device does once the host has heard that it is busy."""
        is_command = self._block == 0
        command = self._data[0] if is_command else -1
        if self._device.is_closed and command not in (_SAFE_MODE, _CLEAR_OVERRIDE):
            self._fail_protected()
        elif is_command:
            self._obey(command, now)
        elif self._block == 1:
            self._fail(_ERROR_TARGET)
        else:
            self._write(self._address + (self._block - 2) * TRANSFER_BYTES, self._data, now)

    def _obey(self, command: int, now: float) -> None:
        has_address = len(self._data) == _ADDRESS_COMMAND_BYTES
        known = _COMMANDS_OF_GENERATION_2 if self._is_old else _COMMANDS
        if command not in known:
            self._fail(_ERROR_STALLED)
        elif command in (_SET_ADDRESS, _ERASE) and not has_address:
            self._fail(_ERROR_TARGET if command == _ERASE else _ERROR_UNKNOWN)
        elif command == _SET_ADDRESS:
            self._address = int.from_bytes(self._data[1:], "little")
            self._state = _State.DNLOAD_IDLE
        elif command == _ERASE:
            self._erase(int.from_bytes(self._data[1:], "little"), now)
        elif command == _SAFE_MODE:
            self._into = "safe_mode"
            self._state = _State.MANIFEST_SYNC
        else:
            if command == _CLEAR_OVERRIDE:
                self._device.service = False
            self._state = _State.DNLOAD_IDLE

    def _erase(self, address: int, now: float) -> None:
        memory = self._memories[self._alternate]
        if not memory.start <= address < memory.end:
            self._fail(_ERROR_UNKNOWN)
            return
        self._state = _State.DNLOAD_IDLE
        if memory.erases and not self._is_guarded(memory, address):
            begin, size = memory.sector(address)
            self._device.chips[memory.chip].erase(begin, size)
            self._on_change("erased", memory.chip, begin, begin + size, now)

    def _write(self, address: int, content: bytes, now: float) -> None:
        memory: Memory = self._memories[self._alternate]
        end = address + len(content)
        if not memory.start <= address < end <= memory.end:
            self._fail(_ERROR_UNKNOWN)
            return
        chip = self._device.chips[memory.chip]
        if self._is_guarded(memory, address):
            self._look_at_system_part(address, content)
            if self._refuses_system_part:
                self._fail_protected()
                return
            if address == memory.sector(address)[0]:
                chip.erase(address, len(content))
        if memory.erases:
            chip.write(address, content)
        else:
            chip.replace(address, content)
        if memory.chip is Chip.INTERNAL:
            self._device.after_dfu_write(address)
        self._state = _State.DNLOAD_IDLE
        self._on_change("written", memory.chip, address, end, now)

    def _is_guarded(self, memory: Memory, address: int) -> bool:
        bounds = self._device.platform.bounds[_SYSTEM_PART] if not self._is_old else None
        if bounds is None or memory.chip is not Chip.INTERNAL or not (self._device.protected and self._device.service):
            return False
        return min(bounds.start_addresses) <= address < min(bounds.start_addresses) + bounds.size_max

    def _look_at_system_part(self, address: int, content: bytes) -> None:
        bounds = self._device.platform.bounds[_SYSTEM_PART]
        if address in bounds.start_addresses:
            at = bounds.prefix_offset + _VERSION_AT
            self._refuses_system_part = int.from_bytes(content[at : at + 2], "little") < _SYSTEM_6_0

    def _clear_status(self) -> Outcome:
        if self._state is not _State.ERROR:
            return self._stalled()
        self._rest()
        return b""

    def _abort(self) -> Outcome:
        if self._state in (_State.DNBUSY, _State.MANIFEST, _State.WAIT_RESET, _State.ERROR):
            return self._stalled()
        self._rest()
        return b""

    def _rest(self) -> None:
        self._state, self._status, self._text = _State.IDLE, _OK, 0

    def _stalled(self) -> Failure:
        self._fail(_ERROR_UNKNOWN)
        return Failure.STALL

    def _fail_protected(self) -> None:
        self._fail(_ERROR_VENDOR)
        self._text = ERROR_TEXT

    def _fail(self, status: int) -> None:
        self._state, self._status, self._text = _State.ERROR, status, 0
