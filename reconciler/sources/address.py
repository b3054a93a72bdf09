"""Where a repository lies: the addresses that are allowed, in the form that git and people are told.

Only HTTPS, SSH and paths. An address is shown by git, by the process list and by us, so it may hold no secret: a token
in it is refused rather than hidden.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from reconciler.model.error import SourceRefusedError


class Way(StrEnum):
    """How a repository is reached; the word is git's own for the protocol."""

    HTTPS = "https"
    SSH = "ssh"
    FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """`url` is for git; `shown` is for people and journals, without the user."""

    way: Way
    url: str
    shown: str


_SHORT_SSH: Final = re.compile(r"(?:(?P<user>[^/@:]+)@)?(?P<host>[^/@:]+):(?P<path>.*)")
"""`user@host:path`: a colon before the first slash, as git has it."""


def address_of(text: str) -> Address:
    """Read an address. Raises SourceRefusedError PFR6514, without the address where it may hold a secret."""
    if not text or not text.isprintable():
        raise _refused("the address of the repository is empty or not printable")
    scheme, _, rest = text.partition("://")
    if not rest and (short := _SHORT_SSH.fullmatch(text)) and "::" not in text:
        return Address(way=Way.SSH, url=_ssh(text, short["host"]), shown=f"{short['host']}:{short['path']}")
    if not rest and "::" not in text:
        path = str(Path(text).absolute())
        return Address(way=Way.FILE, url=path, shown=path)
    if scheme == Way.FILE and rest.startswith("/"):
        path = unquote(rest)
        return Address(way=Way.FILE, url=path, shown=path)
    if scheme in {Way.HTTPS, Way.SSH}:
        return _of_url(text, Way(scheme))
    raise _refused("the address of the repository is neither https://, ssh://, user@host:path nor a path")


def _of_url(text: str, way: Way) -> Address:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _refused("the address of the repository is no URL") from None
    if parts.password is not None or (way is Way.HTTPS and parts.username is not None):
        raise _refused("the address of the repository names a user or holds a secret")
    if parts.query or parts.fragment or " " in text or not host:
        raise _refused("the address of the repository has no host, or has more than a host and a path")
    at = f"[{host}]" if ":" in host else host
    shown = f"{way}://{at}{f':{port}' if port else ''}{parts.path}"
    return Address(way=way, url=_ssh(text, host) if way is Way.SSH else text, shown=shown)


def _ssh(url: str, host: str) -> str:
    if host.startswith("-"):
        raise _refused("the host in the address of the repository begins with a hyphen")
    return url


def _refused(message: str) -> SourceRefusedError:
    next_step = "name a user by `username` and secrets by their files, such as `token_file`; https:// for the web"
    return SourceRefusedError("PFR6514", message, next_step=next_step)
