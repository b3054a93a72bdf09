"""The package as it is installed: from its wheel into an empty venv, read-only, for a user who may write nowhere else.

And what it brings along, as `make sbom` says it.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(900)  # it downloads and installs what the package needs

ROOT = Path(__file__).parents[2]
NOBODY = 65534
NO_REGISTRY = ("Could not find a version", "Connection", "Temporary failure", "Name or service not known")


def reachable_python() -> str:
    """An interpreter that other users may run; this one where there is no such."""
    candidates = (sys.executable, "/usr/bin/python3")
    return next((one for one in candidates if Path(one).exists() and is_for_others(one)), sys.executable)


def is_for_others(python: str) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in Path(python).resolve().parents)


class Installed:
    """A venv that nobody can write to, and a user to run it."""

    def __init__(self, cache: Path, home: Path, python: str) -> None:
        self.cache = cache
        self.home = home
        # A process of root's writes whatever the permissions say.
        self.user = NOBODY if os.geteuid() == 0 and is_for_others(python) else None

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
        user: Mapping[str, Any] = {}
        if self.user is not None:
            user = {"user": self.user, "group": self.user, "extra_groups": []}
        return subprocess.run(
            [self.cache / "package" / "bin" / "reconciler", *words],
            cwd=self.home,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=200,
            **user,
        )


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with tempfile.TemporaryDirectory(prefix="reconciler-package-") as name:  # not pytest's: nobody else may enter those
        folder = Path(name)
        folder.chmod(0o755)
        cache, home, python = folder / "cache", folder / "home", reachable_python()
        home.mkdir()
        # The venv of this test run is the one that `make` would make anew.
        made = ["make", "--old-file", ".venv/.installed", "sbom", f"CACHE={cache}", f"PYTHON={python}"]
        made.append(f"BIN={Path(sys.executable).parent}")
        done = subprocess.run(made, cwd=ROOT, capture_output=True, text=True, check=False, umask=0o022)
        if done.returncode and any(sign in done.stderr for sign in NO_REGISTRY):
            message = f"THE INSTALLED PACKAGE IS NOT TESTED: {done.stderr[-300:]}"
            if os.environ.get("CI", "").lower() == "true":
                pytest.fail(message)
            pytest.skip(message)
        assert done.returncode == 0, done.stdout + done.stderr
        subprocess.run(["chmod", "-R", "a-w,a+rX", cache / "package"], check=True)
        one = Installed(cache, home, python)
        if one.user is not None:
            os.chown(home, one.user, one.user)
        yield one
        subprocess.run(["chmod", "-R", "u+w", cache], check=True)


def test_the_installed_package_does_the_main_job_for_a_user_without_rights(installed: Installed) -> None:
    before = sorted(path for path in (installed.cache / "package").rglob("*"))
    done = installed.run("demo")
    assert done.returncode == 0, done.stdout[-3000:]
    assert sorted(path for path in (installed.cache / "package").rglob("*")) == before


def test_the_installed_package_has_its_schemas(installed: Installed) -> None:
    (installed.home / "fleet.yaml").write_text("kind: DeviceFleet\napiVersion: fleet.reconciler.dev/v1alpha1\nx: 1\n")
    done = installed.run("validate", "fleet.yaml")
    assert done.returncode == 1
    assert "unknown field 'x'" in done.stdout
    (installed.home / "settings.yaml").write_text(
        "apiVersion: fleet.reconciler.dev/v1alpha1\nkind: ControllerSettings\ngit: {url: fleet, brunch: main}\n"
    )
    done = installed.run("controller", "--settings", "settings.yaml", "--check")
    assert done.returncode == 1
    assert "did you mean 'branch'?" in done.stdout


def test_what_it_brings_along_is_listed_with_versions_licences_and_dependencies(installed: Installed) -> None:
    bom = json.loads((installed.cache / "sbom.cdx.json").read_text())
    assert bom["bomFormat"] == "CycloneDX"
    assert bom["metadata"]["component"]["name"] == "particle-fleet-reconciler"
    listed = {component["name"].lower(): component for component in bom["components"]}
    assert {"click", "requests", "sqlalchemy", "starlette", "psycopg", "pyyaml", "kopf"} <= set(listed)
    assert not {"pytest", "mypy", "ruff"} & set(listed)
    assert [name for name, component in listed.items() if not component.get("version")] == []
    assert all(component["purl"].startswith("pkg:pypi/") for component in listed.values() if "purl" in component)
    assert any(entry.get("dependsOn") for entry in bom["dependencies"])
