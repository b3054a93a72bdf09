"""One endpoint as a value: route, role, what it takes and what it answers. Routes and OpenAPI are made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.responses import Response

from reconciler.serving.json_answer import JSON
from reconciler.serving.tokens import Bearer
from reconciler.settings.settings import Role

WORD_BYTES_MAX: Final = 64 * 1024
WEBHOOK_BYTES_MAX: Final = 4 * 1024 * 1024
"""A push of two thousand commits, which is as many as a vendor tells of, is below that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, admitted and read. Headers by their names in lower case; `body` is None where none is taken."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    bearer: Bearer | None = None

    @property
    def author(self) -> str:
        """Whose words these are."""
        assert self.bearer is not None
        return self.bearer.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What one status means. `schema` is the name of a component; `others` are media types beside JSON."""

    meaning: str
    schema: str | None = None
    media_type: str = JSON
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A part of the path, a query parameter or a header."""

    name: str
    place: str
    meaning: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One of the table. `role` None: anybody. `body_bytes_max` 0: it takes none. `body` is the schema of what it takes.

    `handle` runs in a thread and may read the journal; it raises ReconcilerError.
    """

    method: str
    path: str
    name: str
    summary: str
    role: Role | None
    answers: Mapping[int, Answers]
    handle: Callable[[Call], Response]
    parameters: tuple[Parameter, ...] = ()
    body: Mapping[str, Any] | None = None
    body_bytes_max: int = 0
    is_signed: bool = False
