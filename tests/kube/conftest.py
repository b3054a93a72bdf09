"""Fixtures of tests on a real Kubernetes API server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kube.api_server import START_SECONDS_MAX, ApiServer, running_api_server
from tests.kube.components import BUILD_SECONDS_MAX, is_built


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whichever test comes first waits for the programs to be built."""
    for item in items:
        if "real_api_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(START_SECONDS_MAX * 2 if is_built() else BUILD_SECONDS_MAX))


@pytest.fixture(scope="module")
def real_api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server for the tests of one file. Who stops it begins it again: tests come one after the other."""
    with running_api_server(tmp_path_factory.mktemp("api-server")) as server:
        yield server
