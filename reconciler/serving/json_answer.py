"""JSON as an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

JSON: Final = "application/json"


def json_response(
    document: Mapping[str, Any], *, status: int = 200, media_type: str = JSON, headers: Mapping[str, str] | None = None
) -> Response:
    """A document as an answer. In ASCII, so that no text of a stranger can be one that cannot be written."""
    text = json.dumps(document, separators=(",", ":"))
    return Response(text, status_code=status, media_type=media_type, headers=dict(headers or {}))
