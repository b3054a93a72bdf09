"""Device OS releases: the modules that one version ships for one platform, and stations on the way."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.module import Module
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
