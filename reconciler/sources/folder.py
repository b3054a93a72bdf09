"""Manifests from files and folders of this machine.

The rules:
- A folder is read with all below it, `*.yaml` and `*.yml` in the order of their paths; names that begin with a dot are
  passed over. A file that is named itself is read whatever its name.
- Nothing outside the given folders (for a file: outside its folder) is read: no link, roster or binary leads out.
- What cannot be a manifest (not UTF-8, too large, a link out) is a problem of that file, reported with all others.
- No manifest at all is an error: an empty set would mean a fleet that suddenly is nobody's.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.manifests import ManifestErrors, Problem, ProblemCode, load_manifests
from reconciler.manifests.document import BYTES_MAX
from reconciler.model.error import ManifestError, OperatorError
from reconciler.model.fleet import FleetSet, Place

_ENDINGS: Final = frozenset({".yaml", ".yml"})

ROSTER_BYTES_MAX: Final = 64 * 1024 * 1024
"""About two million device ids."""

BINARY_BYTES_MAX: Final = 16 * 1024 * 1024
"""Far above the largest application that fits any platform, assets included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFolder:
    """What was read: the text of every manifest by its path as given, and the problems of reading.

    `roots` are the folders out of which nothing leads; `paths` are all files looked at, those with problems included.
    """

    texts: Mapping[str, str]
    paths: tuple[str, ...]
    problems: tuple[Problem, ...]
    roots: tuple[Path, ...]

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
        return fleets

    def roster(self, path: str) -> str | None:
        """The text of a roster; None: there is none.

        Raises:
            ManifestError: It lies outside the folders, is too large or is not UTF-8.
        """
        content = self._content(path, ROSTER_BYTES_MAX)
        if content is None:
            return None
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
        content = self._content(path, BINARY_BYTES_MAX)
        if content is None:
            next_step = "put it there, or correct `file` in the ApplicationRelease (relative to that manifest)"
            raise OperatorError("PFR6004", f"there is no file {path}", next_step=next_step)
        return content

    def _content(self, path: str, bytes_max: int) -> bytes | None:
        resolved = Path(path).resolve()
        if not any(resolved.is_relative_to(root) for root in self.roots):
            next_step = "keep it in the folder of the manifests, and give that folder as PATH"
            raise ManifestError(ProblemCode.OUTSIDE, f"{path} lies outside the given folder", next_step=next_step)
        if not resolved.is_file():
            return None
        if resolved.stat().st_size > bytes_max:
            raise ManifestError(ProblemCode.TOO_LARGE, f"{path} is larger than {bytes_max} bytes")
        return _bytes(resolved)


def load_fleets(paths: Sequence[str | Path], *, also_known: Collection[str] = ()) -> FleetSet:
    """Read and compile in one go; see `read_manifests` and `ManifestFolder.compile`."""
    return read_manifests(paths).compile(also_known=also_known)


def read_manifests(paths: Sequence[str | Path]) -> ManifestFolder:
    """Read manifest files and folders.

    Raises:
        OperatorError: A path is not there (PFR6001), cannot be read (PFR6002), or a folder holds no manifest (PFR6003).
    """
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    roots: dict[Path, None] = {}
    seen: dict[Path, str] = {}
    for given in map(Path, paths):
        root = (given if given.is_dir() else given.parent).resolve()
        roots[root] = None
        for path in _manifests(given):
            resolved, name = path.resolve(), path.as_posix()
            if resolved in seen:
                continue
            seen[resolved] = name
            if not resolved.is_relative_to(root) or path.is_dir():
                message = "a link that leads out of the folder, or to a folder, is not followed"
                problems.append(_problem(name, ProblemCode.OUTSIDE, message, "put the manifest itself there"))
            elif not resolved.is_file():
                problems.append(_problem(name, ProblemCode.NOT_TEXT, "this is not a file that can be read"))
            elif resolved.stat().st_size > BYTES_MAX:
                message = f"the file is larger than {BYTES_MAX} bytes"
                problems.append(_problem(name, ProblemCode.TOO_LARGE, message, "put device ids into a roster"))
            else:
                _decode(name, _bytes(resolved), texts, problems)
    if not seen:
        raise OperatorError("PFR6003", "there is no PATH to read", next_step="name a folder or file of manifests")
    return ManifestFolder(texts=texts, paths=tuple(seen.values()), problems=tuple(problems), roots=tuple(roots))


def _manifests(given: Path) -> Iterator[Path]:
    """The manifest files of a file or folder; a linked folder is yielded itself, to be refused."""
    if not given.exists():
        raise OperatorError("PFR6001", f"there is no file or folder {given}", next_step="check the path")
    if not given.is_dir():
        yield given
        return
    found = sorted(_below(given), key=lambda path: path.as_posix())
    if not found:
        next_step = "name a folder with *.yaml or *.yml files"
        raise OperatorError("PFR6003", f"the folder {given} holds no manifest", next_step=next_step)
    yield from found


def _below(folder: Path) -> Iterable[Path]:
    def refuse(error: OSError) -> None:
        raise _unreadable(Path(str(error.filename or folder)), error)

    for parent, folders, files in os.walk(folder, onerror=refuse):
        yield from (Path(parent, name) for name in files if _is_manifest_name(name))
        yield from (path for name in folders if not name.startswith(".") and (path := Path(parent, name)).is_symlink())
        folders[:] = sorted(name for name in folders if not name.startswith("."))


def _is_manifest_name(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix in _ENDINGS


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> OperatorError:
    message = f"{path} cannot be read: {error.strerror or error}"
    return OperatorError("PFR6002", message, next_step="check its permissions")


def _decode(name: str, content: bytes, texts: dict[str, str], problems: list[Problem]) -> None:
    try:
        texts[name] = content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8").splitlines(keepends=True)
        fresh = not before or before[-1].endswith(("\n", "\r"))
        line, column = (len(before) + 1, 1) if fresh else (len(before), len(before[-1]) + 1)
        shown = content.decode("utf-8", errors="replace").splitlines()[line - 1]
        message = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        place = Place(name, line, column)
        problems.append(
            Problem(
                place=place, code=ProblemCode.NOT_TEXT, message=message, line=shown, suggestion="save the file as UTF-8"
            )
        )


def _problem(name: str, code: ProblemCode, message: str, suggestion: str = "") -> Problem:
    return Problem(place=Place(name, 1, 1), code=code, message=message, suggestion=suggestion)
