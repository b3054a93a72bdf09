"""Problems of manifests: where, what, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from reconciler.model.error import ManifestError
from reconciler.model.fleet import Place


class ProblemCode(StrEnum):
    """Every kind of problem. Each has a page in `docs/errors.md`."""

    MANIFESTS_INVALID = "PFR1001"
    NOT_TEXT = "PFR1002"
    SYNTAX = "PFR1003"
    TAB = "PFR1004"
    DUPLICATE_KEY = "PFR1005"
    FORBIDDEN_YAML = "PFR1006"
    TOO_LARGE = "PFR1007"
    NO_MANIFEST = "PFR1008"
    OUTSIDE = "PFR1009"

    UNKNOWN_KIND = "PFR1101"
    UNKNOWN_FIELD = "PFR1102"
    MISSING_FIELD = "PFR1103"
    WRONG_TYPE = "PFR1104"
    NOT_ALLOWED = "PFR1105"
    WRONG_FORM = "PFR1106"
    OUT_OF_RANGE = "PFR1107"

    DUPLICATE_NAME = "PFR1201"
    DUPLICATE_ENTRY = "PFR1202"
    UNKNOWN_RELEASE = "PFR1203"
    PRERELEASE = "PFR1204"
    UNKNOWN_APPLICATION = "PFR1205"
    UNKNOWN_APPLICATION_VERSION = "PFR1206"
    POLICY = "PFR1207"
    ROSTER = "PFR1208"
    ROSTER_LINE = "PFR1209"
    WAVE = "PFR1210"
    WINDOW = "PFR1211"
    TIME = "PFR1212"
    DEVICE_ID = "PFR1213"
    PATH = "PFR1214"
    BINARY = "PFR1215"
    INTEGRITY = "PFR1216"
    APPROVAL = "PFR1220"
    HEALTH = "PFR1230"

    SETTINGS = "PFR1301"
    SETTINGS_FILE = "PFR1302"
    SETTINGS_VARIABLE = "PFR1303"

    @property
    def headline(self) -> str:
        """What this kind of problem is, in one line."""
        return _HEADLINES[self]


_HEADLINES: Final[Mapping[ProblemCode, str]] = {
    ProblemCode.MANIFESTS_INVALID: "The manifests have problems",
    ProblemCode.NOT_TEXT: "The file is not clean UTF-8 text",
    ProblemCode.SYNTAX: "The file is not YAML",
    ProblemCode.TAB: "A tab is used for indentation",
    ProblemCode.DUPLICATE_KEY: "A key is given twice",
    ProblemCode.FORBIDDEN_YAML: "A feature of YAML that manifests do without",
    ProblemCode.TOO_LARGE: "The file is larger or deeper than the limit",
    ProblemCode.NO_MANIFEST: "The file holds no manifest",
    ProblemCode.OUTSIDE: "A path leads out of the given folder",
    ProblemCode.UNKNOWN_KIND: "The apiVersion or kind is not known",
    ProblemCode.UNKNOWN_FIELD: "A field is not known",
    ProblemCode.MISSING_FIELD: "A required field is missing",
    ProblemCode.WRONG_TYPE: "A value has the wrong type",
    ProblemCode.NOT_ALLOWED: "A value is not one of the allowed ones",
    ProblemCode.WRONG_FORM: "A value is not written as it must be",
    ProblemCode.OUT_OF_RANGE: "A value or a list is too small or too large",
    ProblemCode.DUPLICATE_NAME: "Two manifests of one kind have the same name",
    ProblemCode.DUPLICATE_ENTRY: "A list names something twice",
    ProblemCode.UNKNOWN_RELEASE: "The Device OS release is not known",
    ProblemCode.PRERELEASE: "A prerelease is asked for without allowPrerelease",
    ProblemCode.UNKNOWN_APPLICATION: "The application release is not among the manifests",
    ProblemCode.UNKNOWN_APPLICATION_VERSION: "The application release does not list the version",
    ProblemCode.POLICY: "The rollout policy is not known, or stands beside a rollout",
    ProblemCode.ROSTER: "The roster cannot be read",
    ProblemCode.ROSTER_LINE: "A line of a roster is not a device id",
    ProblemCode.WAVE: "The waves do not fit together",
    ProblemCode.WINDOW: "The window is not possible",
    ProblemCode.TIME: "The point in time does not exist",
    ProblemCode.DEVICE_ID: "A device id has the wrong length",
    ProblemCode.PATH: "A path is not relative",
    ProblemCode.BINARY: "The application's file cannot be used",
    ProblemCode.INTEGRITY: "The application's file is not the one that sha256 names",
    ProblemCode.APPROVAL: "The approval does not fit the fleets",
    ProblemCode.HEALTH: "What is asked of the devices' health does not fit together",
    ProblemCode.SETTINGS: "The settings do not fit together",
    ProblemCode.SETTINGS_FILE: "A file that the settings name cannot be used",
    ProblemCode.SETTINGS_VARIABLE: "A variable of the environment is no setting",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem of one place. `line` is the offending line as written; `suggestion` may be empty."""

    place: Place
    code: ProblemCode
    message: str
    line: str = ""
    suggestion: str = ""

    def __str__(self) -> str:
        text = f"{self.place}: {self.code} {self.message}"
        return f"{text} ({self.suggestion})" if self.suggestion else text


_CREDENTIALS: Final = re.compile(r"(?<=://)[^\s/@]+(?=@)")


class ManifestErrors(ManifestError):  # noqa: N818  # it carries all of them
    """All problems of all files, sorted by file, line and column, each once. There is at least one."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(
            sorted(
                dict.fromkeys(map(without_passwords, problems)),
                key=lambda p: (p.place.file, p.place.line, p.place.column, p.code, p.message),
            )
        )
        count = len(self.problems)
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(
            str(ProblemCode.MANIFESTS_INVALID),
            f"the manifests have {count} problem{'s' if count != 1 else ''}:{lines}",
            next_step="correct the manifests; `reconciler validate` shows each problem with its line",
        )


def without_passwords(problem: Problem) -> Problem:
    """Problems end up in logs and reviews; what an address holds of a user does not. Columns stay where they are."""

    def hidden(text: str) -> str:
        return _CREDENTIALS.sub(lambda found: "*" * len(found.group()), text)

    return replace(problem, message=hidden(problem.message), line=hidden(problem.line))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion for a word that is close to a known one, or an empty text."""
    by_folded = {name.casefold(): name for name in sorted(known, reverse=True)}
    close = get_close_matches(word.casefold()[:80], by_folded, n=1, cutoff=0.6)
    return f"did you mean {by_folded[close[0]]!r}?" if close else ""


def listed(names: Iterable[str]) -> str:
    """Names as a readable list."""
    return ", ".join(names)
