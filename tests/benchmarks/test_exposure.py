"""Who stops a bad release, and after how many devices; nothing here is about time."""

from __future__ import annotations

import os

import pytest

from tests.ansible_core import AnsibleError, ansible_playbook
from tests.benchmarks.exposure import RELEASES, Exposure, measure, reach, tables
from tests.benchmarks.exposure_by import CONTESTANTS


def exposure(by: str, release: str, devices: int) -> Exposure:
    return measure(CONTESTANTS[by], RELEASES[release], devices)


@pytest.mark.parametrize("by", ["ours", "ours-waves"])
def test_a_rollout_stops_an_application_that_crashes_before_it_reaches_everybody(by: str) -> None:
    one = exposure(by, "crash", 25)
    assert one.ended == "halted"
    assert 0 < one.exposed == one.not_working < 25
    assert one.requests > one.exposed
    assert reach([one, one]) == f"{one.exposed} ({one.exposed})"
    assert {line.count("|") for line in tables({(one.by, 25): [[one]]})} == {4, 0}


def test_a_rollout_sees_resets_though_the_version_is_right() -> None:
    one = exposure("ours", "resets", 25)
    assert (one.ended, one.exposed, one.not_working) == ("halted", 1, 1)


def test_a_release_in_the_consoles_way_reaches_everybody() -> None:
    one = exposure("console-at-once", "crash", 5)
    assert (one.exposed, one.not_working) == (5, 5)


def test_a_flaw_on_some_devices_leaves_the_others_working() -> None:
    one = exposure("console-at-once", "some-crash", 60)
    assert one.exposed == 60
    assert 0 < one.not_working < 30


def test_a_play_in_batches_stops_after_its_first_host() -> None:
    try:
        ansible_playbook()
    except AnsibleError as error:
        message = f"THE ANSIBLE PLAY IS NOT TESTED: {error}"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message)
        pytest.skip(message)
    one = exposure("ansible-serial", "crash", 3)
    assert (one.exposed, one.not_working, one.ended) == (1, 1, "hosts failed")
