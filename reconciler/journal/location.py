"""Where the journal is when nobody says so. Loads no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

JOURNAL_VARIABLE: Final = "RECONCILER_JOURNAL"
"""The environment variable that names the journal's file, or its database."""

DEFAULT_JOURNAL: Final = Path(".reconciler") / "journal.sqlite"
"""Below the working directory, beside the manifests that it is about."""

_SCHEMES: Final = ("postgresql://", "postgres://")
_SHOWN: Final = frozenset({"host", "hostaddr", "port", "dbname", "user", "sslmode", "options"})
"""Options of an address that hold no secret."""

_UNREADABLE: Final = "postgresql://(unreadable)"


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """A database on a PostgreSQL server, by its address. As text it has no password."""

    url: str = field(repr=False)

    def __str__(self) -> str:
        try:
            parts = urlsplit(self.url)
        except ValueError:
            return _UNREADABLE
        if "@" in f"{parts.path}{parts.query}{parts.fragment}":
            # A password with a character that ends it for some readers and not for others.
            return _UNREADABLE
        user, at, host = parts.netloc.rpartition("@")
        shown = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name in _SHOWN], safe="/")
        return f"postgresql://{user.partition(':')[0]}{at}{host}{parts.path}" + (f"?{shown}" if shown else "")

    def without_password(self, words: str) -> str:
        """Somebody else's words without the password, should it be in them."""
        _, _, rest = self.url.partition("://")
        given = rest.rpartition("@")[0].partition(":")[2]
        options = [value for name, value in parse_qsl(rest.partition("?")[2]) if name not in _SHOWN]
        for secret in filter(None, (given, unquote(given), *options)):
            words = words.replace(secret, "***")
        return words


JournalPlace = Path | PostgresPlace
"""A file, or a database on a server."""


def journal_place(words: str) -> JournalPlace:
    """What a person named: a file, or a database by its address."""
    return PostgresPlace(words) if words.startswith(_SCHEMES) else Path(words)


def journal_location(given: JournalPlace | None, environment: Mapping[str, str]) -> JournalPlace:
    """Where the journal is: what a person gave, else `RECONCILER_JOURNAL`, else `./.reconciler/journal.sqlite`."""
    if given is not None:
        return given
    named = environment.get(JOURNAL_VARIABLE)
    return journal_place(named) if named else DEFAULT_JOURNAL


def journal_is_there(place: JournalPlace) -> bool:
    """Whether it is worth trying to open it, as far as can be told without loading a database."""
    return not isinstance(place, Path) or place.exists()
