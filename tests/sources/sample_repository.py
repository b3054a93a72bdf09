"""Real Git repositories in a test's folder, made and changed by the real git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.git_signers import Signer

_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_AUTHOR_DATE": "2026-11-22T09:00:00Z",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.org",
    "GIT_COMMITTER_DATE": "2026-11-22T09:00:00Z",
}


class SampleRepository:
    """A repository with a work tree in `folder`, on branch main."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, signer: Signer | None = None) -> str:
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *(signer.options if signer else ()), *arguments],
            cwd=self.folder,
            env={**_ENVIRONMENT, **(signer.variables if signer else {})},
            capture_output=True,
            check=True,
        )
        return os.fsdecode(done.stdout).strip()

    def write(self, path: str, content: str | bytes) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def commit(self, message: str = "a change", *, sign: Signer | None = None, **files: str) -> str:
        """Commit everything as it lies in the work tree; the commit's id."""
        for path, content in files.items():
            self.write(path, content)
        self.git("add", "--all")
        how = ["--gpg-sign"] if sign else []
        self.git("commit", "--quiet", "--allow-empty", *how, f"--message={message}", signer=sign)
        return self.git("rev-parse", "HEAD")

    def tag(self, name: str, *, sign: Signer | None = None, annotate: bool = False) -> None:
        """Put a tag, or move it, at what is checked out."""
        how = ["--sign", "--message=a tag"] if sign else ["--annotate", "--message=a tag"] if annotate else []
        self.git("tag", "--force", *how, name, signer=sign)
