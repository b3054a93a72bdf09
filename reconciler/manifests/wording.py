"""What a schema has against one value, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from jsonschema import ValidationError

from reconciler.manifests.document import KeyPath
from reconciler.manifests.problem import ProblemCode, did_you_mean, listed

_TYPE_WORDS: Final = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
}
_BOOLEAN_SPELLINGS: Final = {
    **dict.fromkeys(("yes", "on", "y", "true"), "true"),
    **dict.fromkeys(("no", "off", "n", "false"), "false"),
}
_LISTED_MAX: Final = 12
_SHOWN_MAX: Final = 60
"""Longest list of choices and longest text that a message repeats."""


def in_words(error: ValidationError, schema: Mapping[str, Any]) -> tuple[ProblemCode, str, str]:
    """Code, message and suggestion for an error about one value."""
    hint = schema.get("x-hint")
    value: Any = error.instance
    constraint: Any = error.validator_value
    shown = shown_value(value)
    match error.validator:
        case "type":
            expected = constraint if isinstance(constraint, list) else [constraint]
            message = f"expected {' or '.join(_TYPE_WORDS[name] for name in expected)}, found {shown}"
            return ProblemCode.WRONG_TYPE, message, _type_suggestion(expected, value, hint)
        case "enum":
            allowed = [str(item) for item in constraint]
            suggestion = did_you_mean(value, allowed) if isinstance(value, str) else ""
            short = len(allowed) <= _LISTED_MAX or hint is None
            return (
                ProblemCode.NOT_ALLOWED,
                f"{shown} is not {f'one of: {listed(allowed)}' if short else hint}",
                suggestion,
            )
        case "minItems" | "minLength":
            return ProblemCode.OUT_OF_RANGE, "it is empty", "fill it, or leave it out where it may be"
        case "minimum" | "maximum" | "minProperties" | "maxProperties":
            side = "below" if str(error.validator).startswith("min") else "above"
            return (
                ProblemCode.OUT_OF_RANGE,
                _expected(value, hint) or f"{shown} is {side} the limit of {constraint}",
                "",
            )
        case _:
            suggestion = _form_suggestion(value, schema)
            return ProblemCode.WRONG_FORM, _expected(value, hint) or f"{shown}: {error.message[:200]}", suggestion


def _expected(value: object, hint: str | None) -> str:
    """The hint as a message: it stands alone for a mapping, and says what a value is not."""
    if hint is None or isinstance(value, dict):
        return hint or ""
    return f"{shown_value(value)} is not {hint}"


def _type_suggestion(expected: list[str], value: object, hint: str | None) -> str:
    suggestion = ""
    if "boolean" in expected and isinstance(value, str) and value.casefold() in _BOOLEAN_SPELLINGS:
        suggestion = f"write {_BOOLEAN_SPELLINGS[value.casefold()]}, without quotes"
    elif "integer" in expected and isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value, re.ASCII):
        suggestion = f"write {int(value)}, without quotes and leading zeros"
    elif hint is not None:
        suggestion = f"write {hint}"
    elif "string" in expected and isinstance(value, bool | int):
        suggestion = f'put it in quotes: "{str(value).lower()}"'
    elif "array" in expected and isinstance(value, str | int):
        suggestion = f"write it as a list: [{value}]"
    return suggestion


def _form_suggestion(value: object, schema: Mapping[str, Any]) -> str:
    """The same value in a spelling that the pattern takes, where a slip is evident."""
    pattern = schema.get("pattern")
    if not isinstance(value, str) or not isinstance(pattern, str) or len(value) > _SHOWN_MAX:
        return ""
    bare = value.strip()
    for candidate in (bare, bare.lower(), bare.lstrip("vV="), re.sub(r"[_ ]+", "-", bare).lower()):
        if candidate != value and re.search(pattern, candidate, re.ASCII):
            return f'write "{candidate}"'
    return ""


def path_name(path: KeyPath) -> str:
    """A path as people write it: `spec.rollout.waves[0].size`; empty: the manifest."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text or "the manifest"


def one_of(known: Iterable[str]) -> str:
    """The choices: the only one, or `one of: a, b, c`."""
    names = tuple(known)
    return names[0] if len(names) == 1 else f"one of: {listed(names)}"


def shown_value(value: object) -> str:
    """A value as it may stand in a message: short, and as YAML writes it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str() if len(value) > _SHOWN_MAX:
            return repr(value[: _SHOWN_MAX - 1] + "…")
        case _:
            return repr(value)
