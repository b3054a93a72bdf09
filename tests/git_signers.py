"""Who signs commits and tags in tests: SSH keys and OpenPGP keys, made by the real programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A key. `options` and `variables` make git sign with it; `public` is the line or the armoured key of it."""

    identity: str
    fingerprint: str
    public: str
    options: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


def ssh_signer(folder: Path, identity: str = "ann@example.org") -> Signer:
    """A new SSH key; `public` is its line in a file of allowed signers."""
    folder.mkdir(parents=True, exist_ok=True)
    key = Path(tempfile.mkdtemp(dir=folder)) / "key"
    _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", identity, "-f", str(key)])
    public = key.with_suffix(".pub").read_text()
    fingerprint = _run(["ssh-keygen", "-l", "-f", str(key)]).split()[1]
    return Signer(
        identity=identity,
        fingerprint=fingerprint,
        public=f'{identity} namespaces="git" {public}',
        options=("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}"),
    )


@contextmanager
def openpgp_home() -> Iterator[Path]:
    """A folder for `openpgp_signer`, short enough for the sockets of gpg's agent, which ends with it."""
    home = Path(tempfile.mkdtemp(prefix="gpg-"))
    home.chmod(0o700)
    try:
        yield home
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True)
        shutil.rmtree(home, ignore_errors=True)


def openpgp_signer(home: Path, identity: str = "Ann <ann@example.org>", *, expires: str = "never") -> Signer:
    """A new OpenPGP key; `public` is the armoured key. `expires` as gpg has it: `never`, `seconds=1`, `1d`."""
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", ""]
    _run([*gpg, "--quick-generate-key", identity, "ed25519", "sign", expires])
    listed = _run([*gpg, "--list-keys", "--with-colons", f"={identity}"]).splitlines()
    fingerprint = next(line.split(":")[9] for line in listed if line.startswith("fpr:"))
    return Signer(
        identity=identity,
        fingerprint=fingerprint,
        public=exported(home, fingerprint),
        options=("-c", "gpg.format=openpgp", "-c", f"user.signingkey={fingerprint}!"),
        variables={"GNUPGHOME": str(home)},
    )


def revoked(home: Path, signer: Signer) -> str:
    """The armoured key of a signer, who revokes it now."""
    certificate = (home / "openpgp-revocs.d" / f"{signer.fingerprint}.rev").read_text()
    file = home / "revocation"
    file.write_text(certificate.replace(":-----BEGIN", "-----BEGIN"))
    _run(["gpg", "--homedir", str(home), "--batch", "--quiet", "--import", str(file)])
    return exported(home, signer.fingerprint)


def exported(home: Path, fingerprint: str) -> str:
    """The armoured public key as the home has it now."""
    return _run(["gpg", "--homedir", str(home), "--batch", "--armor", "--export", fingerprint])


def _run(command: list[str]) -> str:
    return subprocess.run(command, env={"PATH": os.environ["PATH"]}, check=True, capture_output=True, text=True).stdout
