"""Manifests as a commit has them, read from the object store without a work tree; and which commit a folder is at.

The rules are those of a folder (`folder.py`): the same names are read, the same limits hold, links are followed where
they stay in the folder, and everything has the same path as it would have in the work tree. A submodule is another
repository and is not read. A path that the commit does not have is no problem: everything in it is new.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reconciler.manifests.document import BYTES_MAX
from reconciler.model.error import OperatorError, SourceRefusedError
from reconciler.sources.git import Entry, Repository, find_repository
from reconciler.sources.manifest_set import Gathering, ManifestSet, is_manifest_name, outside, too_large

FILES_MAX: Final = 10_000
"""Manifests of one commit: a hundred times what the largest fleets that we know of are made of."""

MANIFESTS_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of all manifests of one commit together; rosters and binaries are counted one by one."""

_LINKS_FOLLOWED_MAX: Final = 40
"""As the kernel has it: more of them one after the other are a loop."""

_LINK_BYTES_MAX: Final = 4096
_SHA1_DIGITS: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A file or folder as it was given, and where it lies in the repository (`""`: it is the top)."""

    given: str
    inside: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedManifests:
    """The manifests of a commit. `commit` is `sha1:…`; `missing` are the given paths that hold no manifest there."""

    commit: str
    manifests: ManifestSet
    missing: tuple[str, ...]


def read_manifests_at(revision: str, paths: Sequence[str | Path]) -> CommittedManifests:
    """Read what lies at these files and folders in a revision of the repository that they lie in now.

    Raises:
        OperatorError: PFR6501 no git; PFR6502 no repository, or several; PFR6503 git did not end; PFR6504 no such
            revision; PFR6505 the repository cannot be read.
    """
    repository = _repository_of([Path(path) for path in paths])
    spots = [Spot(given=Path(path).as_posix(), inside=_inside(repository, Path(path))) for path in paths]
    return manifests_of(repository, repository.commit_of(revision), spots)


def manifests_of(repository: Repository, commit: str, spots: Sequence[Spot]) -> CommittedManifests:
    """Read what lies at some spots of a commit. Raises OperatorError PFR6503, PFR6505, PFR6512."""
    tree = _Tree(repository, commit)
    gathering = Gathering()
    found: dict[str, tuple[str, Entry]] = {}
    roots: list[Spot] = []
    missing: list[str] = []
    for spot in spots:
        root, names = tree.open(spot)
        roots.append(root)
        readable = [(spot.given, spot.inside)] if names is None else list(_manifests(tree, root, names))
        if not readable:
            missing.append(spot.given)
        for name, path in readable:
            _look(tree, root.inside, name, path, found, gathering)
    read_bytes = sum(entry.size for _, entry in found.values())
    if len(found) > FILES_MAX or read_bytes > MANIFESTS_BYTES_MAX:
        message = f"{len(found)} manifests of {read_bytes} bytes are more than {FILES_MAX} of {MANIFESTS_BYTES_MAX}"
        raise SourceRefusedError("PFR6512", message, next_step="put device ids into rosters, or name a smaller folder")
    contents = repository.contents([entry for _, entry in found.values()])
    for name, entry in found.values():
        gathering.add(name, contents[entry.object_id])
    shelf = CommitShelf(tree=tree, roots=tuple(roots))
    return CommittedManifests(
        commit=with_algorithm(commit), manifests=gathering.finished(shelf), missing=tuple(missing)
    )


def working_revision(paths: Sequence[str | Path], files: Iterable[str]) -> str | None:
    """Where manifests of a work tree come from: `main@sha1:…`, with `-dirty` when the commit does not have them so.

    Args:
        paths: What was given.
        files: Every file that was read, manifests and what they name: one that Git does not keep is not in the commit.

    Returns:
        None where that cannot be said: no git, no repository or several, no commit yet.
    """
    try:
        repository = _repository_of([Path(path) for path in paths])
        head = repository.head()
        if head is None:
            return None
        dirty = _is_dirty(repository, [Path(path) for path in paths], files)
    except OperatorError:
        return None
    branch, commit = head
    return f"{branch}@{with_algorithm(commit)}{'-dirty' if dirty else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitShelf:
    """Files below some folders of a commit; nothing leads out of them."""

    tree: _Tree
    roots: tuple[Spot, ...]

    def content(self, path: str, *, bytes_max: int) -> bytes | None:
        """See `Shelf.content`."""
        for root in self.roots:
            below = os.path.relpath(path, root.given)
            if below.split("/")[0] == "..":
                continue
            followed = self.tree.followed(posixpath.join(root.inside, below))
            if followed is None or not any(_is_below(followed, each.inside) for each in self.roots):
                raise outside(path)
            entry = self.tree.entries.get(followed)
            if entry is None or not entry.is_file:
                return None
            if entry.size > bytes_max:
                raise too_large(path, bytes_max)
            return self.tree.content(entry)
        raise outside(path)


@dataclass(slots=True)
class _Tree:
    """What some folders of a commit hold, and where its links lead."""

    repository: Repository
    commit: str
    entries: dict[str, Entry] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    def open(self, spot: Spot) -> tuple[Spot, list[str] | None]:
        """The folder out of which nothing leads, now among the entries; and what lies in it, None: a file was given."""
        listed = self._list(spot.inside)
        if spot.inside not in listed:
            return spot, sorted(listed)
        root = Spot(given=posixpath.dirname(spot.given), inside=posixpath.dirname(spot.inside))
        self._list(root.inside)
        return root, None

    def followed(self, path: str) -> str | None:
        """Where a path leads when every link is followed; None: out of the repository, or nowhere."""
        ahead, done, links = path.split("/")[::-1], list[str](), 0
        while ahead:
            part = ahead.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if not done:
                    return None
                done.pop()
                continue
            entry = self.entries.get("/".join((*done, part)))
            if entry is None or not entry.is_link:
                done.append(part)
                continue
            links += 1
            target = os.fsdecode(self.content(entry)) if entry.size <= _LINK_BYTES_MAX else "/"
            if links > _LINKS_FOLLOWED_MAX or target.startswith("/"):
                return None
            ahead += target.split("/")[::-1]
        return "/".join(done)

    def content(self, entry: Entry) -> bytes:
        return self.repository.contents([entry])[entry.object_id]

    def _list(self, path: str) -> dict[str, Entry]:
        listed = self.repository.entries(self.commit, path)
        self.entries |= listed
        for name in listed:
            while (name := posixpath.dirname(name)) and name not in self.folders:
                self.folders.add(name)
        return listed


def _manifests(tree: _Tree, root: Spot, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The name and path of every entry of a folder that is a manifest, or must be refused."""
    for path in paths:
        below = path[len(root.inside) + 1 :] if root.inside else path
        if any(part.startswith(".") for part in below.split("/")):
            continue
        entry = tree.entries[path]
        if is_manifest_name(posixpath.basename(path)) or not (entry.is_file or entry.is_link) or _is_way(tree, path):
            yield Path(root.given, below).as_posix(), path


