"""A revision of the manifests: which commit of which source, who signed it, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.model.instant import Instant

CLUSTER: Final = "kubernetes:"
"""Before a namespace: what the source of its resources is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A commit as a source has it.

    `name` is the branch or tag that it was found by (`HEAD` for a bare commit), `commit` is `sha1:…` or `sha256:…`,
    `signer` who signed it by a key that is trusted here (None: nobody was asked for).
    """

    source: str
    name: str
    commit: str
    committed_at: Instant
    signer: str | None = None

    @property
    def text(self) -> str:
        """`main@sha1:…`, as plans and status show it."""
        return f"{self.name}@{self.commit}"

    @property
    def short(self) -> str:
        """The same with the first twelve digits, which `accept` and git take for the whole."""
        kind, colon, digits = self.commit.rpartition(":")
        return f"{self.name}@{kind}{colon}{digits[:12]}"

    @property
    def tenant(self) -> str:
        """The namespace of a cluster whose resources these are; empty: a source that has the journal for itself."""
        return self.source.removeprefix(CLUSTER) if self.source.startswith(CLUSTER) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenIntent:
    """The manifests of a revision became what is desired. `by` is the person whose word it needed, None: nobody's.

    `digest` is that of the manifests; `fleets` are the names of the fleets that they ask for.
    """

    revision: Revision
    digest: str
    fleets: tuple[str, ...]
    at: Instant
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRevision:
    """A revision that is not taken, why, and what a person may do about it. `at`: when that was first found."""

    revision: Revision
    code: str
    message: str
    next_step: str
    at: Instant
