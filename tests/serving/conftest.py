from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.settings.settings import ServingSettings
from tests.serving.desk import Client, serving, settings_in


@pytest.fixture
def settings(tmp_path: Path) -> ServingSettings:
    return settings_in(tmp_path)


@pytest.fixture
def client(settings: ServingSettings) -> Iterator[Client]:
    with serving(settings) as client:
        yield client