def _is_way(tree: _Tree, path: str) -> bool:
    """Whether an entry is a link to a folder."""
    if not tree.entries[path].is_link:
        return False
    target = tree.followed(path)
    return target is not None and (target in tree.folders or tree.repository.is_folder(tree.commit, target))


def _look(
    tree: _Tree, root: str, name: str, path: str, found: dict[str, tuple[str, Entry]], gathering: Gathering
) -> None:
    """Note an entry as found, once, or say why it is not read."""
    if not (tree.entries[path].is_file or tree.entries[path].is_link):
        gathering.refuse_repository(name)
        return
    target = tree.followed(path)
    if target is None or not _is_below(target, root) or target in tree.folders:
        gathering.refuse_link(name)
        return
    entry = tree.entries.get(target)
    if entry is None or not entry.is_file:
        gathering.refuse_kind(name)
    elif entry.size > BYTES_MAX:
        gathering.refuse_size(name)
    else:
        found.setdefault(target, (name, entry))


def _repository_of(paths: Sequence[Path]) -> Repository:
    """The one repository that all paths lie in."""
    repositories = {find_repository(path.resolve()): path for path in paths}
    if len(repositories) != 1:
        some = " and ".join(str(path) for path in repositories.values()) or "no path"
        raise OperatorError("PFR6502", f"{some} lie in no common Git repository", next_step="plan them one by one")
    return next(iter(repositories))


def _inside(repository: Repository, path: Path) -> str:
    below = path.resolve().relative_to(repository.folder.resolve()).as_posix()
    return "" if below == "." else below


def _is_dirty(repository: Repository, paths: Sequence[Path], files: Iterable[str]) -> bool:
    folders = {_inside(repository, path if path.is_dir() else path.parent) for path in paths}
    given = {_inside(repository, path) for path in paths}
    used = {_inside(repository, Path(file)) for file in files}
    apart = {file for file in used if not any(_is_below(file, folder) for folder in given)}
    if repository.differs_from_head(sorted(folder or "." for folder in given | apart)):
        return True
    return not used <= repository.kept(sorted(folder or "." for folder in folders))


def _is_below(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")


def with_algorithm(commit: str) -> str:
    """A commit's id as plans and journals have it: `sha1:…` or `sha256:…`."""
    return f"{'sha1' if len(commit) == _SHA1_DIGITS else 'sha256'}:{commit}"
