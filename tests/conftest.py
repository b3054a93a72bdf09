"""Fixtures that every folder may use."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from reconciler.journal.location import PostgresPlace
from reconciler.journal.postgres import PostgresJournal
from tests.postgres_server import new_database, running_server
from tests.real_firmware import RealFirmwareError, lay_out, listed_modules, read_modules
from tests.simulation.tally import Tally, in_words


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much was played in simulations, over all processes of a test run."""
    reports = terminalreporter.getreports("passed")
    played = [value for report in reports for name, value in report.user_properties if name == Tally.NAME]
    if played:
        terminalreporter.section("simulated")
        terminalreporter.line(in_words(played))


@dataclass(frozen=True, kw_only=True)
class RealModules:
    """The vendor's binaries that npm has: bytes by SHA-256, the table's row by SHA-256, and a laid-out folder."""

    files: Mapping[str, bytes]
    rows: Mapping[str, Mapping[str, str]]
    folder: Path


@pytest.fixture(scope="session")
def real_modules(tmp_path_factory: pytest.TempPathFactory) -> RealModules:
    """The real binaries. Where they cannot be had the test is skipped with the reason, and fails in CI."""
    try:
        files = read_modules()
        folder = tmp_path_factory.mktemp("real-firmware")
        lay_out(folder)
    except RealFirmwareError as error:
        message = f"THE VENDOR'S REAL BINARIES ARE NOT TESTED: {error}"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message)
        pytest.skip(message)
    return RealModules(files=files, rows=listed_modules(), folder=folder)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Path]:
    """A real PostgreSQL of this test process: the folder of its socket."""
    with running_server() as folder:
        yield folder


@pytest.fixture
def postgres_address(postgres_server: Path) -> str:
    """The address of an empty database."""
    return new_database(postgres_server)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Path) -> str:
    """The name of a database with an empty journal, which is never written to."""
    address = new_database(postgres_server)
    PostgresJournal(PostgresPlace(address)).close()
    return urlsplit(address).path.strip("/")


@pytest.fixture
def postgres_journal(postgres_server: Path, postgres_template: str) -> str:
    """The address of an empty journal: a copy, which is quicker to have than one that is made."""
    return new_database(postgres_server, like=postgres_template)
