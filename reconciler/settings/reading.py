"""Text and environment to settings, or to all of their problems. Pure: files are named here and read elsewhere.

text -> manifests/document.py   nodes with positions
     -> variables.py            the environment over them
     -> manifests/validate.py   the published schema
     -> rules.py                what must fit together
     -> settings.py             values, by one rule: `token_file` is `tokenFile`, `interval_seconds` is `interval`
                                as a duration, `fleets_lost_share` is `fleetsLost` as a percentage
"""

from __future__ import annotations

import posixpath  # pure text functions; no disk is touched
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import StrEnum
from types import UnionType
from typing import Any, Final, TypeVar, cast, get_args, get_origin, get_type_hints

from reconciler.manifests.document import KeyPath, Node, read_documents
from reconciler.manifests.problem import Problem, ProblemCode, without_passwords
from reconciler.manifests.schema import load_schema
from reconciler.manifests.validate import check
from reconciler.manifests.wording import path_name
from reconciler.model.duration import seconds_of
from reconciler.settings.rules import is_local, problems_of
from reconciler.settings.settings import ControllerSettings, GitSettings, Reference
from reconciler.settings.variables import Overlaid, overlaid

KIND: Final = "ControllerSettings"
JOURNAL_NAME: Final = "journal.sqlite"

_T = TypeVar("_T")
_ADDRESS: Final = re.compile(r"(?<=://)([^/\s'\"]+/)([^\s'\"]+)")
_QUOTED_ADDRESS: Final = re.compile(r"(?<=://)([^/\s'\"]+/)([^\s'\"]+)(?=['\"])")
_NO_ADDRESS: Final = re.compile(r"(channels\[\d+\]\.url: )'.*' is not ", re.DOTALL)
"""What of an address is not shown: its path. That of a chat is its secret, and so may be what is no address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFile:
    """A file that must be there. `is_secret`: nobody else should read it. `named` is where and as what it is named."""

    path: str
    is_secret: bool
    named: Problem

    def problem(self, message: str) -> Problem:
        """A problem with the file, told where it is named."""
        return replace(self.named, message=f"{self.named.message} {message}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The settings, None where they have problems; and the files that they name, as far as these are known."""

    settings: ControllerSettings | None
    problems: tuple[Problem, ...]
    files: tuple[NamedFile, ...] = ()


def read_text(file: str, text: str, environ: Mapping[str, str], *, folder: str) -> Reading:
    """Read settings.

    Args:
        file: The name of the file, for messages.
        text: What is in it.
        environ: The variables of the environment; those that begin with RECONCILER_ count.
        folder: The absolute folder of the file; relative paths begin there.
    """
    documents, unreadable = read_documents(file, text)
    if len(documents) != 1:
        if not unreadable:
            second = documents[1]
            message, suggestion = "a second document in the settings", "keep one of them"
            problem = second.problem(second.place(second.root), ProblemCode.FORBIDDEN_YAML, message, suggestion)
            unreadable = (problem,)
        return Reading(settings=None, problems=tuple(map(_in_our_words, unreadable)))
    schema = load_schema(KIND)
    over = overlaid(documents[0], schema, environ)
    root, wrong = check(over.document, kinds=(KIND,))
    found = [*unreadable, *wrong]
    files: tuple[NamedFile, ...] = ()
    if root is not None:
        found += problems_of(over.document, root)
        root = _absolute(schema, schema, root, folder)
        files = tuple(_named(over, schema, schema, root, ()))
    problems = [*over.problems, *map(over.told, found)]
    return Reading(
        settings=None if problems or root is None else _settings(root, folder),
        problems=tuple(sorted(map(_in_our_words, problems), key=lambda problem: _order(file, problem))),
        files=files,
    )


def key_of(name: str) -> str:
    """The key in the file for a field of the values: without its unit, in camel case."""
    first, *words = name.removesuffix("_seconds").removesuffix("_share").split("_")
    return first + "".join(word.capitalize() for word in words)


def _order(file: str, problem: Problem) -> tuple[bool, str, int, int, str]:
    """The file's before the environment's."""
    place = problem.place
    return place.file != file, place.file, place.line, place.column, problem.message


