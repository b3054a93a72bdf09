"""Documents against their schema, in words that the manifest's author understands.

`x-hint`, a keyword of ours beside the standard ones, is the sentence that says what is expected; it stands in place of
a pattern, a list of alternatives or a range. Where a value fits none of several branches, the branch whose kind of
value fits and that has the fewest problems is reported, not "not valid under any of the given schemas".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, Final

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from reconciler.manifests.document import Document, KeyPath, Node
from reconciler.manifests.problem import Problem, ProblemCode, did_you_mean, listed
from reconciler.manifests.schema import API_VERSION, MANIFEST_KINDS, load_schema
from reconciler.manifests.wording import in_words, one_of, path_name, shown_value

PROBLEMS_MAX: Final = 500
"""Of one document; what a generator of manifests got wrong everywhere need not be said a million times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """A problem and the path of what it spoils: an unknown or wrong member, or the whole of an object."""

    problem: Problem
    path: KeyPath


def kind_of(document: Document) -> str | None:
    """The manifest kind that a document says it is, if it is one of ours."""
    kind = document.root.members.get("kind")
    return kind.value if kind is not None and isinstance(kind.value, str) and kind.value in MANIFEST_KINDS else None


def check(document: Document, kinds: Sequence[str] = MANIFEST_KINDS) -> tuple[Node | None, tuple[Problem, ...]]:
    """Hold a document against the schema of its kind, which must be one of `kinds`.

    Returns:
        What is left when everything that has a problem is taken out (None: nothing), and the problems.
    """
    wrong_kind = tuple(_kind_problems(document, kinds))
    if wrong_kind:
        return None, wrong_kind
    kind = str(document.root.members["kind"].value)
    errors = _validator(kind).iter_errors(document.root.value)
    found = (finding for error in errors for finding in _findings(document, kind, error))
    findings = list(islice(found, PROBLEMS_MAX))
    problems = tuple(dict.fromkeys(finding.problem for finding in findings if not _follows(finding, findings)))
    if len(findings) == PROBLEMS_MAX:  # there may be more, so no part is known to be sound
        return None, problems
    return _without(document.root, {finding.path for finding in findings}), problems


@cache
def _validator(kind: str) -> Validator:
    # A pattern's `$` means the end of the text, not "or before a last line feed" as in Python.
    validator: type[Validator] = extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]  # so typed by the library
    return validator(load_schema(kind))


def _pattern(_: Validator, pattern: str, instance: object, __: Mapping[str, Any]) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance, re.ASCII):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _kind_problems(document: Document, kinds: Sequence[str]) -> Iterator[Problem]:
    root = document.root
    if not isinstance(root.value, dict):
        place = document.place(root)
        yield document.problem(
            place, ProblemCode.WRONG_TYPE, "a manifest is a mapping with apiVersion, kind, metadata, spec"
        )
        return
    for key, known in (("apiVersion", (API_VERSION,)), ("kind", kinds)):
        node = root.members.get(key)
        if node is None:
            message = f"the manifest has no {key}; it is {one_of(known)}"
            yield document.problem(document.place(root), ProblemCode.UNKNOWN_KIND, message)
        elif node.value not in known:
            message = f"{key} {shown_value(node.value)} is not known; it is {one_of(known)}"
            suggestion = did_you_mean(str(node.value), known)
            yield document.problem(document.place(node), ProblemCode.UNKNOWN_KIND, message, suggestion)


def _findings(document: Document, kind: str, error: ValidationError) -> Iterator[_Finding]:
    """One error of the library as problems: narrowed to the right branch, split by key, put into words."""
    path: KeyPath = tuple(error.absolute_path)
    instance: Any = error.instance
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    match error.validator:
        case "anyOf" | "oneOf" if (branch := _branch(error, schema)) is not None:
            for inner in branch:
                yield from _findings(document, kind, inner)
        case "additionalProperties":
            node = document.root.at(path)
            for key in () if node is None else node.members:
                if key not in schema["properties"]:
                    yield _unknown_field(document, kind, (*path, key), schema["properties"])
        case "required" | "dependentRequired":
            yield _missing_field(document, path, error, schema)
        case _:
            code, message, suggestion = in_words(error, schema)
            node = document.root.at(path) or document.root
            # What is wrong with an object as a whole stands at its key; what is wrong with a value at the value.
            place = document.key_place(path) if isinstance(instance, dict) else document.place(node)
            yield _Finding(
                problem=document.problem(place, code, f"{path_name(path)}: {message}", suggestion), path=path
            )


