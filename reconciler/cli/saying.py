"""Saying something while there is work to do: who stops listening (`| head -1`) does not stop the work."""

from __future__ import annotations

import os
import sys
from typing import TextIO

import click


def say(text: str, *, err: bool = False, nl: bool = True) -> bool:
    """Write to standard output or, with `err`, to standard error. False: nobody listens there any more.

    From then on that stream leads nowhere, so that neither the rest of the run nor the interpreter's own last flush
    meets the same failure again.
    """
    try:
        click.echo(text, err=err, nl=nl)
    except OSError:
        _lead_nowhere(sys.stderr if err else sys.stdout)
        return False
    return True


def _lead_nowhere(stream: TextIO) -> None:
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        # No file of the operating system's: nothing is flushed into it at the end.
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, descriptor)
    finally:
        os.close(nowhere)
