"""Certificates for a test's own servers and clients, made by the system's openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """Who signs: a certificate authority with a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700)
        self._own = Pair(certificate=folder / "ca.crt", key=folder / "ca.key")
        subject = ["-subj", "/CN=test authority", "-addext", "keyUsage=critical,keyCertSign"]
        _openssl("req", "-x509", "-days", "2", *subject, *_new_key(self._own))

    @property
    def certificate(self) -> Path:
        """What others trust."""
        return self._own.certificate

    def issue(self, name: str, *, organisation: str = "", address: str = "") -> Pair:
        """A pair for a user (`name` in the group `organisation`), or for a server at an IP `address`."""
        pair = Pair(certificate=self.folder / f"{name}.crt", key=self.folder / f"{name}.key")
        subject = f"/O={organisation}/CN={name}" if organisation else f"/CN={name}"
        extra = ["-addext", f"subjectAltName=IP:{address}"] if address else []
        signer = ["-CA", str(self._own.certificate), "-CAkey", str(self._own.key)]
        _openssl("req", "-x509", "-days", "2", *signer, "-subj", subject, *extra, *_new_key(pair))
        return pair

    def signing_key(self, name: str) -> Pair:
        """A private key and its public half (in place of a certificate), for tokens of service accounts."""
        pair = Pair(certificate=self.folder / f"{name}.pub", key=self.folder / f"{name}.key")
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(pair.key))
        _openssl("ec", "-in", str(pair.key), "-pubout", "-out", str(pair.certificate))
        return pair


def _new_key(pair: Pair) -> list[str]:
    how = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
    return [*how, "-keyout", str(pair.key), "-out", str(pair.certificate)]


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
