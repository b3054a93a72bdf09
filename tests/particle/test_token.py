"""A token that does not show itself, in no object that holds it and in no text that repeats it."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.cli.options import CloudAccess
from reconciler.model.fleet import FleetSet
from reconciler.particle.connect import connect_api
from reconciler.particle.stream import EventStream
from reconciler.particle.token import AccessToken, without_tokens
from reconciler.wiring import CloudConnection, CloudSettings
from tests.simulation.secrecy import shows

TOKEN = "d41c7e0a95b2f8836ec1d07fa4592be8316fc0ad"


def holders() -> dict[str, Any]:
    token = AccessToken(TOKEN)
    api = connect_api("http://127.0.0.1:1", token)
    settings = CloudSettings(api_url="http://127.0.0.1:1", token=token)
    stream = EventStream(
        api_url="http://127.0.0.1:1",
        token=token,
        product=None,
        on_event=print,
        clock=time.monotonic,
        dice=random.Random(1),
    )
    return {
        "token": token,
        "access": CloudAccess(api_url="http://127.0.0.1:1", token=token),
        "settings": settings,
        "api": api,
        "wire": api.wire,
        "session": api.wire._session,
        "stream": stream,
        "connection": CloudConnection(settings, FleetSet(fleets=())),
    }


HOLDERS = holders()


@pytest.mark.parametrize("name", HOLDERS)
def test_no_object_shows_the_token_it_holds(name: str) -> None:
    holder = HOLDERS[name]
    told = [repr(holder), str(holder), f"{holder}", f"{holder!r:>9}"]
    told += [repr(value) for value in getattr(holder, "__dict__", {}).values()]
    told.append(json.dumps(holder, default=repr))
    assert [text for text in told if shows(text, TOKEN)] == []


@pytest.mark.parametrize("name", HOLDERS)
@pytest.mark.parametrize("way", [pickle.dumps, copy.deepcopy, dataclasses.asdict, dataclasses.astuple])
def test_no_object_lets_the_token_be_copied_out_of_the_process(name: str, way: Callable[[Any], object]) -> None:
    try:
        copied = way(HOLDERS[name])
    except TypeError:
        return
    assert not shows(repr(copied), TOKEN)
    assert name == "session", "all others hold the token"


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"Bearer {TOKEN}!",
        f"{TOKEN[:20]}\n{TOKEN[20:]}",
        f"{TOKEN}{TOKEN}",
        f"…{TOKEN[5:]}",
        TOKEN[:12],
    ],
)
def test_tokens_are_taken_out_of_a_text_whole_and_in_part(text: str) -> None:
    token = AccessToken(TOKEN)
    assert not shows(token.redacted(text), TOKEN)
    assert without_tokens(f"a {text} b").startswith("a ")
    assert not shows(without_tokens(text), TOKEN)


def test_a_text_without_a_token_stays_as_it_is() -> None:
    token = AccessToken(TOKEN)
    for text in ("", "nothing here", TOKEN[:11], "é" * 100):
        assert token.redacted(text) == text
    assert AccessToken("short").redacted("a short one") == "a [access token] one"
