from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from reconciler.cli.plan import command
from reconciler.render.plan_markdown import BYTES_MAX

MANIFESTS = Path(__file__).parents[2] / "fleet-manifests" / "02-a-product"


def test_the_plan_as_markdown_goes_to_standard_output_and_keeps_the_exit_code(tmp_path: Path) -> None:
    device = {
        "id": "e00fce680000000000000001",
        "name": "one | two",
        "platform_id": 13,
        "product_id": 12345,
        "system_firmware_version": "1.5.2",
        "firmware_version": 12,
        "online": True,
        "status": "normal",
        "groups": ["eu"],
    }
    (tmp_path / "observed.json").write_text(json.dumps([device]), encoding="utf-8")
    arguments = [str(MANIFESTS), "--observed", str(tmp_path / "observed.json"), "--output", "markdown"]
    result = CliRunner().invoke(command, [*arguments, "--detailed-exitcode"])
    assert result.exit_code == 2, result.exception
    assert result.stdout.startswith("## Plan plan-")
    assert "**1 device: 1 to upgrade, 0 as desired, 0 waiting, 0 refused**" in result.stdout
    assert "### Routes" in result.stdout
    assert len(result.stdout.encode()) <= BYTES_MAX
