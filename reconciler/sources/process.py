"""One run of the system's `git` (or a program beside it): what it may know, how long it may take, how much it may say.

Nothing of the caller's Git environment is heeded but where its own configuration lies (a hook that starts us must not
point us at another index or repository). No hook, pager, monitor or replaced object of a repository counts. What is
secret goes into the environment, never among the arguments, which every user of the machine can read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess  # the system's git is the most faithful reader of its own format
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from reconciler.model.error import OperatorError

_ERROR_BYTES_MAX: Final = 4_000

_KEPT_VARIABLES: Final = ("PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "SYSTEMROOT", "GIT_CONFIG_GLOBAL")
_VARIABLES: Final = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",  # none: older versions of git know no GIT_NO_LAZY_FETCH
    "GIT_LITERAL_PATHSPECS": "1",
}
_GIT: Final = ("git", "--no-pager", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")

# XFSZ is ignored so that git says "File too large" instead of dying without a word. On Linux a limit can always be made
# stricter; one that cannot be set is stricter already.
_LIMITED: Final = 'trap "" XFSZ; { ulimit -f "$1"; ulimit -v "$2"; } 2>/dev/null; shift 2; exec "$@"'
_FILE_BLOCK_BYTES: Final = 512
_KIB: Final = 1024


_RUNNING: Final[set[int]] = set()
"""The process groups of runs that have not ended."""


def end_what_runs() -> None:
    """End every run at once, for a process that has to end itself: nobody would end them afterwards."""
    for group in [*_RUNNING]:
        _end(group)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a run may cost. The kernel keeps `file_bytes` (of any one file) and `memory_bytes`, also of its children."""

    seconds: float
    answer_bytes: int
    file_bytes: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where and with what a program runs.

    `variables` and `configuration` (of git, key and value) come on top of what every run has; `kept_open` are file
    descriptors that it and its children hold for as long as they live.
    """

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    configuration: Sequence[tuple[str, str]] = ()
    kept_open: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a run ended. `late`: it was ended at its deadline; `excessive`: because it said more than it may."""

    failed: bool
    output: bytes
    error: str
    """The beginning of what it said on standard error."""

    late: bool = False
    excessive: bool = False

    @property
    def error_line(self) -> str:
        """What it said on standard error, in one line."""
        return " ".join(self.error.split())


def run_git(setting: Setting, arguments: Sequence[str], bounds: Bounds, *, stdin: bytes = b"") -> Ran:
    """Run git and wait for it. Raises OperatorError PFR6501: it cannot be run."""
    return run_program(setting, (*_GIT, *arguments), bounds, stdin=stdin)


def run_program(setting: Setting, command: Sequence[str], bounds: Bounds, *, stdin: bytes = b"") -> Ran:
    """Run a program and wait for it. Raises OperatorError PFR6501: it cannot be run."""
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ} | _VARIABLES
    environment |= _configured(setting.configuration) | dict(setting.variables)
    # Both in files: two pipes that are served in turn could wait for each other for ever.
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as said:
        asked.write(stdin)
        asked.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603  # a list of arguments; none of them can be an option
                _within(command, bounds),
                cwd=setting.folder,
                env=environment,
                stdin=asked,
                stdout=subprocess.PIPE,
                stderr=said,
                start_new_session=True,
                pass_fds=setting.kept_open,
            )
        except OSError as error:
            message = f"{command[0]} cannot be run: {error.strerror or type(error).__name__}"
            next_step = f"install {command[0]}" + (", or leave out --base" if command[0] == "git" else "")
            raise OperatorError("PFR6501", message, next_step=next_step) from None
        _RUNNING.add(process.pid)
        try:
            output, in_time = _collect(process, bounds)
        finally:
            _RUNNING.discard(process.pid)
        said.seek(0)
        return Ran(
            failed=process.returncode != 0,
            output=output,
            error=said.read(_ERROR_BYTES_MAX).decode("utf-8", "replace"),
            late=not in_time,
            excessive=len(output) > bounds.answer_bytes,
        )


def _configured(configuration: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Git's own way to be told settings that no other user of the machine can read."""
    found = {"GIT_CONFIG_COUNT": str(len(configuration))} if configuration else {}
    for number, (key, value) in enumerate(configuration):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found


def _within(command: Sequence[str], bounds: Bounds) -> list[str]:
    """The command, in a shell that has the kernel limit it and is it from then on."""
    if bounds.file_bytes is None and bounds.memory_bytes is None:
        return list(command)
    if shutil.which(command[0]) is None:  # as the shell would only say in its own words
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    blocks = "unlimited" if bounds.file_bytes is None else str(bounds.file_bytes // _FILE_BLOCK_BYTES)
    memory = "unlimited" if bounds.memory_bytes is None else str(bounds.memory_bytes // _KIB)
    return ["/bin/sh", "-c", _LIMITED, "sh", blocks, memory, *command]


def _collect(process: subprocess.Popen[bytes], bounds: Bounds) -> tuple[bytes, bool]:
    """What a process writes, up to one byte more than it may, and whether it ended in time. It has ended afterwards."""
    late = threading.Event()

    def give_up() -> None:
        late.set()
        _end(process.pid)

    timer = threading.Timer(bounds.seconds, give_up)
    timer.daemon = True
    timer.start()
    output: IO[bytes] | None = process.stdout
    assert output is not None
    try:
        with output:
            text = output.read(bounds.answer_bytes + 1)
            if len(text) > bounds.answer_bytes:
                _end(process.pid)
        process.wait()
    finally:
        timer.cancel()
        if process.poll() is None:
            _end(process.pid)
            process.wait()
    return text, not late.is_set()


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
