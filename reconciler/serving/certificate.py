"""TLS by files that may be replaced while the controller serves: who connects next gets the new certificate."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from pathlib import Path
from typing import Any, Final

from reconciler.model.error import OperatorError

_LOG: Final = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 1.0
"""Between two looks at the files: a certificate is replaced long before the old one ends."""


class Certificate:
    """A certificate chain and its key. A pair that does not fit, as in the midst of a rotation, is not taken."""

    def __init__(self, certificate_file: str, key_file: str) -> None:
        self._files = (Path(certificate_file), Path(key_file))
        self._lock = threading.Lock()
        self._looked_at = time.monotonic()
        self._seen = self._marks()
        self._newest = self._loaded()

    def context(self) -> ssl.SSLContext:
        """What a server listens with. Every handshake goes on with the newest pair that fits."""
        listening = self._loaded()
        listening.sni_callback = self._hand_over
        return listening

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self.newest()

    def newest(self) -> ssl.SSLContext:
        """The newest pair that fits; the files are looked at once a second at most."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked_at >= _LOOK_SECONDS:
                self._looked_at = now
                self._look()
            return self._newest

    def _look(self) -> None:
        seen = self._marks()
        if seen == self._seen:
            return
        try:
            self._newest = self._loaded()
        except OperatorError as error:
            # Told once for every state of the files; the pair before it goes on.
            _LOG.warning("the certificate was not replaced: %s", error.message)
        self._seen = seen

    def _marks(self) -> tuple[Any, ...]:
        return tuple(_mark(path) for path in self._files)

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        certificate, key = self._files
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except (OSError, ValueError) as error:  # an SSLError is an OSError
            why = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
            raise OperatorError(
                "PFR6926",
                f"{certificate} and {key} cannot be used for TLS: {why}",
                next_step="give a certificate chain in PEM and its key without a passphrase",
            ) from None
        return context


def _no_password() -> str:
    raise ValueError("the key has a passphrase")


def _mark(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
