"""Products that manifests name in two ways, by number and by slug, are one product."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.main import cli
from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import load_world
from tests.cli.test_apply import SPEED, TOKEN, WORLD

OTHER = """  - {id: e00fce680000000000000003, product: home-hub, platform: photon, deviceOS: "1.5.2", application: 1}
"""
PRODUCT = """  - {id: 12377, slug: home-hub, platform: photon, firmware: [{version: 1, deviceOS: "1.5.2"}]}
devices:
"""


def fleet(name: str, product: str, select: str) -> str:
    return f"""---
apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata: {{name: {name}}}
spec:
  product: "{product}"
  select: {{{select}}}
  desired: {{deviceOS: "6.3.4"}}
"""


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorServer]:
    monkeypatch.chdir(tmp_path)
    with EmulatorServer(load_world(WORLD.replace("devices:\n", PRODUCT) + OTHER), speed=SPEED) as cloud:
        monkeypatch.setenv("PARTICLE_API_URL", cloud.url)
        monkeypatch.setenv("PARTICLE_ACCESS_TOKEN", TOKEN)
        (tmp_path / "catalog.json").write_text(json.dumps(cloud.catalog.document()), encoding="utf-8")
        yield cloud


def run(*words: str) -> Result:
    result = CliRunner().invoke(cli, words)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def asked(cloud: EmulatorServer, path: str) -> int:
    with cloud.locked() as state:
        return sum(request.path == path for request in state.requests)


def plan() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run("plan", "m.yaml", "--output", "json").stdout)
    return document


def test_a_product_by_number_and_by_slug_is_looked_at_once(cloud: EmulatorServer) -> None:
    two = fleet("one", "12345", "devices: [eu-1]") + fleet("two", "cold-chain", "devices: [eu-2]")
    Path("m.yaml").write_text(two, encoding="utf-8")
    planned = plan()
    assert "findings" not in planned
    assert [each["summary"]["devices"] for each in planned["fleets"]] == [1, 1]
    assert asked(cloud, "/v1/products/12345/devices") == 1
    assert asked(cloud, "/v1/products/cold-chain/devices") == 0


def test_both_fleets_of_such_a_product_are_brought_up_to_date(cloud: EmulatorServer) -> None:
    two = fleet("one", "12345", "devices: [eu-1]") + fleet("two", "cold-chain", "devices: [eu-2]")
    Path("m.yaml").write_text(two, encoding="utf-8")
    known = ["--catalog", "catalog.json", "--journal", "journal.sqlite", "--poll-seconds", "0.05"]
    assert run("apply", "m.yaml", *known, "--auto-approve").exit_code == 0
    with cloud.locked() as state:
        assert list(state.violations()) == []


def test_different_products_by_number_and_by_slug_stay_two(cloud: EmulatorServer) -> None:
    Path("m.yaml").write_text(
        fleet("one", "12345", "groups: [eu]") + fleet("two", "home-hub", "platforms: [photon]"), encoding="utf-8"
    )
    planned = plan()
    assert "findings" not in planned
    assert [each["summary"]["devices"] for each in planned["fleets"]] == [2, 1]


def test_slugs_alone_need_no_look_before(cloud: EmulatorServer) -> None:
    Path("m.yaml").write_text(fleet("two", "cold-chain", "groups: [eu]"), encoding="utf-8")
    plan()
    assert asked(cloud, "/v1/products/cold-chain") == 1


def test_a_snapshot_of_one_product_by_two_names_finds_no_device_in_two_products(cloud: EmulatorServer) -> None:
    assert run("observe", "--product", "12345", "--product", "cold-chain", "--output", "seen.json").exit_code == 0
    assert "findings" not in json.loads(Path("seen.json").read_text(encoding="utf-8"))
