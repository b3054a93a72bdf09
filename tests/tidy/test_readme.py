"""What the README shows is what happens: its commands are run, and their output compared.

A block marked `console` holds commands (`$ …`) and what they print, on both streams. A line that is only `…` stands for
any number of lines; a command that ends with another exit code than 0 says so in a comment. Instants, ports, plan ids,
durations, request counts and the order of arrivals are not compared.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CUT = "…"
ENDS_WITH = re.compile(r"  # ends with (\d+)$")
VOLATILE = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"), "<instant>"),
    (re.compile(r"pumps-[0-9a-f]{12}-\d+"), "<rollout>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"plan-local-[0-9a-f]{10}"), "<plan>"),
    (re.compile(r"HALTED by itself: \d+ of the"), "HALTED by itself: <some> of the"),
    (re.compile(r"(rollout \S+-[0-9a-f]{12})-\d+"), r"\1-<second>"),
    (re.compile(r"after (?:\d+ h ?)?(?:\d+ min ?)?(?:\d+ s)?"), "after <duration>"),
    (re.compile(r"[0-9a-f]{24}( of \S+ has arrived)"), r"<device>\1"),
    (re.compile(r"[\d,]+ requests  [\d.]+ per device"), "<requests>"),
    (re.compile(r"[\d,]+ requests and every"), "<requests> and every"),
    (re.compile(r"[\d.]+ MB sent"), "<bytes> sent"),
    (re.compile(r"[\d,]+ modules of Device OS"), "<modules> of Device OS"),
    # How many devices are online, or tell of their modules, at the moment of the first look.
    (re.compile(r"\d+ to upgrade, \d+ as desired, \d+ waiting, 8 refused"), "<counts>"),
    (re.compile(r"No drift: \d+ as desired, \d+ waiting, 8 refused"), "No drift: <counts>"),
    (re.compile(r"^(  (?:devices|steps|cost)) .*?(\S+ \S+)(?:  .*)?$"), lambda row: re.sub(r"\s+", " ", row.group())),
)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A command as the README shows it, and the lines below it."""

    command: str
    lines: tuple[str, ...]


def shown() -> Iterator[Shown]:
    for language, text in BLOCK.findall(README):
        if language == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, *lines = part.splitlines()
                yield Shown(command=command, lines=tuple(lines))


def written_files() -> dict[str, str]:
    """YAML blocks that begin with the name of their file."""
    blocks = (text for language, text in BLOCK.findall(README) if language == "yaml")
    return {text.split()[1]: text for text in blocks if re.match(r"# \S+\.yaml\n", text)}


def steady(line: str) -> str:
    for pattern, instead in VOLATILE:
        line = pattern.sub(instead, line)
    return line.rstrip()


def difference(documented: list[str], printed: list[str]) -> str:
    """Why the documented lines are not what was printed; empty when they are."""
    segments: list[list[str]] = [[]]
    for line in documented:
        if line == CUT:
            segments.append([])
        else:
            segments[-1].append(steady(line))
    lines = list(map(steady, printed))
    at = 0
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        places = range(at, len(lines) - len(segment) + 1) if number else range(1)
        if last and segment:
            places = range(max(len(lines) - len(segment), 0), len(lines) + 1) if number else range(1)
        found = next((place for place in places if lines[place : place + len(segment)] == segment), None)
        if found is None:
            return "not printed:\n" + "\n".join(segment) + "\n\nprinted from there on:\n" + "\n".join(lines[at:])
        at = found + len(segment)
    complete = documented[-1:] == [CUT] or at == len(lines)
    return "" if complete else "not documented:\n" + "\n".join(lines[at:])


def run(command: str, folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Run a command line as a person would, without a terminal; both streams as they come."""
    code = ENDS_WITH.search(command)
    words = shlex.split(command, comments=True)
    if words[0] == "reconciler":
        words = [sys.executable, "-m", "reconciler", *words[1:]]
    line = words if ">" not in words else ["sh", "-c", command]
    done = subprocess.run(
        line, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    wanted = 0 if code is None else int(code.group(1))
    assert done.returncode == wanted, f"{command} ended with {done.returncode}:\n{done.stdout[-3000:]}"
    return done.stdout.splitlines()


def environment() -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PARTICLE_", "RECONCILER_"))}
    return {**ours, "NO_COLOR": "1", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def test_the_tour_is_what_happens(tmp_path: Path) -> None:
    steps = [step for step in shown() if not step.command.startswith("make ")]
    names = [shlex.split(step.command)[1] for step in steps if step.command.startswith("reconciler ")]
    assert {"emulate", "validate", "plan", "explain", "apply", "drift", "history"} <= set(names)
    for name, text in written_files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    serve, *others = steps
    surroundings = environment()
    emulator = subprocess.Popen(
        [sys.executable, "-m", *shlex.split(serve.command), "--port", "0"],
        cwd=tmp_path,
        env=surroundings,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert emulator.stdout is not None
        announced = [emulator.stdout.readline().rstrip("\n") for _ in serve.lines]
        assert difference(list(serve.lines), announced) == ""
        address = announced[0].rpartition(" ")[2]
        for step in others:
            if step.command.startswith("export "):
                surroundings |= dict(word.split("=", 1) for word in shlex.split(step.command)[1:])
                surroundings["PARTICLE_API_URL"] = address
                continue
            assert difference(list(step.lines), run(step.command, tmp_path, surroundings)) == "", step.command
    finally:
        emulator.terminate()
        emulator.communicate(timeout=20)


def test_the_demonstration_says_what_the_readme_shows_and_keeps_its_promises() -> None:
    (step,) = (step for step in shown() if step.command == "make demo")
    printed = run("reconciler demo", ROOT, environment())
    assert difference(list(step.lines), printed) == ""


@pytest.mark.parametrize(
    ("documented", "printed", "agree"),
    [
        (["a", "b"], ["a", "b"], True),
        (["a"], ["a", "b"], False),
        (["a", "b"], ["a"], False),
        (["b"], ["a", "b"], False),
        ([CUT, "b"], ["a", "b"], True),
        ([CUT, "a"], ["a", "b"], False),
        (["a", CUT], ["a", "b", "c"], True),
        (["a", CUT, "c"], ["a", "b", "c"], True),
        (["a", CUT, "x"], ["a", "b", "c"], False),
        (["a", CUT, "b", CUT, "c"], ["a", "b", "x", "c"], True),
        (["a", CUT, "c", CUT, "b"], ["a", "b", "x", "c"], False),
        (["at 2026-11-22T10:33:55Z"], ["at 2027-01-01T00:00:00.123Z"], True),
        ([], ["a"], False),
    ],
)
def test_the_comparison_is_right(documented: list[str], printed: list[str], agree: bool) -> None:
    assert (difference(documented, printed) == "") is agree
