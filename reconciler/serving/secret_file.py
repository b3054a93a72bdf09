"""A secret in a file that may be replaced while the controller runs. Read anew when the file is another one."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

SECRET_CHARACTERS_MIN: Final = 16
"""Shorter ones can be guessed: whoever may ask here, may guess."""

_BYTES_MAX: Final = 4096


class SecretFile:
    """One secret. None where the file is missing, unreadable, no text, or holds too little: then nobody has it.

    A file that is gone is a secret that was taken back. It is never shown: `repr` has the path alone.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._secret: bytes | None = None

    def __repr__(self) -> str:
        return f"SecretFile({str(self._path)!r})"

    def secret(self) -> bytes | None:
        """As it is now, without white space around it."""
        with self._lock:
            try:
                found = self._path.stat()
                seen = (found.st_mtime_ns, found.st_ino, found.st_dev, found.st_size)
                if seen != self._seen:
                    with self._path.open("rb") as file:
                        self._secret = _checked(file.read(_BYTES_MAX + 1))
                    self._seen = seen
            except OSError:
                self._seen, self._secret = (), None
            return self._secret


def _checked(content: bytes) -> bytes | None:
    secret = content.removeprefix(b"\xef\xbb\xbf").strip()
    return secret if SECRET_CHARACTERS_MIN <= len(secret) <= _BYTES_MAX else None
