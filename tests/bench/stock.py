"""A folder of modules for the example's devices that are not the vendor's, and the catalog that goes with them."""

from __future__ import annotations

import json
from pathlib import Path

from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.firmware.known import known_catalog
from reconciler.model.fleet import Desired
from reconciler.model.platform import platform_by_name
from reconciler.model.version import DeviceOsVersion
from reconciler.planning.provision import releases_for_bench, steps_of

DEVICE_OS = DeviceOsVersion("6.3.4")


def stock(folder: Path) -> None:
    """Write `firmware/` and `catalog.json` into a folder."""
    binaries = EmulatedBinaries(known_catalog())
    for name in ("argon", "boron"):
        platform = platform_by_name(name)
        assert platform is not None
        releases = releases_for_bench(platform, Desired(device_os=DEVICE_OS, application=None), known_catalog())
        for step in (step for release in releases for step in steps_of(platform, release)):
            place = folder / "firmware" / name / step.device_os.text
            place.mkdir(parents=True, exist_ok=True)
            content = binaries.module(platform, step.device_os, step.module.slot)
            assert content is not None
            (place / f"{step.module.slot.function.label}.bin").write_bytes(content)
    (folder / "catalog.json").write_text(json.dumps(binaries.catalog.document()), encoding="utf-8")
