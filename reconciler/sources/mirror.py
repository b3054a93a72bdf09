"""A bare copy of what is followed of a repository: fetched a little at a time, never checked out, mended by itself.

The rules:
- A mirror comes to be in a folder beside its own and is put in place when its first fetch is complete, so that one that
  stands is whole. What a crash leaves behind (locks, half packs, copies of keys) goes at the next use.
- One process at a time, by a lock that git itself holds too: a git that outlives its controller is not disturbed.
- Only a folder with our mark in it is ever replaced. One of another repository, one that has grown too large and one
  that turns out to be damaged is replaced by a new one, once that has been fetched.
- What was fetched stays: after a forced push the commit before it can still be read.
- What a server may make us take is limited by the kernel (bytes of a file, memory), by a deadline and by git's own
  check of every object (fsck). Submodules, tags beside the one that is followed, and bundles are not fetched.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reconciler.model.error import OperatorError, SourceRefusedError, SourceUnreachableError
from reconciler.settings.settings import GitSettings
from reconciler.sources.address import Address
from reconciler.sources.credentials import NOBODYS, PRIVATE, Access, access_to
from reconciler.sources.fetch_failure import failure_of, unreachable
from reconciler.sources.git import MIRROR_VARIABLES, Repository
from reconciler.sources.process import Bounds, Ran, Setting, run_git

FOLLOWED: Final = "refs/reconciler/followed"
"""What is followed, as it was fetched last: a commit, or the tag object in front of one."""

_MARK: Final = "reconciler-mirror"
_NEW: Final = "reconciler-new"
_OLD: Final = "reconciler-old"
_SHA1_DIGITS: Final = 40
_LATER_DEPTH: Final = 50
"""Commits of a later fetch: far more than are pushed between two looks, so that descent is known at once."""

_NOT_GIVEN_OUT: Final = "PFR6511"
_TOO_MUCH: Final = "PFR6512"
_DAMAGED: Final = "PFR6505"
_MALFORMED: Final = "PFR6520"

_LOCK_SECONDS: Final = 5.0
"""Of patience with the last moments of a git that has failed or was ended: its children hold the lock, too."""

_PACKS_MAX: Final = 50

_CONFIGURATION: Final = (
    ("protocol.version", "2"),
    ("fetch.fsckObjects", "true"),
    ("fetch.unpackLimit", "1"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("transfer.bundleURI", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("pack.threads", "1"),
    ("core.bigFileThreshold", "8m"),
    ("core.askPass", ""),
    ("core.packedGitWindowSize", "32m"),
    ("core.packedGitLimit", "256m"),
)
_QUIET: Final = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--force")


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorBounds:
    """What is taken from a server at most: one fetch in time, bytes and memory; and all of the mirror in bytes."""

    ask_seconds: float = 60.0
    fetch_seconds: float = 600.0
    fetch_bytes: int = 256 * 1024 * 1024
    fetch_memory_bytes: int = 2 * 1024 * 1024 * 1024
    mirror_bytes: int = 2 * 1024 * 1024 * 1024
    answer_bytes: int = 1024 * 1024


@dataclass(slots=True)
class Mirror:
    """A mirror in `folder` of what lies at `address`. `held` around everything that fetches."""

    folder: Path
    address: Address
    settings: GitSettings
    bounds: MirrorBounds
    _distrusted: bool = False
    _refused: tuple[str, SourceRefusedError] | None = None
    """What was too much, or malformed, by its id: it is not fetched again at every look."""

    _too_deep: set[str] = field(default_factory=set)
    """Commits whose history is more than is taken."""

    _lock: int | None = None

    @property
    def repository(self) -> Repository:
        """What was fetched, to be read."""
        return Repository(folder=self.folder, is_mirror=True)

    @property
    def exists(self) -> bool:
        """Whether anything was fetched yet, from this address."""
        return self._marked(self.folder) == self.address.shown

    def distrust(self) -> None:
        """Something in it could not be read: it is replaced at the next fetch."""
        self._distrusted = True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other process away, and begin with what a crash has left behind.

        Raises:
            SourceUnreachableError: PFR6513 another process has it, or the folder cannot be used.
            SourceRefusedError: PFR6513 the folder has something else in it.
        """
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._beside("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(f"cannot be used: {error.strerror}", "check the folder and its permissions") from None
        try:
            _take(lock)
            self._lock = lock
            self._tidy()
            yield
        except BlockingIOError:
            next_step = "give every controller a folder of its own; a git of one that was killed ends by itself soon"
            raise self._unusable("is in use by another process", next_step) from None
        except OSError as error:
            raise self._unusable(f"cannot be used: {error.strerror}", "check the disk and the folder") from None
        finally:
            self._lock = None
            os.close(lock)

    def refresh(self, wanted: str) -> None:
        """Have `FOLLOWED` be what the repository has as `wanted` now: a full reference, or a full commit id.

        Raises:
            SourceUnreachableError: PFR6507 not reached; PFR6513 the mirror cannot be written.
            SourceRefusedError: PFR6508 to PFR6514: not let in, another server, no such reference, too much.
        """
        if not self.exists or self._distrusted or _bytes_below(self.folder) > self.bounds.mirror_bytes:
            self._replace(wanted)
            return
        with self._mending(wanted):
            tip = self._tip(self.folder, wanted)
            if self._followed() == tip:
                return
            self._compact()
            self._follow(self.folder, (_LATER_DEPTH, 1), wanted, tip)

    def advertised(self, wanted: str) -> str:
        """The id that the repository has for a full reference now, without fetching it. Raises as `refresh` does."""
        if not self.exists:
            self._replace(wanted)
        return self._tip(self.folder, wanted)

    def bring(self, commit: str) -> None:
        """Fetch one commit by its id, without following it. Raises as `refresh` does."""
        if not self.exists or self._distrusted:
            self._replace(commit)
            return
        with self._mending(commit):
            if not self.has(commit):
                self._fetch(self.folder, "--depth=1", commit)

    def has(self, commit: str) -> bool:
        """Whether this commit is in the mirror."""
        return self.exists and not self._read(("cat-file", "-e", f"{commit}^{{commit}}")).failed

    def is_ancestor(self, earlier: str, commit: str) -> bool:
        """Whether what was fetched has a path of parents from a commit to an earlier one."""
        return self.has(earlier) and not self._read(("merge-base", "--is-ancestor", earlier, commit)).failed

    def commits(self, commit: str, *, without: str) -> tuple[str, ...] | None:
        """What was fetched of the history of a commit, without that of another one; None: it cannot be said."""
        listed = self._read(("rev-list", commit, f"^{without}"))
        return None if listed.failed or listed.excessive else tuple(listed.output.decode("ascii").split())

    def deepen(self, step: str, commit: str, wanted: str) -> None:
        """Fetch more history of a commit, by its id or, from servers that do not give that out, by what is followed."""
        if commit in self._too_deep:
            return
        for source in (commit, wanted):
            try:
                self._fetch(self.folder, step, source)
            except SourceRefusedError as error:
                if error.code == _TOO_MUCH:
                    self._too_deep.add(commit)
                    return
                if error.code != _NOT_GIVEN_OUT:
                    raise
            else:
                return

    def border(self, commit: str) -> frozenset[str]:
        """The commits at which the known history of a commit breaks off; empty: it is all there."""
        roots = self._read(("rev-list", "--max-parents=0", commit))
        if roots.failed:
            return frozenset()
        try:
            shallow = (self.folder / "shallow").read_text(encoding="ascii").split()
        except FileNotFoundError:
            return frozenset()
        return frozenset(roots.output.decode("ascii").split()) & frozenset(shallow)

    @contextmanager
    def _mending(self, wanted: str) -> Iterator[None]:
        """Replace the mirror where that may be why it cannot be fetched into."""
        try:
            yield
        except SourceUnreachableError as error:
            if error.code != _DAMAGED and self._is_whole():
                raise
            self._replace(wanted)

    def _replace(self, wanted: str) -> None:
        """Fetch into a new mirror, and put it in place of what is there."""
        empty = not self.folder.exists() or (self.folder.is_dir() and not any(self.folder.iterdir()))
        if not empty and self._marked(self.folder) is None:
            next_step = f"set `mirror` to a folder of its own, or empty {self.folder}"
            message = f"the folder {self.folder} has something else in it than a mirror of ours"
            raise SourceRefusedError("PFR6513", message, next_step=next_step)
        new, old = self._beside(_NEW), self._beside(_OLD)
        self._make(new, "sha1")
        tip = self._tip(new, wanted)
        if len(tip) != _SHA1_DIGITS:
            self._make(new, "sha256")
        self._follow(new, (1,), wanted, tip)
        (new / _MARK).write_text(f"{self.address.shown}\n", encoding="utf-8")
        if self.folder.exists():
            self.folder.rename(old)
        new.rename(self.folder)
        shutil.rmtree(old, ignore_errors=True)
        self._distrusted = False

    def _make(self, folder: Path, object_format: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        how = ("init", "--quiet", "--bare", "--template=", f"--object-format={object_format}", ".")
        made = self._run(folder, how, Access(variables=NOBODYS), self.bounds.ask_seconds)
        if made.failed:
            raise self._unusable(f"cannot be made: {made.error_line}", "check the disk and the folder")

    def _follow(self, folder: Path, depths: Sequence[int], wanted: str, tip: str) -> None:
        """Fetch what is followed, which was seen to be at `tip`, as deep as is not too much."""
        if self._refused is not None and self._refused[0] == tip:
            raise self._refused[1].with_traceback(None)
        for depth in depths:
            try:
                self._fetch(folder, f"--depth={depth}", f"+{wanted}:{FOLLOWED}")
            except SourceRefusedError as error:
                if error.code == _TOO_MUCH and depth != depths[-1]:
                    continue
                if error.code in {_TOO_MUCH, _MALFORMED}:
                    self._refused = (tip, error)
                raise
            finally:
                _sweep(folder)
            return

    def _tip(self, folder: Path, wanted: str) -> str:
        """The id that the repository has for a full reference now; an id is its own."""
        if _is_id(wanted):
            return wanted
        answer = self._talk(folder, ("ls-remote", "--refs", "--quiet", "origin", wanted), self.bounds.ask_seconds)
        for line in answer.output.decode("utf-8", "replace").splitlines():
            object_id, _, name = line.partition("\t")
            if name == wanted and _is_id(object_id):
                return object_id
        raise failure_of(f"couldn't find remote ref {wanted}", self.address.shown)

    def _fetch(self, folder: Path, how_deep: str, what: str) -> None:
        self._talk(folder, ("fetch", *_QUIET, how_deep, "origin", what), self.bounds.fetch_seconds)

    def _talk(self, folder: Path, arguments: Sequence[str], seconds: float) -> Ran:
        """Have git talk to the repository, with credentials that are read now and gone afterwards."""
        try:
            access = access_to(self.address, self.settings, folder)
            ran = self._run(folder, arguments, access, seconds)
        finally:
            shutil.rmtree(folder / PRIVATE, ignore_errors=True)
        if ran.late:
            raise unreachable(self.address.shown, f"no end within {seconds:g} seconds")
        if ran.failed or ran.excessive:
            said = access.masked(ran.error) if not ran.excessive else "file too large: an endless list of references"
            raise failure_of(said, self.address.shown)
        return ran

    def _run(self, folder: Path, arguments: Sequence[str], access: Access, seconds: float) -> Ran:
        setting = Setting(
            folder=folder,
            variables={"GIT_DIR": ".", **access.variables},
            configuration=(("remote.origin.url", self.address.url), *_CONFIGURATION, *access.configuration),
            kept_open=() if self._lock is None else (self._lock,),
        )
        bounds = Bounds(
            seconds=seconds,
            answer_bytes=self.bounds.answer_bytes,
            file_bytes=self.bounds.fetch_bytes,
            memory_bytes=self.bounds.fetch_memory_bytes,
        )
        return run_git(setting, arguments, bounds)

    def _read(self, arguments: Sequence[str]) -> Ran:
        bounds = Bounds(seconds=self.bounds.ask_seconds, answer_bytes=self.bounds.answer_bytes)
        return run_git(Setting(folder=self.folder, variables=MIRROR_VARIABLES), arguments, bounds)

    def _followed(self) -> str | None:
        known = self._read(("rev-parse", "--verify", "--quiet", "--end-of-options", FOLLOWED))
        return None if known.failed else known.output.decode("ascii").strip()

    def _is_whole(self) -> bool:
        """Whether what is followed is all there, as far as can be said without reading every file."""
        return not self._read(("rev-list", "--objects", "--quiet", "--max-count=1", FOLLOWED)).failed

    def _compact(self) -> None:
        """Many small packs become one, with all that was ever fetched. That it fails costs time later, no more."""
        if len(list((self.folder / "objects/pack").glob("*.pack"))) > _PACKS_MAX:
            with contextlib.suppress(OperatorError):
                how = ("repack", "-a", "-d", "--keep-unreachable", "--quiet")
                self._run(self.folder, how, Access(variables=NOBODYS), self.bounds.fetch_seconds)

    def _tidy(self) -> None:
        """Take away what a crash has left behind. Nobody is at work in the mirror: its lock is ours."""
        old = self._beside(_OLD)
        if old.exists() and not self.folder.exists():
            old.rename(self.folder)
        for left in (old, self._beside(_NEW), self.folder / PRIVATE):
            shutil.rmtree(left, ignore_errors=True)
        if self._marked(self.folder) is None:
            return
        _sweep(self.folder)

    def _marked(self, folder: Path) -> str | None:
        try:
            return (folder / _MARK).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None

    def _beside(self, what: str) -> Path:
        return self.folder.with_name(f"{self.folder.name}.{what}")

    def _unusable(self, why: str, next_step: str) -> SourceUnreachableError:
        return SourceUnreachableError("PFR6513", f"the mirror {self.folder} {why}", next_step=next_step)


def _take(lock: int) -> None:
    """Take a lock, soon. Raises BlockingIOError: somebody else keeps it."""
    end = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def _sweep(folder: Path) -> None:
    """Take away the locks and halves of files that a git has left behind that did not come to its end."""
    for pattern in ("*.lock", "refs/**/*.lock", "objects/**/tmp_*", "objects/**/.tmp-*"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def _is_id(text: str) -> bool:
    return "/" not in text


def _bytes_below(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*"))
