"""What all compilers of manifests share: the problems so far, what can be referred to, and reading of fields."""

from __future__ import annotations

import posixpath  # pure text functions; no disk is touched
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from reconciler.manifests.document import Document, Node, line_at
from reconciler.manifests.problem import Problem, ProblemCode
from reconciler.manifests.quantity import instant_of
from reconciler.model.device import DeviceId, is_device_id
from reconciler.model.error import ManifestError
from reconciler.model.fleet import Place
from reconciler.model.instant import Instant

RosterReader = Callable[[str], str | None]
"""Path of a roster -> its text, None when there is none; ManifestError when it must not or cannot be read."""

_NEARLY_A_DEVICE_ID: Final = re.compile(r"[0-9a-f]{20,28}", re.ASCII)
_ROSTER_PROBLEMS_MAX: Final = 50


@dataclass(slots=True, kw_only=True)
class Scope:
    """One compilation of a set of manifests.

    `also_known` are Device OS releases beside the published table (from a catalog of the operator's). `all_readable` is
    False when some document could not be read: then a name that is not found may well stand there, and is no problem.
    """

    read_roster: RosterReader
    also_known: Collection[str]
    problems: list[Problem] = field(default_factory=list)
    rosters: dict[str, str] = field(default_factory=dict)
    all_readable: bool = True
    roster_ids: dict[str, frozenset[str]] = field(default_factory=dict)

    def report(
        self, document: Document, where: Node | Place, code: ProblemCode, message: str, suggestion: str = ""
    ) -> None:
        """Add a problem."""
        place = where if isinstance(where, Place) else document.place(where)
        self.problems.append(document.problem(place, code, message, suggestion))

    def instant(self, document: Document, node: Node | None) -> Instant | None:
        """A point in time; None without one, or with one that does not exist (reported)."""
        if node is None:
            return None
        try:
            return instant_of(str(node.value))
        except ValueError:
            self.report(document, node, ProblemCode.TIME, f"there is no such moment: {node.value}")
            return None

    def names(self, document: Document, node: Node | None) -> frozenset[str] | None:
        """A list of texts, each once (else reported); None when the list is not given."""
        if node is None:
            return None
        first: dict[str, Node] = {}
        for item in node.items:
            name = str(item.value)
            if name in first:
                message = f"{name!r} is listed twice; first at line {first[name].line}, column {first[name].column}"
                self.report(document, item, ProblemCode.DUPLICATE_ENTRY, message, "keep one of them")
            first.setdefault(name, item)
        return frozenset(first)

    def devices(self, document: Document, node: Node | None) -> frozenset[str] | None:
        """Device ids (in lower case) and names; what looks like an id of a wrong length is reported."""
        names = self.names(document, node)
        if node is None or names is None:
            return None
        for item in node.items:
            text = str(item.value).casefold()
            if _NEARLY_A_DEVICE_ID.fullmatch(text) and not is_device_id(text):
                message = f"{item.value!r} looks like a device id, but has {len(text)} digits and not 24"
                self.report(document, item, ProblemCode.DEVICE_ID, message)
        return frozenset(name.lower() if is_device_id(name.lower()) else name for name in names)

    def beside(self, document: Document, node: Node) -> str | None:
        """A path that a manifest gives relative to itself, as a path like the manifest's own; None: reported."""
        path = str(node.value)
        if path.startswith(("/", "~")) or "\\" in path or re.match(r"[A-Za-z]:", path) or path != path.strip():
            message = f"{path!r} is not a path relative to this manifest"
            self.report(document, node, ProblemCode.PATH, message, "write it with / and relative to this file's folder")
            return None
        return posixpath.normpath(posixpath.join(posixpath.dirname(document.file), path))

    def roster(self, document: Document, node: Node | None) -> frozenset[str] | None:
        """The device ids of a roster file; None when it is not given or cannot be had (reported)."""
        path = None if node is None else self.beside(document, node)
        if node is None or path is None:
            return None
        if path in self.roster_ids:
            return self.roster_ids[path]
        try:
            text = self.read_roster(path)
        except ManifestError as error:
            self.report(document, node, ProblemCode(error.code), error.message, error.next_step)
            return None
        if text is None:
            suggestion = "the path is relative to this manifest"
            self.report(document, node, ProblemCode.ROSTER, f"there is no roster {path}", suggestion)
            return None
        self.rosters[path] = text
        ids = frozenset(self._ids(path, text))
        if not ids:
            self.report(document, node, ProblemCode.ROSTER, f"the roster {path} names no device")
        self.roster_ids[path] = ids
        return ids

    def _ids(self, path: str, text: str) -> Iterator[DeviceId]:
        wrong = 0
        lines = tuple(text.splitlines())
        for number, line in enumerate(lines, start=1):
            written = line.partition("#")[0].strip()
            if not written:
                continue
            if is_device_id(written.lower()):
                yield DeviceId(written.lower())
                continue
            wrong += 1
            if wrong <= _ROSTER_PROBLEMS_MAX:
                column = line.index(written) + 1
                message = f"{written[:60]!r} is not a device id of 24 hexadecimal digits"
                self.problems.append(
                    Problem(
                        place=Place(path, number, column),
                        code=ProblemCode.ROSTER_LINE,
                        message=message,
                        line=line_at(lines, number)[:200],
                        suggestion="one device id a line; a comment begins with #",
                    )
                )


def text_of(node: Node, key: str) -> str | None:
    """The text (or number, as text) of a member, or None."""
    member = node.members.get(key)
    return None if member is None or member.value is None else str(member.value)


def section(node: Node, key: str) -> Node:
    """A member that is a mapping; an empty one in its place when it is not given."""
    return node.members.get(key) or Node(value={}, line=node.line, column=node.column)
