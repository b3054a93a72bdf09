"""The access token: a value that does not show itself, and where the one that is good now comes from."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NoReturn, Protocol
from urllib.parse import quote
from weakref import WeakSet

from reconciler.model.error import WireError

if TYPE_CHECKING:  # a plan on a snapshot loads this file and needs no network
    from requests import PreparedRequest

_SENDABLE: Final = re.compile(r"[\x21-\x7e]{1,4096}")

REDACTED: Final = "[access token]"

_TELLING: Final = 12
"""Characters in a row that are too many to show."""


class TokenSource(Protocol):
    """Where the token for the next request comes from. May be asked by many threads at once."""

    def current(self) -> AccessToken:
        """The token that is good now, as far as is known."""

    def renewed(self, refused: AccessToken) -> bool:
        """Whether there is another token than this one, which the cloud has refused: then to ask again has a point."""

    def redacted(self, text: str) -> str:
        """The text without any token that is or was in use."""


class AccessToken:
    """A Particle access token. `str`, `repr` and formatting never show it; pickling is refused.

    Raises WireError PFR3010 for text that cannot be a token: empty, or with spaces, line breaks or other characters
    that no HTTP header may carry. The text itself is not in the message.
    """

    __slots__ = ("__weakref__", "_text")

    def __init__(self, text: str) -> None:
        if not _SENDABLE.fullmatch(text):
            # An HTTP library would name the whole header in its error.
            raise WireError(
                "PFR3010",
                "the access token is empty or has characters that no token has, such as spaces or line breaks",
                next_step="copy the token again; a token file holds the token alone, on one line",
            )
        self._text = text
        _IN_USE.add(self)

    def header(self) -> str:
        """The value of the Authorization header."""
        return f"Bearer {self._text}"

    def authorise(self, request: PreparedRequest) -> PreparedRequest:
        """Put the token into a request: what `requests` takes for `auth`."""
        request.headers["Authorization"] = self.header()
        return request

    def current(self) -> AccessToken:
        """Itself: a token is the simplest source of one."""
        return self

    def renewed(self, refused: AccessToken) -> bool:
        """Never: there is no other one."""
        return refused is not self

    def same_as(self, other: AccessToken) -> bool:
        """Whether both are one text. No `==`: the set of those in use is by identity."""
        return self._text == other._text

    def redacted(self, text: str) -> str:
        """The text without the token, for what strangers wrote and people will read.

        No twelve characters of it in a row remain, neither as they are nor in base64 or quoted for an address: whoever
        echoes a header may cut it, wrap it or write it in another way.
        """
        for form in _forms(self._text):
            text = _without(text, form)
        return text

    def __repr__(self) -> str:
        return f"AccessToken({REDACTED})"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied into something that shows it."""
        message = "an access token does not leave the process"
        raise TypeError(message)


_IN_USE: Final[WeakSet[AccessToken]] = WeakSet()


def without_tokens(text: str) -> str:
    """The text without any token that is in use in this process, for the report of a crash."""
    for token in list(_IN_USE):
        text = token.redacted(text)
    return text


def _forms(token: str) -> Iterator[str]:
    yield token
    if quote(token, safe="") != token:
        yield quote(token, safe="")
    # Base64 has three forms, by what stands before; only what the token alone decides is looked for.
    for before, undecided in ((0, 0), (1, 2), (2, 3)):
        encoded = b64encode(bytes(before) + token.encode()).decode().rstrip("=")
        yield encoded[undecided:-1]


def _without(text: str, secret: str) -> str:
    """The text with every stretch that is `_TELLING` characters of the secret or more (or all of it) taken out."""
    span = min(_TELLING, len(secret))
    telling = {secret[at : at + span] for at in range(len(secret) - span + 1)}
    if not any(stretch in text for stretch in telling):
        return text
    parts: list[str] = []
    kept = at = 0
    while at <= len(text) - span:
        if text[at : at + span] not in telling:
            at += 1
            continue
        end = at + span
        while end < len(text) and text[end - span + 1 : end + 1] in telling:
            end += 1
        parts += [text[kept:at], REDACTED]
        kept = at = end
    return "".join(parts) + text[kept:]
