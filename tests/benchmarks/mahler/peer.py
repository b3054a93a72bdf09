"""Mahler in a process of its own: questions go in as lines, answers with their own times come out."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.npm_package import installed

VERSION = "4.1.5"
STYLES = ("listed", "tuned", "methods")
"""Actions in the order of the catalog; in an order that leads to short routes; whole hops as methods in that order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the other planner said to one question, and the processor seconds that it took to say it."""

    found: bool
    out_of_time: bool
    seconds: float
    steps: list[list[str]]
    tried: int | None


class Peer(Protocol):
    """Another planner."""

    def define(self, domain: dict[str, Any]) -> None:
        """Take this domain for all questions from now on."""

    def answers(self, style: str, questions: Sequence[dict[str, Any]], *, limit_seconds: float) -> list[Answer]:
        """Answer each question, in order, none for longer than the limit by the clock on the wall."""


class Mahler:
    """The process; see `planner.cjs`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def define(self, domain: dict[str, Any]) -> None:
        self._say({"domain": domain})

    def answers(self, style: str, questions: Sequence[dict[str, Any]], *, limit_seconds: float) -> list[Answer]:
        self._say({"style": style, "limitSeconds": limit_seconds, "pairs": list(questions)})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"mahler ended with {self._process.wait()}")
        return [
            Answer(
                found=answer["found"],
                out_of_time=answer["outOfTime"],
                seconds=answer["seconds"],
                steps=answer["steps"],
                tried=answer["tried"],
            )
            for answer in json.loads(line)
        ]

    def _say(self, document: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(document) + "\n")
        self._process.stdin.flush()


@contextmanager
def mahler() -> Iterator[Mahler]:
    """Mahler, installed if need be, until the end of the block."""
    command = ["node", str(Path(__file__).with_name("planner.cjs"))]
    environment = {**os.environ, "NODE_PATH": str(installed("mahler", VERSION))}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Mahler(process)
        finally:
            process.terminate()
