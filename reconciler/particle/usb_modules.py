"""What a device says of its modules, in the two forms of the answer (facts 7.3), as one.

The old form (Device OS before 5.5) has its own numbers for what a module is for, no store, no hash, and a size without
the CRC. What cannot be read becomes a finding; the other modules hold all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.particle.usb import ModuleReports, ModuleStore, ReportedModule
from reconciler.particle.usb_messages import decode

_OLD_FUNCTIONS: Final = {
    1: ModuleFunction.BOOTLOADER,
    2: ModuleFunction.SYSTEM_PART,
    3: ModuleFunction.USER_PART,
    4: ModuleFunction.MONO_FIRMWARE,
    5: ModuleFunction.NCP_FIRMWARE,
    6: ModuleFunction.RADIO_STACK,
}
_FUNCTIONS: Final = {int(function): function for function in ModuleFunction if function is not ModuleFunction.NONE}
_STORES: Final = dict(enumerate(ModuleStore))
_CRC_SIZE: Final = 4
_SHA256_SIZE: Final = 32
_INDEX_MAX: Final = 0xFF
_VERSION_MAX: Final = 0xFFFF
_DEPENDENCIES_MAX: Final = 2
_OLD_BROKEN: Final = 1
_OLD_UNMET: Final = 2
_DEPENDENCIES: Final = 4 | 64
"""The bits of checks that are about dependencies (facts 4.6); every other one is about the module itself."""


def read_module_reports(data: bytes) -> ModuleReports:
    """Read the answer to GET_MODULE_INFO. Raises UsbGarbledError for bytes that are no such answer."""
    reply = decode("ModuleInfoReply", data)
    findings: list[str] = []
    read = [_old_module(module, findings) for module in reply.old_modules]
    if not read:
        read = [_module(module, findings) for module in reply.modules]
    return ModuleReports(modules=tuple(filter(None, read)), findings=tuple(findings))


def _old_module(message: Any, findings: list[str]) -> ReportedModule | None:
    module = _identity(message, _OLD_FUNCTIONS, findings)
    if module is None:
        return None
    return ReportedModule(
        module=module,
        size_bytes=message.size + _CRC_SIZE if message.size else None,
        intact=not message.validity & _OLD_BROKEN,
        dependencies_met=not message.validity & _OLD_UNMET,
    )


def _module(message: Any, findings: list[str]) -> ReportedModule | None:
    module = _identity(message, _FUNCTIONS, findings)
    if module is None:
        return None
    store = _STORES.get(message.store)
    if store is None:
        findings.append(f"{module} is in the unknown store {message.store}")
        return None
    failed = message.checked_flags & ~message.passed_flags
    has_hash = len(message.hash) == _SHA256_SIZE and any(message.hash)
    return ReportedModule(
        module=module,
        store=store,
        size_bytes=message.size or None,
        sha256=message.hash.hex() if has_hash else None,
        intact=not failed & ~_DEPENDENCIES,
        dependencies_met=not failed & _DEPENDENCIES,
    )


def _identity(message: Any, functions: Mapping[int, ModuleFunction], findings: list[str]) -> Module | None:
    slot = _slot(message, functions)
    needs = [_dependency(need, functions) for need in message.dependencies if need.type]
    if slot is None or message.version > _VERSION_MAX or len(needs) > _DEPENDENCIES_MAX or None in needs:
        findings.append(f"a module of type {message.type}, index {message.index}, version {message.version} is unknown")
        return None
    first, second, *_ = [*needs, None, None]
    return Module(slot=slot, version=message.version, first_dependency=first, second_dependency=second)


def _dependency(message: Any, functions: Mapping[int, ModuleFunction]) -> Dependency | None:
    slot = _slot(message, functions)
    return Dependency(slot, message.version) if slot is not None and message.version <= _VERSION_MAX else None


def _slot(message: Any, functions: Mapping[int, ModuleFunction]) -> ModuleSlot | None:
    function = functions.get(message.type)
    return ModuleSlot(function, message.index) if function is not None and message.index <= _INDEX_MAX else None
