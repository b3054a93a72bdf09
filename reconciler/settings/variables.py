"""The environment over the settings file.

The rule: `RECONCILER_`, then the path of the field in capitals, with `__` for a dot and `_` before each later word of a
name: `git.tokenFile` is `RECONCILER_GIT__TOKEN_FILE`, `channels[0].url` is `RECONCILER_CHANNELS__0__URL`. Every field
that is one value has its variable; items of a list are there to be overridden, not added. An empty variable says
nothing.

Values become nodes of the document, with the variables as lines behind those of the file: so the schema checks both
in one go, and what it finds has its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from reconciler.manifests.document import Document, KeyPath, Node, Plain
from reconciler.manifests.problem import Problem, ProblemCode, did_you_mean
from reconciler.model.fleet import Place

PREFIX: Final = "RECONCILER_"

OTHERS: Final = frozenset({"RECONCILER_SETTINGS"})
"""Variables with our prefix that are no settings: the one that names the file."""

_WHOLE_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,8})", re.ASCII)
_BOOLEANS: Final[Mapping[str, bool]] = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlaid:
    """The document with the variables' values in it. `names` are the variables of the lines behind the file's."""

    document: Document
    names: tuple[str, ...]
    problems: tuple[Problem, ...]

    def told(self, problem: Problem) -> Problem:
        """The problem of a variable at the variable, and that of the file as it is."""
        number = problem.place.line - (len(self.document.lines) - len(self.names))
        if number < 1:
            return problem
        name = self.names[number - 1]
        return replace(problem, place=Place(name, 1, max(1, problem.place.column - len(name) - 1)), line="")


def overlaid(document: Document, schema: Mapping[str, Any], environ: Mapping[str, str]) -> Overlaid:
    """Put the environment's values over the document's."""
    given = {name: environ[name] for name in sorted(environ) if name.startswith(PREFIX) and environ[name]}
    root, problems, names = document.root, [], []
    lines = list(document.lines)
    for name, text in given.items():
        if name in OTHERS:
            continue
        found = _field(schema, root, name)
        if isinstance(found, str):
            place, code = Place(name, 1, 1), ProblemCode.SETTINGS_VARIABLE
            suggestion = did_you_mean(name, variable_names(schema))
            problems.append(Problem(place=place, code=code, message=found, suggestion=suggestion))
            continue
        path, part = found
        names.append(name)
        lines.append(f"{name}={text}")
        leaf = Node(value=_value(part, text), line=len(lines), column=len(name) + 2)
        root = _with(root, path, leaf)
    return Overlaid(
        document=replace(document, root=root, lines=tuple(lines)), names=tuple(names), problems=tuple(problems)
    )


def variable_names(schema: Mapping[str, Any]) -> Iterator[str]:
    """The variable of every field that is one value; for the items of a list, that of the first."""
    return (PREFIX + "__".join(steps) for steps in _names(schema, schema))


def _names(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, inner in part["properties"].items():
        resolved = _resolved(schema, inner)
        if key in {"apiVersion", "kind"} and part is schema:
            continue
        if resolved.get("type") == "array":
            items = _resolved(schema, resolved["items"])
            if "properties" in items:
                yield from ((_variable(key), "0", *rest) for rest in _names(schema, items))
        elif "properties" in resolved:
            yield from ((_variable(key), *rest) for rest in _names(schema, resolved))
        else:
            yield (_variable(key),)


def _variable(key: str) -> str:
    """`tokenFile` -> `TOKEN_FILE`."""
    return re.sub(r"(?=[A-Z])", "_", key).upper()


def _field(schema: Mapping[str, Any], root: Node, name: str) -> tuple[KeyPath, Mapping[str, Any]] | str:
    """The path of the variable's field and what the schema says of it; or why there is none."""
    part, path = schema, cast("KeyPath", ())
    here: Node | None = root
    for step in name.removeprefix(PREFIX).split("__"):
        if part.get("type") == "array":
            number = int(step) if _WHOLE_NUMBER.fullmatch(step) else -1
            if here is None or not 0 <= number < len(here.items):
                return f"{name} names an item that the list in the file does not have"
            part, path = _resolved(schema, part["items"]), (*path, number)
        else:
            named = {_variable(key): key for key in part.get("properties", {})}
            if step not in named:
                return f"{name} is no setting"
            part, path = _resolved(schema, part["properties"][named[step]]), (*path, named[step])
        here = root.at(path)
    if part.get("type") == "array" or "properties" in part or path[0] in {"apiVersion", "kind"}:
        return f"{name} is no setting of one value"
    return path, part


def _resolved(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in part:
        return part
    definition: Mapping[str, Any] = schema["$defs"][part["$ref"].rpartition("/")[2]]
    return definition


def _value(part: Mapping[str, Any], text: str) -> Plain:
    """The text as the kind of value that the field has; as it is where it cannot be one, for the schema to refuse."""
    if part.get("type") == "integer" and _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    if part.get("type") == "boolean":
        return _BOOLEANS.get(text, text)
    return text


def _with(node: Node, path: KeyPath, leaf: Node) -> Node:
    """The node with the leaf at the end of the path. What stands in the way and is no mapping stays, and is refused."""
    if not path:
        return leaf
    key, rest = path[0], path[1:]
    if isinstance(key, int):
        items = tuple(_with(item, rest, leaf) if at == key else item for at, item in enumerate(node.items))
        return replace(node, items=items, value=[item.value for item in items])
    if not isinstance(node.value, dict | None):
        return node
    empty = Node(value=None, line=leaf.line, column=leaf.column)
    members = {**node.members, key: _with(node.members.get(key, empty), rest, leaf)}
    return replace(
        node,
        value={name: member.value for name, member in members.items()},
        members=members,
        keys={**node.keys, key: (leaf.line, leaf.column)} if not rest or key not in node.keys else node.keys,
    )
