"""The options of commands that write into the journal or read from it. Imports nothing heavy."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from reconciler.journal.location import journal_place

Command = TypeVar("Command", bound=Callable[..., Any])


def journal_option(command: Command) -> Command:
    """Adds `--journal`; the command gets `journal`."""
    return click.option(
        "--journal",
        type=journal_place,
        metavar="FILE|URL",
        help="The journal: a file, or postgresql://…. Default: $RECONCILER_JOURNAL, else .reconciler/journal.sqlite.",
    )(command)


def by_option(command: Command) -> Command:
    """Adds `--by`; the command gets `by`, the person whose word it is."""
    return click.option("--by", default=_who, show_default="who runs the command", help="Whose word this is.")(command)


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container a user may have no name
        return f"user {os.getuid()}"
