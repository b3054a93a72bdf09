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
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.manifests.document import BYTES_MAX
from reconciler.model.error import OperatorError
from reconciler.model.fleet import FleetSet
from reconciler.sources.manifest_set import Gathering, ManifestSet, is_manifest_name, outside, too_large


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderShelf:
    """Files below some folders of this machine; `roots` are resolved, and nothing leads out of them."""

    roots: tuple[Path, ...]

    def content(self, path: str, *, bytes_max: int) -> bytes | None:
        """See `Shelf.content`."""
        resolved = Path(path).resolve()
        if not any(resolved.is_relative_to(root) for root in self.roots):
            raise outside(path)
        if not resolved.is_file():
            return None
        if resolved.stat().st_size > bytes_max:
            raise too_large(path, bytes_max)
        return _bytes(resolved)


def load_fleets(paths: Sequence[str | Path], *, also_known: Collection[str] = ()) -> FleetSet:
    """Read and compile in one go; see `read_manifests` and `ManifestSet.compile`."""
    return read_manifests(paths).compile(also_known=also_known)


def read_manifests(paths: Sequence[str | Path]) -> ManifestSet:
    """Read manifest files and folders.

    Raises:
        OperatorError: A path is not there (PFR6001), cannot be read (PFR6002), or a folder holds no manifest (PFR6003).
    """
    gathering = Gathering()
    roots: dict[Path, None] = {}
    seen: set[Path] = set()
    for given in map(Path, paths):
        root = (given if given.is_dir() else given.parent).resolve()
        roots[root] = None
        for path in _manifests(given):
            resolved, name = path.resolve(), path.as_posix()
            if resolved in seen:
                continue
            seen.add(resolved)
            if not resolved.is_relative_to(root) or path.is_dir():
                gathering.refuse_link(name)
            elif not resolved.is_file():
                gathering.refuse_kind(name)
            elif resolved.stat().st_size > BYTES_MAX:
                gathering.refuse_size(name)
            else:
                gathering.add(name, _bytes(resolved))
    if not seen:
        raise OperatorError("PFR6003", "there is no PATH to read", next_step="name a folder or file of manifests")
    return gathering.finished(FolderShelf(roots=tuple(roots)))


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
        yield from (Path(parent, name) for name in files if is_manifest_name(name))
        yield from (path for name in folders if not name.startswith(".") and (path := Path(parent, name)).is_symlink())
        folders[:] = sorted(name for name in folders if not name.startswith("."))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> OperatorError:
    message = f"{path} cannot be read: {error.strerror or error}"
    return OperatorError("PFR6002", message, next_step="check its permissions")
