"""The vendor's own tools from npm, against the emulator; missing, they are skipped loudly, or fail in CI."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.npm_package import NpmError, installed

HERE = Path(__file__).parent
NODE_SECONDS_MAX = 240


def modules(name: str, version: str) -> Path:
    """The `node_modules` folder with a tool of the vendor."""
    try:
        return installed(name, version)
    except NpmError as error:
        message = f"THE EMULATOR IS NOT SHOWN TO THE VENDOR'S {name} {version}: {error}"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture(scope="session")
def vendor_modules() -> Callable[..., Path]:
    """Where a tool of the vendor is; a test that asks is skipped, or fails, when it cannot be had."""
    return modules


@pytest.fixture(scope="session")
def run_node() -> Callable[..., Any]:
    """Run a script of this folder with a package of the vendor: JSON in, JSON out."""

    def run(script: str, package: tuple[str, str], question: object) -> Any:
        done = subprocess.run(
            ["node", str(HERE / script)],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            env={**os.environ, "NODE_PATH": str(modules(*package))},
            timeout=NODE_SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
