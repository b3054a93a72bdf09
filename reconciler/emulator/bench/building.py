"""Devices as releases make them: every module of a release in its place, and an application that was built for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from reconciler.emulator.bench.device import BenchDevice
from reconciler.emulator.bench.holdings import RadioStacks
from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.model.platform import Platform
from reconciler.model.version import DeviceOsVersion


class BenchFactory:
    """Makes devices from binaries, real or synthetic; synthetic ones must have been made to lie side by side."""

    def __init__(self, binaries: EmulatedBinaries) -> None:
        self._binaries = binaries
        self._radio_stacks = cache(lambda platform: RadioStacks(platform, binaries))

    def device(
        self,
        device_id: str,
        platform: Platform,
        release: DeviceOsVersion,
        *,
        product: tuple[int, int] | None = None,
        application: bytes | None = None,
    ) -> BenchDevice:
        """A device of one release. `application`: its own, instead of a synthetic one for `product`.

        Raises KeyError when the catalog has no such release.
        """
        known = self._binaries.catalog.release(platform, release)
        if known is None:
            raise KeyError(release.text)
        device = self.blank(device_id, platform)
        for shipped in known.modules:
            content = self._binaries.module(platform, release, shipped.module.slot)
            assert content is not None
            device.place_file(content)
        device.place_file(application or self._binaries.application(platform, release, product=product))
        return device

    def blank(self, device_id: str, platform: Platform) -> BenchDevice:
        """A device with empty flash."""
        return BenchDevice(id=device_id, platform=platform, radio_stacks=self._radio_stacks(platform))

    @property
    def release_name(self) -> Callable[[Platform, int], str]:
        """What a device with this system part says that it runs; the first release of several with one number."""

        def name(platform: Platform, number: int) -> str:
            releases = self._binaries.catalog.releases_of_system(platform, number)
            return releases[0].version.text if releases else f"0.0.0+{number}"

        return name
