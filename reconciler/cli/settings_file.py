"""The settings file of a controller: read, held against the files that it names, and its problems told at once."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from reconciler.cli.options import TOKEN_VARIABLE
from reconciler.manifests.problem import Problem, ProblemCode
from reconciler.model.error import OperatorError
from reconciler.model.fleet import Place
from reconciler.render.problems import problems_as_text
from reconciler.settings.reading import NamedFile, Reading, read_text
from reconciler.settings.settings import ControllerSettings

_BYTES_MAX: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSettings:
    """The settings, None where there are problems. `warnings` are things that work and should not stay so."""

    settings: ControllerSettings | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    def as_text(self) -> str:
        """Problems, then warnings, a paragraph each with the offending line; empty when there is nothing to say."""
        return "\n".join(filter(None, (problems_as_text(self.problems), _warned(self.warnings))))


def read_settings(path: Path, environ: Mapping[str, str]) -> ControllerSettings:
    """The settings of a controller. Warnings go to standard error.

    Raises:
        OperatorError: PFR6901 all problems of the file, the environment and the files that they name; PFR6902 the
            settings file cannot be read.
    """
    checked = check_settings(path, environ)
    if checked.settings is None:
        count = len(checked.problems)
        raise OperatorError(
            "PFR6901",
            f"the settings have {count} problem{'s' if count != 1 else ''}:\n{problems_as_text(checked.problems)}",
            next_step="correct them; schemas/controllersettings.v1alpha1.schema.json describes every field",
        )
    if checked.warnings:
        click.echo(_warned(checked.warnings), err=True)
    return checked.settings


def check_settings(path: Path, environ: Mapping[str, str]) -> CheckedSettings:
    """Everything that can be known of the settings before a start, with all problems. Raises OperatorError PFR6902."""
    return read_checked(path, environ)[1]


def read_checked(path: Path, environ: Mapping[str, str]) -> tuple[Reading, CheckedSettings]:
    """The settings as they are read, and as they are found when the files are looked at that they name."""
    reading = read_text(str(path), _text_of(path), environ, folder=str(path.absolute().parent))
    problems, warnings = list(reading.problems), []
    for file in reading.files:
        problem = _unusable(file)
        if problem:
            problems.append(file.problem(problem))
        elif file.is_secret and Path(file.path).stat().st_mode & stat.S_IROTH:
            warnings.append(file.problem("holds a secret, and everybody on this machine may read it"))
    if reading.settings is not None:
        problems += _no_token(str(path), reading.settings, environ)
    settings = None if problems else reading.settings
    return reading, CheckedSettings(settings=settings, problems=tuple(problems), warnings=tuple(warnings))


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_BYTES_MAX).decode("utf-8")
    except UnicodeDecodeError:
        problem = "it is no UTF-8 text"
    except OSError as error:
        problem = error.strerror or type(error).__name__
    raise OperatorError("PFR6902", f"the settings file {path} cannot be read: {problem}", next_step="check --settings")


def _unusable(file: NamedFile) -> str:
    """Why a file that must be there cannot be used; empty when it can."""
    try:
        with Path(file.path).open("rb") as opened:
            return "" if opened.read(1) else "is empty"
    except OSError as error:
        return f"cannot be read: {error.strerror or type(error).__name__}"


def _no_token(path: str, settings: ControllerSettings, environ: Mapping[str, str]) -> Iterator[Problem]:
    if (
        settings.git is not None
        and settings.particle.token_file is None
        and not environ.get(TOKEN_VARIABLE, "").strip()
    ):
        yield Problem(
            place=Place(path, 1, 1),
            code=ProblemCode.SETTINGS_FILE,
            message=f"no access token: particle.tokenFile is not given, and {TOKEN_VARIABLE} is not set",
            suggestion="put the token into a file, and name it with particle.tokenFile",
        )


def _warned(warnings: Sequence[Problem]) -> str:
    return "\n".join(f"warning: {warning.place}: {warning.message}" for warning in warnings)
