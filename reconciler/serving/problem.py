"""Errors as answers: `application/problem+json` (RFC 9457) with the code that `docs/errors.md` has a page for."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from reconciler.model.error import BugError, JournalError, ManifestError, OperatorError, ReconcilerError
from reconciler.serving.json_answer import json_response

MEDIA_TYPE: Final = "application/problem+json"

_TYPES: Final = "https://fleet.reconciler.dev/errors/"

_NOT_THERE: Final = frozenset({"PFR6706", "PFR6707", "PFR6721", "PFR6722"})
"""Errors of commands that name something which is not there."""

PROBLEM_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "An error, as RFC 9457 has it.",
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "Names the code."},
        "title": {"type": "string", "description": "The HTTP status in words."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, for a person."},
        "code": {"type": "string", "pattern": "^PFR[0-9]{4}$", "description": "docs/errors.md has a page for it."},
        "next_step": {"type": "string", "description": "What to do about it."},
        "word": {"$ref": "#/components/schemas/Word"},
    },
    "required": ["type", "title", "status", "detail", "code", "next_step"],
}


class RequestError(OperatorError):
    """What was asked over HTTP cannot be answered. `headers` and `more` go into the answer."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int,
        next_step: str = "",
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code, message, next_step=next_step)
        self.status = status
        self.headers = dict(headers or {})
        self.more = dict(more or {})


def problem_document(error: ReconcilerError) -> dict[str, Any]:
    """The body of the answer."""
    status = status_of(error)
    more = error.more if isinstance(error, RequestError) else {}
    return {
        "type": f"{_TYPES}{error.code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.message,
        "code": error.code,
        "next_step": error.next_step,
        **more,
    }


def problem_response(error: ReconcilerError) -> Response:
    """The answer."""
    headers = error.headers if isinstance(error, RequestError) else {}
    return json_response(problem_document(error), status=status_of(error), media_type=MEDIA_TYPE, headers=headers)


def status_of(error: ReconcilerError) -> int:
    """The HTTP status for an error of whatever room."""
    match error:
        case RequestError():
            return error.status
        case JournalError():
            return HTTPStatus.SERVICE_UNAVAILABLE
        case ManifestError():
            return HTTPStatus.UNPROCESSABLE_ENTITY
        case BugError():
            return HTTPStatus.INTERNAL_SERVER_ERROR
        case _:
            return HTTPStatus.NOT_FOUND if error.code in _NOT_THERE else HTTPStatus.CONFLICT
