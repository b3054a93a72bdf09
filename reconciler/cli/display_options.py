"""The options about display that every command takes (contracts section 5). Imports nothing heavy."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_FLAGS: Final = (
    ("no_color", (), "No colours. NO_COLOR in the environment does the same."),
    ("quiet", ("-q",), "Say nothing but results and errors."),
    ("verbose", ("-v",), "Say more on standard error."),
)


def output_options(*heeded: str) -> Callable[[Command], Command]:
    """Adds `--no-color`, `--quiet` and `--verbose`; the command gets those that it heeds as parameters.

    `heeded` are names of parameters: `no_color`, `quiet`, `verbose`. Every command takes all three, so that no script
    needs to know which; help says of the others that they change nothing.
    """

    def adding(command: Command) -> Command:
        for name, short, meaning in reversed(_FLAGS):
            heeds = name in heeded
            command = click.option(
                "--" + name.replace("_", "-"),
                *short,
                is_flag=True,
                expose_value=heeds,
                help=meaning if heeds else "Changes nothing here.",
            )(command)
        return command

    return adding


def wants_color(*, no_color: bool) -> bool:
    """Whether colours are wanted at all: neither the flag nor a non-empty NO_COLOR says no (no-color.org)."""
    return not no_color and not os.environ.get("NO_COLOR")


def text_width() -> int:
    """The columns of this terminal, between 60 and 120; 100 where there is none."""
    try:
        return max(60, min(120, os.get_terminal_size().columns))
    except OSError:
        return 100
