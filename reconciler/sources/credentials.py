"""What git is told for one fetch: which protocol, whom to trust, and by what it is let in.

Files are read anew for every fetch, so that they may be replaced while the controller runs. A token goes into the
environment, for this one address; an SSH key is copied to a folder that only we can read, because ssh refuses keys that
a group may read, as mounted secrets often are. Nothing of the user's own configuration (keys, agents, helpers) is used.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, assert_never
from urllib.parse import quote

from reconciler.model.error import SourceRefusedError
from reconciler.settings.settings import GitSettings
from reconciler.sources.address import Address, Way

PRIVATE: Final = "private"
"""The folder in a mirror that has copies of credentials while git runs."""

NOBODYS: Final = {"GIT_CONFIG_GLOBAL": os.devnull}
"""Nobody's own configuration of git counts."""

_BYTES_MAX: Final = 1024 * 1024
_SILENCE_SECONDS_MAX: Final = 30
_LOW_SPEED_BYTES: Final = 100
_PROXIES: Final = ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")

# Relative to the mirror, in which ssh runs: a path with spaces or % would need ssh's own quoting.
_SSH: Final = " ".join(
    (
        "ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none -o StrictHostKeyChecking=yes",
        f"-o UserKnownHostsFile={PRIVATE}/known_hosts -o GlobalKnownHostsFile=/dev/null -o UpdateHostKeys=no",
        "-o PreferredAuthentications=publickey -o ClearAllForwardings=yes -o PermitLocalCommand=no",
        f"-o ConnectTimeout=15 -o ServerAliveInterval={_SILENCE_SECONDS_MAX // 2} -o ServerAliveCountMax=2",
        f"-i {PRIVATE}/key",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What one fetch is told. `secrets` are all forms in which a secret could come back in what git says."""

    variables: Mapping[str, str]
    configuration: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()

    def masked(self, text: str) -> str:
        """A text without the secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def access_to(address: Address, settings: GitSettings, folder: Path) -> Access:
    """Read the credentials for a fetch into a mirror; copies that ssh needs go into its private folder.

    Raises:
        SourceRefusedError: PFR6514 a file that is needed is not named, not there, empty or unreadable.
    """
    match address.way:
        case Way.HTTPS:
            return _by_https(address, settings)
        case Way.SSH:
            return _by_ssh(settings, folder / PRIVATE)
        case Way.FILE:
            # The operator's own configuration counts: it says whose repositories are safe to read (safe.directory).
            return Access(variables={"GIT_ALLOW_PROTOCOL": Way.FILE})
        case never:
            assert_never(never)


def read_file(path: str | None, setting: str) -> bytes:
    """A credential file. Raises SourceRefusedError PFR6514, which names the setting and never what is in the file."""
    if path is None:
        raise _unusable(f"`{setting}` is not set", f"name a file by `{setting}`")
    try:
        with Path(path).open("rb") as file:
            content = file.read(_BYTES_MAX + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _unusable(f"`{setting}` {path} cannot be read: {reason}", "check the file and its permissions") from None
    if not content.strip() or len(content) > _BYTES_MAX:
        raise _unusable(f"`{setting}` {path} is empty or far too large", "put the right content there")
    return content


def _by_https(address: Address, settings: GitSettings) -> Access:
    configuration = [
        ("http.followRedirects", "false"),
        ("http.sslVerify", "true"),
        ("http.lowSpeedLimit", str(_LOW_SPEED_BYTES)),
        ("http.lowSpeedTime", str(_SILENCE_SECONDS_MAX)),
        ("credential.helper", ""),
    ]
    secrets: tuple[str, ...] = ()
    if settings.ca_file is not None:
        read_file(settings.ca_file, "ca_file")
        configuration.append(("http.sslCAInfo", str(Path(settings.ca_file).absolute())))
    if settings.token_file is not None:
        token = _token(settings.token_file)
        basic = base64.b64encode(f"{settings.username}:{token}".encode()).decode("ascii")
        configuration.append((f"http.{address.url}.extraHeader", f"Authorization: Basic {basic}"))
        secrets = tuple(_longest_first({token, quote(token, safe=""), basic}))
    proxies = {name: os.environ[name] for name in _PROXIES if name in os.environ}
    variables = {**NOBODYS, "GIT_ALLOW_PROTOCOL": Way.HTTPS, **proxies}
    return Access(
        variables=variables,
        configuration=tuple(configuration),
        secrets=(*secrets, *_longest_first(value for value in proxies.values() if "@" in value)),
    )


def _by_ssh(settings: GitSettings, private: Path) -> Access:
    key = read_file(settings.ssh_key_file, "ssh_key_file")
    hosts = read_file(settings.known_hosts_file, "known_hosts_file")
    private.mkdir(mode=0o700, exist_ok=True)
    # ssh cannot read a key whose last line is not ended, as some stores of secrets deliver it.
    for name, content in (("key", key.rstrip() + b"\n"), ("known_hosts", hosts)):
        with os.fdopen(os.open(private / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
    variables = {**NOBODYS, "GIT_ALLOW_PROTOCOL": Way.SSH, "GIT_SSH_COMMAND": _SSH, "GIT_SSH_VARIANT": "ssh"}
    return Access(variables=variables)


def _token(path: str) -> str:
    try:
        token = read_file(path, "token_file").decode("utf-8").strip()
    except UnicodeDecodeError:
        token = ""
    if not token.isascii() or not token.isprintable() or not token:
        raise _unusable(f"`token_file` {path} holds no token: one line of printable characters", "put the token there")
    return token


def _longest_first(texts: Iterable[str]) -> list[str]:
    """So that a secret inside another one does not leave the rest of it standing."""
    return sorted(texts, key=len, reverse=True)


def _unusable(message: str, next_step: str) -> SourceRefusedError:
    return SourceRefusedError("PFR6514", message, next_step=next_step)
