"""A repository that is pushed to, and the sources that follow it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.error import SourceRefusedError, SourceUnreachableError
from reconciler.settings.settings import GitSettings
from reconciler.sources.git_source import GitSource
from reconciler.sources.mirror import MirrorBounds
from tests.git_server import HostedRepository


class Followed:
    """A repository that is pushed to, and what follows it."""

    def __init__(self, hosted: HostedRepository, settings: GitSettings, folder: Path) -> None:
        self.hosted = hosted
        self.settings = settings
        self.folder = folder

    @property
    def mirror(self) -> Path:
        """Where `source` fetches to, unless it is told another name."""
        return self.folder / "mirror.git"

    def source(self, mirror: str = "mirror.git", *, bounds: MirrorBounds | None = None, **changes: Any) -> GitSource:
        """A source; `changes` are fields of `GitSettings`."""
        return GitSource(replace(self.settings, **changes), self.folder / mirror, bounds=bounds)


def refusal(source: GitSource) -> str:
    """The code with which a look is refused."""
    with pytest.raises(SourceRefusedError) as caught:
        source.look()
    return caught.value.code


def trouble(source: GitSource) -> str:
    """The code with which a look fails for now."""
    with pytest.raises(SourceUnreachableError) as caught:
        source.look()
    return caught.value.code
