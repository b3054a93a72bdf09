"""The measurement of how soon a commit is followed measures what it says; nothing here is about time."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.controller_follow import report, seconds_of_tries


def test_every_try_ends_with_a_request_for_the_new_device(tmp_path: Path) -> None:
    (took,) = seconds_of_tries(tmp_path, tries=1, webhook=True)
    assert took > 0
    assert report("webhook", [took, took + 2.0]).count("|") == 6
