"""The USB ids against the facts' own file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.usb_ids import USB_IDS, ids_in_dfu_mode, ids_in_normal_mode, ids_of

FACTS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "facts" / "platforms.json").read_text(encoding="utf-8")
)["platforms"]
ON_USB = [facts for facts in FACTS if int((facts["usb"] or {}).get("vendorId", "0"), 16)]


def test_every_platform_that_has_usb_has_ids() -> None:
    assert {ids.platform.id for ids in USB_IDS} == {facts["id"] for facts in ON_USB}


@pytest.mark.parametrize("facts", ON_USB, ids=lambda facts: facts["name"])
def test_ids_and_quirks_are_as_the_facts_have_them(facts: dict[str, Any]) -> None:
    vendor, product = int(facts["usb"]["vendorId"], 16), int(facts["usb"]["productId"], 16)
    ids = ids_in_normal_mode(vendor, product)
    assert ids is not None
    assert ids.platform.id == facts["id"]
    quirks = facts["usb"].get("quirks", {})
    assert ids.out_needs_data == quirks.get("controlOutTransfersRequireDataStage", False)
    # The Core knows no control requests either: the vendor's client names them for generation 2 and later.
    assert ids.control_requests == (not quirks.get("controlRequestsNotSupported", facts["generation"] == 1))
    dfu = int(facts["dfu"]["productId"], 16) or None
    assert ids.dfu_product_id == dfu
    assert (ids_in_dfu_mode(vendor, dfu) if dfu else ids) is ids


def test_no_two_platforms_share_an_id() -> None:
    numbers = [(ids.vendor_id, number) for ids in USB_IDS for number in (ids.product_id, ids.dfu_product_id) if number]
    assert len(numbers) == len(set(numbers))


def test_a_stranger_has_no_row() -> None:
    assert ids_in_normal_mode(0x2B04, 0xD00D) is None
    assert ids_in_dfu_mode(0x2B04, 0xC00D) is None
    assert ids_in_dfu_mode(0x2B04, 0) is None


def test_a_platform_without_usb_has_no_ids() -> None:
    assert [facts["name"] for facts in FACTS if facts not in ON_USB] == [
        "gcc",
        "esp32",
        "raspi",
        "linux",
        "oak",
        "duo",
        "bluz",
    ]
    assert ids_of(USB_IDS[1].platform) is USB_IDS[1]
