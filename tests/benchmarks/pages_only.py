"""The yardstick of `observe`: a process that reads the pages of one product, decodes them with msgspec, and no more."""

from __future__ import annotations

import sys

import msgspec
import requests

from tests.benchmarks.decode_only import Device


class Meta(msgspec.Struct):
    """How many pages there are."""

    total_pages: int


class Page(msgspec.Struct):
    """One page."""

    devices: list[Device]
    meta: Meta


if __name__ == "__main__":
    devices, number, pages = 0, 1, 1
    with requests.Session() as session:
        while number <= pages:
            answer = session.get(
                f"{sys.argv[1]}/v1/products/big/devices", params={"page": number, "perPage": 100}, timeout=60
            )
            page = msgspec.json.decode(answer.content, type=Page)
            devices += len(page.devices)
            number, pages = number + 1, page.meta.total_pages
    sys.stdout.write(f"{devices}\n")
