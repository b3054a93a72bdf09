from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.firmware.known import known_catalog
from reconciler.planning.adoption import adopt
from reconciler.render.manifest_text import adoption_files, adoption_text, quoted
from tests.fleet_samples import device, observation

WORLD = observation(
    *(device(number, device_os="6.3.4", groups=("yes",)) for number in range(1, 4)),
    device(4, device_os="2.0.1", groups=("yes",), name="pump\x1b[2J\n# evil: [", development=True),
)


@given(st.text(max_size=20))
def test_a_quoted_text_means_exactly_this_text(text: str) -> None:
    assert yaml.safe_load(f"- {quoted(text)}  # comment") == [text]


@pytest.mark.parametrize("word", ["eu", "cold-chain", "a.b", "x_1"])
def test_a_text_that_can_mean_nothing_else_is_plain(word: str) -> None:
    assert quoted(word) == word


def test_a_manifest_names_its_schema_which_lies_beside_it_and_says_what_was_observed_when() -> None:
    files = adoption_files(adopt(WORLD, "cold-chain", known_catalog()))
    for path, text in files.items():
        if path.endswith(".yaml"):
            first, second, *_ = text.splitlines()
            schema = first.removeprefix("# yaml-language-server: $schema=")
            assert schema != first
            assert schema in files
            assert "Observed 2026-11-22T09:00:00Z" in second


def test_a_manifest_reads_as_a_person_would_have_written_it() -> None:
    assert (
        adoption_files(adopt(WORLD, "12345", known_catalog()))["cold-chain-yes.yaml"]
        == """\
# yaml-language-server: $schema=schemas/devicefleet.v1alpha1.schema.json
# 3 devices of the product 12345 in the group yes, as they are. Observed 2026-11-22T09:00:00Z, \
written by `reconciler adopt`.
# Devices of the product 12345 that are in no fleet, and why: cold-chain-left-out.txt
apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata:
  name: cold-chain-yes
spec:
  product: 12345
  select:
    groups: ["yes"]
    exclude:
      devices:
        - "e00fce680000000000000004"  # pump\ufffd[2J\ufffd# evil: [, boron, Device OS 2.0.1, application 12: \
is marked as development: no rollout is to touch it
  desired:
    deviceOS: "6.3.4"
    application: {release: cold-chain-app, version: 12}
  rollout:  # careful on purpose: loosen it when the first rollout went well
    maxConcurrent: 5  # devices under way at once
    maxFailures: 1  # so many failed devices halt the fleet
    stepDeadline: 30m  # how long one step may take on a device that is online
"""
    )


def test_a_roster_says_of_every_device_what_it_is_and_why_it_is_left_out() -> None:
    world = observation(
        *(device(number, device_os="6.3.4") for number in range(1, 31)),
        *(device(number, device_os="6.3.4", quarantined=True) for number in range(31, 44)),
    )
    files = adoption_files(adopt(world, "cold-chain", known_catalog()))
    lines = files["rosters/cold-chain-eu-except.txt"].splitlines()
    assert len(lines) == 15
    assert lines[2].startswith("e00fce68000000000000001f  # eu-31, boron, Device OS 6.3.4, application 12: is quarant")
    assert "roster: rosters/cold-chain-eu-except.txt  # 13 devices" in files["cold-chain-eu.yaml"]
    left_out = files["cold-chain-left-out.txt"].splitlines()
    assert all(line.startswith("#") for line in left_out)
    assert sum("e00fce68" in line for line in left_out) == 13


def test_the_summary_says_who_is_in_which_fleet_and_who_in_none() -> None:
    text = adoption_text(adopt(WORLD, "cold-chain", known_catalog()), width=100)
    assert (
        text
        == """\
3 devices of 4 of the product cold-chain in 1 fleet, as observed 2026-11-22T09:00:00Z
  cold-chain-yes  3  Device OS 6.3.4, application 12  group yes, without 1 device

In no fleet: 1 device, see cold-chain-left-out.txt
  1 is marked as development: no rollout is to touch it
      e00fce680000000000000004
"""
    )
