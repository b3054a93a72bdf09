"""Whatever is sent to whichever address: an answer, and no crash."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from reconciler.emulator.message import Request
from reconciler.emulator.router import ROUTES

MEMBER, WAITING, OWN = (f"e00fce68000000000000000{number}" for number in (1, 2, 3))
WORLD = f"""
users: [{{username: ann, password: secret, otp: "1"}}]
products:
  - {{id: 200, slug: a, platform: boron, groups: [eu],
     firmware: [{{version: 1, deviceOS: "2.0.1"}}, {{version: 2, deviceOS: "2.0.1"}}]}}
devices:
  - {{id: {MEMBER}, product: a, platform: boron, deviceOS: "2.0.1", application: 1, groups: [eu]}}
  - {{id: {WAITING}, product: a, platform: boron, deviceOS: "2.0.1", quarantined: true}}
  - {{id: {OWN}, platform: photon, deviceOS: "2.3.1"}}
"""
PLACES = {
    "product": ["a", "200", "nothing", "\x00"],
    "device": [MEMBER, WAITING, OWN, "nothing"],
    "org": ["emulated", "nothing"],
    "version": ["1", "2", "latest", "2.0.1", "\u00b2", "9" * 5000],
    "group": ["eu", "nothing"],
}
FIELDS = (
    "name", "notes", "development", "groups", "desired_firmware_version", "flash", "firmware_updates_forced",
    "signal", "app_id", "version", "title", "mandatory", "product_default", "intelligent", "id", "deny", "action",
    "devices", "metadata", "friendly_name", "scopes", "color", "description", "data", "platform_id",
    "build_target_version", "latest", "grant_type", "username", "password", "client_id", "expires_in", "expires_at",
    "product_id", "page", "per_page", "sortAttr", "sortDir", "quarantined", "start_date", "end_date",
    "firmware_version", "featured", "internal_version",
)  # fmt: skip
VALUES = (
    None, True, 0, 1, 2, 13, -1, 2.5, 10**30, "", "x", "1", "true", "\x00", "9" * 5000, "2.0.1", "2026-11-22", "tinker",
    "password", "groups", "eu", "edit_groups_for_firmware", [], ["eu"], [1], [[1]], ["devices:list"], [MEMBER], {},
    {"add": ["eu"], "remove": 5},
)  # fmt: skip
FILES = (b"", b"x", b"\xff", b"PK\x03\x04", b"#error", b"PRODUCT_VERSION(99999)", b"PRODUCT_VERSION(7)")
MULTIPART = "multipart/form-data; boundary=B"


def any_request(dice: random.Random, route: Any) -> Request:
    def place(match: re.Match[str]) -> str:
        return quote(dice.choice(PLACES.get(match[1], ["x", "a/b", "1" * 40])), safe="")

    path = re.sub(r"\(\?P<(\w+)>[^)]*\)", place, route.pattern.pattern).replace("\\", "")
    fields = {name: dice.choice(VALUES) for name in dice.sample(FIELDS, dice.randrange(6))}
    texts = {name: str(value) for name, value in fields.items()}
    kind, body = dice.choice(
        [
            ("application/json", json.dumps(fields).encode()),
            ("application/x-www-form-urlencoded", urlencode(texts).encode()),
            (MULTIPART, form(dice, texts)),
            (dice.choice(["application/json", "text/plain", MULTIPART]), dice.choice([b"{", b"[]", b"\xff", b"5"])),
        ]
    )
    headers = {"content-type": kind, "authorization": dice.choice(["Basic ///", *["Bearer " + "1" * 40] * 9])}
    return Request(method=route.method, path=path, query=texts, headers=headers, body=body)


def form(dice: random.Random, texts: dict[str, str]) -> bytes:
    body = "".join(f'--B\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in texts.items())
    name = dice.choice(["a.bin", "a.ino", ""])
    head = f'--B\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return (body + head).encode() + dice.choice(FILES) + b"\r\n--B--\r\n"


@pytest.mark.parametrize("seed", range(8))
def test_every_request_has_an_answer(make_bench: Callable[..., Any], seed: int) -> None:
    dice = random.Random(seed)
    bench = make_bench(WORLD)
    # Without a token most of what follows would never get past the door.
    routes = [route for route in ROUTES if "revoke" not in route.handler.__name__]
    statuses = set()
    for route in dice.choices(routes, k=1500):
        answer = bench.cloud.handle(any_request(dice, route), bench.now)
        statuses.add(answer.status)
        bench.advance(dice.choice([0, 0, 1, 600]))
    assert {200, 400, 401, 404} <= statuses
    assert max(statuses) < 500
