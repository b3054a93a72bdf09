"""Requests and answers as values, and what a request's body says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from reconciler.emulator.events import Listener


class ApiError(Exception):
    """An answer that is an error, in the cloud's own shape (facts 5.12)."""

    def __init__(self, status: int, error: str, description: str = "", **headers: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.description = description
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(self) -> Answer:
        """The error as an answer."""
        document: dict[str, object] = {"ok": False, "error": self.error}
        if self.description:
            document["error_description"] = self.description
        return json_answer(document, self.status, self.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request. Header names are lower case; `path` has no query."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Manner(Enum):
    """How an answer goes out: properly; broken off in the middle; or never."""

    PROPER = "proper"
    BROKEN = "broken"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer. With a `listener` it is an event stream. `delay_seconds` are real seconds.

    `date_skew_seconds`: how far the clock of whoever answers is ahead of virtual time.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    manner: Manner = Manner.PROPER
    delay_seconds: float = 0.0
    date_skew_seconds: float = 0.0
    listener: Listener | None = None


def json_answer(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in JSON."""
    body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return Answer(status=status, body=body, headers=headers or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a body says: fields by name, and the files of a form with the names that they were given."""

    fields: Mapping[str, Any]
    files: tuple[bytes, ...] = ()
    file_names: tuple[str, ...] = ()


_DIGITS_MAX: Final = 18
_BAD_BODY: Final = "The body of the request cannot be read"


def read_body(request: Request) -> Body:
    """Read a JSON, form-encoded or multipart body.

    Raises:
        ApiError: 400 when it is none of these.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    try:
        if kind == b"multipart/form-data":
            return _multipart(request.body, options[b"boundary"])
        if kind == b"application/x-www-form-urlencoded":
            return Body(fields=_form_fields(request.body.decode()))
        document = json.loads(request.body or b"{}")
    except (ValueError, KeyError, FormParserError, RecursionError) as error:
        raise ApiError(400, "invalid_request", _BAD_BODY) from error
    if not isinstance(document, dict):
        raise ApiError(400, "invalid_request", _BAD_BODY)
    return Body(fields=document)


def _form_fields(text: str) -> dict[str, Any]:
    """The fields of a form; one that is called `name[]` is a list, as the vendor's own examples send groups."""
    fields: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name.endswith("[]"):
            fields.setdefault(name.removesuffix("[]"), []).append(value)
        else:
            fields[name] = value
    return fields


def bearer_token(request: Request) -> str | None:
    """The token of a request: in the header, or in the ways that the vendor discourages, a query or a form."""
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return given.strip()
    if "access_token" in request.query:
        return request.query["access_token"]
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(request.body.decode(errors="replace"))).get("access_token")
    return None


class _Parts:
    """Collects the parts of a form as the parser meets them."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.files: list[bytes] = []
        self.file_names: list[str] = []
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._content: list[bytes] = []

    def begin(self) -> None:
        self._disposition = b""
        self._content = []

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def content(self, data: bytes, start: int, end: int) -> None:
        self._content.append(data[start:end])

    def end(self) -> None:
        _, options = parse_options_header(self._disposition)
        content = b"".join(self._content)
        if b"filename" in options:
            self.files.append(content)
            self.file_names.append(options[b"filename"].decode())
        elif b"name" in options:
            self.fields[options[b"name"].decode()] = content.decode()


def _multipart(body: bytes, boundary: bytes) -> Body:
    parts = _Parts()
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": parts.begin,
            "on_header_field": parts.header_field,
            "on_header_value": parts.header_value,
            "on_header_end": parts.header_end,
            "on_part_data": parts.content,
            "on_part_end": parts.end,
        },
    )
    parser.write(body)
    parser.finalize()
    return Body(fields=parts.fields, files=tuple(parts.files), file_names=tuple(parts.file_names))


def as_bool(value: object) -> bool:
    """A truth value as JSON or a form has it. Raises ApiError 400 for anything else."""
    match value:
        case bool():
            return value
        case "true" | "1":
            return True
        case "false" | "0" | "":
            return False
    raise ApiError(400, "invalid_request", f"{value!r} is neither true nor false")


def as_int(value: object) -> int:
    """A whole number as JSON or a form has it. Raises ApiError 400 for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _DIGITS_MAX:
        return int(value)
    raise ApiError(400, "invalid_request", f"{value!r} is no number")
