from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.fleet import (
    ApplicationBinary,
    DesiredApplication,
    Place,
    Share,
)
from reconciler.model.version import ApplicationVersion


@pytest.mark.parametrize(
    ("share", "whole", "devices"),
    [
        (Share(5), 100, 5),
        (Share(5), 3, 3),
        (Share(0), 100, 0),
        (Share(10, percent=True), 1000, 100),
        (Share(2, percent=True), 149, 2),
        (Share(2, percent=True), 10, 1),
        (Share(0.1, percent=True), 10, 1),
        (Share(0, percent=True), 1000, 0),
        (Share(100, percent=True), 7, 7),
        (Share(150, percent=True), 7, 7),
        (Share(33, percent=True), 3, 1),
        (Share(10, percent=True), 0, 0),
    ],
)
def test_a_share_is_a_number_of_devices(share: Share, whole: int, devices: int) -> None:
    assert share.of(whole) == devices


@given(st.floats(0, 200), st.booleans(), st.integers(0, 1_000_000))
def test_a_share_is_never_more_than_there_is_and_never_negative(value: float, percent: bool, whole: int) -> None:
    assert 0 <= Share(value, percent=percent).of(whole) <= whole


@given(st.floats(0.001, 100), st.integers(1, 1_000_000))
def test_a_percentage_above_zero_is_at_least_one_device(value: float, whole: int) -> None:
    assert Share(value, percent=True).of(whole) >= 1


@given(st.floats(0, 100), st.integers(0, 100_000), st.integers(0, 100_000))
def test_a_share_of_more_devices_is_not_fewer(value: float, fewer: int, more: int) -> None:
    fewer, more = sorted((fewer, more))
    assert Share(value, percent=True).of(fewer) <= Share(value, percent=True).of(more)


@pytest.mark.parametrize(
    ("share", "text"), [(Share(5), "5"), (Share(10, percent=True), "10%"), (Share(0.5, percent=True), "0.5%")]
)
def test_a_share_reads_as_it_is_written_in_a_manifest(share: Share, text: str) -> None:
    assert str(share) == text


def test_a_place_reads_as_editors_understand_it() -> None:
    assert str(Place("fleets/eu.yaml", 7, 13)) == "fleets/eu.yaml:7:13"


def test_the_binary_of_an_application_is_found_by_platform() -> None:
    boron = ApplicationBinary(platform="boron", file="logger-44.bin")
    application = DesiredApplication(release="logger", version=ApplicationVersion(44), binaries=(boron,))
    assert application.binary_for("boron") is boron
    assert application.binary_for("argon") is None
