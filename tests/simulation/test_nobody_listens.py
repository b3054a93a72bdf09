"""Whoever reads the output may stop (`| head -1`): the run goes on to its end, with its own exit code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.stage import Stage, set_stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with set_stage(tmp_path, products=("home-hub",)) as stage:
        yield stage


@pytest.mark.parametrize("output", ["json", "text"])
@pytest.mark.parametrize("lines", [0, 1])
def test_a_run_whose_output_nobody_reads_goes_on_to_its_end(stage: Stage, output: str, lines: int) -> None:
    with stage.begin("apply", "--output", output) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for _ in range(lines):
            assert process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert "Exception" not in said
    assert stage.run("drift").code == 0
    assert stage.open_attempts() == ()


@pytest.mark.parametrize("output", ["json", "text"])
def test_a_run_that_nobody_hears_at_all_goes_on_to_its_end(stage: Stage, output: str) -> None:
    process = stage.begin("apply", "--verbose", "--output", output)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    assert process.wait(60) == 0
    assert stage.run("drift").code == 0
    assert stage.open_attempts() == ()
