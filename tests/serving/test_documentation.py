"""The commands of docs/serving.md, run as they stand there against a real server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.settings.settings import Role, TokenSettings
from tests.serving.desk import serving, settings_in

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def test_the_page_is_true(tmp_path: Path) -> None:
    missing = [tool for tool in ("bash", "curl", "openssl") if shutil.which(tool) is None]
    if missing:
        message = f"{', '.join(missing)} is not installed"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    settings = settings_in(tmp_path)
    on_call = TokenSettings(name="on-call", role=Role.OPERATE, token_file=str(tmp_path / "operate.token"))
    blocks = BLOCK.findall(PAGE)
    assert len(blocks) == PAGE.count("```sh\n") > 8
    with serving(replace(settings, tokens=(on_call,))) as client:
        environment = {"PATH": os.environ["PATH"], "URL": client.server.url, "no_proxy": "*"}
        for commands, expected in blocks:
            script = f"set -euo pipefail\n{commands}"
            done = subprocess.run(
                ["bash", "-c", script],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, (commands, done.stdout, done.stderr)
            for piece in filter(None, expected.strip().split("…")):
                assert piece in done.stdout, (commands, piece, done.stdout)
        assert client.desk.fetches == 1
