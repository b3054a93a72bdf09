"""Where the demonstration plays: a folder like a team's repository, the environment, and a voice."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO, cast

import click

from reconciler.cli.main import cli
from reconciler.emulator.serve import EmulatorServer

MANIFESTS: Final = "fleet-manifests"
"""The folder of the demonstration's manifests, seen from the folder in which its commands run."""

_INTERRUPTED: Final = 130
"""The exit code of a command that a person ended, which ends the demonstration too."""
_BEGINNING_LINES: Final = 24
_END_LINES: Final = 5


@dataclass(kw_only=True)
class Stage:
    """While it is open, the process works in `folder`, with the manifests, and the commands find cloud and journal."""

    emulator: EmulatorServer
    folder: Path
    manifests: Path
    token: str = field(repr=False)
    journal: Path | None
    no_color: bool
    quiet: bool
    verbose: bool

    def __post_init__(self) -> None:
        self._chapter = 0
        self._opened = contextlib.ExitStack()
        place = Path.cwd()
        inside = self.manifests.is_relative_to(place)
        self.manifests_shown = str(self.manifests.relative_to(place) if inside else self.manifests)

    def __enter__(self) -> Self:
        _copy(self.manifests, self.folder / MANIFESTS)
        self.journal = (self.journal or self.folder / "journal.sqlite").absolute()
        environment = {
            "PARTICLE_API_URL": self.emulator.url,
            "PARTICLE_ACCESS_TOKEN": self.token,
            "RECONCILER_JOURNAL": str(self.journal),
        }
        if self.no_color:
            environment["NO_COLOR"] = "1"
        before = dict(os.environ)
        self._opened.callback(os.environ.update, before)
        self._opened.callback(os.environ.clear)
        os.environ.update(environment)
        self._opened.enter_context(contextlib.chdir(self.folder))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.close()

    def write_catalog(self, name: str) -> None:
        """Write the catalog that goes with the served binaries, which may be synthetic, for the commands."""
        text = json.dumps(self.emulator.catalog.document())
        Path(name).write_text(text, encoding="utf-8")

    def head(self, text: str) -> None:
        """Begin a chapter."""
        self._chapter += 1
        title = f"{self._chapter}  {text}"
        self.say(f"\n{title}\n{'-' * len(title)}")

    def say(self, text: str) -> None:
        """For the reader."""
        if not self.quiet:
            click.echo(text.rstrip("\n"))

    def run(self, *words: str, whole: bool = False) -> int:
        """Run a command of this program as a person would, and show it, long texts abridged or whole; its exit code."""
        self.say(f"\n  $ reconciler {shlex.join(words)}")
        if self.quiet:
            return self.ask(*words)
        stream = sys.stdout if whole or self.verbose else cast("TextIO", _Abridged(sys.stdout))
        with contextlib.redirect_stdout(stream):
            return _exit_code(words)

    def ask(self, *words: str) -> int:
        """Run a command for its exit code alone."""
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return _exit_code(words)

    def edit(self, name: str, before: str, after: str) -> None:
        """Change one line of a manifest, and show the change."""
        path = Path(MANIFESTS, name)
        text = path.read_text(encoding="utf-8")
        (line,) = (line for line in text.splitlines() if before in line)
        path.write_text(text.replace(before, after), encoding="utf-8")
        self.say(f"\n{path}\n  - {line.strip()}\n  + {line.strip().replace(before, after)}")


class _Abridged:
    """A stream on which a long text, such as a plan of 300 devices, is its beginning and its end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        lines = text.splitlines(keepends=True)
        left_out = len(lines) - _BEGINNING_LINES - _END_LINES
        if left_out > _END_LINES:
            between = f"\n  ... {left_out} lines are left out here; the demonstration's --verbose shows them ...\n\n"
            text = "".join([*lines[:_BEGINNING_LINES], between, *lines[-_END_LINES:]])
        return self._stream.write(text)


def _exit_code(words: Sequence[str]) -> int:
    try:
        code = cli.main(args=list(words), prog_name="reconciler", standalone_mode=False)
    except SystemExit as ended:
        code = ended.code
    if code == _INTERRUPTED:
        sys.exit(_INTERRUPTED)
    return code if isinstance(code, int) else int(code is not None)


def demo_manifests() -> Path:
    """The demonstration's manifests: in the package when it is installed, beside it in a checkout."""
    package = Path(str(resources.files("reconciler")))
    installed = package / "demo_manifests"
    return installed if installed.is_dir() else package.parent / "fleet-manifests" / "demo"


def _copy(source: Path, to: Path) -> None:
    """The contents alone: where the package is read-only, a copy of its permissions would be, too."""
    to.mkdir()
    for path in sorted(source.rglob("*")):
        if path.is_dir():
            (to / path.relative_to(source)).mkdir()
        else:
            (to / path.relative_to(source)).write_bytes(path.read_bytes())
