"""The tutorial is what happens: in an empty folder its files are written, its commands run, what they print compared.

`console` blocks are run as a shell would run them; those that serve (the cloud, the controller) stay in the background.
A `text` block is what the controller says next. Lines are compared as the README's are; one that ends with `…` is the
beginning of a line.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy.test_readme import BLOCK, CUT, ENDS_WITH, difference, environment
from tests.tidy.test_readme import steady as steady_of_readme

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8089"
SERVES = re.compile(r"reconciler (emulate|controller)\b(?!.*--check)")
PATIENCE_SECONDS = 150
VOLATILE = (
    (re.compile(r"sha1:[0-9a-f]{12,40}"), "sha1:<commit>"),
    (re.compile(r"\b\d+ devices"), "<some> devices"),
)


def steady(line: str) -> str:
    for pattern, instead in VOLATILE:
        line = pattern.sub(instead, line)
    return steady_of_readme(line)


def cut_alike(documented: list[str], printed: list[str]) -> list[str]:
    """The printed lines, those cut off at which the page has a beginning of a line."""
    beginnings = [line.removesuffix(CUT) for line in documented if line != CUT and line.endswith(CUT)]
    return [next((start + CUT for start in beginnings if line.startswith(start)), line) for line in printed]


def disagreement(documented: list[str], printed: list[str]) -> str:
    shown, seen = list(map(steady, documented)), list(map(steady, printed))
    return difference(shown, cut_alike(shown, seen))


class Served:
    """A process in the background, and its lines as they come."""

    def __init__(self, command: str, folder: Path, surroundings: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=folder,
            env=surroundings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._compared = 0
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as printed:
            for line in printed:
                with self._news:
                    self.lines.append(line.rstrip("\n"))
                    self._news.notify_all()

    def says(self, documented: list[str]) -> None:
        """Wait until the next lines are the documented ones."""
        with self._news:
            assert self._news.wait_for(lambda: self._said(documented), PATIENCE_SECONDS), (
                f"waited for {documented}, and after what was compared came {self.lines[self._compared :]}"
            )

    def _said(self, documented: list[str]) -> bool:
        for end in range(self._compared + 1, len(self.lines) + 1):
            if not disagreement(documented, self.lines[self._compared : end]):
                self._compared = end
                return True
        return False

    def ended(self) -> int:
        """As Ctrl-C does it; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self._reader.join(timeout=60)


def steps() -> Iterator[tuple[str, str]]:
    """The blocks of the page in their order: the language, and the text; of `console` blocks each command alone."""
    for language, text in BLOCK.findall(TUTORIAL):
        if language == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                yield language, part
        else:
            yield language, text


def run(command: str, documented: list[str], folder: Path, surroundings: dict[str, str]) -> None:
    code = ENDS_WITH.search(command)
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == (0 if code is None else int(code[1])), f"{command}\n{done.stdout}"
    assert disagreement(documented, done.stdout.splitlines()) == "", command


@pytest.mark.timeout(900)  # two rollouts in the time of the page, on a machine that may be busy
def test_the_tutorial_is_what_happens(tmp_path: Path) -> None:
    who = {"NAME": "you", "EMAIL": "you@example.com"}
    identity = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in who.items()}
    surroundings = {
        **environment(),
        **identity,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "RECONCILER_SERVING__PORT": "0",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    served: dict[str, Served] = {}
    address = ADDRESS
    try:
        for language, text in steps():
            if language == "yaml":
                place = tmp_path / text.split()[1]
                place.write_text(text.replace(ADDRESS, address), encoding="utf-8")
                continue
            if language == "text":
                served["controller"].says(text.splitlines())
                continue
            command, *documented = text.rstrip("\n").splitlines()
            serves = SERVES.match(command)
            if command.startswith("export "):
                surroundings |= dict(word.split("=", 1) for word in command.split()[1:])
            elif serves is not None:
                port = " --port 0" if serves[1] == "emulate" else ""
                served[serves[1]] = Served(command + port, tmp_path, surroundings)
                served[serves[1]].says(documented)
                if port:
                    address = served["emulate"].lines[0].rpartition(" ")[2]
            else:
                run(command, documented, tmp_path, surroundings)
        assert served["controller"].ended() == 0
        assert (tmp_path / "bundle.tar.gz").stat().st_size > 0
    finally:
        codes = [each.ended() for each in reversed(served.values())]
    assert codes == [0, 0]


@pytest.mark.parametrize(
    ("documented", "printed", "agree"),
    [
        (["begins with…"], ["begins with this"], True),
        (["begins with…"], ["ends with this"], False),
        (["begins…", CUT], ["begins so", "and goes on"], True),
        (["a", "sha1:" + "0" * 40], ["a", "sha1:" + "f" * 40], True),
        (["2026-11-22T19:25:38.210Z begins…"], ["2027-01-01T00:00:00Z begins so"], True),
        (["a"], ["b"], False),
    ],
)
def test_the_comparison_is_right(documented: list[str], printed: list[str], agree: bool) -> None:
    assert (disagreement(documented, printed) == "") is agree
