"""Schema, values and the example say the same of every setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
import yaml

from reconciler.manifests.schema import load_schema
from reconciler.model.duration import seconds_of
from reconciler.settings.reading import key_of, read_text
from reconciler.settings.settings import ControllerSettings, GitSettings
from reconciler.settings.variables import variable_names

SCHEMA = load_schema("ControllerSettings")
EXAMPLE = Path(__file__).parents[2] / "deploy" / "settings.example.yaml"
CLUSTER = {f"kubernetes.{key}" for key in ("watchNamespaces", "tokenSecret", "tokenKey", "kubeconfig")}
EITHER = {"git.tag", "git.commit", "git.sshKeyFile", "git.knownHostsFile"} | CLUSTER
"""What cannot stand beside what the example has."""


def definition(part: Mapping[str, Any]) -> Mapping[str, Any]:
    return SCHEMA["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part


def plain(hint: Any) -> Any:
    return next(one for one in get_args(hint) if one is not type(None)) if isinstance(hint, UnionType) else hint


def pairs(kind: Any, part: Mapping[str, Any]) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Every class of settings with what the schema says of it."""
    yield kind, part
    for name, hint in get_type_hints(kind).items():
        inner = plain(hint)
        below = part["properties"].get(key_of(name))
        if get_origin(inner) is tuple and is_dataclass(get_args(inner)[0]):
            yield from pairs(get_args(inner)[0], definition(below["items"]))
        elif is_dataclass(inner):
            yield from pairs(inner, definition(below))


PAIRS = list(pairs(ControllerSettings, SCHEMA))


@pytest.mark.parametrize(("kind", "part"), PAIRS, ids=lambda one: getattr(one, "__name__", ""))
def test_every_field_has_its_property_and_every_property_its_field(kind: Any, part: Mapping[str, Any]) -> None:
    names = {key_of(field.name) for field in fields(kind)}
    if kind is GitSettings:
        names = names - {"reference", "referenceName"} | {"branch", "tag", "commit"}
    if kind is ControllerSettings:
        names |= {"apiVersion", "kind"}
    assert names == set(part["properties"])


@pytest.mark.parametrize(("kind", "part"), PAIRS, ids=lambda one: getattr(one, "__name__", ""))
def test_what_the_schema_says_of_a_field_is_what_the_value_is(kind: Any, part: Mapping[str, Any]) -> None:
    hints = get_type_hints(kind)
    for field in fields(kind):
        stated = part["properties"].get(key_of(field.name))
        if stated is None:
            continue
        hint, inner = plain(hints[field.name]), definition(stated)
        if isinstance(hint, type) and issubclass(hint, StrEnum):
            assert inner["enum"] == list(hint), field.name
        elif hint is bool or hint is int:
            assert inner["type"] == {bool: "boolean", int: "integer"}[hint], field.name
        if "default" in stated:
            assert stated["default"] == field.default, field.name
        needed = field.default is MISSING and field.default_factory is MISSING
        assert needed == (key_of(field.name) in part.get("required", ())), field.name
        said = stated["description"].partition("Default ")[2].rstrip(".")
        if said and isinstance(field.default, float):
            share = field.name.endswith("_share")
            assert (float(said.rstrip("%")) / 100 if share else seconds_of(said)) == field.default, field.name


def given(value: Any, path: str = "") -> Iterator[str]:
    """The path of every field of a document that is one value or a list of such."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from given(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for item in value:
            yield from given(item, path)
    else:
        yield path


def described(part: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, inner in part["properties"].items():
        below, here = definition(inner), f"{path}.{key}" if path else key
        if "items" in below and "properties" in definition(below["items"]):
            yield from described(definition(below["items"]), here)
        elif "properties" in below:
            yield from described(below, here)
        else:
            yield here


def test_the_example_is_valid_and_shows_every_setting() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    reading = read_text("settings.yaml", text, {}, folder="/etc/reconciler")
    assert [str(problem) for problem in reading.problems] == []
    assert set(described(SCHEMA)) - set(given(yaml.safe_load(text))) == EITHER


def test_every_setting_of_one_value_has_its_variable() -> None:
    names = set(variable_names(SCHEMA))
    assert {"RECONCILER_GIT__TOKEN_FILE", "RECONCILER_JOURNAL", "RECONCILER_CHANNELS__0__ONLY_BAD"} <= names
    scalars = [
        path
        for path in described(SCHEMA)
        if path not in {"apiVersion", "kind", "channels.fleets", "serving.hosts", "kubernetes.watchNamespaces"}
    ]
    assert len(names) == len(scalars)