def _follows(finding: _Finding, findings: list[_Finding]) -> bool:
    """Whether a finding only follows from a misspelt field beside it: then the misspelling says it all."""
    misspelt = [other for other in findings if other.problem.code is ProblemCode.UNKNOWN_FIELD]
    if finding.problem.code is ProblemCode.MISSING_FIELD:
        beside = (other for other in misspelt if other.path[:-1] == finding.path[:-1])
        return any(f"'{finding.path[-1]}'" in other.problem.suggestion for other in beside)
    whole = finding.problem.code in {ProblemCode.WRONG_FORM, ProblemCode.OUT_OF_RANGE}
    return whole and any(other.path[:-1] == finding.path for other in misspelt)


def _branch(error: ValidationError, schema: Mapping[str, Any]) -> list[ValidationError] | None:
    """The errors of the branch that was meant, or None where the hint of the whole says it better."""
    branches: dict[object, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    fitting = [errors for errors in branches.values() if not any(_is_of_another_kind(inner) for inner in errors)]
    if not fitting:
        return None
    best = min(fitting, key=len)
    if "x-hint" in schema and all(not inner.relative_path and not _has_properties(inner) for inner in best):
        return None
    return best


def _has_properties(error: ValidationError) -> bool:
    return isinstance(error.schema, Mapping) and "properties" in error.schema


def _is_of_another_kind(error: ValidationError) -> bool:
    return error.validator == "type" and not error.relative_path


def _unknown_field(document: Document, kind: str, path: KeyPath, known: Mapping[str, Any]) -> _Finding:
    key = str(path[-1])
    suggestion = did_you_mean(key, known)
    if not suggestion:
        elsewhere = [place for name, place in _fields(kind) if name == key]
        known_here = f"known here: {listed(sorted(known))}"
        suggestion = f"it belongs to {elsewhere[0]}" if len(elsewhere) == 1 else known_here
    where = f" in {path_name(path[:-1])}" if path[:-1] else ""
    problem = document.problem(
        document.key_place(path), ProblemCode.UNKNOWN_FIELD, f"unknown field {key!r}{where}", suggestion
    )
    return _Finding(problem=problem, path=path)


def _missing_field(document: Document, path: KeyPath, error: ValidationError, schema: Mapping[str, Any]) -> _Finding:
    required: Any = error.validator_value
    instance: Any = error.instance
    if error.validator == "required":
        missing = next(name for name in required if name not in instance and f"'{name}'" in error.message)
        message = f"{path_name(path)}: the field {missing!r} is missing"
    else:
        needing, missing = next(
            (name, needed)
            for name, all_needed in required.items()
            if name in instance
            for needed in all_needed
            if needed not in instance
        )
        message = f"{path_name(path)}: {needing!r} needs {missing!r} beside it"
    described = schema.get("properties", {}).get(missing, {}).get("description", "")
    problem = document.problem(
        document.key_place(path), ProblemCode.MISSING_FIELD, message, f"{missing}: {described}" if described else ""
    )
    return _Finding(problem=problem, path=(*path, missing))


@cache
def _fields(kind: str) -> tuple[tuple[str, str], ...]:
    """Every field name of a kind, with the path of the object that it belongs to."""
    schema = load_schema(kind)

    def walk(part: Any, path: str) -> Iterator[tuple[str, str]]:
        if not isinstance(part, dict):
            return
        if "$ref" in part:
            yield from walk(schema["$defs"][part["$ref"].rpartition("/")[2]], path)
        for name, inner in part.get("properties", {}).items():
            yield name, path
            yield from walk(inner, f"{path}.{name}" if path else name)
        if "items" in part:
            yield from walk(part["items"], f"{path}[]")
        for inner in part.get("oneOf", ()):
            yield from walk(inner, path)

    return tuple(dict.fromkeys(walk(schema, "")))


def _without(node: Node, spoilt: Iterable[KeyPath]) -> Node | None:
    """The node without what stands at these paths; None when it is spoilt itself."""
    by_step: dict[str | int, list[KeyPath]] = {}
    for path in spoilt:
        if not path:
            return None
        by_step.setdefault(path[0], []).append(path[1:])
    if not by_step:
        return node
    members = {key: _without(member, by_step.get(key, ())) for key, member in node.members.items()}
    items = [_without(item, by_step.get(index, ())) for index, item in enumerate(node.items)]
    return Node(
        value=node.value,
        line=node.line,
        column=node.column,
        members={key: member for key, member in members.items() if member is not None},
        keys=node.keys,
        items=tuple(item for item in items if item is not None),
        size=node.size,
    )
