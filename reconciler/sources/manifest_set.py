"""A set of manifests as it was read, wherever it lies: texts, the files that they may name, the problems of reading.

A source walks its own world (a disk, a commit) and hands every file to a `Gathering`; limits, problems and their words
are the same for all of them, so that the same files mean the same fleets wherever they were read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Final, Protocol

from reconciler.manifests import ManifestErrors, Problem, ProblemCode, load_manifests
from reconciler.manifests.document import BYTES_MAX
from reconciler.model.error import ManifestError, OperatorError
from reconciler.model.fleet import FleetSet, Place

ROSTER_BYTES_MAX: Final = 64 * 1024 * 1024
"""About two million device ids."""

BINARY_BYTES_MAX: Final = 16 * 1024 * 1024
"""Far above the largest application that fits any platform, assets included."""

_POINTER: Final = b"version https://git-lfs.github.com/spec/"
_POINTER_WORDS: Final = "is a pointer of Git LFS, which is not fetched, and not the file itself"

_ENDINGS: Final = frozenset({".yaml", ".yml"})


class Shelf(Protocol):
    """Where the files lie that manifests name: on a disk, or in a commit."""

    def content(self, path: str, *, bytes_max: int) -> bytes | None:
        """The bytes of a file by a path like that of the manifest that names it; None: there is none.

        Raises:
            ManifestError: It lies outside the folders that were given (see `outside`), or is too large (`too_large`).
            OperatorError: It is there and cannot be read.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestSet:
    """What was read: the text of every manifest by its path as given, and the problems of reading.

    `paths` are all files looked at, those with problems included; `shelf` holds rosters and binaries. `tenant` stands
    before the names of their fleets, as `tenant/name`, where several sources share a journal.
    """

    texts: Mapping[str, str]
    paths: tuple[str, ...]
    problems: tuple[Problem, ...]
    shelf: Shelf
    tenant: str = ""

    def compile(self, *, also_known: Collection[str] = ()) -> FleetSet:
        """The fleets that these manifests ask for (`also_known`: Device OS releases beside the published table).

        Raises:
            ManifestErrors: All problems, of reading and of what was read.
        """
        try:
            fleets = load_manifests(self.texts, self.roster, also_known=also_known)
        except ManifestErrors as errors:
            raise ManifestErrors((*self.problems, *errors.problems)) from None
        if self.problems:
            raise ManifestErrors(self.problems)
        return _of_tenant(fleets, self.tenant) if self.tenant else fleets

    def roster(self, path: str) -> str | None:
        """The text of a roster; None: there is none.

        Raises:
            ManifestError: It lies outside the folders, is too large or is not UTF-8.
        """
        content = self.shelf.content(path, bytes_max=ROSTER_BYTES_MAX)
        if content is None:
            return None
        if content.startswith(_POINTER):
            raise ManifestError(ProblemCode.ROSTER, f"{path} {_POINTER_WORDS}")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise ManifestError(ProblemCode.ROSTER, f"{path} is not UTF-8 text at line {line}") from None

    def binary(self, path: str) -> bytes:
        """The bytes of an application binary that a manifest names (`ApplicationBinary.file`).

        Raises:
            ManifestError: It lies outside the folders, or is too large.
            OperatorError: It is not there.
        """
        content = self.shelf.content(path, bytes_max=BINARY_BYTES_MAX)
        if content is None:
            next_step = "put it there, or correct `file` in the ApplicationRelease (relative to that manifest)"
            raise OperatorError("PFR6004", f"there is no file {path}", next_step=next_step)
        if content.startswith(_POINTER):
            next_step = "keep the file in Git itself"
            raise ManifestError(ProblemCode.BINARY, f"{path} {_POINTER_WORDS}", next_step=next_step)
        return content


