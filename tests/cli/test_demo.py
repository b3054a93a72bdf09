"""The demonstration's stage. What the whole of it says is compared with the README, in `tests/tidy/test_readme.py`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from reconciler.cli.demo import chapters
from reconciler.cli.demo.stage import MANIFESTS, Stage, demo_manifests
from reconciler.cli.main import cli
from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import load_world
from reconciler.model.error import OperatorError

WORLD = "devices: [{count: 2, platform: boron, deviceOS: '6.3.4'}]"


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    with EmulatorServer(load_world(WORLD), speed=600) as emulator:
        yield emulator


def stage_on(emulator: EmulatorServer, folder: Path, **options: Any) -> Stage:
    given = {"journal": None, "no_color": True, "quiet": False, "verbose": False, **options}
    return Stage(emulator=emulator, folder=folder, manifests=demo_manifests(), token="1" * 40, **given)


def test_the_stage_leaves_everything_as_it_was(emulator: EmulatorServer, tmp_path: Path) -> None:
    before = (dict(os.environ), Path.cwd())
    with stage_on(emulator, tmp_path):
        assert Path.cwd() == tmp_path
        assert os.environ["PARTICLE_API_URL"] == emulator.url
    assert (dict(os.environ), Path.cwd()) == before


def test_a_command_is_shown_and_is_the_command_itself(
    emulator: EmulatorServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with stage_on(emulator, tmp_path) as stage:
        assert stage.run("validate", MANIFESTS) == 0
        assert stage.run("validate", "nowhere") == 2
    said = capsys.readouterr()
    assert said.out == "\n  $ reconciler validate fleet-manifests\n\n  $ reconciler validate nowhere\n"
    assert "valid: 15 fleets and 1 override" in said.err
    assert "PFR6001" in said.err


def test_a_long_text_is_its_beginning_and_its_end(
    emulator: EmulatorServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with stage_on(emulator, tmp_path) as stage:
        stage.run("apply", "--help")
        abridged = capsys.readouterr().out
        stage.run("apply", "--help", whole=True)
    whole = capsys.readouterr().out
    assert "lines are left out here" in abridged
    assert len(abridged.splitlines()) < len(whole.splitlines())
    assert abridged.splitlines()[:10] == whole.splitlines()[:10]
    assert abridged.splitlines()[-5:] == whole.splitlines()[-5:]


def test_quietly_nothing_is_said(emulator: EmulatorServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with stage_on(emulator, tmp_path, quiet=True) as stage:
        assert stage.run("validate", MANIFESTS) == 0
    assert capsys.readouterr() == ("", "")


def test_an_edit_changes_the_copy_alone(emulator: EmulatorServer, tmp_path: Path) -> None:
    with stage_on(emulator, tmp_path) as stage:
        stage.edit("cold-chain-eu.yaml", "version: 2}", "version: 3}")
        assert "version: 3}" in Path(MANIFESTS, "cold-chain-eu.yaml").read_text(encoding="utf-8")
    assert "version: 2}" in (demo_manifests() / "cold-chain-eu.yaml").read_text(encoding="utf-8")


def test_a_folder_without_real_binaries_is_refused(emulator: EmulatorServer, tmp_path: Path) -> None:
    with stage_on(emulator, tmp_path) as stage, pytest.raises(OperatorError, match="PFR6801"):
        chapters.the_cloud(stage, tmp_path)


def test_the_demonstration_is_a_command() -> None:
    assert "--speed" in CliRunner().invoke(cli, ["demo", "--help"]).output
