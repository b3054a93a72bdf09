"""The benchmarks measure what they say; nothing here is about time."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from reconciler.inventory.snapshot import observation_from_document
from reconciler.model.device import DeviceMode
from reconciler.model.instant import NEVER
from reconciler.sources import load_fleets
from tests.benchmarks.fleet_snapshot import PLATFORM_SHARES, write_manifests, write_snapshot
from tests.benchmarks.plan import DECODE_ONLY, measured, row, table

DEVICES = 3000


def test_the_fleet_is_spread_and_readable(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "fleet.json", DEVICES)
    observed = observation_from_document((tmp_path / "fleet.json").read_bytes(), read_at=NEVER)
    assert observed.findings == ()
    assert len(observed.devices) == DEVICES
    releases = Counter((device.platform_id, device.device_os) for device in observed.devices)
    assert len({platform for platform, _ in releases}) == len(PLATFORM_SHARES)
    assert len(releases) > 150
    in_safe_mode = [device for device in observed.devices if device.mode is DeviceMode.SAFE_MODE]
    assert any(device.modules for device in in_safe_mode)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_snapshot(tmp_path / name, 50, seed=3)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_its_manifests_are_valid(tmp_path: Path) -> None:
    write_manifests(tmp_path / "manifests")
    assert len(load_fleets([tmp_path / "manifests"]).fleets) == len(PLATFORM_SHARES)


def test_the_yardstick_decodes_every_device(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "fleet.json", 50)
    command = [sys.executable, str(DECODE_ONLY), str(tmp_path / "fleet.json")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "50\n"


def test_a_process_is_measured_without_the_memory_of_the_one_that_measures(tmp_path: Path) -> None:
    ballast = b"x" * (200 * 1024 * 1024)
    cost = measured([sys.executable, "-c", "print(1)"], output=tmp_path / "output")
    assert cost.peak_bytes < len(ballast) / 2
    assert (tmp_path / "output").read_text() == "1\n"


def test_a_row_has_a_cell_for_every_column(tmp_path: Path) -> None:
    lines = table([row(60, tmp_path, runs=1, seed=7)])
    assert {line.count("|") for line in lines} == {10}
    assert lines[2].startswith("| 60 | ")
