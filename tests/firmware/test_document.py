from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from reconciler.firmware.document import catalog_from_document
from reconciler.firmware.known import known_catalog
from reconciler.model.error import FirmwareError
from reconciler.model.platform import platform_by_name
from reconciler.model.version import DeviceOsVersion

SCHEMA = Path(__file__).parents[2] / "schemas" / "catalog.v1.schema.json"

EXAMPLE: dict[str, Any] = {
    "format_version": "1.0",
    "releases": [
        {
            "device_os": "2.0.0",
            "prerelease": False,
            "platform": "boron",
            "modules": [
                {
                    "function": "bootloader",
                    "index": 0,
                    "version": 1003,
                    "size": 46500,
                    "sha256": "0" * 64,
                    "file": "boron-bootloader@2.0.0.bin",
                    "dependencies": [{"function": "system_part", "index": 1, "version": 1102}],
                },
                {
                    "function": "system_part",
                    "index": 1,
                    "version": 2008,
                    "dependencies": [
                        {"function": "bootloader", "index": 0, "version": 1003},
                        {"function": "radio_stack", "index": 0, "version": 202},
                    ],
                },
            ],
        }
    ],
    "stations": [
        {"platforms": ["electron"], "via": ["cloud"], "device_os": ["0.5.5"], "reason": "because", "source": "notes"}
    ],
}


@cache
def schema() -> Any:
    document = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def changed(*path: str | int, to: Any) -> dict[str, Any]:
    document = copy.deepcopy(EXAMPLE)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    if to is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return document


RELEASE = ("releases", 0)
MODULE = (*RELEASE, "modules", 0)
WRONG_SHAPE = [
    (("releases",), ..., "releases is missing"),
    (("releases",), {}, "releases: {} is no list"),
    (("extra",), 1, "catalog.extra: there is no such field"),
    (RELEASE, 7, r"releases\[0\]: 7 is no object"),
    ((*RELEASE, "device_os"), ..., r"releases\[0\]: device_os is missing"),
    ((*RELEASE, "device_os"), 2.0, r"releases\[0\].device_os: 2.0 is no text"),
    ((*RELEASE, "published"), "yes", r"releases\[0\].published: 'yes' is neither true nor false"),
    ((*MODULE, "function"), "system", r"modules\[0\].function: 'system' is none of bootloader"),
    ((*MODULE, "function"), ["bootloader"], r"modules\[0\].function: \['bootloader'\] is none of"),
    ((*MODULE, "index"), 256, r"modules\[0\].index: 256 is no whole number from 0 to 255"),
    ((*MODULE, "index"), True, r"modules\[0\].index: True is no whole number"),
    ((*MODULE, "version"), 70_000, r"modules\[0\].version: 70000 is no whole number from 0 to 65535"),
    ((*MODULE, "version"), "1003", r"modules\[0\].version: '1003' is no whole number"),
    ((*MODULE, "size"), 0, r"modules\[0\].size: 0 is no whole number from 1"),
    ((*MODULE, "sha256"), "ABC", r"modules\[0\].sha256: 'ABC' is not 64"),
    ((*MODULE, "file"), "", r"modules\[0\].file: '' is no text"),
    ((*MODULE, "dependencies"), ..., r"modules\[0\]: dependencies is missing"),
    ((*MODULE, "dependencies"), EXAMPLE["releases"][0]["modules"][1]["dependencies"] * 2, "at most 2, here are 4"),
    (("stations", 0, "via"), ["air"], r"stations\[0\].via\[0\]: 'air' is none of cloud, usb"),
    (("stations", 0, "platforms"), [], r"stations\[0\].platforms: the list is empty"),
    (("stations", 0, "reason"), "", r"stations\[0\].reason: '' is no text"),
]
WRONG_MEANING = [
    ((*RELEASE, "platform"), "boro", r"releases\[0\].platform: 'boro' is no platform"),
    ((*RELEASE, "platform"), "b", "'b' is no platform; its name is boron"),
    ((*RELEASE, "device_os"), "2.0", r"'2.0' is no Device OS version such as 6.3.4"),
    ((*RELEASE, "prerelease"), True, "2.0.0 is no prerelease"),
    ((*MODULE, "index"), 3, "boron has no bootloader/3"),
    ((*RELEASE, "modules", 1), EXAMPLE["releases"][0]["modules"][0], "bootloader/0 stands here twice"),
]


def test_the_example_of_the_contract_is_read() -> None:
    boron = platform_by_name("boron")
    assert boron is not None
    release = catalog_from_document(EXAMPLE).release(boron, DeviceOsVersion("2.0.0"))
    assert release is not None
    bootloader, system = release.modules
    assert (bootloader.module.version, bootloader.size, bootloader.file) == (1003, 46500, "boron-bootloader@2.0.0.bin")
    assert [str(need) for need in system.module.dependencies] == ["bootloader/0 >= 1003", "radio_stack/0 >= 202"]
    assert release.published


def test_the_known_catalog_survives_writing_and_reading() -> None:
    known = known_catalog()
    read = catalog_from_document(json.loads(json.dumps(known.document())))
    assert read.all_releases == known.all_releases
    assert read.all_stations == known.all_stations
    assert read.digest == known.digest


