"""What travels to a device: a module as its own bytes describe it, or bytes that are no module."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.emulator.records import ArtifactNote
from reconciler.firmware.binary import ParsedModule, parse_module
from reconciler.model.error import FirmwareError
from reconciler.model.module import Module, ModuleFunction


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
    """What these bytes are. Combined files (facts 1.9) are not taken yet and count as garbage."""
    try:
        parsed = parse_module(data)
    except FirmwareError as error:
        return Garbage(size=len(data), words=error.message)
    return artifact_of(parsed)


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
