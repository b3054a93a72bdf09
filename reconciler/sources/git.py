"""A Git repository, by the system's own `git`: revisions, what lies in a commit, what differs from it.

The rules:
- Reading only. No work tree is written, no lock is taken (GIT_OPTIONAL_LOCKS), nothing is fetched: a clone that lacks
  an object is an error that says so.
- Nothing of the caller's Git environment is heeded but where its own configuration lies (a hook that starts us must not
  point us at another index or repository), and no hook, pager, monitor or replaced object of the repository counts.
- What a person wrote never becomes an option: revisions go behind `--end-of-options`, paths behind `--` and are taken
  literally, contents are asked for by object id.
- Every call has a deadline and a limit to what it may answer.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess  # the system's git is the most faithful reader of its own format
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from reconciler.manifests.problem import did_you_mean
from reconciler.model.error import OperatorError

SECONDS_MAX: Final = 60.0
"""Of one call. Git answers in milliseconds; only a dead network drive takes so long."""

_LIST_BYTES_MAX: Final = 128 * 1024 * 1024
"""Of one list of files: about a million paths."""

_ERROR_BYTES_MAX: Final = 2_000
_NAMES_SHOWN_MAX: Final = 20_000

_KEPT_VARIABLES: Final = ("PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "SYSTEMROOT", "GIT_CONFIG_GLOBAL")
_VARIABLES: Final = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",  # none: older versions of git know no GIT_NO_LAZY_FETCH
    "GIT_LITERAL_PATHSPECS": "1",
}
_OPTIONS: Final = ("--no-pager", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")

_LINK: Final = "120000"


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
    """One repository. `folder` is the top of its work tree, or the repository itself when it is a bare one."""

    folder: Path

    def commit_of(self, revision: str) -> str:
        """The id of the commit that a person's revision means. Raises OperatorError PFR6504: there is none."""
        if revision and not revision.startswith("-") and revision.isprintable():
            asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
            answer = self._answer(asked, may_fail=True)
            if answer is not None and _is_object_id(found := answer.decode("ascii", "replace").strip()):
                return found
        raise self._unknown(revision)

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

    def _text(self, arguments: Sequence[str], *, stdin: bytes = b"", bytes_max: int = _LIST_BYTES_MAX) -> bytes:
        answer = self._answer(arguments, stdin=stdin, bytes_max=bytes_max)
        assert answer is not None
        return answer

    def _answer(
        self,
        arguments: Sequence[str],
        *,
        stdin: bytes = b"",
        bytes_max: int = _LIST_BYTES_MAX,
        may_fail: bool = False,
    ) -> bytes | None:
        done = _run(self.folder, arguments, stdin=stdin, bytes_max=bytes_max)
        if done.failed and may_fail:
            return None
        if done.failed:
            message = f"git {arguments[0]} failed in {self.folder}: {done.error}"
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
        done = _run(folder, ("rev-parse", question), bytes_max=_LIST_BYTES_MAX)
        if not done.failed:
            return Repository(folder=Path(os.fsdecode(done.output.removesuffix(b"\n"))))
        if "must be run in a work tree" not in done.error:
            break
    owner = "dubious ownership" in done.error
    reason = "belongs to another user, and git does not read it" if owner else "lies in no Git repository"
    next_step = "allow it with `git config --global --add safe.directory FOLDER`" if owner else "leave out --base"
    raise OperatorError("PFR6502", f"{path} {reason}", next_step=next_step)


@dataclass(frozen=True, slots=True)
class _Done:
    failed: bool
    output: bytes
    error: str


def _run(folder: Path, arguments: Sequence[str], *, stdin: bytes = b"", bytes_max: int) -> _Done:
    """Run git in a folder and wait for it. Raises OperatorError PFR6501, PFR6503."""
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ} | _VARIABLES
    # Both in files: two pipes that are served in turn could wait for each other for ever.
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as said:
        asked.write(stdin)
        asked.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603  # a list of arguments, no shell; none of them can be an option
                ["git", *_OPTIONS, *arguments],  # noqa: S607  # the operator's own git, by the operator's PATH
                cwd=folder,
                env=environment,
                stdin=asked,
                stdout=subprocess.PIPE,
                stderr=said,
                start_new_session=True,
            )
        except OSError as error:
            message = f"git cannot be run: {error.strerror or type(error).__name__}"
            raise OperatorError("PFR6501", message, next_step="install git, or leave out --base") from None
        output, in_time = _collect(process, bytes_max)
        if not in_time or len(output) > bytes_max:
            what = f"no end within {SECONDS_MAX:g} seconds" if not in_time else f"more than {bytes_max} bytes"
            message = f"git {arguments[0]} gave {what} in {folder}"
            raise OperatorError("PFR6503", message, next_step="try the same with git itself there")
        said.seek(0)
        error_text = " ".join(said.read(_ERROR_BYTES_MAX).decode("utf-8", "replace").split())
        return _Done(process.returncode != 0, output, error_text)


def _collect(process: subprocess.Popen[bytes], bytes_max: int) -> tuple[bytes, bool]:
    """What a process writes, up to one byte more than it may, and whether it ended in time. It has ended afterwards."""
    late = threading.Event()

    def end() -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    def give_up() -> None:
        late.set()
        end()

    timer = threading.Timer(SECONDS_MAX, give_up)
    timer.daemon = True
    timer.start()
    output: IO[bytes] | None = process.stdout
    assert output is not None
    try:
        with output:
            text = output.read(bytes_max + 1)
            if len(text) > bytes_max:
                end()
        process.wait()
    finally:
        timer.cancel()
        if process.poll() is None:
            end()
            process.wait()
    return text, not late.is_set()


def _is_object_id(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text, re.ASCII) is not None
