"""`adopt`: files that `validate` finds clean and on which `plan` has nothing to do; all of them or none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.main import cli
from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import demo_world
from reconciler.inventory.snapshot import document_from_observation
from reconciler.model.error import BugError, ReconcilerError
from reconciler.planning.adoption import Adoption
from reconciler.render.manifest_text import adoption_files
from tests.fleet_samples import device, observation

DEMO_TOKEN = "1" * 40


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def error_of(result: Result) -> ReconcilerError:
    assert isinstance(result.exception, ReconcilerError), result.output
    return result.exception


def write_snapshot(place: Path, **fields: Any) -> str:
    devices = [device(number, device_os="6.3.4" if number < 5 else "2.0.1") for number in range(1, 7)]
    place.write_bytes(document_from_observation(observation(*devices, **fields)))
    return str(place)


def files_below(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def plan(*options: str) -> dict[str, Any]:
    result = run("plan", *options, "--output", "json")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_what_it_writes_is_valid_and_leaves_nothing_to_do(here: Path) -> None:
    seen = write_snapshot(here / "fleet.json")
    result = run("adopt", "cold-chain", "--observed", seen, "--output", "mine")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("6 devices of 6 of the product cold-chain in 2 fleets")
    assert "reconciler plan mine" in result.stderr
    assert run("validate", "mine").exit_code == 0
    planned = plan("mine", "--observed", seen, "--detailed-exitcode")
    assert planned["summary"] == {"devices": 6, "current": 6, "upgrade": 0, "refused": 0, "waiting": 0}


def test_the_same_observation_gives_the_same_files_and_again_is_no_conflict(here: Path) -> None:
    seen = write_snapshot(here / "fleet.json")
    assert run("adopt", "cold-chain", "--observed", seen).exit_code == 0
    once = files_below(here / "manifests")
    assert run("adopt", "cold-chain", "--observed", seen).exit_code == 0
    assert files_below(here / "manifests") == once


def test_nothing_is_written_over_a_file_that_a_person_has_changed(here: Path) -> None:
    seen = write_snapshot(here / "fleet.json")
    assert run("adopt", "cold-chain", "--observed", seen).exit_code == 0
    manifest = here / "manifests" / "cold-chain-eu.yaml"
    manifest.write_text("# mine\n", encoding="utf-8")
    (here / "manifests" / "cold-chain-app.yaml").unlink()
    before = files_below(here / "manifests")
    error = error_of(run("adopt", "cold-chain", "--observed", seen))
    assert (error.code, "cold-chain-eu.yaml" in error.message) == ("PFR6713", True)
    assert files_below(here / "manifests") == before
    assert run("adopt", "cold-chain", "--observed", seen, "--force").exit_code == 0
    assert "# mine" not in manifest.read_text(encoding="utf-8")


def test_when_one_file_cannot_be_put_into_its_place_the_others_are_as_they_were(here: Path) -> None:
    seen = write_snapshot(here / "fleet.json")
    assert run("adopt", "cold-chain", "--observed", seen).exit_code == 0
    folder = here / "manifests"
    (folder / "cold-chain-app.yaml").write_text("# older\n", encoding="utf-8")
    (folder / "cold-chain-eu.yaml").unlink()
    (folder / "cold-chain-eu.yaml").mkdir()
    before = files_below(folder)
    assert error_of(run("adopt", "cold-chain", "--observed", seen, "--force")).code == "PFR6714"
    assert files_below(folder) == before


def test_folders_that_were_made_for_nothing_are_taken_away(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = write_snapshot(here / "fleet.json")

    def full_disk(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    error = error_of(run("adopt", "cold-chain", "--observed", seen))
    assert (error.code, "No space left" in error.message) == ("PFR6714", True)
    assert not (here / "manifests").exists()


def test_a_product_without_devices_and_one_that_nobody_knows_are_errors_and_no_files(here: Path) -> None:
    seen = write_snapshot(here / "fleet.json")
    assert error_of(run("adopt", "777", "--observed", seen)).code == "PFR6712"
    assert error_of(run("adopt", "other", "--observed", seen)).code == "PFR6711"
    assert error_of(run("adopt", "--own", "--observed", seen)).code == "PFR6712"
    assert not (here / "manifests").exists()


@pytest.mark.parametrize("words", [[], ["cold-chain", "--own"]])
def test_it_wants_one_product_or_the_owners_devices(here: Path, words: list[str]) -> None:
    result = run("adopt", *words, "--observed", write_snapshot(here / "fleet.json"))
    assert result.exit_code == 2
    assert "--own" in result.stderr


def test_an_observation_that_is_not_complete_is_said(here: Path) -> None:
    seen = write_snapshot(here / "fleet.json", complete=False, findings=("page 3 was empty",))
    result = run("adopt", "cold-chain", "--observed", seen)
    assert "finding: page 3 was empty" in result.stderr
    assert "not all devices could be read" in result.stderr


def test_manifests_that_would_not_be_empty_are_never_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = write_snapshot(here / "fleet.json")

    def wrong(adoption: Adoption) -> dict[str, str]:
        files = dict(adoption_files(adoption))
        files["cold-chain-eu.yaml"] = files["cold-chain-eu.yaml"].replace('"6.3.4"', '"6.4.1"')
        return files

    monkeypatch.setattr("reconciler.cli.adopt.adoption_files", wrong)
    assert isinstance(run("adopt", "cold-chain", "--observed", seen).exception, BugError)
    assert not (here / "manifests").exists()


def test_the_whole_demonstration_is_adopted_from_its_cloud(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmulatorServer(demo_world(), speed=0.001) as cloud:
        monkeypatch.setenv("PARTICLE_API_URL", cloud.url)
        monkeypatch.setenv("PARTICLE_ACCESS_TOKEN", DEMO_TOKEN)
        (here / "catalog.json").write_text(json.dumps(cloud.catalog.document()), encoding="utf-8")
        products = [product.slug for product in demo_world().products]
        scopes = [word for product in products for word in ("--product", product)]
        assert run("observe", *scopes, "--own", "--output", "fleet.json").exit_code == 0
        options = ["--observed", "fleet.json", "--catalog", "catalog.json"]
        for product in [*products, "--own"]:
            result = run("adopt", product, "--catalog", "catalog.json")
            assert result.exit_code == 0, result.output
        with cloud.locked() as state:
            assert {request.method for request in state.requests} == {"GET"}
    assert run("validate", "manifests").exit_code == 0
    summary = plan("manifests", *options)["summary"]
    assert summary["current"] == summary["devices"]
    left_out = "".join(path.read_text(encoding="utf-8") for path in (here / "manifests").glob("*-left-out.txt"))
    assert summary["devices"] + left_out.count("#   ") == 300
