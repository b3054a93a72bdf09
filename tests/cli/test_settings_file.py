"""What a start finds out about its settings before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.settings_file import check_settings, read_settings
from reconciler.model.error import OperatorError

TEXT = """\
apiVersion: fleet.reconciler.dev/v1alpha1
kind: ControllerSettings
git: {url: manifests}
particle: {tokenFile: token}
catalog: catalog.json
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "settings.yaml").write_text(TEXT)
    (tmp_path / "catalog.json").write_text("{}")
    (tmp_path / "token").write_text("t" * 20)
    (tmp_path / "token").chmod(0o600)
    return tmp_path / "settings.yaml"


def test_settings_that_are_sound_are_read_without_a_word(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = read_settings(file, {})
    assert settings.particle.token_file == str(file.parent / "token")
    assert capsys.readouterr() == ("", "")


def test_all_missing_files_and_other_problems_are_told_in_one_error(file: Path) -> None:
    (file.parent / "token").unlink()
    (file.parent / "catalog.json").write_text("")
    file.write_text(TEXT + "grase: 1s\n")
    with pytest.raises(OperatorError) as caught:
        read_settings(file, {"RECONCILER_LOG__FORMAT": "xml"})
    assert caught.value.code == "PFR6901"
    for said in ("4 problems", "did you mean 'grace'?", "log.format", ":4:23: PFR1302 particle.tokenFile", "is empty"):
        assert said in caught.value.message
    assert "    particle: {tokenFile: token}\n                          ^" in caught.value.message


def test_a_secret_that_everybody_may_read_is_a_warning(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file.parent / "token").chmod(0o644)
    read_settings(file, {})
    assert "everybody on this machine may read it" in capsys.readouterr().err
    checked = check_settings(file, {})
    assert checked.settings is not None
    assert checked.as_text().startswith(f"warning: {file}:4:23: particle.tokenFile: ")


def test_without_a_token_anywhere_there_is_no_start(file: Path) -> None:
    file.write_text(TEXT.replace("particle: {tokenFile: token}\n", ""))
    assert "no access token" in check_settings(file, {}).as_text()
    assert check_settings(file, {"PARTICLE_ACCESS_TOKEN": "x"}).as_text() == ""


def test_a_settings_file_that_is_not_there_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="No such file") as caught:
        read_settings(tmp_path / "none.yaml", {})
    assert caught.value.code == "PFR6902"
