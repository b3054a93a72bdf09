"""What the real kstatus and the real CEL say of resources: `judge/`, built by Go into a cache outside the tree."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.real_firmware import cache_folder

MODULE = Path(__file__).parent / "judge"
BUILD_SECONDS_MAX = 1800
FILES = ("go.mod", "go.sum", "main.go")


def judged(
    resources: Sequence[Mapping[str, Any]], expressions: Mapping[str, str] | None = None
) -> list[Mapping[str, Any]]:
    """`status` by kstatus and the `values` of the expressions, for each resource."""
    lines = "".join(json.dumps({"object": each, "expressions": expressions or {}}) + "\n" for each in resources)
    done = subprocess.run([_program()], input=lines, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _program() -> Path:
    """Built once for its sources; several processes may build at once, and the first one to finish is kept."""
    digest = hashlib.sha256(b"".join((MODULE / name).read_bytes() for name in FILES)).hexdigest()[:16]
    path = cache_folder() / "kube" / f"judge-{platform.machine()}-{digest}"
    if path.is_file():
        return path
    go = shutil.which("go")
    if go is None:
        _left_out("Go is not installed")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        built = Path(folder) / "judge"
        command = [go, "build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-o", str(built), "."]
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""}
        done = subprocess.run(
            command, cwd=MODULE, env=environment, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS_MAX
        )
        if done.returncode:
            _left_out(f"Go could not build it: {done.stderr[-500:]}")
        built.replace(path)
    return path


def _left_out(why: str) -> NoReturn:
    message = f"WHAT KSTATUS AND FLUX SAY OF A STATUS IS NOT TESTED: {why}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(message)
    pytest.skip(message)
