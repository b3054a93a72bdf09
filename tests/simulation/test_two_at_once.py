"""Two `apply` at once. One journal protects its devices; two journals know nothing of each other.

With two journals nothing forbids that both send: the guard's last look and the cloud's own 409 keep nearly everything
apart, but an invisible module may be sent twice within the same seconds. Nothing ever falls, and both arrive.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.stage import Stage, set_stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with set_stage(tmp_path, speed=300.0) as stage:
        yield stage


def test_on_one_journal_no_module_is_sent_twice_and_a_third_run_finds_all_done(stage: Stage) -> None:
    both = [stage.begin("apply"), stage.begin("apply")]
    for ended in [stage.end(process) for process in both]:
        assert ended.code == 0 or (ended.code == 1 and "PFR5012" in ended.err), ended.err
        assert "Traceback" not in ended.err
    assert stage.apply_until_rest().code == 0
    assert stage.run("drift").code == 0
    assert stage.sent_more_than_once() == {}
    assert stage.installed_more_than_once() == {}
    assert stage.open_attempts() == ()
    stage.assert_nothing_wrong()


def test_on_two_journals_nothing_falls_and_everything_arrives(stage: Stage) -> None:
    other = stage.folder / "other.sqlite"
    both = [stage.begin("apply"), stage.begin("apply", journal=other)]
    for ended in [stage.end(process) for process in both]:
        assert ended.code in {0, 3}, ended.err
    assert stage.apply_until_rest().code == 0
    assert stage.run("drift").code == 0
    assert {violation["law"] for violation in stage.violations()} <= {"S5", "S7", "S11"}
    assert stage.leaks() == []
