"""The benchmark of `observe` measures what it says; nothing here is about time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.observe import row, table


def test_a_row_reads_every_page_once_and_has_a_cell_for_every_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PARTICLE_ACCESS_TOKEN", "PARTICLE_API_URL"):
        monkeypatch.setenv(name, "")  # put back afterwards, whatever the benchmark sets
    found = row(250, tmp_path, runs=1, seed=7)
    assert found.requests == 3
    lines = table([found])
    assert {line.count("|") for line in lines} == {9}
    assert lines[2].startswith("| 250 | 3 | ")
