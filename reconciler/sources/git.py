"""A Git repository, by the system's own `git`: revisions, what lies in a commit, what differs from it.

The rules:
- Reading only. No work tree is written, no lock is taken (GIT_OPTIONAL_LOCKS), nothing is fetched: a clone that lacks
  an object is an error that says so. (`mirror.py` fetches, by the same `process.py`.)
- What a person wrote never becomes an option: revisions go behind `--end-of-options`, paths behind `--` and are taken
  literally, contents are asked for by object id.
- Every call has a deadline and a limit to what it may answer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.manifests.problem import did_you_mean
from reconciler.model.error import OperatorError
from reconciler.sources.process import Bounds, Ran, Setting, run_git

SECONDS_MAX: Final = 60.0
"""Of one call. Git answers in milliseconds; only a dead network drive takes so long."""

_LIST_BYTES_MAX: Final = 128 * 1024 * 1024
"""Of one list of files: about a million paths."""

_NAMES_SHOWN_MAX: Final = 20_000

_LINK: Final = "120000"
_LATEST_SECONDS: Final = 253_402_300_799.0
"""The end of the year 9999: a commit may claim any time, and no calendar goes on."""

MIRROR_VARIABLES: Final = {"GIT_DIR": ".", "GIT_CONFIG_GLOBAL": os.devnull}
"""Of every run in a mirror of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What lies under a path of a commit. `size` in bytes; a submodule has none of its own: 0."""

    mode: str
    object_id: str
    size: int

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link, whose bytes are the path that it leads to."""
        return self.mode == _LINK

    @property
    def is_file(self) -> bool:
        """Whether it is a file; the rest are links and other repositories (submodules)."""
        return self.mode.startswith("100")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One repository. `folder` is the top of its work tree, or the repository itself when it is a bare one.

    `is_mirror`: a bare one of ours. It is not looked for above the folder, and nobody's configuration counts there.
    """

    folder: Path
    is_mirror: bool = False

    def commit_of(self, revision: str) -> str:
        """The id of the commit that a person's revision means. Raises OperatorError PFR6504: there is none."""
        if revision and not revision.startswith("-") and revision.isprintable():
            asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
            answer = self._answer(asked, may_fail=True)
            if answer is not None and _is_object_id(found := answer.decode("ascii", "replace").strip()):
                return found
        raise self._unknown(revision)

    def object_of(self, reference: str) -> str:
        """The id of what a reference leads to at once: a commit, or a tag object. Raises OperatorError PFR6505."""
        return self._text(("rev-parse", "--verify", "--end-of-options", reference)).decode("ascii").strip()

    def kind_of(self, reference: str) -> str:
        """What a reference comes to, tags followed: commit, tree or blob. Raises OperatorError PFR6505."""
        return self._text(("cat-file", "-t", f"{reference}^{{}}")).decode("ascii").strip()

    def committed_at(self, commit: str) -> float:
        """When a commit says that it was made, in seconds since the epoch. Raises OperatorError PFR6505."""
        said = (
            self._text(("log", "-1", "--no-show-signature", "--format=%ct", commit)).decode("ascii", "replace").strip()
        )
        return min(float(said), _LATEST_SECONDS) if said.isdigit() else 0.0

    def head(self) -> tuple[str, str] | None:
        """The branch (`HEAD` when none is checked out) and the id of the commit; None before the first commit."""
        verified = self._answer(("rev-parse", "--verify", "--quiet", "HEAD^{commit}"), may_fail=True)
        if verified is None:
            return None
        branch = self._answer(("symbolic-ref", "--quiet", "--short", "HEAD"), may_fail=True)
        name = "HEAD" if branch is None else os.fsdecode(branch.removesuffix(b"\n"))
        return name, verified.decode("ascii").strip()

    def entries(self, commit: str, path: str) -> dict[str, Entry]:
        """All files, links and submodules of a commit at or below a path (`""`: everywhere), by their path."""
        listed = self._text(("ls-tree", "-r", "-z", "-l", "--full-tree", commit, "--", *filter(None, (path,))))
        found: dict[str, Entry] = {}
        for line in listed.split(b"\0")[:-1]:
            about, _, name = line.partition(b"\t")
            mode, kind, object_id, size = about.decode("ascii").split()
            if kind == "blob" and not size.isdigit():
                raise self._lacking(object_id)
            found[os.fsdecode(name)] = Entry(mode=mode, object_id=object_id, size=int(size) if size.isdigit() else 0)
        return found

    def is_folder(self, commit: str, path: str) -> bool:
        """Whether a path of a commit is a folder."""
        return self._text(("ls-tree", "-z", "--full-tree", commit, "--", path)).startswith(b"040000 ")

    def contents(self, entries: Sequence[Entry]) -> Mapping[str, bytes]:
        """The bytes of files and links, by object id. The caller has looked at their sizes."""
        wanted = {entry.object_id: entry.size for entry in entries}
        if not wanted:
            return {}
        overhead = 200 * len(wanted)
        answer = self._text(
            ("cat-file", "--batch"),
            stdin="".join(f"{object_id}\n" for object_id in wanted).encode(),
            bytes_max=sum(wanted.values()) + overhead,
        )
        found: dict[str, bytes] = {}
        at = 0
        for object_id, size in wanted.items():
            end = answer.find(b"\n", at)
            if answer[at:end] != f"{object_id} blob {size}".encode():
                raise self._lacking(object_id)
            found[object_id] = answer[end + 1 : end + 1 + size]
            at = end + 1 + size + 1
        return found

    def differs_from_head(self, paths: Sequence[str]) -> bool:
        """Whether something that Git keeps at or below these paths is not as the last commit has it."""
        asked = ("status", "--porcelain=v1", "-z", "--untracked-files=no", "--no-renames", "--", *paths)
        return bool(self._text(asked))

    def kept(self, paths: Sequence[str]) -> frozenset[str]:
        """The paths that Git keeps at or below these paths; what it ignores or does not know is not among them."""
        return frozenset(map(os.fsdecode, self._text(("ls-files", "-z", "--", *paths)).split(b"\0")[:-1]))

    def _text(self, arguments: Sequence[str], *, stdin: bytes = b"", bytes_max: int | None = None) -> bytes:
        answer = self._answer(arguments, stdin=stdin, bytes_max=bytes_max)
        assert answer is not None
        return answer

    def _answer(
        self,
        arguments: Sequence[str],
        *,
        stdin: bytes = b"",
        bytes_max: int | None = None,
        may_fail: bool = False,
    ) -> bytes | None:
        variables = MIRROR_VARIABLES if self.is_mirror else {}
        done = _run(self.folder, arguments, stdin=stdin, bytes_max=bytes_max, variables=variables)
        if done.failed and may_fail:
            return None
        if done.failed:
            message = f"git {arguments[0]} failed in {self.folder}: {done.error_line}"
            raise OperatorError("PFR6505", message, next_step="run `git fsck` and `git fetch` there, then try again")
        return done.output

    def _unknown(self, revision: str) -> OperatorError:
        kinds = ("refs/heads", "refs/remotes", "refs/tags")
        listed = self._text(("for-each-ref", f"--count={_NAMES_SHOWN_MAX}", "--format=%(refname:short)", *kinds))
        names = listed.decode("utf-8", "replace").splitlines()
        remote = next((name for name in names if revision and name.endswith(f"/{revision}")), None)
        close = f"did you mean {remote!r}?" if remote is not None else did_you_mean(revision, names)
        shallow = self._answer(("rev-parse", "--is-shallow-repository"), may_fail=True) == b"true\n"
        steps = [
            close,
            "this clone is shallow, older commits are not in it: `git fetch --unshallow`" if shallow else "",
            "" if close or shallow else "name a branch, a tag or a commit; `git fetch` brings those of others",
        ]
        message = f"there is no commit {revision!r} in the repository {self.folder}"
        return OperatorError("PFR6504", message, next_step="; ".join(filter(None, steps)))

    def _lacking(self, object_id: str) -> OperatorError:
        message = f"the repository {self.folder} lacks the object {object_id}"
        next_step = "it is a partial or damaged clone: `git fetch --refetch` (or clone again without --filter)"
        return OperatorError("PFR6505", message, next_step=next_step)


