"""Reading a library's failure: did anything leave, and what does a person need to know of it?"""

from __future__ import annotations

import math
import ssl
import traceback
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

import requests
import urllib3.exceptions

from reconciler.model.error import BugError
from reconciler.model.instant import Instant

RETRY_AFTER_SECONDS_MAX: Final = 3600.0

_BEFORE_THE_REQUEST: Final = (
    requests.exceptions.ConnectTimeout,
    requests.exceptions.ProxyError,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidHeader,
)

_CLAUSES: Final[tuple[tuple[tuple[type[BaseException], ...], str], ...]] = (
    ((urllib3.exceptions.NameResolutionError,), "the name of the host is not known"),
    ((urllib3.exceptions.NewConnectionError,), "no connection could be made"),
    (
        (urllib3.exceptions.ConnectTimeoutError, requests.exceptions.ConnectTimeout),
        "the connection was not made in time",
    ),
    ((urllib3.exceptions.ProxyError, requests.exceptions.ProxyError), "the proxy made no connection"),
    ((urllib3.exceptions.SSLError, ssl.SSLError), "the encrypted connection failed (certificate or protocol)"),
    (
        (urllib3.exceptions.ReadTimeoutError, requests.exceptions.ReadTimeout, TimeoutError),
        "silence for too long",
    ),
    ((urllib3.exceptions.DecodeError,), "the compressed body is broken"),
    ((urllib3.exceptions.ProtocolError, OSError), "the connection broke off"),
)
"""The first row that fits: narrower classes first. The libraries' own texts name pools, objects and retries."""


def never_left(error: Exception) -> bool:
    """Whether this failure certainly happened before the request was written to a connection."""
    if isinstance(error, _BEFORE_THE_REQUEST):
        return True
    cause = _cause(error)
    if isinstance(error, requests.exceptions.SSLError):
        # Only the check of the certificate is certainly before the request; a broken record may come at any time.
        return any(isinstance(argument, ssl.SSLCertVerificationError) for argument in cause.args)
    return isinstance(cause, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError))


def clause(error: Exception) -> str:
    """What happened, as one clause for a person."""
    cause = _cause(error)
    return next((text for kinds, text in _CLAUSES if isinstance(cause, kinds)), type(cause).__name__)


def unforeseen(call: str, error: Exception) -> BugError:
    """An error that no library is documented to raise, without its words and frames: they may hold what was sent."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return BugError(
        "PFR9301",
        f"{call}: {type(error).__name__} in {Path(place.filename).name}, line {place.lineno}",
        next_step="please report it; `apply` can be run again, it goes on where it was",
    )


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """The cloud's wish in seconds, 0 to 3600, or None.

    An HTTP date is read against the answer's own Date header, so that no clock of ours matters.
    """
    found = {name.lower(): value for name, value in headers.items()}
    text = found.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            wished, said = parsedate_to_datetime(text), parsedate_to_datetime(found.get("date", ""))
            seconds = (wished - said).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX) if math.isfinite(seconds) else None


def date_of(headers: Mapping[str, str]) -> Instant | None:
    """When the cloud says that it answered, by its own clock and to the second, or None."""
    text = next((value for name, value in headers.items() if name.lower() == "date"), "")
    try:
        return Instant(parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None


def _cause(error: Exception) -> Exception:
    """What a library's wrapper was made for."""
    inner: object = error.args[0] if error.args else None
    if isinstance(inner, urllib3.exceptions.MaxRetryError):
        inner = inner.reason
    return inner if isinstance(inner, Exception) else error
