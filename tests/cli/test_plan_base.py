"""`plan --base REV` and the revision of a plan, as a person calls them in a repository."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from reconciler.cli.comparison import look_for_both, of_products, read_base
from reconciler.cli.inputs import Intent, read_intent
from reconciler.cli.main import cli
from reconciler.cli.saved_plan import read_saved_plan
from reconciler.firmware.builder import build_application
from reconciler.firmware.known import known_catalog
from reconciler.model.device import Observation, Product
from reconciler.model.error import OperatorError
from reconciler.model.fleet import FleetSet
from reconciler.model.instant import instant_from_iso
from reconciler.planning.census import census_of
from reconciler.planning.naming import Naming
from tests.fleet_samples import device, fleet, observation, platform
from tests.manifests.sample import FLEET, RELEASE, bent, text
from tests.sources.sample_repository import SampleRepository

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "plan.v1.schema.json").read_text(encoding="utf-8"))


def device_object(number: int, **fields: Any) -> dict[str, Any]:
    known = {
        "id": f"e00fce68{number:016x}",
        "platform_id": 13,
        "product_id": 12345,
        "system_firmware_version": "2.0.1",
        "firmware_version": 12,
        "online": True,
        "status": "normal",
        "groups": ["eu"],
    }
    return {**known, **fields}


def a_fleet(name: str, numbers: range, device_os: str = "6.3.4", product: str = "12345") -> dict[str, str]:
    """A manifest and its roster, by their paths."""
    manifest = bent(
        FLEET,
        metadata__name=name,
        spec__product=product,
        spec__select={"roster": f"../rosters/{name}.txt"},
        spec__desired={"deviceOS": device_os},
    )
    roster = "".join(f"e00fce68{number:016x}\n" for number in numbers) or "# none\n"
    return {f"m/fleets/{name}.yaml": text(manifest), f"m/rosters/{name}.txt": roster}


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SampleRepository:
    """A repository with one commit, its folder the current one, a snapshot beside it, and no cloud to be reached."""
    repository = SampleRepository(tmp_path / "repository")
    snapshot = {"observed_at": "2026-11-22T09:00:00Z", "devices": [device_object(number) for number in range(1, 11)]}
    (tmp_path / "snapshot.json").write_text(json.dumps(snapshot), encoding="utf-8")
    repository.commit(**a_fleet("eu", range(1, 5)), **a_fleet("us", range(5, 9)))
    monkeypatch.chdir(repository.folder)
    monkeypatch.delenv("PARTICLE_ACCESS_TOKEN", raising=False)
    return repository


def plan(*arguments: str, path: str = "m") -> Result:
    return CliRunner().invoke(cli, ["plan", path, "--observed", "../snapshot.json", *arguments])


def shown(*arguments: str) -> str:
    result = plan(*arguments)
    assert result.exception is None, result.exception
    return result.stdout


def document(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shown("--output", "json", *arguments))
    Draft202012Validator(SCHEMA).validate(found)
    return found


def error_of(*arguments: str, path: str = "m") -> OperatorError:
    error = plan(*arguments, path=path).exception
    assert isinstance(error, OperatorError), error
    return error


def ids(*numbers: int) -> list[str]:
    return [f"e00fce68{number:016x}" for number in numbers]


def test_an_unchanged_folder_changes_nothing(sample: SampleRepository) -> None:
    found = document("--base", "HEAD")
    assert (found["base"]["fleets"], found["base"]["blast_radius"]) == ([], 0)
    assert found["base"]["manifest_digest"] == found["source"]["manifest_digest"]
    assert "Nothing changes" in shown("--base", "main")


def test_a_moved_device_is_told_with_both_fleets_in_every_output(sample: SampleRepository) -> None:
    for path, content in (a_fleet("eu", range(1, 4)) | a_fleet("us", range(4, 9))).items():
        sample.write(path, content)
    found = document("--base", "main")
    assert {each["name"]: each["membership"] for each in found["fleets"]} == {
        "eu": {"joined": [], "left": ids(4)},
        "us": {"joined": ids(4), "left": []},
    }
    assert "1 device joins from eu (e00fce680000000000000004)" in " ".join(shown("--base", "main").split())
    assert "1 device joins from eu" in shown("--base", "main", "--output", "markdown")


def test_a_changed_roster_and_release_are_compared(sample: SampleRepository) -> None:
    for path, content in a_fleet("eu", range(1, 11), "6.3.3").items():
        sample.write(path, content)
    sample.write("m/rosters/us.txt", "\n".join(ids(5)) + "\n")
    for path in ("m/fleets/us.yaml", "m/rosters/us.txt"):
        (sample.folder / path).unlink()
    base = document("--base", "main")["base"]
    assert base["joined"] == ids(9, 10)
    assert base["blast_radius"] == 2
    assert [finding["code"] for finding in base["findings"]] == ["PFR2901"]
    assert "! PFR2901: fleet us loses all of its 4 devices" in shown("--base", "main")


def test_a_renamed_fleet_is_no_alarm(sample: SampleRepository) -> None:
    sample.git("mv", "m/rosters/eu.txt", "m/rosters/europe.txt")
    sample.git("rm", "--quiet", "m/fleets/eu.yaml")
    for path, content in a_fleet("europe", range(1, 5)).items():
        sample.write(path, content)
    base = document("--base", "main")["base"]
    assert (base["findings"], base["blast_radius"]) == ([], 0)
    assert "Fleet europe: is the new name of eu; keeps its 4 devices." in shown("--base", "main")


def test_a_folder_that_the_base_does_not_have_is_all_new(sample: SampleRepository) -> None:
    sample.git("mv", "m", "n")
    result = CliRunner().invoke(cli, ["plan", "n", "--observed", "../snapshot.json", "--base", "main"])
    assert "! PFR2903: n holds no manifest in main" in result.stdout
    assert "Blast radius: 8 more devices to upgrade now" in result.stdout


def test_a_set_that_shrinks_to_nothing_is_an_alarm(sample: SampleRepository) -> None:
    for name in ("eu", "us"):
        (sample.folder / f"m/fleets/{name}.yaml").unlink()
    sample.write("m/fleets/logger.yaml", text(RELEASE))
    found = document("--base", "main")["base"]["findings"]
    assert [finding["code"] for finding in found] == ["PFR2901", "PFR2901", "PFR2902"]


def test_the_digest_does_not_depend_on_the_base(sample: SampleRepository) -> None:
    sample.write("m/rosters/eu.txt", "\n".join(ids(1, 2, 3, 4, 9)) + "\n")
    compared, alone = document("--base", "main"), document()
    assert (compared["digest"], compared["plan_id"]) == (alone["digest"], alone["plan_id"])
    assert "base" not in alone
    assert {str(each["membership"]) for each in alone["fleets"]} == {str({"joined": [], "left": []})}


def test_a_plan_that_was_compared_is_saved_and_read_like_any_other(sample: SampleRepository) -> None:
    sample.write("m/rosters/eu.txt", "\n".join(ids(1, 2, 3, 4, 9)) + "\n")
    shown("--base", "main", "--out", "../plan.json")
    saved = json.loads(Path("../plan.json").read_text(encoding="utf-8"))
    assert saved["base"]["blast_radius"] == 1
    planned_at = instant_from_iso(saved["created_at"])
    assert len(read_saved_plan(Path("../plan.json"), known_catalog(), now=planned_at).plan.by_device) == 9


@pytest.mark.parametrize("revision", ["--upload-pack=touch gone", "-h", "mian", ""])
def test_what_is_no_revision_is_an_error_of_the_operator(sample: SampleRepository, revision: str) -> None:
    error = error_of(f"--base={revision}")
    assert error.code == "PFR6504"
    assert not list(sample.folder.rglob("gone*"))


def test_a_misspelt_branch_is_told_the_right_one(sample: SampleRepository) -> None:
    assert "did you mean 'main'?" in error_of("--base", "mian").next_step


def test_a_base_with_problems_is_an_error_that_tells_them(sample: SampleRepository) -> None:
    good = (sample.folder / "m/fleets/eu.yaml").read_text(encoding="utf-8")
    sample.commit(**{"m/fleets/eu.yaml": good.replace("deviceOS", "deviceOs")})
    sample.write("m/fleets/eu.yaml", good)
    error = error_of("--base", "HEAD")
    assert error.code == "PFR6506"
    assert "unknown field 'deviceOs'" in error.message
    assert "leave out --base" in error.next_step


def test_a_base_that_cannot_be_planned_is_an_error_that_tells_why(sample: SampleRepository) -> None:
    both = sample.commit(**{"m/rosters/us.txt": "\n".join(ids(4, 5)) + "\n"})
    sample.write("m/rosters/us.txt", "\n".join(ids(5)) + "\n")
    error = error_of("--base", both)
    assert error.code == "PFR6506"
    assert "claims device e00fce680000000000000004" in error.message


def test_outside_a_repository_there_is_no_base_and_no_revision(sample: SampleRepository, tmp_path: Path) -> None:
    for path, content in a_fleet("eu", range(1, 5)).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content, encoding="utf-8")
    assert error_of("--base", "main", path="../m").code == "PFR6502"
    result = plan("--output", "json", path="../m")
    assert json.loads(result.stdout)["source"]["revision"] is None


def test_without_git_a_plan_has_no_revision(sample: SampleRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert document()["source"]["revision"] is None
    assert error_of("--base", "main").code == "PFR6501"


def test_the_revision_is_what_git_says_unless_it_is_given(sample: SampleRepository) -> None:
    commit = sample.git("rev-parse", "HEAD")
    clean = document()
    assert clean["source"]["revision"] == f"main@sha1:{commit}"
    assert clean["plan_id"].startswith("plan-main-")
    sample.write("m/rosters/eu.txt", "\n".join(ids(1)) + "\n")
    assert document()["source"]["revision"] == f"main@sha1:{commit}-dirty"
    assert document("--revision", "v1@sha1:0")["source"]["revision"] == "v1@sha1:0"


def with_application(sample: SampleRepository, content: bytes) -> None:
    """The only fleet asks for an application whose file lies beside its release."""
    binary = {"platform": "boron", "file": "logger.bin", "sha256": hashlib.sha256(content).hexdigest()}
    release = bent(RELEASE, spec__product="12345", spec__versions=[{"version": 44, "binaries": [binary]}])
    desired = {"deviceOS": "6.3.4", "application": {"release": "logger", "version": 44}}
    manifest = bent(FLEET, spec__product="12345", spec__select={"groups": ["eu"]}, spec__desired=desired)
    sample.write("a/eu.yaml", text(manifest))
    sample.write("a/logger.yaml", text(release))
    sample.write("a/logger.bin", content)


def test_an_application_is_compared_with_the_file_that_the_base_has(sample: SampleRepository) -> None:
    small, large = (
        build_application(platform("boron"), system_version=6305, product=(12345, 44), size=size)
        for size in (20_000, 30_000)
    )
    with_application(sample, small)
    sample.commit()
    with_application(sample, large)
    result = plan("--base", "HEAD", "--output", "json", path="a")
    assert result.exception is None, result.exception
    found = json.loads(result.stdout)
    assert found["source"]["revision"].endswith("-dirty")
    (changed,) = found["base"]["fleets"]
    assert changed["rerouted"][0]["devices"] == ids(*range(1, 11))
    assert changed["bytes_after"] - changed["bytes_before"] == 10 * 10_000


def test_an_application_file_that_git_ignores_makes_the_revision_dirty(sample: SampleRepository) -> None:
    with_application(
        sample, build_application(platform("boron"), system_version=6305, product=(12345, 44), size=20_000)
    )
    sample.write(".gitignore", "*.bin\n")
    sample.commit()
    assert str(json.loads(plan("--output", "json", path="a").stdout)["source"]["revision"]).endswith("-dirty")


OTHER = Product(id=777, slug="other")
OWN = {"product_id": 13}


def test_in_the_cloud_the_products_of_both_are_looked_at_and_the_plan_sees_its_own(sample: SampleRepository) -> None:
    for path, content in a_fleet("us", range(5, 9), product="777").items():
        sample.write(path, content)
    sample.commit()
    (sample.folder / "m/fleets/us.yaml").unlink()
    intent = read_intent(["m"], None)
    base = read_base("HEAD", ["m"], intent)
    everything = observation(device(1), device(5, product_id=777), products=(OTHER,))
    asked: list[Intent] = []

    def look(intent: Intent) -> Observation:
        asked.append(intent)
        return everything

    own, both = look_for_both(intent, base, look, snapshot=None)
    assert {each.product for each in asked[0].fleets.fleets} == {"12345", "777"}
    assert len(asked) == 1
    assert isinstance(own, Observation)
    assert [each.id for each in own.devices] == ids(1)
    assert both is everything


def test_a_snapshot_that_is_an_observation_serves_both_and_is_read_once(sample: SampleRepository) -> None:
    """A pipe gives one, and nothing when it is read again."""
    intent = read_intent(["m"], None)
    readings = iter([observation(device(1))])
    first, second = look_for_both(
        intent, read_base("HEAD", ["m"], intent), lambda _: next(readings), snapshot=Path("pipe")
    )
    assert first is second


def test_a_snapshot_that_changes_between_its_two_readings_is_an_error(sample: SampleRepository) -> None:
    intent = read_intent(["m"], None)
    base = read_base("HEAD", ["m"], intent)
    nobody = Naming(FleetSet(fleets=()))
    seen = [observation(device(1)), observation(device(1), observed_at=observation().observed_at + 1)]
    readings = iter([census_of(each, nobody) for each in seen])
    with pytest.raises(OperatorError, match="changed while it was read"):
        look_for_both(intent, base, lambda _: next(readings), snapshot=Path("snapshot.json"))


@pytest.mark.parametrize(
    ("products", "seen"),
    [
        (["cold-chain"], [1]),
        (["other"], [2]),
        (["777"], [2]),
        ([None], [3, 4]),
        (["12345", None], [1, 3, 4]),
        (["?"], [1, 2, 3, 4]),
    ],
)
def test_what_a_plan_sees_are_the_devices_of_its_products(products: list[str | None], seen: list[int]) -> None:
    devices = device(1), device(2, product_id=777), device(3, **OWN), device(4, product_id=None)
    looked = replace(observation(*devices), products=(*observation().products, OTHER))
    fleets = FleetSet(fleets=tuple(fleet(f"f{number}", product=word) for number, word in enumerate(products)))
    assert [each.id for each in of_products(looked, fleets).devices] == ids(*seen)


def test_a_device_that_changes_its_wave_is_no_change_of_route(sample: SampleRepository) -> None:
    path, manifest = next((path, text) for path, text in a_fleet("eu", range(1, 5)).items() if path.endswith(".yaml"))
    document_of = yaml.safe_load(manifest)
    document_of["spec"]["rollout"] = {"waves": [{"name": "canary", "size": 2}]}
    sample.write(path, yaml.safe_dump(document_of))
    found = document("--base", "main")
    waves = {fleet["name"]: [wave["name"] for wave in fleet["waves"]] for fleet in found["fleets"]}
    assert waves == {"eu": ["canary", "rest"], "us": ["all"]}
    assert (found["base"]["fleets"], found["base"]["blast_radius"]) == ([], 0)
