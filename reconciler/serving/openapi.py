"""The description of the interface (OpenAPI 3.1), made from the table of endpoints and the published schemas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from reconciler import __version__
from reconciler.manifests.schema import load_schema
from reconciler.serving.endpoint import Answers, Endpoint, Parameter
from reconciler.serving.json_answer import JSON
from reconciler.serving.problem import MEDIA_TYPE, PROBLEM_SCHEMA
from reconciler.serving.reading import READING_SCHEMAS
from reconciler.serving.speaking import SPEAKING_SCHEMAS
from reconciler.settings.settings import Role

_PUBLISHED: Final = {"Status": "status", "Plan": "plan", "History": "history", "Word": "word"}
"""Component -> the published schema that it is."""

_OF_EVERY: Final = {
    408: Answers(meaning="The body came too slowly.", schema="Problem"),
    413: Answers(meaning="The body is too large.", schema="Problem"),
}
_OF_EVERY_TOKEN: Final = {
    401: Answers(meaning="There is no token, or one that is not known.", schema="Problem"),
    403: Answers(meaning="The token's role is too low.", schema="Problem"),
    429: Answers(meaning="Too many wrong tokens.", schema="Problem"),
}
_ALWAYS: Final = {
    421: Answers(meaning="It was asked by a name that is not the controller's.", schema="Problem"),
    500: Answers(meaning="A mistake of ours.", schema="Problem"),
    503: Answers(meaning="The journal does not answer, too many ask, or the controller stops.", schema="Problem"),
}


def openapi_document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The whole description."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path.replace(":path}", "}"), {})[endpoint.method.lower()] = _operation(endpoint)
    roles = ", ".join(f"`{role.value}`" for role in Role)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Particle fleet reconciler",
            "version": __version__,
            "description": "What a running controller answers. A change within /v1 only adds. Errors are "
            "application/problem+json with a code that docs/errors.md has a page for. "
            f"Roles, each of which may do what those before it may: {roles}.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": dict(_schemas()),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "A token by role."}},
        },
    }


def documented_answers(endpoint: Endpoint) -> dict[int, Answers]:
    """Every status that an endpoint may answer with, and what it means."""
    found = dict(_ALWAYS)
    if endpoint.body_bytes_max:
        found |= _OF_EVERY
    if endpoint.role is not None:
        found |= _OF_EVERY_TOKEN
    if endpoint.is_signed:
        found[429] = _OF_EVERY_TOKEN[429]
    return dict(sorted({**found, **endpoint.answers}.items()))


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    named = [
        Parameter(name=name, place="path", meaning=f"The {name}.")
        for name in re.findall(r"{(\w+)(?::path)?}", endpoint.path)
    ]
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": [_parameter(each) for each in (*named, *endpoint.parameters)],
        "responses": {str(status): _response(each) for status, each in documented_answers(endpoint).items()},
        "security": [],
    }
    if endpoint.role is not None:
        operation["security"] = [{"token": []}]
        operation["description"] = f"Needs the role `{endpoint.role.value}`."
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": dict(endpoint.body)}}}
    return operation


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.meaning,
        "schema": dict(parameter.schema),
    }


def _response(answers: Answers) -> dict[str, Any]:
    media_type = MEDIA_TYPE if answers.schema == "Problem" else answers.media_type
    schema: dict[str, Any] = {"type": "string"}
    if answers.schema is not None:
        schema = {"$ref": f"#/components/schemas/{answers.schema}"}
    content = {media_type: {"schema": schema}}
    content |= {other: {"schema": {"type": "string"}} for other in answers.others}
    return {"description": answers.meaning, "content": content}


def _schemas() -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "Problem", PROBLEM_SCHEMA
    yield from READING_SCHEMAS.items()
    yield from SPEAKING_SCHEMAS.items()
    for name, file in _PUBLISHED.items():
        schema = load_schema(file)
        for part, definition in schema.get("$defs", {}).items():
            yield f"{name}_{part}", _within(name, definition)
        left_out = {"$defs", "$id", "$schema"}
        yield name, _within(name, {key: value for key, value in schema.items() if key not in left_out})


def _within(name: str, schema: Any) -> Any:
    """A schema whose own definitions are components of the description: many readers follow no other references."""
    match schema:
        case {"$ref": str(reference)} if reference.startswith("#/$defs/"):
            rest = {key: _within(name, value) for key, value in schema.items() if key != "$ref"}
            return {**rest, "$ref": f"#/components/schemas/{name}_{reference.removeprefix('#/$defs/')}"}
        case dict():
            return {key: _within(name, value) for key, value in schema.items()}
        case list():
            return [_within(name, each) for each in schema]
        case _:
            return schema
