"""ansible-core from PyPI, in a virtual environment of its own outside the repository."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

from tests.npm_package import packages_folder

VERSION = "2.19.4"


class AnsibleError(SystemExit):
    """It cannot be had; the text says why. It ends a benchmark with these words; a test catches it."""


def ansible_playbook() -> Path:
    """Its program, fetched by pip if it is not there.

    Raises:
        AnsibleError: pip fails.
    """
    place = packages_folder() / f"ansible-core-{VERSION}"
    program = place / "bin" / "ansible-playbook"
    if not program.exists():
        venv.create(place, with_pip=True)
        pip = [str(place / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*pip, f"ansible-core=={VERSION}"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise AnsibleError(f"pip could not install ansible-core {VERSION}:\n{done.stderr}")
    return program
