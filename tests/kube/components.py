"""Kubernetes' own programs for tests, built once by Go into a cache outside the repository.

    python -m tests.kube.components        all of them, beforehand

`kube-apiserver` and `kubectl` are built from the module k8s.io/kubernetes with the sums of `apiserver/go.sum` and
`kubectl/go.sum`; `helm` and
`kubeconform` by `go install` at fixed versions, which Go holds against its checksum database. `etcd` comes from the
system's packages. `apiserver/go.mod` is the module's own with its staging modules at the same version, `go mod tidy`d.
Where one cannot be had a person's run leaves its tests out and says so; under `CI=true` they fail.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.real_firmware import cache_folder

MODULE: Final = Path(__file__).parent / "apiserver"
KUBECTL: Final = Path(__file__).parent / "kubectl"
"""The same for kubectl, which needs more modules than the API server."""
BUILD_SECONDS_MAX: Final = 3 * 3600
"""On two busy cores the first build of the API server takes the better part of an hour."""
INSTALLED: Final = {
    "helm": ("helm.sh/helm/v3/cmd/helm", "v3.20.2"),
    "kubeconform": ("github.com/yannh/kubeconform/cmd/kubeconform", "v0.8.0"),
}
"""Program -> the Go package that it is, and its version."""


class ComponentError(Exception):
    """A program cannot be had; the text says why and what to do."""


def kubernetes_version() -> str:
    """The version of Kubernetes that is built, such as `v1.35.4`."""
    found = re.search(r"^require k8s\.io/kubernetes (v\S+)$", (MODULE / "go.mod").read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def component(name: str) -> Path:
    """The program, built if it is not there. Where it cannot be had a test is left out, or fails under CI=true."""
    try:
        return program(name)
    except ComponentError as error:
        message = f"KUBERNETES IS NOT TESTED: {error}"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message)
        pytest.skip(message)


def program(name: str) -> Path:
    """As `component`.

    Raises:
        ComponentError: A tool is missing, or a build failed.
    """
    if name == "etcd":
        if (found := shutil.which("etcd")) is None:
            raise ComponentError("etcd is not installed: Debian and Ubuntu have it as etcd-server")
        return Path(found)
    if name == "kube-apiserver":
        return _kept(f"{name}-{_fingerprint()}", _build_api_server)
    if name == "kubectl":
        return _kept(f"{name}-{_fingerprint(KUBECTL)}", _build_kubectl)
    package, version = INSTALLED[name]
    return _kept(f"{name}-{version}", lambda into: _install(f"{package}@{version}", into))


def is_built() -> bool:
    """Whether the API server is in the cache already."""
    return (cache_folder() / "kube" / f"kube-apiserver-{_fingerprint()}").is_file()


def module_folder(version: str) -> Path:
    """The sources of k8s.io/kubernetes at a version, in Go's own cache.

    Raises:
        ComponentError: Go is missing, or cannot fetch them.
    """
    done = _go("mod", "download", "-json", f"k8s.io/kubernetes@{version}", seconds=1800)
    found = re.search(r'"Dir": "([^"]+)"', done)
    assert found is not None
    return Path(found[1])


def _kept(name: str, build: Callable[[Path], None]) -> Path:
    """The file of this name in the cache; built by one process at a time, and there only when it is whole."""
    folder = cache_folder() / "kube"
    path = folder / name
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / f"{name}.lock"):
        if not path.is_file():
            unfinished = folder / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            build(unfinished / "program")
            (unfinished / "program").replace(path)
            shutil.rmtree(unfinished)
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fingerprint(module: Path = MODULE) -> str:
    """Version and contents of the module files: another pin is another program."""
    digest = hashlib.sha256((module / "go.mod").read_bytes() + (module / "go.sum").read_bytes()).hexdigest()
    return f"{kubernetes_version()}-{platform.machine()}-{digest[:12]}"


def _build_kubectl(into: Path) -> None:
    command = ["build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags=-s -w", "-o", str(into)]
    _go(*command, "k8s.io/kubernetes/cmd/kubectl", folder=KUBECTL)


def _build_api_server(into: Path) -> None:
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    said = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    flags = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in said.items())
    command = ["build", "-trimpath", "-buildvcs=false", "-mod=readonly", f"-ldflags=-s -w {flags}", "-o", str(into)]
    _go(*command, "k8s.io/kubernetes/cmd/kube-apiserver", folder=MODULE)


def _install(package: str, into: Path) -> None:
    _go("install", "-trimpath", package, bin_folder=into.parent)
    (built,) = (path for path in into.parent.iterdir() if path.is_file())
    built.replace(into)


def _go(
    *arguments: str, folder: Path | None = None, bin_folder: Path | None = None, seconds: float = BUILD_SECONDS_MAX
) -> str:
    """Run Go, as the last in the queue for the processor; what it wrote."""
    go = shutil.which("go")
    if go is None:
        raise ComponentError("Go is not installed, and kube-apiserver, helm and kubeconform are built by it")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""} | ({"GOBIN": str(bin_folder)} if bin_folder else {})
    try:
        done = subprocess.run(
            ["nice", go, *arguments],
            cwd=folder or tempfile.gettempdir(),
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ComponentError(f"go {' '.join(arguments[:2])} needed more than {seconds:g} s") from None
    if done.returncode:
        raise ComponentError(f"go {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def main() -> None:
    """Have every program, and say where each is."""
    for name in ("etcd", *INSTALLED, "kube-apiserver"):
        began = time.monotonic()
        try:
            print(f"{name}: {program(name)} ({time.monotonic() - began:.0f} s)", flush=True)  # noqa: T201  # a command
        except ComponentError as error:
            sys.exit(f"{name}: {error}")


if __name__ == "__main__":
    main()
