"""One device on the bench: its flash, what runs on it, and what a restart leads to.

A restart comes to this, after the vendor's start-up code (facts 4.3):
- A system part, or the radio stack, that is not whole: the bootloader finds nothing to start and stays in DFU mode.
- No application, a broken one, or a need that is not met: safe mode.
- Else the application runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from reconciler.emulator.artifact import Artifact, Combined, read_payload
from reconciler.emulator.bench.flash import Flash
from reconciler.emulator.bench.holdings import Holdings, RadioStacks, look
from reconciler.emulator.bench.memory import Chip
from reconciler.emulator.bench.records import BenchMode
from reconciler.emulator.device import Device, TransferError, application_base, transfer_error
from reconciler.emulator.dice import Dice
from reconciler.emulator.identity import serial_number
from reconciler.firmware.binary import ParsedModule, parse_file, uncompressed
from reconciler.firmware.prefix import PREFIX_SIZE, ModuleFlags
from reconciler.model.module import ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform

UPDATE_BYTES_MAX: Final = 1536 * 1024
"""The room for what a device is sent in normal mode (facts 3.2); larger is -1351."""

_PAGE: Final = 4096
_TOO_LARGE: Final = TransferError(code=-1351, words="Invalid module size")
_PROTECTED: Final = TransferError(code=-1801, words="Device is protected")
_SYSTEM_6_0: Final = 6000
"""The lowest system part that a protected device takes over USB (facts 4.5)."""
_FOUNDATIONS: Final = frozenset({ModuleFunction.SYSTEM_PART, ModuleFunction.RADIO_STACK})
_BLANKS_FORMER_SINCE: Final = 1100
"""Bootloader of Device OS 3.1.0: it blanks the old place of applications when the large one is written (facts 3.2)."""


@dataclass(slots=True, kw_only=True, eq=False)
class BenchDevice:
    """The true state of one device.

    - `protected` and `service`: device protection is on; it is switched off for now.
    - `updates_enabled`: the application allows updates. `crashing`: the application crashes at every start.
    - `listening`, `wants_cloud`: what the host or the application asked for.
    - `seconds_spent`: how long erasing, writing, sending and restarting took, the measure for who works on it.
    - `seconds_waited`: how long its transfers waited for those of others on the bus.
    """

    id: str
    platform: Platform
    radio_stacks: RadioStacks
    mode: BenchMode = BenchMode.NORMAL
    listening: bool = False
    wants_cloud: bool = True
    protected: bool = False
    service: bool = False
    updates_enabled: bool = True
    crashing: bool = False
    chips: dict[Chip, Flash] = field(default_factory=lambda: {chip: Flash() for chip in Chip})
    restarts: int = 0
    seconds_spent: float = 0.0
    seconds_waited: float = 0.0
    _seen: tuple[int, int, Holdings] | None = None

    @property
    def holdings(self) -> Holdings:
        """What is in flash, read again after every change."""
        internal, ncp = self.chips[Chip.INTERNAL], self.chips[Chip.NCP]
        if self._seen is None or self._seen[:2] != (internal.changes, ncp.changes):
            found = look(self.platform, internal, ncp, self.radio_stacks)
            self._seen = (internal.changes, ncp.changes, found)
        return self._seen[2]

    @property
    def is_closed(self) -> bool:
        """Whether protection is in force now."""
        return self.protected and not self.service

    @property
    def system_number(self) -> int:
        """The number of the system part that gives the release; 0: none that is whole."""
        held = self.holdings.held.get(application_base(self.platform))
        return held.installed.module.version if held else 0

    @property
    def serial_number(self) -> str:
        """What is printed on it."""
        return serial_number(self._as_judged())

    @property
    def is_online(self) -> bool:
        """Whether it has a connection to the cloud."""
        return self.mode is not BenchMode.DFU and not self.listening and self.wants_cloud

    def boot_mode(self) -> BenchMode:
        """What a restart leads to."""
        holdings = self.holdings
        is_whole = self._parts_that_start() <= holdings.held.keys()
        if not is_whole or any(slot.function in _FOUNDATIONS for slot in holdings.broken):
            return BenchMode.DFU
        if self.crashing or holdings.broken or holdings.loadout.unmet or holdings.loadout.application is None:
            return BenchMode.SAFE_MODE
        return BenchMode.NORMAL

    def _parts_that_start(self) -> frozenset[ModuleSlot]:
        """The system parts without which nothing starts: Electron has its third one since 0.6.0 only (facts 4.3)."""
        held = (found.installed.module for found in self.holdings.held.values())
        parts = [module for module in held if module.slot.function is ModuleFunction.SYSTEM_PART]
        asked = {need.slot for part in parts for need in part.dependencies}
        first = ModuleSlot(ModuleFunction.SYSTEM_PART, 1)
        return frozenset({first, application_base(self.platform)} | asked.intersection(self.platform.system_parts))

    def judge(self, content: bytes) -> TransferError | None:
        """Why the device refuses what it was sent in normal mode, or None."""
        if len(content) > UPDATE_BYTES_MAX:
            return _TOO_LARGE
        if not self.updates_enabled:
            return TransferError(code=-1380, words="Updates are disabled")
        payload = read_payload(content)
        parts = payload.parts if isinstance(payload, Combined) else (payload,)
        system = ModuleFunction.SYSTEM_PART
        if self.protected and any(
            isinstance(part, Artifact) and part.module.slot.function is system and part.module.version < _SYSTEM_6_0
            for part in parts
        ):
            return _PROTECTED
        return transfer_error(self._as_judged(), payload)

    def install(self, content: bytes) -> None:
        """What the bootloader does at the next start with an update that was accepted."""
        for parsed in parse_file(content):
            self._place(parsed, _plain(parsed, content))

    def place_file(self, content: bytes) -> None:
        """Put a module where it belongs, as at the factory."""
        self.install(content)

    def after_dfu_write(self, address: int) -> None:
        """The favour that newer bootloaders do whoever writes the head of an application in the large place."""
        large = self.platform.bounds.get(ModuleSlot(ModuleFunction.USER_PART, 2))
        if large is None or address != large.start_addresses[0]:
            return
        bootloader = self.holdings.held.get(ModuleSlot(ModuleFunction.BOOTLOADER, 0))
        if bootloader is not None and bootloader.installed.module.version >= _BLANKS_FORMER_SINCE:
            self._blank_former()

    def _place(self, parsed: ParsedModule, content: bytes) -> None:
        slot = parsed.module.slot
        chip = Chip.NCP if slot.function is ModuleFunction.NCP_FIRMWARE else Chip.INTERNAL
        if slot == ModuleSlot(ModuleFunction.USER_PART, 2):
            self._blank_former()
        if slot.function is ModuleFunction.USER_PART:
            self.crashing = False
        drops = parsed.flags & ModuleFlags.DROP_MODULE_INFO
        self.chips[chip].replace(parsed.prefix.start_address, content[PREFIX_SIZE:] if drops else content)

    def _blank_former(self) -> None:
        former = self.platform.bounds.get(ModuleSlot(ModuleFunction.USER_PART, 1))
        if former is not None:
            self.chips[Chip.INTERNAL].erase(former.start_addresses[0], _PAGE)

    def _as_judged(self) -> Device:
        """The device as the rules for updates know one."""
        return Device(
            id=self.id,
            name=None,
            platform=self.platform,
            product_id=None,
            loadout=self.holdings.loadout,
            dice=Dice(self.id),
            updates_enabled=self.updates_enabled,
        )


def _plain(parsed: ParsedModule, content: bytes) -> bytes:
    """One module of a file as it goes into flash."""
    if parsed.compression is not None:
        inner = uncompressed(parsed, content)
        # What drops its prefix has only its payload inside; flash takes it without the 24 bytes in front.
        return bytes(PREFIX_SIZE) + inner if parsed.flags & ModuleFlags.DROP_MODULE_INFO else inner
    return content[parsed.offset : parsed.offset + parsed.size]
