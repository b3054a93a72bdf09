"""YAML text to nodes that know where they stand.

The rules:
- Only `true`, `false`, `null`, nothing at all, and decimal whole numbers up to 16 digits are more than text, and only
  unquoted. `1.10`, `no`, `12:30`, `0755`, a date and a device id stay the text that was written.
- Refused: equal keys, merge keys, tags, keys that are not text, an alias inside its own anchor, control characters, a
  byte order mark.
- Limits on bytes, depth and nodes (aliases counted as often as they are used), so that no text takes long.
- A file may hold several documents; empty ones are passed over, a file without any is a problem.

Why events and not `yaml.compose`: libyaml's composer calls itself for every level and ends the process on deep nesting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import yaml

from reconciler.manifests.problem import Problem, ProblemCode
from reconciler.model.fleet import Place

BYTES_MAX: Final = 2 * 1024 * 1024
"""Of one manifest file. Long lists of devices belong in a roster."""

DEPTH_MAX: Final = 40
"""Levels of nesting; the deepest manifest has about ten."""

NODES_MAX: Final = 100_000
"""Values of one document, aliases counted as often as they are used."""

Plain = None | bool | int | str | list["Plain"] | dict[str, "Plain"]
"""What a document is made of: JSON without fractions."""

KeyPath = tuple[str | int, ...]

_WHOLE_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,15})", re.ASCII)
_WORDS: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "null": None, "": None}
_LINE_BREAK: Final = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_NOT_TEXT: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One value of a document and where it stands (line and column counted from 1).

    `members` are the values of a mapping by key, `keys` where each key stands, `items` those of a list. `size` is the
    number of values in it, itself included.
    """

    value: Plain
    line: int
    column: int
    members: Mapping[str, Node] = field(default_factory=dict)
    keys: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    items: tuple[Node, ...] = ()
    size: int = 1

    def child(self, step: str | int) -> Node | None:
        """The member or item of that name or number, or None."""
        if isinstance(step, str):
            return self.members.get(step)
        return self.items[step] if step < len(self.items) else None

    def at(self, path: Iterable[str | int]) -> Node | None:
        """The node at the end of a path, or None."""
        node: Node | None = self
        for step in path:
            node = None if node is None else node.child(step)
        return node


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One YAML document of a file. `lines` are the lines of the whole file."""

    file: str
    root: Node
    lines: tuple[str, ...]

    def place(self, node: Node) -> Place:
        """Where a value stands."""
        return Place(self.file, node.line, node.column)

    def key_place(self, path: KeyPath) -> Place:
        """Where the key that ends the path stands; for a list's item or a key that is not there, the value above."""
        parent = self.root.at(path[:-1]) or self.root
        if not path:
            return self.place(self.root)
        key = path[-1]
        if isinstance(key, str) and key in parent.keys:
            return Place(self.file, *parent.keys[key])
        return self.place(parent.child(key) or parent)

    def problem(self, place: Place, code: ProblemCode, message: str, suggestion: str = "") -> Problem:
        """A problem of this document, with its line."""
        return Problem(
            place=place, code=code, message=message, line=line_at(self.lines, place.line), suggestion=suggestion
        )


def line_at(lines: tuple[str, ...], number: int) -> str:
    """The line with this number, counted from 1; empty when there is none."""
    return lines[number - 1] if 0 < number <= len(lines) else ""


def read_documents(file: str, text: str) -> tuple[tuple[Document, ...], tuple[Problem, ...]]:
    """The documents of one file and its problems. Where reading had to stop, the documents before it are returned."""
    reader = _Reader(file, text)
    documents = tuple(reader.documents())
    return documents, tuple(reader.problems)


