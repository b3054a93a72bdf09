"""`reconciler validate PATH…`: check manifests; all problems of all files at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import click

from reconciler import __version__
from reconciler.cli.display_options import output_options
from reconciler.manifests import ManifestErrors, Problem
from reconciler.model.error import OperatorError
from reconciler.model.fleet import FleetSet
from reconciler.render.problems import (
    problems_as_github,
    problems_as_json,
    problems_as_junit,
    problems_as_sarif,
    problems_as_text,
)
from reconciler.sources import read_manifests

_INVALID: Final = 1
_USAGE: Final = 2
"""Exit codes (contracts section 5)."""


@click.command("validate")
@click.argument("paths", metavar="PATH…", nargs=-1, required=True)
@click.option(
    "--output",
    type=click.Choice(["text", "json", "github", "sarif", "junit"]),
    default="text",
    show_default=True,
    help="How problems are told; all but text go to standard output.",
)
@output_options("quiet")
def command(paths: tuple[str, ...], output: str, quiet: bool) -> None:
    """Check manifest files and folders. All problems are told at once.

    Exit codes: 0 valid, 1 invalid, 2 usage.
    """
    try:
        manifests = read_manifests(paths)
    except OperatorError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(_USAGE)
    problems: tuple[Problem, ...] = ()
    try:
        summary = _summary(manifests.compile(), len(manifests.paths))
    except ManifestErrors as errors:
        problems = errors.problems
        files = len({problem.place.file for problem in problems})
        summary = f"{_count(len(problems), 'problem')} in {_count(files, 'file')}"
    _print(output, problems, manifests.paths)
    if not quiet:
        click.echo(summary, err=True)
    sys.exit(_INVALID if problems else 0)


def _print(output: str, problems: Sequence[Problem], files: Sequence[str]) -> None:
    match output:
        case "json":
            click.echo(problems_as_json(problems, files))
        case "sarif":
            click.echo(problems_as_sarif(problems, version=__version__))
        case "junit":
            click.echo(problems_as_junit(problems, files))
        case "github" if problems:
            click.echo(problems_as_github(problems))
        case "text" if problems:
            click.echo(problems_as_text(problems), err=True)


def _summary(fleets: FleetSet, files: int) -> str:
    overrides = f" and {_count(len(fleets.overrides), 'override')}" if fleets.overrides else ""
    return f"valid: {_count(len(fleets.fleets), 'fleet')}{overrides} in {_count(files, 'file')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
