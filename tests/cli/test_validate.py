"""`reconciler validate`: exit codes, and what goes where."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.main import cli
from tests.manifests.sample import FLEET, OVERRIDE, bent, text


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["validate", *map(str, arguments)])


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    folder = tmp_path / "sound"
    folder.mkdir()
    (folder / "fleet.yaml").write_text(text(FLEET))
    (folder / "override.yaml").write_text(text(OVERRIDE))
    return folder


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "a.yaml").write_text(text(bent(FLEET, spec__selekt=1)))
    (folder / "b.yaml").write_text("kind: [")
    return folder


def test_sound_manifests_end_with_0_and_a_summary_on_standard_error(sound: Path) -> None:
    result = run(sound)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "valid: 1 fleet and 1 override in 2 files\n"


def test_problems_end_with_1_and_stand_on_standard_error_with_line_and_caret(broken: Path) -> None:
    result = run(broken)
    assert (result.exit_code, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert lines[0].startswith(f"{(broken / 'a.yaml').as_posix()}:")
    assert "PFR1102 unknown field 'selekt' in spec" in lines[0]
    assert lines[2].index("^") == lines[1].index('"selekt"')
    assert lines[3].strip() == "did you mean 'select'?"
    assert f"{(broken / 'b.yaml').as_posix()}:1:8: PFR1003" in result.stderr
    assert lines[-1] == "2 problems in 2 files"


def test_several_paths_are_one_set(sound: Path, broken: Path) -> None:
    assert run(sound, broken / "a.yaml").exit_code == 1
    assert run(sound / "fleet.yaml", sound / "override.yaml").exit_code == 0


def test_json_goes_to_standard_output_alone(broken: Path) -> None:
    result = run(broken, "--output", "json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [problem["code"] for problem in document["problems"]] == ["PFR1102", "PFR1003"]
    assert result.stderr == "2 problems in 2 files\n"


def test_json_of_sound_manifests_says_valid(sound: Path) -> None:
    result = run(sound, "--output", "json")
    assert (result.exit_code, json.loads(result.stdout)["valid"]) == (0, True)


def test_github_prints_one_command_a_problem_and_nothing_when_all_is_well(sound: Path, broken: Path) -> None:
    assert [line.split(" ")[0] for line in run(broken, "--output", "github").stdout.splitlines()] == ["::error"] * 2
    assert run(sound, "--output", "github").stdout == ""


@pytest.mark.parametrize("which", ["sound", "broken"])
def test_sarif_and_junit_are_whole_documents(which: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(which)
    sarif = json.loads(run(folder, "--output", "sarif").stdout)
    junit = ET.fromstring(run(folder, "--output", "junit").stdout)
    failed = 0 if which == "sound" else 2
    assert len(sarif["runs"][0]["results"]) == failed
    assert len(junit.findall("testsuite/testcase/failure")) == failed
    assert len(junit.findall("testsuite/testcase")) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument"),
        (("nowhere",), "PFR6001 there is no file or folder nowhere"),
        ((".", "--output", "xml"), "Invalid value"),
    ],
)
def test_wrong_usage_ends_with_2(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_folder_without_manifests_is_not_valid(tmp_path: Path) -> None:
    result = run(tmp_path, "--output", "json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "PFR6003" in result.stderr