class _StopReading(Exception):  # noqa: N818  # not an error of ours: the rest of a file cannot be read
    """What follows cannot be read."""


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is not complete yet. `is_mapping` frames wait for a key when `key` is None."""

    line: int
    column: int
    is_mapping: bool
    anchor: str | None
    members: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)
    key: str | None = None
    awaits_value: bool = False
    size: int = 1


class _Reader:
    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.lines = tuple(_LINE_BREAK.split(text))
        self.problems: list[Problem] = []
        self._anchors: dict[str, Node | None] = {}
        self._stack: list[_Frame] = []
        self._complete: Node | None = None
        self._nodes = 0

    def documents(self) -> Iterator[Document]:
        """Every document that can be read; `problems` fills on the way."""
        found = False
        try:
            self._check_text()
            for event in yaml.parse(self.text, Loader=yaml.CSafeLoader):
                root = self._feed(event)
                if root is not None:
                    found = True
                    yield Document(file=self.file, root=root, lines=self.lines)
        except yaml.MarkedYAMLError as error:
            self._syntax(error)
        except _StopReading:
            pass
        if not found and not self.problems:
            self._report(1, 1, ProblemCode.NO_MANIFEST, "the file holds no manifest", "remove the file or fill it")

    def _feed(self, event: yaml.Event) -> Node | None:
        """Take one event of the parser; the root of a document when that completes it."""
        match event:
            case yaml.DocumentStartEvent():
                self._anchors, self._stack, self._complete, self._nodes = {}, [], None, 0
            case yaml.DocumentEndEvent():
                return None if self._complete is None or self._complete.value is None else self._complete
            case yaml.NodeEvent():
                self._take(event)
            case yaml.CollectionEndEvent():
                self._close()
        return None

    def _check_text(self) -> None:
        wrong = _NOT_TEXT.search(self.text)
        if wrong is not None:
            before = _LINE_BREAK.split(self.text[: wrong.start()])
            line, column, character = len(before), len(before[-1]) + 1, ord(wrong[0])
            if self.text.startswith("\ufeff"):
                message, suggestion = "the file begins with a byte order mark", "save it as UTF-8 without one"
            else:
                message, suggestion = f"the character U+{character:04X} must not stand in a manifest", "remove it"
            self._report(line, column, ProblemCode.NOT_TEXT, message, suggestion)
            raise _StopReading
        if len(self.text) > BYTES_MAX or len(self.text.encode()) > BYTES_MAX:
            self._report(
                1,
                1,
                ProblemCode.TOO_LARGE,
                f"the file is larger than {BYTES_MAX} bytes",
                "put device ids into a roster",
            )
            raise _StopReading

    def _take(self, event: yaml.NodeEvent) -> None:
        mark = event.start_mark
        assert mark is not None  # the parser of libyaml marks every event
        line, column = mark.line + 1, mark.column + 1
        if getattr(event, "tag", None) is not None:
            self._report(
                line, column, ProblemCode.FORBIDDEN_YAML, "tags (!…) are not used in manifests", "remove the tag"
            )
        if isinstance(event, yaml.AliasEvent):
            self._place(self._aliased(str(event.anchor), line, column), line, column)
            return
        anchor = None if event.anchor is None else str(event.anchor)
        if isinstance(event, yaml.ScalarEvent):
            plain = bool(event.implicit[0])
            node = Node(value=_resolved(str(event.value)) if plain else str(event.value), line=line, column=column)
            if anchor is not None:
                self._anchors[anchor] = node
            self._place(node, line, column, key=str(event.value) if isinstance(node.value, str) else None)
            return
        if len(self._stack) >= DEPTH_MAX:
            self._report(line, column, ProblemCode.TOO_LARGE, f"nested more than {DEPTH_MAX} levels deep")
            raise _StopReading
        if anchor is not None:
            self._anchors[anchor] = None
        self._stack.append(
            _Frame(line=line, column=column, is_mapping=isinstance(event, yaml.MappingStartEvent), anchor=anchor)
        )

    def _aliased(self, anchor: str, line: int, column: int) -> Node:
        node = self._anchors.get(anchor)
        if node is None:
            inside = anchor in self._anchors
            message = f"*{anchor} stands inside its own anchor" if inside else f"there is no anchor &{anchor} before"
            self._report(line, column, ProblemCode.FORBIDDEN_YAML, message)
            raise _StopReading
        return node

    def _close(self) -> None:
        frame = self._stack.pop()
        value: Plain
        if frame.is_mapping:
            value = {key: node.value for key, node in frame.members.items()}
        else:
            value = [node.value for node in frame.items]
        node = Node(
            value=value,
            line=frame.line,
            column=frame.column,
            members=frame.members,
            keys=frame.keys,
            items=tuple(frame.items),
            size=frame.size,
        )
        if frame.anchor is not None:
            self._anchors[frame.anchor] = node
        self._place(node, frame.line, frame.column, counted=True)

    def _place(self, node: Node, line: int, column: int, *, key: str | None = None, counted: bool = False) -> None:
        """Put a complete node into the innermost open frame: as a value, or as a key if it is text."""
        if not self._stack:
            self._complete = node
            return
        frame = self._stack[-1]
        if frame.is_mapping and not frame.awaits_value:
            frame.key = self._key(frame, key, line, column)
            frame.awaits_value = True
            return
        self._nodes += 1 if counted else node.size
        if self._nodes > NODES_MAX:
            self._report(line, column, ProblemCode.TOO_LARGE, f"more than {NODES_MAX} values in one document")
            raise _StopReading
        frame.size += node.size
        if not frame.is_mapping:
            frame.items.append(node)
            return
        if frame.key is not None:
            frame.members[frame.key] = node
        frame.key, frame.awaits_value = None, False

    def _key(self, frame: _Frame, key: str | None, line: int, column: int) -> str | None:
        """The key to store the next value under, or None: the value is read and dropped."""
        if key is None:
            self._report(line, column, ProblemCode.FORBIDDEN_YAML, "a key must be text", "put it in quotes")
        elif key == "<<":
            self._report(
                line, column, ProblemCode.FORBIDDEN_YAML, "merge keys (<<) are not used in manifests", "write it out"
            )
        elif key in frame.keys:
            first_line, first_column = frame.keys[key]
            self._report(
                line,
                column,
                ProblemCode.DUPLICATE_KEY,
                f"duplicate key {key!r}; first at line {first_line}, column {first_column}",
                "keep one of them",
            )
        else:
            frame.keys[key] = (line, column)
            return key
        return None

    def _syntax(self, error: yaml.MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        if line > len(self.lines):  # the text ended too early: point at its end
            line, column = len(self.lines), len(self.lines[-1]) + 1
        written = line_at(self.lines, line)
        indentation = written[: len(written) - len(written.lstrip())]
        if "\t" in indentation:
            self._report(
                line, indentation.index("\t") + 1, ProblemCode.TAB, "a tab is used for indentation", "use spaces"
            )
            return
        message = f"not YAML: {error.problem or 'it cannot be read'}"
        if error.context and error.context_mark is not None:
            message += f", {error.context} that begins at line {error.context_mark.line + 1}"
        self._report(line, column, ProblemCode.SYNTAX, message)

    def _report(self, line: int, column: int, code: ProblemCode, message: str, suggestion: str = "") -> None:
        self.problems.append(
            Problem(
                place=Place(self.file, line, column),
                code=code,
                message=message,
                line=line_at(self.lines, line),
                suggestion=suggestion,
            )
        )


def _resolved(text: str) -> Plain:
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _WHOLE_NUMBER.fullmatch(text) else text
