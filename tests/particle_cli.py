"""The vendor's particle-cli from npm, with a home folder of its own and pointed at an emulated cloud."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.npm_package import installed

PACKAGE, VERSION = "particle-cli", "3.40.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticleCli:
    """How to run it: the command in front of its arguments, and the environment."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


def particle_cli(home: Path, *, url: str, token: str | None = None, username: str | None = None) -> ParticleCli:
    """A particle-cli that knows this cloud, logged in with this token, or with none yet.

    Raises:
        NpmError: it cannot be had.
    """
    program = installed(PACKAGE, VERSION) / PACKAGE / "src" / "index.js"
    settings = {"apiUrl": url, "access_token": token, "username": username, "disableUpdateCheck": True}
    known = {name: value for name, value in settings.items() if value is not None}
    (home / ".particle").mkdir(parents=True, exist_ok=True)
    (home / ".particle" / "particle.config.json").write_text(json.dumps(known), encoding="utf-8")
    environment = {**os.environ, "HOME": str(home), "PARTICLE_DISABLE_UPDATE": "true"}
    return ParticleCli(command=("node", str(program)), environment=environment)
