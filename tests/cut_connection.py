"""A way to PostgreSQL that can be cut: a socket of its own, in front of the server's."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_NAME = ".s.PGSQL.5432"


class CuttableWay:
    """Passes bytes on between whoever comes to `address` and the server behind another address."""

    def __init__(self, folder: Path, address: str) -> None:
        parts = urlsplit(address)
        self.address = f"postgresql://tester@{parts.path}?host={folder}"
        self._behind = str(Path(parse_qs(parts.query)["host"][0]) / _NAME)
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._is_cut = False
        self._front = socket.socket(socket.AF_UNIX)
        self._front.bind(str(folder / _NAME))
        self._front.listen(64)
        self._begin(self._accept)

    def cut(self) -> None:
        """Everything that is connected is torn off, and nobody comes through."""
        with self._lock:
            self._is_cut, torn, self._open = True, self._open, []
        for each in torn:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Who comes now gets through."""
        with self._lock:
            self._is_cut = False

    def close(self) -> None:
        """Nobody comes any more."""
        self.cut()
        with contextlib.suppress(OSError):
            self._front.shutdown(socket.SHUT_RDWR)
        self._front.close()
        for thread in self._threads:
            thread.join(5.0)

    def _begin(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._front.accept()
                with self._lock:
                    if self._is_cut:
                        near.close()
                        continue
                    far = socket.socket(socket.AF_UNIX)
                    far.connect(self._behind)
                    self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    self._begin(partial(_pass_on, one, other))


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while received := one.recv(65536):
            other.sendall(received)
    for each in (one, other):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
    one.close()  # the other is closed by whoever reads it
