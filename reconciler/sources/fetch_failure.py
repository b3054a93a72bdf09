"""What git says when a fetch fails, as errors with a code and a next step.

Git has no codes of its own for this, only words (in English: the runner asks for them). What is not known is told in
git's own words as "not reached now", which keeps what stands and tries again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from reconciler.model.error import SourceError, SourceRefusedError, SourceUnreachableError

_SAID_CHARACTERS_MAX: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    words: re.Pattern[str]
    code: str
    message: str
    next_step: str
    refused: bool = True


def _kind(words: str, code: str, message: str, next_step: str, *, refused: bool = True) -> _Kind:
    pattern = re.compile(words, re.IGNORECASE)
    return _Kind(words=pattern, code=code, message=message, next_step=next_step, refused=refused)


_KINDS: Final = (
    _kind(
        r"no space left on device|disk quota exceeded|read-only file system|unable to create temporary file",
        "PFR6513",
        "what was fetched from {shown} cannot be written",
        "make room on the disk of the mirror, or have it writable; it is tried again",
        refused=False,
    ),
    _kind(
        r"file too large|died of signal 25|out of memory|memory exhausted|cannot allocate memory|mmap failed",
        "PFR6512",
        "{shown} has more in one fetch than is taken",
        "keep large files out of the repository of the manifests",
    ),
    _kind(
        r"host key verification failed|remote host identification has changed|certificate|ssl_error|gnutls_handshake",
        "PFR6509",
        "the server of {shown} does not prove that it is the right one",
        "find out why; if it is right, put its new key into `known_hosts_file`, or its authority into `ca_file`",
    ),
    _kind(
        r"base from redirection|returned error: 30\d",
        "PFR6510",
        "the server of {shown} sends us to another address",
        "set `url` to the address that it leads to; the token is sent nowhere else",
    ),
    _kind(
        r"dubious ownership",
        "PFR6508",
        "{shown} belongs to another user, and git does not read it",
        "allow it with `git config --global --add safe.directory FOLDER`",
    ),
    _kind(
        r"could not read (username|password)|authentication failed|returned error: 40[13]|permission denied|"
        r"no supported authentication|too many authentication failures",
        "PFR6508",
        "the server of {shown} does not let us in",
        "put a token or key that may read it into the file that the settings name; it is read for every fetch",
    ),
    _kind(
        r"repository not found|repository '[^']*' not found|returned error: 404|does not appear to be a git repository|"
        r"not valid: could not determine hash|no such file or directory",
        "PFR6508",
        "there is no repository {shown}, or none that we may see",
        "check `url`, and whether the token or key may read this repository",
    ),
    _kind(
        r"couldn't find remote ref|not our ref|unadvertised object|no such remote ref",
        "PFR6511",
        "{shown} does not have what is followed",
        "check the name; a commit is followed by its full id, and only where the server gives out commits by id",
    ),
    _kind(
        r"fsck error",
        "PFR6520",
        "{shown} has an object that git's own check refuses",
        "have whoever made it mend it: `git fsck` there says the same",
    ),
    _kind(
        r"not a git repository|bad object|unable to read|corrupt|did not send all|is empty|inflate|unresolved delta|"
        r"cannot be (read|mapped)|missing (blob|tree|commit)|unable to (open|parse) object|packfile|index v2 file|"
        r"error in object|reference broken|shallow line|bad config",
        "PFR6505",
        "a repository cannot be read, {shown} or its mirror here",
        "it is fetched anew by itself; if that does not help, `git fsck` there says what is wrong",
        refused=False,
    ),
    _kind(
        r"transport '[^']*' not allowed|dumb http transport",
        "PFR6514",
        "{shown} is not served in a way that is used",
        "serve it by git's smart HTTP over https://, or by SSH",
    ),
)


def failure_of(said: str, shown: str) -> SourceError:
    """The error for what git said; `said` is without secrets, `shown` is the address for people."""
    text = _fit(said[: _SAID_CHARACTERS_MAX * 6])  # what was cut off at its end could be half a secret
    for kind in _KINDS:
        if kind.words.search(said):
            sort = SourceRefusedError if kind.refused else SourceUnreachableError
            return sort(kind.code, f"{kind.message.format(shown=shown)}: {text}", next_step=kind.next_step)
    return unreachable(shown, text or "git did not say why")


def unreachable(shown: str, why: str) -> SourceUnreachableError:
    """The source is not reached now."""
    next_step = "look at the server and the way to it; what was taken before stands, and it is tried again"
    return SourceUnreachableError("PFR6507", f"{shown} cannot be fetched: {why}", next_step=next_step)


def _fit(said: str) -> str:
    """The words of a stranger, fit for a message."""
    printable = "".join(character if character.isprintable() else " " for character in said)
    text = " ".join(printable.split())
    return text if len(text) <= _SAID_CHARACTERS_MAX else f"{text[:_SAID_CHARACTERS_MAX]}…"