def _in_our_words(problem: Problem) -> Problem:
    """The readers of manifests speak of manifests; and no address of a chat stands in a message."""
    words = problem.message
    for theirs, ours in (("the manifest", "the settings"), ("no manifest", "no settings"), ("a manifest", "a setting")):
        words = words.replace(theirs, ours)
    line = "" if _NO_ADDRESS.match(words) else _without_paths(_ADDRESS, problem.line)
    words = _without_paths(_QUOTED_ADDRESS, _NO_ADDRESS.sub(r"\1it is not ", words))
    return without_passwords(replace(problem, message=words, line=line))


def _without_paths(addresses: re.Pattern[str], text: str) -> str:
    return addresses.sub(lambda found: found[1] + "*" * len(found[2]), text)


def _parts(schema: Mapping[str, Any], part: Mapping[str, Any], node: Node) -> Iterator[tuple[str | int, Any, Node]]:
    """The members and items of a node with what the schema says of each."""
    part = _definition(schema, part)
    for key, member in node.members.items():
        yield key, part["properties"][key], member
    for number, item in enumerate(node.items):
        yield number, part["items"], item


def _definition(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    definition: Mapping[str, Any] = schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
    return definition


def _absolute(schema: Mapping[str, Any], part: Mapping[str, Any], node: Node, folder: str) -> Node:
    """The node with every path made absolute."""
    kind = part.get("x-path")
    if kind is not None:
        path = str(node.value)
        stays = kind == "local" and not is_local(path)
        return node if stays else replace(node, value=posixpath.normpath(posixpath.join(folder, path)))
    inner = {key: _absolute(schema, below, child, folder) for key, below, child in _parts(schema, part, node)}
    return replace(
        node,
        members={key: child for key, child in inner.items() if isinstance(key, str)},
        items=tuple(child for key, child in inner.items() if isinstance(key, int)),
    )


def _named(
    over: Overlaid, schema: Mapping[str, Any], part: Mapping[str, Any], node: Node, path: KeyPath
) -> Iterator[NamedFile]:
    """The files that must be there."""
    kind = part.get("x-path")
    if kind in {"file", "secret"}:
        place, words = over.document.place(node), f"{path_name(path)}: {node.value}"
        named = over.told(over.document.problem(place, ProblemCode.SETTINGS_FILE, words))
        yield NamedFile(path=str(node.value), is_secret=kind == "secret", named=_in_our_words(named))
    for key, below, child in _parts(schema, part, node):
        # Without the number in a list: where items before it have problems, it is not that of the file.
        yield from _named(over, schema, below, child, (*path, key) if isinstance(key, str) else path)


def _settings(root: Node, folder: str) -> ControllerSettings:
    settings = _built(ControllerSettings, root)
    state = posixpath.normpath(posixpath.join(folder, settings.state))
    git = root.members.get("git")
    return replace(
        settings,
        state=state,
        journal=settings.journal or posixpath.join(state, JOURNAL_NAME),
        git=None if git is None else _git(git, state),
    )


def _git(node: Node, state: str) -> GitSettings:
    git = _built(GitSettings, node)
    git = replace(git, mirror=posixpath.normpath(posixpath.join(state, git.mirror)))
    for reference in Reference:
        named = node.members.get(reference.value)
        if named is not None:
            return replace(git, reference=reference, reference_name=str(named.value))
    return git


def _built(kind: type[_T], node: Node) -> _T:
    """A value from a node that the schema has found sound; what is not given has its default."""
    assert is_dataclass(kind)
    hints = get_type_hints(kind)
    given = {
        field.name: _value(hints[field.name], field.name, member)
        for field in fields(kind)
        if (member := node.members.get(key_of(field.name))) is not None
    }
    return cast("_T", kind(**given))


def _value(hint: Any, name: str, node: Node) -> Any:
    if isinstance(hint, UnionType):
        hint = next(one for one in get_args(hint) if one is not type(None))
    if get_origin(hint) is tuple:
        return tuple(_value(get_args(hint)[0], name, item) for item in node.items)
    if is_dataclass(hint):
        return _built(cast("type[object]", hint), node)
    if hint is float:
        text = str(node.value)
        return float(text.removesuffix("%")) / 100 if name.endswith("_share") else seconds_of(text)
    return hint(node.value) if issubclass(hint, StrEnum) else node.value
