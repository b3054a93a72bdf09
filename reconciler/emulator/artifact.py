"""What travels to a device: a module as its own bytes describe it, or bytes that are no module."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from typing import Final, assert_never

from reconciler.emulator.records import ArtifactNote
from reconciler.firmware.binary import ParsedModule, parse_file, parse_module, uncompressed
from reconciler.firmware.prefix import ModuleFlags
from reconciler.model.error import FirmwareError
from reconciler.model.module import Module, ModuleFunction

_ZIP: Final = b"PK\x03\x04"
_APPLICATION_MAX: Final = 4 * 1024 * 1024
"""Bytes; more than any platform has room for (facts 3.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One module on its way. `sha256` is the hash in its suffix, `size` in bytes as transferred."""

    platform_id: int
    module: Module
    size: int
    product_id: int | None = None
    product_version: int | None = None
    sha256: str | None = None
    compressed: bool = False

    @property
    def is_application(self) -> bool:
        """Whether it is an application."""
        return self.module.slot.function is ModuleFunction.USER_PART

    def __str__(self) -> str:
        return str(self.module)

    def note(self) -> ArtifactNote:
        """For the request log."""
        return ArtifactNote(
            platform_id=self.platform_id,
            slot=self.module.slot,
            version=self.module.version,
            product_id=self.product_id,
            product_version=self.product_version,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Combined:
    """Several modules in one transfer (facts 1.9). `size` is what travels, in bytes."""

    parts: tuple[Artifact, ...]
    size: int

    def note(self) -> ArtifactNote:
        """For the request log: the first of the modules."""
        return self.parts[0].note()

    def __str__(self) -> str:
        return " with ".join(map(str, self.parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """Bytes that are no module, and why."""

    size: int
    words: str

    def note(self) -> ArtifactNote:
        """For the request log."""
        return ArtifactNote()


Payload = Artifact | Combined | Garbage


def read_payload(data: bytes) -> Payload:
    """What these bytes are; of a bundle (facts 1.7), its application. No device asks for its assets."""
    content = _application_of(data) if data.startswith(_ZIP) else data
    try:
        parts = tuple(_artifact(parsed, content) for parsed in parse_file(content))
    except FirmwareError as error:
        return Garbage(size=len(data), words=error.message)
    return parts[0] if len(parts) == 1 else Combined(parts=parts, size=len(data))


def fingerprint(payload: Payload) -> tuple[object, ...]:
    """What tells a device that a transfer is the one that broke off: size and hash (facts 6.2)."""
    match payload:
        case Artifact():
            return (payload.size, payload.platform_id, payload.module, payload.sha256)
        case Combined():
            return (payload.size, *map(fingerprint, payload.parts))
        case Garbage():
            return (payload.size, payload.words)
    assert_never(payload)


def _application_of(bundle: bytes) -> bytes:
    """The one `.bin` at the top of a bundle; nothing when there is no such file, or it is too large for a device."""
    try:
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
            names = [one for one in archive.infolist() if "/" not in one.filename and one.filename.endswith(".bin")]
            if len(names) != 1 or names[0].file_size > _APPLICATION_MAX:
                return b""
            return archive.read(names[0])
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError):
        return b""


def _artifact(parsed: ParsedModule, data: bytes) -> Artifact:
    """The artifact that a parsed module is; of a compressed one the hash is that of the module inside."""
    product_id, product_version = parsed.product or (None, None)
    sha256 = parsed.sha256
    if parsed.compression is not None and not parsed.flags & ModuleFlags.DROP_MODULE_INFO:
        sha256 = parse_module(uncompressed(parsed, data)).sha256
    return Artifact(
        platform_id=parsed.platform_id,
        module=parsed.module,
        size=parsed.size,
        product_id=product_id,
        product_version=product_version,
        sha256=sha256,
        compressed=parsed.compression is not None,
    )
