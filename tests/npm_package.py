"""npm packages that tests and benchmarks run: installed into a cache outside the repository, never committed."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.real_firmware import cache_folder

INSTALL_SECONDS_MAX = 300


class NpmError(SystemExit):
    """A package cannot be had; the text says why. It ends a benchmark with these words; a test catches it."""


def packages_folder() -> Path:
    """Where the packages are kept between runs."""
    return cache_folder() / "packages"


def modules_of(name: str, version: str) -> Path:
    """The `node_modules` folder that this package is installed in, or would be."""
    return packages_folder() / f"{name}-{version}" / "node_modules"


def installed(name: str, version: str) -> Path:
    """The `node_modules` folder with this package, fetched by npm if it is not there; install scripts do not run.

    Several processes may ask at once: each installs for itself, and the first one to finish is kept.

    Raises:
        NpmError: node or npm is missing, or npm fails.
    """
    modules = modules_of(name, version)
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NpmError("node and npm are needed, and not installed")
    if (modules / name / "package.json").exists():
        return modules
    packages_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=packages_folder()) as name_of_folder:
        folder = Path(name_of_folder) / "package"
        folder.mkdir()
        (folder / "package.json").write_text(json.dumps({"private": True}), encoding="utf-8")
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--save-exact", f"{name}@{version}"]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS_MAX
            )
        except subprocess.TimeoutExpired:
            raise NpmError(f"npm needed more than {INSTALL_SECONDS_MAX} s for {name} {version}") from None
        if done.returncode:
            raise NpmError(f"npm could not install {name} {version}:\n{done.stderr}")
        try:
            folder.replace(modules.parent)
        except OSError:
            if not (modules / name / "package.json").exists():
                raise
    return modules
