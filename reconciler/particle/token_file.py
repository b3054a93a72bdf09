"""An access token in a file that may be replaced at any time, as Kubernetes and secret managers do it.

The file is looked at before every request, and read again when it is another one: another file (also behind a link),
time of change or size. The cloud's 401 has it read again whatever it looks like. What cannot be used as a token leaves
the last good one in use: a file is not there for a moment, or half written, while somebody replaces it.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from pathlib import Path
from typing import Final, NoReturn

from reconciler.model.error import OperatorError
from reconciler.particle.token import AccessToken

_BYTES_MAX: Final = 16 * 1024

_FORMER_MAX: Final = 16
"""Former tokens that texts are still kept free of: a cloud's answer may repeat what an earlier request held."""

_Look = tuple[int, int, int, int]
"""Device, inode, time of change, size."""


class TokenFile:
    """A `TokenSource` over a file. May be used by many threads at once.

    `trouble` is why the file cannot be used just now; None: it can.

    Raises OperatorError when there is no token to begin with: PFR3001 the file is empty; PFR3010 what it holds is no
    token; PFR3012 it cannot be read.
    """

    __slots__ = ("_former", "_lock", "_look", "_path", "_token", "trouble")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._former: deque[AccessToken] = deque(maxlen=_FORMER_MAX)
        self._look = _look(path)
        self._token = _read(path)
        self.trouble: OperatorError | None = None

    def current(self) -> AccessToken:
        """The token of the file as it is now."""
        look = _look(self._path)
        with self._lock:
            if look != self._look:
                self._read_again(look)
            return self._token

    def renewed(self, refused: AccessToken) -> bool:
        """Whether there is another token than the one that the cloud has refused."""
        look = _look(self._path)
        with self._lock:
            if self._token is refused:
                self._read_again(look)
            return self._token is not refused

    def redacted(self, text: str) -> str:
        """The text without the token and without those that were in use before."""
        with self._lock:
            tokens = (self._token, *self._former)
        for token in tokens:
            text = token.redacted(text)
        return text

    def _read_again(self, look: _Look | None) -> None:
        try:
            token = _read(self._path)
        except OperatorError as error:
            self.trouble = error
            return
        # The look from before the reading: what is replaced in between is noticed the next time.
        self._look, self.trouble = look, None
        if not token.same_as(self._token):
            self._former.append(self._token)
            self._token = token

    def __repr__(self) -> str:
        return f"TokenFile({self._path})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied into something that shows it."""
        message = "an access token does not leave the process"
        raise TypeError(message)


def _look(path: Path) -> _Look | None:
    """What tells one content of the file from another; None: it is not there."""
    try:
        found = os.stat(path)  # noqa: PTH116  # before every request: half the time of Path.stat
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path) -> AccessToken:
    try:
        with path.open("rb") as file:
            text = file.read(_BYTES_MAX).decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        problem = "it is no text"
    except OSError as error:
        problem = error.strerror or type(error).__name__
    else:
        if text:
            return AccessToken(text)
        raise OperatorError(
            "PFR3001",
            f"no access token: {path} is empty",
            next_step="make a token for an API user with the scopes it needs, and put it alone into the file",
        )
    raise OperatorError("PFR3012", f"the token file {path} cannot be read: {problem}", next_step="check the token file")
