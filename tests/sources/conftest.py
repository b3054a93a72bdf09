"""Repositories that are followed over every way there is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.settings.settings import GitSettings
from tests.git_server import HostedRepository, HttpsGitServer, SshGitServer, https_server, ssh_server
from tests.sources.followed import Followed


@pytest.fixture
def https(tmp_path: Path) -> Iterator[HttpsGitServer]:
    with https_server(tmp_path) as server:
        yield server


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[SshGitServer]:
    with ssh_server(tmp_path) as server:
        yield server


@pytest.fixture
def local(tmp_path: Path) -> Followed:
    hosted = HostedRepository(tmp_path / "there" / "fleet.git", str(tmp_path / "there" / "fleet.git"))
    return Followed(hosted, GitSettings(url=hosted.url), tmp_path / "state")


@pytest.fixture(params=["https", "ssh", "path"])
def followed(request: pytest.FixtureRequest, tmp_path: Path) -> Followed:
    if request.param == "path":
        found: Followed = request.getfixturevalue("local")
        return found
    server = request.getfixturevalue(request.param)
    hosted = server.repository()
    return Followed(hosted, server.settings(hosted), tmp_path / "state with spaces 100%")
