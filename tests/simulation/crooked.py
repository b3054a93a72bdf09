"""Executors that do something else than they were told, for the broken twins of the laws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from reconciler.execution.executor import MayHaveArrived, SendOutcome
from reconciler.firmware.builder import build_module
from reconciler.model.device import ObservedDevice
from reconciler.model.module import Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import platform_by_name
from reconciler.model.step import FlashModule, LockApplication, Step
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from tests.simulation.playing import Performance
from tests.simulation.virtual import synthetic_binaries

Break = Callable[[Performance, pytest.MonkeyPatch], None]


@dataclass
class Crooked:
    """An executor that does something else."""

    executor: Any
    instead: Callable[[Any, ObservedDevice, Step], SendOutcome]

    def send(self, device: ObservedDevice, step: Step) -> SendOutcome:
        return self.instead(self.executor, device, step)


def with_hands(instead: Callable[[Any, ObservedDevice, Step], SendOutcome]) -> Break:
    """Executors that do this instead."""

    def breaks(performance: Performance, _: pytest.MonkeyPatch) -> None:
        performance.hands = lambda executor: Crooked(executor, instead)

    return breaks


def module(platform: str, release: str, slot: str = "bootloader/0") -> bytes:
    chosen = platform_by_name(platform)
    assert chosen is not None
    binary = synthetic_binaries().module(chosen, DeviceOsVersion(release), ModuleSlot.parse(slot))
    assert binary is not None
    return binary


def unheard_of() -> bytes:
    """A bootloader of a number that no release has."""
    platform = platform_by_name("boron")
    assert platform is not None
    return build_module(platform, Module(slot=ModuleSlot(ModuleFunction.BOOTLOADER, 0), version=9999))


def flashes(binary: Callable[[ObservedDevice, Step], bytes]) -> Callable[[Any, ObservedDevice, Step], SendOutcome]:
    def send(executor: Any, device: ObservedDevice, step: Step) -> SendOutcome:
        return executor._flash(device, binary(device, step), is_system=True)  # type: ignore[no-any-return]  # private

    return send


def locks_to_one(executor: Any, device: ObservedDevice, step: Step) -> SendOutcome:
    if isinstance(step, LockApplication):
        step = replace(step, application=ApplicationVersion(1))
    outcome: SendOutcome = executor.send(device, step)
    return outcome


def insists(executor: Any, device: ObservedDevice, step: Step) -> SendOutcome:
    outcome: SendOutcome = executor.send(device, step)
    if isinstance(outcome, MayHaveArrived):
        outcome = executor.send(device, step)
    return outcome


def twice(executor: Any, device: ObservedDevice, step: Step) -> SendOutcome:
    executor.send(device, step)
    executor._api.device(device.id, executor._product)
    outcome: SendOutcome = executor.send(device, step)
    return outcome


def scratched(device: ObservedDevice, step: Step) -> bytes:
    assert isinstance(step, FlashModule)
    binary = bytearray(module("boron", step.device_os.text, str(step.module.slot)))
    binary[len(binary) // 2] ^= 0xFF
    return bytes(binary)