def test_the_known_catalog_and_the_example_fit_the_schema() -> None:
    schema().validate(EXAMPLE)
    document = known_catalog().document()
    for release in document["releases"][::25]:
        schema().validate({**document, "releases": [release]})


@pytest.mark.parametrize(("path", "to", "words"), WRONG_SHAPE + WRONG_MEANING)
def test_what_is_wrong_is_refused_at_its_place(path: tuple[str | int, ...], to: Any, words: str) -> None:
    with pytest.raises(FirmwareError, match=words) as caught:
        catalog_from_document(changed(*path, to=to))
    assert caught.value.code == "PFR4101"


@pytest.mark.parametrize(("path", "to", "words"), WRONG_SHAPE)
def test_the_schema_refuses_every_wrong_shape_too(path: tuple[str | int, ...], to: Any, words: str) -> None:
    assert not schema().is_valid(changed(*path, to=to)), words


@pytest.mark.parametrize("document", [None, [], "catalog", {}, {"format_version": 1}, {"releases": []}])
def test_what_is_no_catalog_is_refused(document: object) -> None:
    with pytest.raises(FirmwareError) as caught:
        catalog_from_document(document)
    assert caught.value.code == "PFR4100"


def test_a_later_format_is_refused() -> None:
    with pytest.raises(FirmwareError, match=r"format_version is '2.0', and this program reads 1.0"):
        catalog_from_document({**EXAMPLE, "format_version": "2.0"})


def test_a_release_that_stands_there_twice_is_refused() -> None:
    document = copy.deepcopy(EXAMPLE)
    document["releases"] *= 2
    with pytest.raises(FirmwareError, match=r"releases\[1\]: the same platform and device_os as releases\[0\]"):
        catalog_from_document(document)


def test_all_wrong_releases_are_told_at_once() -> None:
    document = copy.deepcopy(EXAMPLE)
    document["releases"] = [1, 2, EXAMPLE["releases"][0], 3]
    with pytest.raises(FirmwareError) as caught:
        catalog_from_document(document)
    assert [f"releases[{index}]" in caught.value.message for index in range(4)] == [True, True, False, True]


EXCEPTIONS: dict[str, Any] = {
    "unreachable": [
        {
            "platforms": ["boron"],
            "from": {"first": "2.0.0", "last": "2.3.1"},
            "to": {"first": "3.0.0"},
            "reason": "because",
            "source": "notes",
        }
    ],
    "lower_bounds": [
        {
            "platforms": ["boron"],
            "function": "bootloader",
            "index": 0,
            "version": 201,
            "reason": "because",
            "source": "notes",
        }
    ],
}


def test_reviewed_exceptions_survive_reading_and_writing() -> None:
    document = {**EXAMPLE, **EXCEPTIONS}
    schema().validate(document)
    read = catalog_from_document(document)
    assert (str(read.unreachable[0].start), str(read.unreachable[0].desired)) == ("2.0.0 to 2.3.1", "3.0.0 and later")
    assert (str(read.lower_bounds[0].slot), read.lower_bounds[0].version) == ("bootloader/0", 201)
    assert {name: read.document()[name] for name in EXCEPTIONS} == EXCEPTIONS


def test_a_catalog_without_exceptions_is_written_as_before() -> None:
    assert not EXCEPTIONS.keys() & catalog_from_document(EXAMPLE).document().keys()


def test_exceptions_of_both_catalogs_hold_when_they_are_merged() -> None:
    known, added = known_catalog(), catalog_from_document({**EXAMPLE, **EXCEPTIONS})
    merged = known.merged_with(added).merged_with(added)
    assert merged.unreachable == (*known.unreachable, *added.unreachable)
    assert merged.lower_bounds == (*known.lower_bounds, *added.lower_bounds)


@pytest.mark.parametrize(
    ("path", "to", "words"),
    [
        (("unreachable", 0, "from"), {}, r"unreachable\[0\].from: first is missing"),
        (("unreachable", 0, "to", "last"), "", r"unreachable\[0\].to.last: '' is no text"),
        (("unreachable", 0, "reason"), ..., r"unreachable\[0\]: reason is missing"),
        (("unreachable", 0, "via"), ["cloud"], r"unreachable\[0\].via: there is no such field"),
        (("lower_bounds", 0, "platforms"), [], r"lower_bounds\[0\].platforms: the list is empty"),
        (("lower_bounds", 0, "version"), 70_000, r"lower_bounds\[0\].version: 70000 is no whole number"),
        (("lower_bounds", 0, "function"), "boot", r"lower_bounds\[0\].function: 'boot' is none of bootloader"),
    ],
)
def test_a_wrong_exception_is_refused_at_its_place_by_reader_and_schema(
    path: tuple[str | int, ...], to: Any, words: str
) -> None:
    document = copy.deepcopy({**EXAMPLE, **EXCEPTIONS})
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    if to is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    assert not schema().is_valid(document)
    with pytest.raises(FirmwareError, match=words):
        catalog_from_document(document)
