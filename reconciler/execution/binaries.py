"""Where the bytes of a step come from, and the check that they are the planned ones.

The rules:
- No binary is used that `verify` has not read: platform, slot, version and both dependencies must be those of the step,
  and where the plan names a SHA-256, so must be that of the whole file.
- A file is known by its prefix, never by its name: the Electron's parts carry names that lie (facts 3.1).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from reconciler.firmware.binary import NO_PRODUCT, ParsedModule, parse_module
from reconciler.model.error import FirmwareError
from reconciler.model.module import ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform
from reconciler.model.step import FlashModule
from reconciler.model.version import ApplicationVersion
from reconciler.particle.api import MODULE_BYTES_MAX, DeviceOsReleaseRecord, ParticleApi, ReleaseModuleRecord

MEMORY_BYTES_MAX: Final = 64 * 1024 * 1024
"""Room for the modules of about 40 releases; a fleet passes through a few."""

_ARGON: Final = 12

ApplicationKey = tuple[str, ApplicationVersion, str | None]
"""Platform name, version, and the SHA-256 of the file, None: nobody says. Two products may have one number each."""

Applications = Mapping[ApplicationKey, bytes]
"""The application binaries that manifests name."""


class BinaryStore(Protocol):
    """Somewhere that module and application binaries come from. May be asked by several threads."""

    def module(self, platform: Platform, step: FlashModule) -> bytes:
        """The verified binary of the step's module. Raises FirmwareError PFR4401, PFR4402, or WireError."""

    def application(
        self, platform_name: str, application: ApplicationVersion, sha256: str | None = None
    ) -> bytes | None:
        """The application binary of that SHA-256 (None: of none that is known) that the manifests name.

        None: the product in the cloud holds it.
        """


def verify(binary: bytes, platform: Platform, step: FlashModule) -> None:
    """Raise FirmwareError PFR4401 unless these bytes are exactly the module that the step means."""
    wanted = step.module
    what = f"the binary for {wanted} of {platform} {step.device_os}"
    if step.sha256 is not None and hashlib.sha256(binary).hexdigest() != step.sha256.lower():
        raise _integrity(f"{what} has another SHA-256 than the plan")
    parsed = _parsed(binary, what)
    if not _is_for(parsed, platform):
        raise _integrity(f"{what} is for platform {parsed.platform_id}, not {platform.id}")
    if parsed.module != wanted:
        needs = ", ".join(map(str, parsed.module.dependencies)) or "nothing"
        raise _integrity(f"{what} is another module: {parsed.module}, which needs {needs}")


def verify_application(binary: bytes, platform: Platform, application: ApplicationVersion, sha256: str | None) -> None:
    """Raise FirmwareError PFR4401 unless these bytes are an application for the platform and say this version.

    A device tells its application by nothing else (facts 5.3): one that says no version could never be seen to run.
    """
    what = f"the binary of application {application} for {platform}"
    if sha256 is not None and hashlib.sha256(binary).hexdigest() != sha256.lower():
        raise _integrity(f"{what} has another SHA-256 than the plan")
    parsed = _parsed(binary, what)
    if parsed.platform_id != platform.id:
        raise _integrity(f"{what} is for platform {parsed.platform_id}, not {platform.id}")
    if parsed.module.slot.function is not ModuleFunction.USER_PART:
        raise _integrity(f"{what} is no application but {parsed.module}")
    if parsed.product_version in (None, NO_PRODUCT):
        raise _integrity(f"{what} carries no version: build it with PRODUCT_VERSION({application})")
    if parsed.product_version != application:
        raise _integrity(f"{what} says that it is version {parsed.product_version}")


class FolderBinaries:
    """Binaries in a folder: `FOLDER/<platform>/<device_os>/*.bin`, each known by its prefix."""

    def __init__(self, folder: Path, applications: Applications | None = None) -> None:
        self._folder = folder
        self._applications = applications or {}
        self._lock = threading.Lock()
        self._indexes: dict[Path, Mapping[tuple[ModuleSlot, int], Path]] = {}

    def module(self, platform: Platform, step: FlashModule) -> bytes:
        """The module from the folder of its release."""
        place = self._folder / platform.name / step.device_os.text
        with self._lock:
            if place not in self._indexes:
                self._indexes[place] = _index(place, platform)
            path = self._indexes[place].get((step.module.slot, step.module.version))
        if path is None:
            message = f"no file in {place} is {step.module} of {platform}"
            raise FirmwareError("PFR4402", message, next_step="put the release's module there, or leave out --firmware")
        binary = _read(path)
        verify(binary, platform, step)
        return binary

    def application(
        self, platform_name: str, application: ApplicationVersion, sha256: str | None = None
    ) -> bytes | None:
        """The application that the manifests name."""
        return self._applications.get((platform_name, application, sha256))


