"""Where an answer leads on to, for reads that carry no token: an application's file may lie behind a redirect.

The API itself sends none, and a captive portal is not the API: what carries the token is never led anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import urljoin, urlsplit

REDIRECTS_MAX: Final = 5
"""Release pages need one or two."""

_LEADING_ON: Final = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)


def absolute(base: str, address: str) -> str | None:
    """An address as seen from another one; None where that is no whole address of HTTP."""
    try:
        found = urljoin(base, address)
        parts = urlsplit(found)
    except ValueError:
        return None
    return found if parts.scheme in {"http", "https"} and parts.hostname else None


def leads_to(url: str, status: int, headers: Mapping[str, str]) -> str | None:
    """The address that the answer for `url` leads on to; None where it leads nowhere that may be followed.

    What began encrypted stays encrypted.
    """
    location = next((value for name, value in headers.items() if name.lower() == "location"), "")
    if status not in _LEADING_ON or not location:
        return None
    found = absolute(url, location)
    if found is None or (urlsplit(url).scheme == "https" and urlsplit(found).scheme != "https"):
        return None
    return found
