"""Whether a commit or a tag is signed by somebody who is trusted here, and by whom: git's own check, read strictly.

The rules:
- Only the keys of the settings count: a keyring that is made for the check and gone after it, or the file of allowed
  signers. The files are read for every check, so that a key that is taken out counts no more at the next look.
- Git must say yes, and its report must have exactly one good signature and nothing bad. What is not understood is no.
- Keys count by the time of the check, as this machine has it. Git would have SSH keys count by the time in the commit,
  which whoever holds an expired key may choose; `_NOW` takes that away.
- A tag's signature is over its name: a signed tag under another name does not count, nor one that tags another tag.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.model.error import OperatorError, SourceRefusedError
from reconciler.settings.settings import SignatureSettings
from reconciler.sources.credentials import PRIVATE, read_file
from reconciler.sources.git import MIRROR_VARIABLES
from reconciler.sources.process import Bounds, Ran, Setting, run_git, run_program

_BOUNDS: Final = Bounds(seconds=60.0, answer_bytes=1024 * 1024)

_NOW: Final = """#!/bin/sh
for argument do
    shift
    case $argument in -Overify-time=*) ;; *) set -- "$@" "$argument" ;; esac
done
exec ssh-keygen "$@"
"""

_STATUS: Final = "[GNUPG:] "
_BAD: Final = frozenset(
    {"BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "NO_PUBKEY", "KEYREVOKED", "SIGEXPIRED"}
)
_SSH_GOOD: Final = re.compile(r'Good "git" signature for (?P<who>.+) with \S+ key (?P<key>SHA256:[A-Za-z0-9+/=]+)')
_NOT_RUN: Final = re.compile(r"cannot (run|exec|spawn)|permission denied", re.IGNORECASE)
_VALIDSIG_PRIMARY_AT: Final = 10
"""The words of VALIDSIG (GnuPG's doc/DETAILS): the first is the signing key's fingerprint, the tenth the primary's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureCheck:
    """The check of what lies in a mirror."""

    folder: Path
    settings: SignatureSettings

    def of_commit(self, commit: str) -> str:
        """Who signed a commit: fingerprint and identity.

        Raises:
            SourceRefusedError: PFR6517 nobody; PFR6518 nobody that is trusted here; PFR6519 it cannot be checked.
        """
        return self.of_commits((commit,))[0]

    def of_commits(self, commits: Sequence[str]) -> tuple[str, ...]:
        """Who signed each of some commits. Raises as `of_commit`, for the first one that is not as it must be."""
        with self._keys() as setting:
            return tuple(_signer(setting, "verify-commit", commit, f"the commit {commit}") for commit in commits)

    def of_tag(self, object_id: str, name: str) -> str:
        """Who signed the tag that is found as `name`. Raises as `of_commit`."""
        setting = Setting(folder=self.folder, variables=MIRROR_VARIABLES)
        shown = f"the tag {name}"
        tag = run_git(setting, ("cat-file", "tag", object_id), _BOUNDS)
        if tag.failed:
            raise _unsigned(shown, "it is no annotated tag")
        head = tag.output.decode("utf-8", "surrogateescape").partition("\n\n")[0].splitlines()
        if [line for line in head if line.startswith("tag ")] != [f"tag {name}"]:
            raise _untrusted(shown, "what it points at was signed under another name")
        if "type commit" not in head:
            raise _untrusted(shown, "it tags no commit")
        with self._keys() as setting:
            return _signer(setting, "verify-tag", object_id, shown)

    @contextmanager
    def _keys(self) -> Iterator[Setting]:
        """All that counts as a key, in a folder that is gone afterwards."""
        private = self.folder / PRIVATE
        try:
            shutil.rmtree(private, ignore_errors=True)
            private.mkdir(mode=0o700)
            home = private / "gnupg"
            home.mkdir(mode=0o700)
            if self.settings.openpgp_keys is None and self.settings.allowed_signers is None:
                raise _uncheckable("the settings name no keys")
            configuration = [("gpg.program", "gpg"), ("gpg.x509.program", "false"), ("gpg.minTrustLevel", "undefined")]
            if self.settings.openpgp_keys is not None:
                self._import(home, read_file(self.settings.openpgp_keys, "openpgp_keys"))
            if self.settings.allowed_signers is not None:
                configuration += self._ssh(private, read_file(self.settings.allowed_signers, "allowed_signers"))
            variables = {**MIRROR_VARIABLES, "GNUPGHOME": str(home.absolute())}
            yield Setting(folder=self.folder, variables=variables, configuration=configuration)
        except OSError as error:
            raise _uncheckable(f"{private}: {error.strerror}") from None
        finally:
            shutil.rmtree(private, ignore_errors=True)

    def _import(self, home: Path, keys: bytes) -> None:
        gpg = ("gpg", "--homedir", str(home.absolute()), "--batch", "--no-tty", "--no-autostart", "--quiet")
        try:
            done = run_program(Setting(folder=home), (*gpg, "--status-fd", "1", "--import"), _BOUNDS, stdin=keys)
        except OperatorError as error:
            raise _uncheckable(error.message) from None
        # Its exit code is no answer: without an agent, which public keys do not need, it may be 2 with all keys read.
        if b"[GNUPG:] IMPORT_OK " not in done.output:
            raise _uncheckable(f"gpg cannot read `openpgp_keys`: {done.error_line[:200]}")

    def _ssh(self, private: Path, signers: bytes) -> list[tuple[str, str]]:
        if shutil.which("ssh-keygen") is None:
            raise _uncheckable("ssh-keygen is not installed")
        (private / "signers").write_bytes(signers)
        program = private / "verify"
        program.write_text(_NOW, encoding="ascii")
        program.chmod(0o700)
        return [
            ("gpg.ssh.allowedSignersFile", str((private / "signers").absolute())),
            ("gpg.ssh.program", str(program.absolute())),
        ]


def _signer(setting: Setting, command: str, object_id: str, shown: str) -> str:
    checked = run_git(setting, (command, "--raw", object_id), _BOUNDS)
    if checked.late or checked.excessive:
        raise _uncheckable(f"the check of {shown} did not end")
    if checked.failed and checked.error.strip() in {"", "error: no signature found"}:
        raise _unsigned(shown, "it has no signature")
    if checked.failed and _NOT_RUN.search(checked.error):
        raise _uncheckable(_fit(checked.error_line)[:200])
    signer = None if checked.failed else _by_openpgp(checked) or _by_ssh(checked)
    if signer is None:
        raise _untrusted(shown, _reason(checked))
    return signer


def _by_openpgp(checked: Ran) -> str | None:
    """The signer by the one good signature that gpg reports; None: there is none, several, or anything bad."""
    words = [line.removeprefix(_STATUS).split(" ") for line in checked.error.splitlines() if line.startswith(_STATUS)]
    if any(word[0] in _BAD for word in words):
        return None
    good = [word for word in words if word[0] == "GOODSIG"]
    valid = [word for word in words if word[0] == "VALIDSIG"]
    if len(good) != 1 or len(valid) != 1 or len(valid[0]) <= _VALIDSIG_PRIMARY_AT:
        return None
    return _fit(f"{valid[0][_VALIDSIG_PRIMARY_AT]} {' '.join(good[0][2:])}")


def _by_ssh(checked: Ran) -> str | None:
    """The signer by the one line in which ssh-keygen says yes; None: it says anything else."""
    lines = checked.error.strip().splitlines()
    good = _SSH_GOOD.fullmatch(lines[0]) if len(lines) == 1 else None
    return None if good is None else _fit(f"{good['key']} {good['who']}")


def _reason(checked: Ran) -> str:
    words = [line.removeprefix(_STATUS) for line in checked.error.splitlines() if line.strip()]
    told = [word for word in words if word.split(" ")[0] in _BAD] or words
    return _fit("; ".join(told))[:300]


def _fit(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _unsigned(shown: str, why: str) -> SourceRefusedError:
    next_step = "have it signed by somebody whose key is in the settings, and push that"
    return SourceRefusedError("PFR6517", f"{shown} is not signed: {why}", next_step=next_step)


def _untrusted(shown: str, why: str) -> SourceRefusedError:
    next_step = "find out who made it; put the key into `openpgp_keys` or `allowed_signers` if it should count"
    return SourceRefusedError("PFR6518", f"the signature of {shown} does not count: {why}", next_step=next_step)


def _uncheckable(why: str) -> SourceRefusedError:
    next_step = "install gnupg and openssh-client, and check the files of keys; nothing is taken until then"
    return SourceRefusedError("PFR6519", f"no signature can be checked: {why}", next_step=next_step)
