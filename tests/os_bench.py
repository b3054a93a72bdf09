"""The pretend bench as the operating system shows it: libusb, `dfu-util` and the vendor's client find it on the bus.

It needs Debian's packages umockdev, gir1.2-umockdev-1.0 and python3-gi. Where they are missing, a person's run says
loudly what it left out; under CI=true it fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SYSTEM_PYTHON = "/usr/bin/python3"
SECONDS_MAX = 60
"""Of any one program on the pretend bus."""
TRIES = 3
_NOT_SERVED_YET = "Failed to connect to ioctl socket"


def missing(what: str) -> None:
    """Leave a test out loudly, or fail it in CI."""
    message = f"THE BENCH IS NOT SHOWN TO THE OPERATING SYSTEM: {what}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(message)
    pytest.skip(message)


class OsBench:
    """A bench in a process of its own, and the environment in which programs see it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        root = self._answer()["root"]
        preload = f"libumockdev-preload.so.0:{os.environ.get('LD_PRELOAD', '')}".rstrip(":")
        self.environment = {**os.environ, "LD_PRELOAD": preload, "UMOCKDEV_DIR": root}

    def ask(self, do: str, **details: object) -> Any:
        """A command of `os_bench_server.py`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **details}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def run(
        self, command: Sequence[str], *, environment: Mapping[str, str] | None = None, sent: str | None = None
    ) -> str:
        """What a program on this bus prints; it must end well.

        umockdev ends who opens a device in the moment in which it is there and not yet served: once more then.
        """
        for _ in range(TRIES):
            done = subprocess.run(
                command,
                env={**self.environment, **(environment or {})},
                input=sent,
                capture_output=True,
                text=True,
                timeout=SECONDS_MAX,
                check=False,
                cwd=ROOT,
            )
            if _NOT_SERVED_YET not in done.stderr:
                break
        assert done.returncode == 0, f"{command[0]}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    def python(self, module: str, *arguments: str) -> Any:
        """The JSON that a module of the tests prints, run by this Python with the libusb of the package."""
        return json.loads(self.run([sys.executable, "-m", module, *arguments]).splitlines()[-1])

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the bench ended"
        return json.loads(line)


@contextmanager
def os_bench(world: Mapping[str, object]) -> Iterator[OsBench]:
    """Start a bench with the devices of a world, and end it."""
    wrapper = shutil.which("umockdev-wrapper")
    if wrapper is None or not Path(SYSTEM_PYTHON).exists():
        missing("umockdev is not installed (apt install umockdev gir1.2-umockdev-1.0 python3-gi)")
    probe = "import gi; gi.require_version('UMockdev', '1.0'); from gi.repository import UMockdev"
    if subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True, check=False, timeout=SECONDS_MAX).returncode:
        missing("Debian's Python has no umockdev (apt install gir1.2-umockdev-1.0 python3-gi)")
    assert wrapper is not None
    process = subprocess.Popen(
        [wrapper, SYSTEM_PYTHON, str(ROOT / "tests" / "os_bench_server.py"), json.dumps(world)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{sysconfig.get_path('purelib')}"},
    )
    try:
        with process:
            yield OsBench(process)
            assert process.stdin is not None
            process.stdin.close()
            process.wait(SECONDS_MAX)
    finally:
        process.kill()
