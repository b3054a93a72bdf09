"""A Git repository as a source: what is followed of it, at which commit it is, signed by whom, and what lies in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

from reconciler.model.error import OperatorError, SourceRefusedError, SourceUnreachableError
from reconciler.model.instant import Instant
from reconciler.model.revision import Revision
from reconciler.settings.settings import GitSettings, Reference, Verification
from reconciler.sources.address import address_of
from reconciler.sources.commit import CommittedManifests, Spot, manifests_of, with_algorithm
from reconciler.sources.descent import commits_since, descends
from reconciler.sources.manifest_set import ManifestSet
from reconciler.sources.mirror import FOLLOWED, Mirror, MirrorBounds
from reconciler.sources.signature import SignatureCheck
from reconciler.sources.source import UntrustedRevisionError

_FULL_ID: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_NAME: Final = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\]+")
_UNREADABLE: Final = frozenset({"PFR6504", "PFR6505"})
_TOO_MUCH: Final = "PFR6503"
_NOT_THERE: Final = "PFR6511"
_UNTRUSTED: Final = frozenset({"PFR6517", "PFR6518"})

_CHECKED_MAX: Final = 1_000
"""Commits whose signatures are checked one by one; more at once are for a person to accept."""

_Found = TypeVar("_Found")


class _DamagedError(SourceUnreachableError):
    """What was fetched cannot be read any more."""


class GitSource:
    """What `GitSettings` follow, fetched into a mirror of its own; see `Source`. One thread at a time."""

    def __init__(self, settings: GitSettings, mirror: Path, *, bounds: MirrorBounds | None = None) -> None:
        """Make ready; nothing is fetched yet. `mirror` is the folder of its own that is fetched into.

        Raises:
            SourceRefusedError: PFR6514 the settings ask for something that is not done.
        """
        self._settings = settings
        self._address = address_of(settings.url)
        self._folder = _folder(settings.folder)
        self._wanted = _wanted(settings)
        _check_signatures(settings)
        self._mirror = Mirror(
            folder=mirror.absolute(), address=self._address, settings=settings, bounds=bounds or MirrorBounds()
        )

    @property
    def name(self) -> str:
        """See `Source.name`."""
        followed = f"{self._address.shown} {self._settings.reference} {self._settings.reference_name}"
        return followed + (f" {self._folder}" if self._folder else "")

    def look(self) -> Revision:
        """See `Source.look`.

        Raises:
            SourceUnreachableError: PFR6507, PFR6513: not now; it may be tried again.
            SourceRefusedError: PFR6508 to PFR6512, PFR6514, PFR6519, PFR6520: it is not what was asked for.
            UntrustedRevisionError: PFR6517, PFR6518: it is not signed as it must be.
            OperatorError: PFR6501, PFR6503: git itself.
        """
        with self._mirror.held():
            self._mirror.refresh(self._wanted)
            try:
                return self._read(self._followed)
            except _DamagedError:
                self._mirror.refresh(self._wanted)
                return self._read(self._followed)

    def at(self, reference: str) -> Revision:
        """See `Source.at`. A branch comes before a tag of the same name; of a commit all digits are needed.

        Raises as `look` does, but that no signature is asked for.
        """
        with self._mirror.held():
            object_id = reference if _FULL_ID.fullmatch(reference) else self._advertised(reference)
            self._mirror.bring(object_id)
            return self._read(lambda: self._revision(object_id, reference))

    def manifests(self, revision: Revision) -> ManifestSet:
        """See `Source.manifests`. A commit that is not in the mirror (any more) is asked for by its id.

        Raises:
            SourceRefusedError: PFR6515 the repository does not have the commit; PFR6516 no manifest lies in the folder.
            SourceUnreachableError: It is not in the mirror, or that is damaged, and the repository is not reached.
        """
        commit = revision.commit.partition(":")[2]
        if not self._mirror.has(commit):
            self._bring(commit)
        spot = Spot(given=self._folder or ".", inside=self._folder)

        def found_there() -> CommittedManifests:
            return manifests_of(self._mirror.repository, commit, [spot])

        try:
            found = self._read(found_there)
        except _DamagedError:
            self._bring(commit)
            found = self._read(found_there)
        if found.missing:
            next_step = "put them back, or correct `folder`; to give up all fleets, stop the controller"
            where = f"the folder {self._folder}" if self._folder else "the repository"
            raise SourceRefusedError("PFR6516", f"{where} holds no manifest at {revision.text}", next_step=next_step)
        return found.manifests

    def follows(self, revision: Revision, earlier: str) -> bool:
        """See `Source.follows`; history is fetched as far as it takes.

        Raises:
            SourceUnreachableError: It cannot be said before the repository is reached again.
            SourceRefusedError: PFR6517 to PFR6519, with `every_commit`: one of the commits since then is not signed.
        """
        kind, _, commit = earlier.rpartition(":")
        if earlier == revision.commit:
            return True
        if not _FULL_ID.fullmatch(commit) or f"{kind}:{commit}" != with_algorithm(commit):
            return False
        asked, head = self._settings.signatures, revision.commit.partition(":")[2]
        with self._mirror.held():
            if not descends(self._mirror, head, commit, self._wanted):
                return False
            if asked is None or not asked.every_commit:
                return True
            new = commits_since(self._mirror, head, commit, self._wanted)
            if new is None or len(new) > _CHECKED_MAX:
                return False
            SignatureCheck(folder=self._mirror.folder, settings=asked).of_commits(new)
            return True

    def _advertised(self, reference: str) -> str:
        """The id of a branch or a tag."""
        _check_name(reference)
        try:
            return self._mirror.advertised(f"refs/heads/{reference}")
        except SourceRefusedError as error:
            if error.code != _NOT_THERE:
                raise
        return self._mirror.advertised(f"refs/tags/{reference}")

    def _revision(self, object_id: str, reference: str) -> Revision:
        repository = self._mirror.repository
        commit = repository.commit_of(object_id)
        return Revision(
            source=self.name,
            name="HEAD" if object_id == reference else reference,
            commit=with_algorithm(commit),
            committed_at=Instant(repository.committed_at(commit)),
        )

    def _followed(self) -> Revision:
        """What was fetched, its signatures verified where that is asked for."""
        repository = self._mirror.repository
        if repository.kind_of(FOLLOWED) != "commit":
            message = f"{self._address.shown} has no commit as {self._wanted}"
            raise SourceRefusedError("PFR6511", message, next_step="follow a branch, or a tag of a commit")
        commit = repository.commit_of(FOLLOWED)
        if self._settings.reference is Reference.COMMIT and commit != self._wanted:
            raise SourceRefusedError("PFR6511", f"{self._wanted} is no commit", next_step="follow a commit by its id")
        revision = Revision(
            source=self.name,
            name="HEAD" if self._settings.reference is Reference.COMMIT else self._settings.reference_name,
            commit=with_algorithm(commit),
            committed_at=Instant(repository.committed_at(commit)),
        )
        try:
            return replace(revision, signer=self._signer(commit))
        except SourceRefusedError as error:
            if error.code not in _UNTRUSTED:
                raise
            raise UntrustedRevisionError(error, revision) from None

    def _signer(self, commit: str) -> str | None:
        asked = self._settings.signatures
        if asked is None:
            return None
        check = SignatureCheck(folder=self._mirror.folder, settings=asked)
        signers = []
        if asked.of is not Verification.COMMIT:
            tag = self._mirror.repository.object_of(FOLLOWED)
            signers.append(check.of_tag(tag, self._settings.reference_name))
        if asked.of is not Verification.TAG:
            signers.append(check.of_commit(commit))
        return ", ".join(dict.fromkeys(signers))

    def _bring(self, commit: str) -> None:
        with self._mirror.held():
            try:
                self._mirror.bring(commit)
            except SourceRefusedError as error:
                message = f"{self._address.shown} does not have the commit {commit} any more: {error.message}"
                next_step = "push a commit that is to be taken; `accept` it where it does not follow the last one"
                raise SourceRefusedError("PFR6515", message, next_step=next_step) from None

    def _read(self, read: Callable[[], _Found]) -> _Found:
        """Read something from the mirror; one that is damaged is fetched anew as soon as the repository is reached."""
        try:
            return read()
        except OperatorError as error:
            if error.code == _TOO_MUCH:
                next_step = "keep the folder of the manifests small, without generated files"
                raise SourceRefusedError("PFR6512", error.message, next_step=next_step) from None
            if error.code not in _UNREADABLE:
                raise
            self._mirror.distrust()
            next_step = "nothing: it is fetched anew as soon as the repository is reached"
            raise _DamagedError("PFR6513", f"the mirror is damaged: {error.message}", next_step=next_step) from None


def _wanted(settings: GitSettings) -> str:
    """The full reference, or the full id of the commit, to be followed."""
    name = settings.reference_name
    if settings.reference is Reference.COMMIT:
        if not _FULL_ID.fullmatch(name):
            raise _unusable(
                "a commit is followed by its full id alone", "write all 40 digits of `reference_name`, in lower case"
            )
        return name
    _check_name(name)
    return f"refs/{'heads' if settings.reference is Reference.BRANCH else 'tags'}/{name}"


def _check_name(name: str) -> None:
    parts = name.split("/")
    odd = any(not part or part[0] == "." or part.endswith((".", ".lock")) for part in parts)
    if not _NAME.fullmatch(name) or odd or ".." in name or "@{" in name or name[0] == "-":
        raise _unusable(f"{name!r} is not the name of a branch or tag", "correct `reference_name`")


def _folder(folder: str) -> str:
    """The folder as git has it: without a slash at either end, `""` the top."""
    path = PurePosixPath(folder)
    if path.is_absolute() or ".." in path.parts or not folder.isprintable():
        raise _unusable(f"{folder!r} is no folder in a repository", "write `folder` relative to the top of it")
    return "" if str(path) == "." else str(path)


def _check_signatures(settings: GitSettings) -> None:
    asked = settings.signatures
    if asked is None:
        return
    if asked.of is not Verification.COMMIT and settings.reference is not Reference.TAG:
        raise _unusable("a tag's signature is asked for, and no tag is followed", "follow a tag, or verify the commit")
    if asked.openpgp_keys is None and asked.allowed_signers is None:
        raise _unusable("signatures are asked for, and no keys are named", "name `openpgp_keys` or `allowed_signers`")


def _unusable(message: str, next_step: str) -> SourceRefusedError:
    return SourceRefusedError("PFR6514", message, next_step=next_step)
