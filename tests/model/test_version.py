from __future__ import annotations

import csv
import itertools
import pickle
from pathlib import Path

import pytest

from reconciler.model import version as version_module
from reconciler.model.version import (
    DeviceOsVersion,
    UnorderableVersionsError,
    is_known_version,
    published_versions,
)

CSV = Path(version_module.__file__).with_name("device_os_versions.csv")
TABLE = list(csv.DictReader(CSV.read_text(encoding="utf-8").splitlines()))


def order(one: DeviceOsVersion, other: DeviceOsVersion) -> str:
    """`<`, `>` or `?`; asserts that every operator tells the same."""
    try:
        before = one < other
    except UnorderableVersionsError:
        for compare in (lambda: one > other, lambda: one <= other, lambda: other < one, lambda: other >= one):
            with pytest.raises(UnorderableVersionsError):
                compare()
        return "?"
    assert (one > other, one <= other, one >= other) == (not before, before, not before)
    assert (other < one) is not before
    return "<" if before else ">"


def test_every_row_of_the_table_has_its_number_and_kind() -> None:
    assert len(TABLE) == len(published_versions()) == 228
    for row in TABLE:
        version = DeviceOsVersion(row["version"])
        assert version.module_number == int(row["module_version"])
        assert version.prerelease == (row["prerelease"] == "true")
        assert is_known_version(version)


def test_the_whole_table_is_ordered_by_the_numbers_that_devices_compare() -> None:
    for one, other in itertools.combinations(TABLE, 2):
        numbers = int(one["module_version"]), int(other["module_version"])
        if numbers[0] != numbers[1]:
            expected = "<" if numbers[0] < numbers[1] else ">"
            assert order(DeviceOsVersion(one["version"]), DeviceOsVersion(other["version"])) == expected, (one, other)


def test_of_versions_with_one_number_the_prerelease_comes_first() -> None:
    pairs = 0
    for one, other in itertools.permutations(TABLE, 2):
        if one["module_version"] == other["module_version"] and (one["prerelease"], other["prerelease"]) == (
            "true",
            "false",
        ):
            assert order(DeviceOsVersion(one["version"]), DeviceOsVersion(other["version"])) == "<"
            pairs += 1
    assert pairs >= 2


def test_prereleases_with_one_number_are_ordered_only_where_their_spelling_is_plain() -> None:
    assert order(DeviceOsVersion("0.4.4-rc.1"), DeviceOsVersion("0.4.4-rc.6")) == "<"
    assert order(DeviceOsVersion("0.8.0-rc.13"), DeviceOsVersion("0.8.0-rc.14")) == "<"
    assert order(DeviceOsVersion("1.2.0-beta.1"), DeviceOsVersion("1.2.0-test.1")) == "?"
    assert order(DeviceOsVersion("1.2.0-test.1"), DeviceOsVersion("1.2.0-test.2")) == "?"


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("0.9.0", "1.0.0"),
        ("2.3.1", "3.0.0"),
        ("4.2.0", "5.0.0"),
        ("5.9.0", "6.0.0"),
        ("1.5.1", "1.5.2"),
        ("6.3.4", "6.3.5"),
        ("6.4.1", "6.5.0"),
        ("5.6.0-rc.1", "5.6.0"),
        ("0.4.6", "0.4.7"),
        ("1.9.9", "1.10.0"),
        ("7.0.0-alpha.1", "7.0.0-beta.1"),
        ("7.0.0-rc.2", "7.0.0-rc.10"),
        ("7.0.0-rc.10", "7.0.0"),
        ("6.5.0", "6.5.1"),
    ],
)
def test_versions_that_people_know_are_in_the_order_they_know(earlier: str, later: str) -> None:
    assert order(DeviceOsVersion(earlier), DeviceOsVersion(later)) == "<"


@pytest.mark.parametrize(
    "text",
    [
        "3.0.0-b003",
        "6.x",
        "latest",
        "",
        "6.3",
        "6.3.4.5",
        "v6.3.4",
        "06.3.4",
        "6.3.4+debug",
        "6.3.4-tracker.9",
        "6.3.4 ",
    ],
)
def test_a_spelling_that_no_source_orders_is_refused(text: str) -> None:
    version = DeviceOsVersion(text)
    assert not is_known_version(version)
    assert version.prerelease
    assert order(version, DeviceOsVersion("6.3.4")) == "?"


def test_equal_text_is_the_same_object() -> None:
    assert DeviceOsVersion("6.3.4") is DeviceOsVersion(str(b"6.3.4", "ascii"))
    assert pickle.loads(pickle.dumps(DeviceOsVersion("6.3.4"))) is DeviceOsVersion("6.3.4")


@pytest.mark.parametrize("text", ["6.3.4", "nonsense"])
def test_a_version_is_neither_before_nor_after_itself(text: str) -> None:
    version, same = DeviceOsVersion(text), DeviceOsVersion(text)
    assert (version < same, version > same, version <= same, version >= same) == (False, False, True, True)


def test_a_version_is_kept_as_it_was_written() -> None:
    assert str(DeviceOsVersion("5.6.0-rc.1")) == "5.6.0-rc.1"
