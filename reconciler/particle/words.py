"""What the cloud said, made fit for a message: short, printable, without the token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from reconciler.particle.token import TokenSource

BODY_BYTES_MAX: Final = 64 * 1024
"""No error body is read further than this; an error page of a proxy is a few kilobytes."""

_CHARACTERS_MAX: Final = 240
_MEMBERS: Final = ("error", "error_description", "errors", "info", "message")
"""Where the cloud puts its words (facts 5.12): mostly the first two, some endpoints the others."""


def cloud_words(body: bytes, token: TokenSource) -> str:
    """One line of at most 240 characters from the body of an answer, whatever it is: JSON, HTML, bytes, nothing."""
    text = token.redacted(body[:BODY_BYTES_MAX].decode("utf-8", errors="replace"))
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        document = None
    if isinstance(document, dict):
        # Once more: JSON can write every character as an escape.
        text = token.redacted(_words_of(document)) or text
    return _one_line(token, text) or "(an empty body)"


def _words_of(document: Mapping[str, object]) -> str:
    found: dict[str, None] = {}
    for member in _MEMBERS:
        value = document.get(member)
        for part in value if isinstance(value, list) else (value,):
            if isinstance(part, str) and part.strip():
                found[part.strip()] = None
    return ": ".join(found)


def _one_line(token: TokenSource, text: str) -> str:
    # A terminal obeys escape sequences; whoever answers does not get to draw on it.
    printable = "".join(character if character.isprintable() else " " for character in text)
    line = token.redacted(" ".join(printable.split()))
    return line if len(line) <= _CHARACTERS_MAX else line[: _CHARACTERS_MAX - 1] + "…"
