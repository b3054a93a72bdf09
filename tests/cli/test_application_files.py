"""`plan`, `explain` and plan files know what the application files of the manifests say."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.main import cli
from reconciler.cli.saved_plan import read_saved_plan
from reconciler.firmware.builder import build_application
from reconciler.firmware.known import known_catalog
from reconciler.model.error import OperatorError
from tests.fleet_samples import NOW, platform

BORON = platform("boron")
BUILT_WITH_6_3_4 = build_application(BORON, system_version=6305, product=(12345, 44), size=20_000)
DEVICE: dict[str, Any] = {
    "id": "e00fce680000000000000001",
    "platform_id": 13,
    "product_id": 12345,
    "system_firmware_version": "2.0.1",
    "firmware_version": 12,
    "online": True,
    "status": "normal",
}


def write(folder: Path, application: bytes, device_os: str = "6.3.4") -> None:
    fleet = f"""\
apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata: {{name: eu}}
spec:
  product: "12345"
  select: {{platforms: [boron]}}
  desired: {{deviceOS: "{device_os}", application: {{release: logger, version: 44}}}}
---
apiVersion: fleet.reconciler.dev/v1alpha1
kind: ApplicationRelease
metadata: {{name: logger}}
spec:
  product: "12345"
  versions:
    - version: 44
      binaries:
        - {{platform: boron, file: logger.bin, sha256: {hashlib.sha256(application).hexdigest()}}}
"""
    folder.mkdir(exist_ok=True)
    (folder / "eu.yaml").write_text(fleet)
    (folder / "logger.bin").write_bytes(application)


def run(folder: Path, *arguments: str) -> Result:
    snapshot = folder.parent / "snapshot.json"
    document = {"format_version": "1.0", "observed_at": "2026-11-22T09:00:00Z", "source": "cloud", "devices": [DEVICE]}
    snapshot.write_text(json.dumps(document))
    return CliRunner().invoke(cli, ["plan", str(folder), "--observed", str(snapshot), *arguments])


def fleet_plan(folder: Path) -> dict[str, Any]:
    result = run(folder, "--output", "json")
    assert result.exit_code == 0, result.output
    plan: dict[str, Any] = json.loads(result.stdout)["fleets"][0]
    return plan


def test_the_size_of_the_file_is_the_size_of_the_last_step(tmp_path: Path) -> None:
    write(tmp_path / "fleets", BUILT_WITH_6_3_4)
    steps = fleet_plan(tmp_path / "fleets")["routes"][0]["steps"]
    assert (steps[-1]["action"], steps[-1]["bytes"]) == ("lock_application", 20_000)


def test_an_application_for_a_later_device_os_is_refused_at_plan_time(tmp_path: Path) -> None:
    write(tmp_path / "fleets", BUILT_WITH_6_3_4, device_os="6.2.0")
    (refused,) = fleet_plan(tmp_path / "fleets")["refused"]
    assert (refused["code"], refused["reason"]) == ("PFR2011", "application_needs_later")
    assert "is built for Device OS 6.3.4: the desired 6.2.0 brings system_part/1 6200" in refused["message"]


def test_a_changed_file_ends_the_plan_with_the_place_in_the_manifest(tmp_path: Path) -> None:
    write(tmp_path / "fleets", BUILT_WITH_6_3_4)
    (tmp_path / "fleets" / "logger.bin").write_bytes(build_application(BORON, system_version=6305, product=None))
    result = run(tmp_path / "fleets")
    assert result.exit_code == 1
    assert re.search(r"eu\.yaml:17:35: PFR1216", str(result.exception))


def test_a_plan_file_knows_its_applications_where_their_files_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "fleets", BUILT_WITH_6_3_4)
    saved = tmp_path / "plan.json"
    assert run(tmp_path / "fleets", "--out", str(saved)).exit_code == 0
    (tmp_path / "fleets" / "logger.bin").unlink()
    monkeypatch.chdir(tmp_path)
    application = read_saved_plan(saved, known_catalog(), now=NOW).fleets.fleets[0].desired.application
    assert application is not None
    built = application.binaries[0].built
    assert built is not None
    assert (built.size, built.product_version, built.sha256) == (
        20_000,
        44,
        hashlib.sha256(BUILT_WITH_6_3_4).hexdigest(),
    )
    assert built.module.dependencies[0].version == 6305


@pytest.mark.parametrize(
    ("member", "value"), [("slot", "user_part"), ("needs", [None]), ("size", "big"), ("strange", 1)]
)
def test_a_plan_file_with_damaged_applications_is_refused(tmp_path: Path, member: str, value: object) -> None:
    write(tmp_path / "fleets", BUILT_WITH_6_3_4)
    saved = tmp_path / "plan.json"
    assert run(tmp_path / "fleets", "--out", str(saved)).exit_code == 0
    document = json.loads(saved.read_text())
    (application,) = document["manifests"]["applications"].values()
    application[member] = value
    saved.write_text(json.dumps(document))
    with pytest.raises(OperatorError, match="PFR6401"):
        read_saved_plan(saved, known_catalog(), now=NOW)
