"""The commands of docs/kubernetes.md, run as they stand there by kubectl on a real API server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kube.api_server import START_SECONDS_MAX, ApiServer
from tests.kube.components import component
from tests.kube.operator_stage import operator_stage
from tests.kube.permissions import account_of_operator
from tests.simulation.stage import TOKEN

PAGE = (Path(__file__).parents[2] / "docs" / "kubernetes.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
MANIFEST = re.compile(r"^```yaml\n(.*?kind: DeviceFleet.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(START_SECONDS_MAX * 3)
def test_the_page_is_true(tmp_path: Path, real_api_server: ApiServer) -> None:
    kubectl, bash = component("kubectl"), shutil.which("bash")
    assert bash is not None
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "kubectl").symlink_to(kubectl)
    config = account_of_operator(real_api_server, tmp_path)
    (tmp_path / "fleet.yaml").write_text(MANIFEST.findall(PAGE)[0])
    (tmp_path / "particle-token").write_text(TOKEN)
    admin = real_api_server.kubeconfig(tmp_path / "admin")
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "KUBECONFIG": str(admin), "HOME": str(tmp_path)}
    blocks = BLOCK.findall(PAGE)
    assert len(blocks) == PAGE.count("```sh\n") > 4
    with operator_stage(tmp_path, config) as stage:
        stage.start()
        for commands, expected in blocks:
            script = f"set -euo pipefail\n{commands}"
            done = subprocess.run(
                [bash, "-c", script],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=400,
                check=False,
            )
            assert done.returncode == 0, (commands, done.stdout, done.stderr, stage.said)
            for piece in filter(None, expected.strip().split("…")):
                assert piece in done.stdout, (commands, piece, done.stdout)
        assert stage.releases() == {"2.1.0"}
        assert stage.end() == 0
        stage.stage.assert_nothing_wrong()
