"""The commands of docs/kubernetes.md, run as they stand there by helm and kubectl on a real API server of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.kube.api_server import START_SECONDS_MAX, running_api_server
from tests.kube.components import component
from tests.kube.operator_stage import OperatorStage, operator_stage
from tests.kube.release import Release
from tests.simulation.stage import ROOT, TOKEN

PAGE = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
MANIFEST = re.compile(r"^```yaml\n(.*?kind: DeviceFleet.*?)^```", re.MULTILINE | re.DOTALL)
BAD, MENDED = '"2.2.0"', "resume-requested-at="
"""What a block has that brings the bad release, and the one after it was mended."""


@pytest.mark.timeout(START_SECONDS_MAX * 3)
def test_the_page_is_true(tmp_path: Path) -> None:
    (tmp_path / "charts").symlink_to(ROOT / "charts")
    (tmp_path / "fleet.yaml").write_text(MANIFEST.findall(PAGE)[0])
    (tmp_path / "particle-token").write_text(TOKEN)
    (tmp_path / "bin").mkdir()
    for name in ("kubectl", "helm"):
        (tmp_path / "bin" / name).symlink_to(component(name))
    (install, told), *blocks = BLOCK.findall(PAGE)
    assert 1 + len(blocks) == PAGE.count("```sh\n") > 4
    with running_api_server(tmp_path) as server:
        release = Release(server, tmp_path, namespace="reconciler")
        environment = {**release.environment, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
        run(install, told, tmp_path, environment)
        with operator_stage(tmp_path, release.account()) as stage:
            stage.start(**release.settings()["kubernetes"])
            for commands, expected in blocks:
                break_or_mend(stage, commands)
                run(commands, expected, tmp_path, environment, stage)
            assert stage.releases() == {"2.2.0"}
            assert stage.end() == 0
            stage.stage.assert_nothing_wrong()


def break_or_mend(stage: OperatorStage, commands: str) -> None:
    """What nobody can do by kubectl: have transfers fail, and end that."""
    if BAD in commands:
        stage.stage.fault("flash-fails")
    if MENDED in commands:
        stage.stage.fault("flash-fails", rate=0.0)


def run(
    commands: str, expected: str, folder: Path, environment: Mapping[str, str], stage: OperatorStage | None = None
) -> None:
    """Run a block, and find what the page says that it prints."""
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, "-c", f"set -euo pipefail\n{commands}"],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, (commands, done.stdout, done.stderr, stage and stage.said)
    for piece in filter(None, expected.strip().split("…")):
        assert piece in done.stdout, (commands, piece, done.stdout)
