"""Taking secrets out of texts that leave the house: those that are known, and whatever looks like one.

Known ones go in every form in which a piece of them could stand: as they are, in base64, quoted for an address. Of what
only looks like a secret too much goes rather than too little.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

from reconciler.model.error import WireError
from reconciler.particle.token import REDACTED, AccessToken

BLACKED_OUT: Final = "[secret]"

_CHARACTERS_MIN: Final = 6
"""Shorter words stand in half of all texts, and hide nothing."""

_SECRET_NAME: Final = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|AUTH(?!OR)|_KEY|APIKEY|_PAT$|WEBHOOK|CHANNELS__", re.IGNORECASE
)
_PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL)
_SHAPES: Final = (
    _PRIVATE_KEY,
    # Of a Git address over https the user name alone may be a token; of others it is a name.
    re.compile(r"(?<=http://)[^\s/@\"']+(?=@)|(?<=https://)[^\s/@\"']+(?=@)|(?<=:)[^\s/@:\"']+(?=@[\w.-])"),
    # Addresses that are secrets themselves.
    re.compile(r"(?<=hooks\.slack\.com/)[^\s\"']+|(?<=\.webhook\.office\.com/)[^\s\"']+|(?<=/api/webhooks/)[^\s\"']+"),
    re.compile(
        r"\b(?:gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{12,}|xox[a-z]-[\w-]{10,}|eyJ[\w-]{8,}\.[\w.-]{8,})"
    ),
    # An access token has the form of a commit; commits are written with their kind before them.
    re.compile(r"(?<![0-9a-fA-F])(?<!sha1:)[0-9a-fA-F]{40}(?![0-9a-fA-F])"),
)
_NAMED: Final = re.compile(
    r"(?i)((?:token|secret|password|passwd|passphrase|api[_-]?key|signature)[\"']?\s*[=:]\s*[\"']?)([^\s\"'&,;{}\[\]]{4,})"
)


class Blackout:
    """The secrets that are known, and texts without them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        words, self._phrases = _parts_of(secrets)
        self._known = []
        for word in words:
            try:
                self._known.append(AccessToken(word))
            except WireError:  # no header could carry it, so that it is looked for as it is
                self._phrases.append(word)

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        for phrase in self._phrases:
            text = text.replace(phrase, BLACKED_OUT)
        for known in self._known:
            text = known.redacted(text)
        text = text.replace(REDACTED, BLACKED_OUT)
        for shape in _SHAPES:
            text = shape.sub(BLACKED_OUT, text)
        return _NAMED.sub(lambda found: found[1] + BLACKED_OUT, text)


def secrets_in_environment(environ: Mapping[str, str]) -> Iterator[str]:
    """What the environment holds that may be a secret: by the variable's name, or in an address."""
    for name, value in environ.items():
        if _SECRET_NAME.search(name):
            yield value
        yield from secrets_in_address(value)


def addresses_in(text: str) -> Iterator[str]:
    """Everything in a text that is an address."""
    return (found.group() for found in re.finditer(r"[a-z][a-z0-9+.-]*://[^\s\"',}\]]+", text))


def secrets_in_address(text: str) -> Iterator[str]:
    """The password of an address, as it stands there and as it is meant; and the values of its query."""
    try:
        parts = urlsplit(text)
        password = parts.password
    except ValueError:
        return
    if parts.scheme and password:
        yield password
        yield unquote(password)
    for found in re.finditer(r"(?i)(?:password|token|secret|key)=([^&]+)", parts.query):
        yield found[1]


def _parts_of(secrets: Iterable[str]) -> tuple[list[str], list[str]]:
    """The words of secrets, of which no piece may stand, and the lines of several words. The longest come first."""
    lines = {line.strip() for secret in secrets for line in secret.splitlines()}
    words = {part for line in lines for word in line.split() for part in _parts(word) if len(part) >= _CHARACTERS_MIN}
    phrases = {line for line in lines if len(line.split()) > 1}
    return sorted(words, key=len, reverse=True), sorted(phrases, key=len, reverse=True)


def _parts(word: str) -> Iterator[str]:
    """The word, or of an address what is secret in it: its path, query and password."""
    if "://" not in word:
        yield word
        return
    yield word.partition("://")[2].partition("/")[2]
    yield from secrets_in_address(word)
