"""The platform table against the facts' own file."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.module import ModuleFunction, ModuleSlot
from reconciler.model.platform import PLATFORMS, Platform, platform_by_id, platform_by_name

FACTS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "facts" / "platforms.json").read_text(encoding="utf-8")
)["platforms"]


def layout_of(facts: dict[str, Any]) -> dict[ModuleSlot, dict[str, Any]]:
    """The facts' layout by slot; a slot that moved has several rows."""
    found: dict[ModuleSlot, dict[str, Any]] = defaultdict(lambda: {"starts": [], "size_max": 0})
    for row in facts["flash_layout"]:
        bounds = found[ModuleSlot(ModuleFunction.from_label(row["module"]), row["index"])]
        if "address" in row:
            bounds["starts"].append(int(row["address"], 16))
        bounds["size_max"] = max(bounds["size_max"], row.get("max_size", 0))
        bounds["prefix_offset"] = int(row["prefix_offset"], 16)
        bounds["encrypted"] = row.get("encrypted", False)
        # The facts give the first address behind the region; the module's own end address is that of its CRC.
        bounds["end"] = int(row["end_address"], 16) - 4 if "end_address" in row else None
    return dict(found)


def test_the_platforms_are_those_of_the_facts() -> None:
    assert [platform.id for platform in PLATFORMS] == [facts["id"] for facts in FACTS]


@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: facts["name"])
def test_a_platform_is_as_the_facts_have_it(facts: dict[str, Any]) -> None:
    platform = platform_by_id(facts["id"])
    assert platform is not None
    assert (platform.name, platform.display_name) == (facts["name"], facts["display_name"])
    assert (platform.generation, platform.mcu) == (facts["generation"], facts["mcu"])
    assert platform.connectivity == facts["billing_connectivity"]
    assert list(platform.aliases) == [alias for alias in facts["aliases"] if alias != facts["name"]]


@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: facts["name"])
def test_a_layout_is_as_the_facts_have_it(facts: dict[str, Any]) -> None:
    platform = platform_by_id(facts["id"])
    assert platform is not None
    expected = layout_of(facts)
    assert set(platform.bounds) == set(expected)
    for slot, bounds in platform.bounds.items():
        assert list(bounds.start_addresses) == expected[slot]["starts"]
        assert bounds.size_max == expected[slot]["size_max"]
        assert bounds.prefix_offset == expected[slot]["prefix_offset"]
        assert bounds.encrypted == expected[slot]["encrypted"]
        assert bounds.end_address == expected[slot]["end"]


def test_every_name_and_alias_finds_its_platform_and_none_is_used_twice() -> None:
    names = [name for platform in PLATFORMS for name in (platform.name, *platform.aliases)]
    assert len(names) == len(set(names))
    for platform in PLATFORMS:
        assert all(platform_by_name(name) is platform for name in (platform.name, *platform.aliases))
        assert platform_by_id(platform.id) is platform


@pytest.mark.parametrize("name", ["", "Boron", "photon3", "boron "])
def test_an_unknown_name_finds_nothing(name: str) -> None:
    assert platform_by_name(name) is None


def test_an_unknown_id_finds_nothing() -> None:
    assert platform_by_id(200) is None


@pytest.mark.parametrize(
    ("name", "parts"), [("photon", [1, 2]), ("electron", [1, 2, 3]), ("boron", [1]), ("p2", [1]), ("core", [])]
)
def test_system_parts_are_those_that_make_up_the_device_os(name: str, parts: list[int]) -> None:
    platform = platform_by_name(name)
    assert isinstance(platform, Platform)
    assert [slot.index for slot in platform.system_parts] == parts
