"""At the bench: applications that only the product in the cloud holds, from the cloud or from a bundle."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.bench_pretended import pretended_bench
from reconciler.bench_wiring import BenchSettings
from reconciler.cli.main import cli
from reconciler.cli.usb import inputs
from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import load_world
from reconciler.firmware.catalog import Catalog
from reconciler.inventory.usb import Register
from reconciler.model.error import ReconcilerError
from reconciler.model.fleet import FleetSet
from reconciler.model.version import DeviceOsVersion
from tests import pretend_bench
from tests.cli.test_apply import ONE, SPEED, TOKEN, WORLD

FLEET = f"""
apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata: {{name: returned}}
spec:
  product: cold-chain
  select: {{devices: [{ONE}], platforms: [boron]}}
  desired: {{application: {{release: logger, version: VERSION}}}}
  delivery: {{via: usb}}
---
apiVersion: fleet.reconciler.dev/v1alpha1
kind: ApplicationRelease
metadata: {{name: logger}}
spec:
  product: cold-chain
  versions: [{{version: VERSION, binaries: [{{platform: boron, source: product}}]}}]
"""


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorServer]:
    """A cloud whose product holds the applications 12 and 44, and manifests that desire 12 at the bench."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECONCILER_JOURNAL", str(tmp_path / "journal.sqlite"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    Path("m.yaml").write_text(FLEET.replace("VERSION", "12"), encoding="utf-8")
    with EmulatorServer(load_world(WORLD), speed=SPEED) as cloud:
        monkeypatch.setenv("PARTICLE_API_URL", cloud.url)
        monkeypatch.setenv("PARTICLE_ACCESS_TOKEN", TOKEN)
        yield cloud


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def requests_for_binaries(cloud: EmulatorServer) -> int:
    with cloud.locked() as state:
        return sum(request.path.endswith("/binary") for request in state.requests)


def test_a_bundle_has_the_applications_that_only_the_product_holds(
    cloud: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run("bundle", "create", "m.yaml", "--output", "b.zip")
    assert made.exit_code == 0, made.output
    assert requests_for_binaries(cloud) == 1
    assert "applications/cold-chain/12.bin" in run("bundle", "show", "b.zip").output
    monkeypatch.delenv("PARTICLE_ACCESS_TOKEN")
    bench = run("usb", "bench", "--bundle", "b.zip", "--emulate", "--speed", "20", "--once")
    assert bench.exit_code == 0, bench.output
    assert f"{ONE} UNPLUG ME" in bench.output
    assert "application 12" in bench.output
    assert requests_for_binaries(cloud) == 1


@pytest.mark.usefixtures("cloud")
def test_there_is_no_bundle_without_an_application_that_it_should_have() -> None:
    Path("m.yaml").write_text(FLEET.replace("VERSION", "13"), encoding="utf-8")
    made = run("bundle", "create", "m.yaml", "--output", "b.zip")
    assert isinstance(made.exception, ReconcilerError)
    assert made.exception.code == "PFR6847"
    assert "application 13 of product cold-chain: the product holds none such" in made.exception.message
    assert not Path("b.zip").exists()


def test_a_bench_with_a_token_has_it_from_the_cloud_and_one_without_says_what_to_give(
    cloud: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ports(fleets: FleetSet, catalog: Catalog, register: Register) -> BenchSettings:
        return pretended_bench(fleets, catalog, register, {}, speed=20)[0]

    monkeypatch.setattr(inputs, "real_bench", ports)
    monkeypatch.delenv("PARTICLE_ACCESS_TOKEN")
    plan = run("usb", "plan", "m.yaml")
    assert "PFR2008" in plan.stdout
    assert "give a token or a bundle, or name a file" in " ".join(plan.stdout.split())
    monkeypatch.setenv("PARTICLE_ACCESS_TOKEN", TOKEN)
    done = run("usb", "apply", "m.yaml", "--auto-approve")
    assert done.exit_code == 0, done.output
    assert "1 of 1 device is done" in done.output
    assert requests_for_binaries(cloud) == 1


def test_the_clouds_controller_leaves_such_devices_to_the_bench(cloud: EmulatorServer) -> None:
    Path("m.yaml").write_text(FLEET.replace("VERSION", "44"), encoding="utf-8")
    plan = run("plan", "m.yaml", "--output", "json")
    assert plan.exit_code == 0, plan.output
    assert "needs_bench" in plan.stdout
    assert "application_unavailable" not in plan.stdout
    assert requests_for_binaries(cloud) == 0


TWO_PRODUCTS = """
apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata: {name: fleet-PRODUCT}
spec:
  product: "PRODUCT"
  select: {devices: [DEVICE], platforms: [boron]}
  desired: {application: {release: logger-PRODUCT, version: 7}}
  delivery: {via: usb}
---
apiVersion: fleet.reconciler.dev/v1alpha1
kind: ApplicationRelease
metadata: {name: logger-PRODUCT}
spec:
  product: "PRODUCT"
  versions: [{version: 7, binaries: [{platform: boron, file: PRODUCT.bin, sha256: SHA256}]}]
---
"""


def test_two_products_with_one_version_number_get_each_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    manifests = ""
    for product, device in (("12345", "e00fce680000000000000001"), ("23456", "e00fce680000000000000002")):
        content = pretend_bench.binaries().application(
            pretend_bench.platform("boron"), DeviceOsVersion("2.0.1"), product=(int(product), 7)
        )
        Path(f"{product}.bin").write_bytes(content)
        manifests += (
            TWO_PRODUCTS.replace("PRODUCT", product)
            .replace("DEVICE", device)
            .replace("SHA256", sha256(content).hexdigest())
        )
    Path("m.yaml").write_text(manifests.removesuffix("---\n"), encoding="utf-8")
    done = run("usb", "bench", "m.yaml", "--emulate", "--speed", "20", "--once", "--journal", "j.sqlite")
    assert done.exit_code == 0, done.output
    assert "2 of 2 devices are done" in done.output