class CloudBinaries:
    """Binaries of the cloud's Device OS catalogue (facts 5.11), kept in memory, and in a folder if one is given.

    A kept file is verified like a fresh one, so a damaged cache costs a download and nothing else.
    """

    def __init__(
        self,
        api: ParticleApi,
        *,
        applications: Applications | None = None,
        cache: Path | None = None,
        memory_bytes_max: int = MEMORY_BYTES_MAX,
    ) -> None:
        self._api = api
        self._applications = applications or {}
        self._cache = cache
        self._memory_bytes_max = memory_bytes_max
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, FlashModule], bytes] = OrderedDict()
        self._kept_bytes = 0
        self._fetching: dict[tuple[int, FlashModule], threading.Lock] = {}

    def module(self, platform: Platform, step: FlashModule) -> bytes:
        """The module from memory, the folder, or the cloud; threads that want the same one wait for one download."""
        key = (platform.id, step)
        with self._lock:
            turn = self._fetching.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                kept = self._kept.get(key)
                if kept is not None:
                    self._kept.move_to_end(key)
                    return kept
            binary = self._from_folder(platform, step)
            if binary is None:
                binary = self._from_cloud(platform, step)
            self._keep(key, binary)
            return binary

    def application(
        self, platform_name: str, application: ApplicationVersion, sha256: str | None = None
    ) -> bytes | None:
        """The application that the manifests name."""
        return self._applications.get((platform_name, application, sha256))

    def _keep(self, key: tuple[int, FlashModule], binary: bytes) -> None:
        with self._lock:
            self._kept[key] = binary
            self._kept_bytes += len(binary)
            while self._kept_bytes > self._memory_bytes_max and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                self._kept_bytes -= len(dropped)

    def _from_folder(self, platform: Platform, step: FlashModule) -> bytes | None:
        if self._cache is None:
            return None
        try:
            binary = _read(self._cached_path(self._cache, platform, step))
            verify(binary, platform, step)
        except (FirmwareError, OSError):
            return None
        return binary

    def _from_cloud(self, platform: Platform, step: FlashModule) -> bytes:
        release = self._api.device_os_release(step.device_os, platform.id)
        if release is None:
            message = f"the cloud has no Device OS {step.device_os} for {platform}"
            raise FirmwareError("PFR4402", message, next_step="give a folder with its modules by --firmware")
        problem: FirmwareError | None = None
        for listed in _fitting(release, step):
            binary = self._api.device_os_module(release, listed)
            try:
                verify(binary, platform, step)
            except FirmwareError as error:
                problem = error
                continue
            if self._cache is not None:
                _store(self._cached_path(self._cache, platform, step), binary)
            return binary
        if problem is not None:
            raise problem
        message = f"the cloud's Device OS {step.device_os} for {platform} has no {step.module}"
        raise FirmwareError("PFR4402", message, next_step="give a folder with its modules by --firmware")

    @staticmethod
    def _cached_path(cache: Path, platform: Platform, step: FlashModule) -> Path:
        slot = step.module.slot
        name = f"{slot.function.label}-{slot.index}-{step.module.version}.bin"
        return cache / platform.name / step.device_os.text / name


def _fitting(release: DeviceOsReleaseRecord, step: FlashModule) -> list[ReleaseModuleRecord]:
    """The listed modules that say they are the wanted one, before those that say nothing of themselves."""
    silent = [listed for listed in release.modules if listed.prefix_info is None]
    return [listed for listed in release.modules if listed.prefix_info is not None and _says(listed, step)] + silent


def _says(listed: ReleaseModuleRecord, step: FlashModule) -> bool:
    info, wanted = listed.prefix_info, step.module
    assert info is not None
    # The catalogue writes functions as words, with - or _; the vendor's parser writes numbers.
    function = str(info.module_function).lower().replace("-", "_")
    return (
        function in {wanted.slot.function.label, str(int(wanted.slot.function))}
        and str(info.module_index) == str(wanted.slot.index)
        and str(info.module_version) == str(wanted.version)
    )


def _index(place: Path, platform: Platform) -> Mapping[tuple[ModuleSlot, int], Path]:
    found: dict[tuple[ModuleSlot, int], Path] = {}
    for path in sorted(place.glob("*.bin")):
        try:
            parsed = parse_module(_read(path))
        except (FirmwareError, OSError):
            # A file that is no module, or of a kind that we do not send, is none of the wanted ones.
            continue
        if _is_for(parsed, platform):
            found.setdefault((parsed.module.slot, parsed.module.version), path)
    return found


def _is_for(parsed: ParsedModule, platform: Platform) -> bool:
    """Whether a device of this platform takes it: sets up to 3.3.1 share Argon's radio stack (facts 2)."""
    is_shared = parsed.module.slot.function is ModuleFunction.RADIO_STACK and platform.mcu == "nrf52840"
    return parsed.platform_id == platform.id or (is_shared and parsed.platform_id == _ARGON)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        binary = file.read(MODULE_BYTES_MAX + 1)
    if len(binary) > MODULE_BYTES_MAX:
        raise _integrity(f"{path} is larger than any module")
    return binary


def _store(path: Path, binary: bytes) -> None:
    """Write so that nobody ever sees half a file. A cache that cannot be written to is no cache, and no error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".unfinished-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(binary)
            Path(unfinished).replace(path)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
    except OSError:
        return


def _parsed(binary: bytes, what: str) -> ParsedModule:
    try:
        return parse_module(binary)
    except FirmwareError as error:
        raise _integrity(f"{what} is no usable module: {error.code} {error.message}") from error


def _integrity(message: str) -> FirmwareError:
    return FirmwareError("PFR4401", message, next_step="nothing was sent; find out where these bytes come from")
