"""npm packages that a benchmark compares with: installed into a cache outside the repository, never committed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def cache_folder() -> Path:
    """Where the packages are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "particle-fleet-reconciler" / "benchmarks"


def modules_of(name: str, version: str) -> Path:
    """The `node_modules` folder that this package is installed in, or would be."""
    return cache_folder() / f"{name}-{version}" / "node_modules"


def installed(name: str, version: str) -> Path:
    """The `node_modules` folder with this package, fetched by npm if it is not there; install scripts do not run.

    Raises SystemExit when npm is missing or fails.
    """
    modules = modules_of(name, version)
    if (modules / name / "package.json").exists():
        return modules
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise SystemExit("this benchmark needs node and npm")
    modules.parent.mkdir(parents=True, exist_ok=True)
    (modules.parent / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--save-exact", f"{name}@{version}"]
    done = subprocess.run(command, cwd=modules.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"npm could not install {name} {version}:\n{done.stderr}")
    return modules