class Gathering:
    """Manifests while they are read: every file becomes a text or a problem."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._paths: list[str] = []
        self._problems: list[Problem] = []

    def add(self, path: str, content: bytes) -> None:
        """A file that was read; what is not UTF-8 text becomes a problem at its place."""
        name = _in_utf8(path)
        if name != path:
            self._refuse(path, ProblemCode.NOT_TEXT, "the file's name is not UTF-8", "rename the file")
            return
        if content.startswith(_POINTER):
            self._refuse(path, ProblemCode.NOT_TEXT, f"this {_POINTER_WORDS}", "keep the file in Git itself")
            return
        self._paths.append(name)
        try:
            self._texts[name] = content.decode("utf-8")
        except UnicodeDecodeError as error:
            self._problems.append(_not_utf8(name, content, error.start))

    def refuse_link(self, path: str) -> None:
        """A link that leads out of the folder, or to a folder."""
        message = "a link that leads out of the folder, or to a folder, is not followed"
        self._refuse(path, ProblemCode.OUTSIDE, message, "put the manifest itself there")

    def refuse_repository(self, path: str) -> None:
        """A folder of the commit that is another repository (a submodule)."""
        message = "a submodule is another repository, and is not read"
        self._refuse(path, ProblemCode.OUTSIDE, message, "put the manifests themselves there")

    def refuse_kind(self, path: str) -> None:
        """Something that is no file, or not there at all."""
        self._refuse(path, ProblemCode.NOT_TEXT, "this is not a file that can be read")

    def refuse_size(self, path: str) -> None:
        """A file larger than a manifest may be."""
        message = f"the file is larger than {BYTES_MAX} bytes"
        self._refuse(path, ProblemCode.TOO_LARGE, message, "put device ids into a roster")

    def finished(self, shelf: Shelf) -> ManifestSet:
        """All of it as a value."""
        return ManifestSet(texts=self._texts, paths=tuple(self._paths), problems=tuple(self._problems), shelf=shelf)

    def _refuse(self, path: str, code: ProblemCode, message: str, suggestion: str = "") -> None:
        name = _in_utf8(path)
        self._paths.append(name)
        self._problems.append(Problem(place=Place(name, 1, 1), code=code, message=message, suggestion=suggestion))


def is_manifest_name(name: str) -> bool:
    """Whether a file of this name is read when its folder is."""
    return not name.startswith(".") and PurePosixPath(name).suffix in _ENDINGS


def outside(path: str) -> ManifestError:
    """A named file that lies outside the folders of the manifests."""
    next_step = "keep it in the folder of the manifests, and give that folder as PATH"
    return ManifestError(ProblemCode.OUTSIDE, f"{path} lies outside the given folder", next_step=next_step)


def too_large(path: str, bytes_max: int) -> ManifestError:
    """A named file above its limit."""
    return ManifestError(ProblemCode.TOO_LARGE, f"{path} is larger than {bytes_max} bytes")


def _of_tenant(fleets: FleetSet, tenant: str) -> FleetSet:
    named = tuple(replace(fleet, name=f"{tenant}/{fleet.name}") for fleet in fleets.fleets)
    approvals = tuple(
        each if each.fleets is None else replace(each, fleets=tuple(f"{tenant}/{name}" for name in each.fleets))
        for each in fleets.approvals
    )
    return replace(fleets, fleets=named, approvals=approvals)


def _in_utf8(path: str) -> str:
    """The path, with bytes that are no UTF-8 (surrogates, in Python) written out."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _not_utf8(name: str, content: bytes, at: int) -> Problem:
    before = content[:at].decode("utf-8").splitlines(keepends=True)
    fresh = not before or before[-1].endswith(("\n", "\r"))
    line, column = (len(before) + 1, 1) if fresh else (len(before), len(before[-1]) + 1)
    return Problem(
        place=Place(name, line, column),
        code=ProblemCode.NOT_TEXT,
        message=f"the byte 0x{content[at]:02x} is not UTF-8",
        line=content.decode("utf-8", errors="replace").splitlines()[line - 1],
        suggestion="save the file as UTF-8",
    )
