"""The options about display that every command takes (contracts section 5). Imports nothing heavy."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def output_options(command: Command) -> Command:
    """Adds `--no-color`, `--quiet` and `--verbose`; the command gets `no_color`, `quiet` and `verbose`."""
    command = click.option("--verbose", "-v", is_flag=True, help="Say more on standard error.")(command)
    command = click.option("--quiet", "-q", is_flag=True, help="Say nothing on standard error but errors.")(command)
    return click.option("--no-color", is_flag=True, help="No colours. NO_COLOR in the environment does the same.")(
        command
    )


def plain_output_options(command: Command) -> Command:
    """The same for a command without colours and details: it gets `quiet` alone, the other two change nothing."""
    command = click.option("--verbose", "-v", is_flag=True, expose_value=False, help="Changes nothing here.")(command)
    command = click.option("--quiet", "-q", is_flag=True, help="Say nothing but results and errors.")(command)
    return click.option("--no-color", is_flag=True, expose_value=False, help="Changes nothing here: no colours.")(
        command
    )


def wants_color(*, no_color: bool) -> bool:
    """Whether colours are wanted at all: neither the flag nor a non-empty NO_COLOR says no (no-color.org)."""
    return not no_color and not os.environ.get("NO_COLOR")
