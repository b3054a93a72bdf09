"""Device OS releases: the modules that one version ships for one platform, stations on the way, reviewed exceptions."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.module import Module, ModuleSlot
from reconciler.model.version import DeviceOsVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseModule:
    """One module as a release ships it.

    `size` (bytes), `sha256` (of the whole file) and `file` (its name) only where a source has them.
    """

    module: Module
    size: int | None = None
    sha256: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What one Device OS version ships for one platform.

    `published`: there is evidence that users got it (facts, `device-os-published.csv`); only published releases may be
    desired or passed through. Applications that a release brings (Tinker) are not part of it.
    """

    version: DeviceOsVersion
    platform_id: int
    published: bool
    modules: tuple[ReleaseModule, ...]

    def __hash__(self) -> int:
        """Equal releases have equal hashes; no two of a platform share a version."""
        return hash((self.platform_id, self.version))

    @property
    def prerelease(self) -> bool:
        """Whether the version is a prerelease."""
        return self.version.prerelease


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A release at which a route of these platforms must stop when it passes it, and why."""

    platforms: tuple[str, ...]
    via: tuple[str, ...]
    versions: tuple[DeviceOsVersion, ...]
    reason: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Releases of one platform from `first` to `last`, both included; None for `last`: every later one too."""

    first: DeviceOsVersion
    last: DeviceOsVersion | None = None

    def __str__(self) -> str:
        if self.last is self.first:
            return self.first.text
        return f"{self.first} and later" if self.last is None else f"{self.first} to {self.last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """Releases that these platforms cannot reach over the cloud from some earlier ones: known, and why.

    It forbids nothing: the modules' own needs do. `catalog lint` takes it as reviewed and says so when it is no longer
    true.
    """

    platforms: tuple[str, ...]
    start: Span
    desired: Span
    reason: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LowerBound:
    """A module version that modules of these platforms need and that no known release ships: any later one is meant."""

    platforms: tuple[str, ...]
    slot: ModuleSlot
    version: int
    reason: str
    source: str
