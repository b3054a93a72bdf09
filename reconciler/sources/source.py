"""The promise of every source of manifests that is watched.

An error of a source is a `SourceUnreachableError` (not now; try again, what stands goes on) or a `SourceRefusedError`
(it is not what was asked for, and stays so until a person does something), or comes from git itself (PFR6501).
"""

from __future__ import annotations

from typing import Protocol

from reconciler.model.error import SourceRefusedError
from reconciler.model.revision import Revision
from reconciler.sources.manifest_set import ManifestSet


class UntrustedRevisionError(SourceRefusedError):
    """What is followed now was fetched, and nobody who is trusted has signed it (`revision`)."""

    def __init__(self, error: SourceRefusedError, revision: Revision) -> None:
        super().__init__(error.code, error.message, next_step=error.next_step)
        self.revision = revision


class Source(Protocol):
    """Somewhere that manifests come from, at revisions that follow each other. One thread at a time."""

    @property
    def name(self) -> str:
        """Its name in the journal: the address without user and secrets, and what is followed of it."""

    def look(self) -> Revision:
        """Fetch, and say what is followed now, its signature verified where that is asked for.

        Raises OperatorError PFR65nn: it cannot be reached, or is not what was asked for; UntrustedRevisionError: it is
        not signed as it must be.
        """

    def at(self, reference: str) -> Revision:
        """Fetch another branch, tag or commit of the same repository, to look at it; what is followed stays the same.

        Raises OperatorError PFR65nn: it cannot be reached, or has no such thing.
        """

    def manifests(self, revision: Revision) -> ManifestSet:
        """What lies in the watched folder at a revision, from what was fetched; problems of reading are in the set.

        Raises OperatorError PFR65nn when the revision cannot be had any more, or holds no manifest at all (PFR6516).
        """

    def follows(self, revision: Revision, earlier: str) -> bool:
        """Whether a revision is the earlier commit or a descendant of it. False as well where that cannot be said.

        Raises SourceUnreachableError where that can be said once the source is reached again.
        """
