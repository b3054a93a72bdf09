"""What travels to a device: a module as its own bytes describe it, or bytes that are no module."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from typing import Final

from reconciler.emulator.records import ArtifactNote
from reconciler.firmware.binary import ParsedModule, parse_module
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
class Garbage:
    """Bytes that are no module, and why."""

    size: int
    words: str

    def note(self) -> ArtifactNote:
        """For the request log."""
        return ArtifactNote()


Payload = Artifact | Garbage


def read_payload(data: bytes) -> Payload:
    """What these bytes are. Combined files (facts 1.9) are not taken yet and count as garbage.

    Of a bundle (facts 1.7) it is the application; assets are not modelled, and no device asks for them.
    """
    try:
        parsed = parse_module(_application_of(data) if data.startswith(_ZIP) else data)
    except FirmwareError as error:
        return Garbage(size=len(data), words=error.message)
    return artifact_of(parsed)


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


def artifact_of(parsed: ParsedModule) -> Artifact:
    """The artifact that a parsed module is."""
    product_id, product_version = parsed.product or (None, None)
    return Artifact(
        platform_id=parsed.platform_id,
        module=parsed.module,
        size=parsed.size,
        product_id=product_id,
        product_version=product_version,
        sha256=parsed.sha256,
        compressed=parsed.compression is not None,
    )