def find_repository(path: Path) -> Repository:
    """The repository that a file or folder lies in, or did before it was removed.

    Raises:
        OperatorError: PFR6501 there is no git; PFR6502 it lies in no repository that may be read.
    """
    folder = next(each for each in (path, *path.absolute().parents) if each.is_dir())
    for question in ("--show-toplevel", "--absolute-git-dir"):
        done = _run(folder, ("rev-parse", question))
        if not done.failed:
            return Repository(folder=Path(os.fsdecode(done.output.removesuffix(b"\n"))))
        if "must be run in a work tree" not in done.error_line:
            break
    owner = "dubious ownership" in done.error_line
    reason = "belongs to another user, and git does not read it" if owner else "lies in no Git repository"
    next_step = "allow it with `git config --global --add safe.directory FOLDER`" if owner else "leave out --base"
    raise OperatorError("PFR6502", f"{path} {reason}", next_step=next_step)


def _run(
    folder: Path,
    arguments: Sequence[str],
    *,
    stdin: bytes = b"",
    bytes_max: int | None = None,
    variables: Mapping[str, str] | None = None,
) -> Ran:
    """Have git read something. Raises OperatorError PFR6501, PFR6503."""
    bounds = Bounds(seconds=SECONDS_MAX, answer_bytes=_LIST_BYTES_MAX if bytes_max is None else bytes_max)
    ran = run_git(Setting(folder=folder, variables=variables or {}), arguments, bounds, stdin=stdin)
    if ran.late or ran.excessive:
        what = f"no end within {bounds.seconds:g} seconds" if ran.late else f"more than {bounds.answer_bytes} bytes"
        message = f"git {arguments[0]} gave {what} in {folder}"
        raise OperatorError("PFR6503", message, next_step="try the same with git itself there")
    return ran


def _is_object_id(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text, re.ASCII) is not None
