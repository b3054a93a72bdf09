"""How two commits of a mirror are related; history is fetched until that is certain.

A path of parents is proof, whatever a server says: an id is a hash of the ids of its parents. That there is none is
certain only where no shallow border is left. In doubt the answer is no.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciler.sources.mirror import Mirror

_DEEPER: Final = ("--deepen=200", "--deepen=2000", "--unshallow")


def descends(mirror: Mirror, commit: str, earlier: str, wanted: str) -> bool:
    """Whether a path of parents leads from a commit to an earlier one. `wanted` is what is followed.

    Raises SourceUnreachableError where that is not certain yet and the repository is not reached.
    """
    return any(mirror.is_ancestor(earlier, commit) for _ in _borders(mirror, commit, wanted))


def commits_since(mirror: Mirror, commit: str, earlier: str, wanted: str) -> tuple[str, ...] | None:
    """All commits that a commit has and an earlier one has not, on every side of a merge; None: that is not certain.

    Raises SourceUnreachableError where that is not certain yet and the repository is not reached.
    """
    for border in _borders(mirror, commit, wanted):
        listed = mirror.commits(commit, without=earlier)
        if listed is not None and border.isdisjoint(listed):
            return listed
    return None


def _borders(mirror: Mirror, commit: str, wanted: str) -> Iterator[frozenset[str]]:
    """The commits at which the known history of a commit breaks off: now, and after every step that brought more."""
    border = mirror.border(commit)
    yield border
    for step in _DEEPER:
        if not border:
            return
        mirror.deepen(step, commit, wanted)
        before, border = border, mirror.border(commit)
        if border == before:
            return
        yield border
