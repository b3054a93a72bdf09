"""Whatever comes as a word is answered as it is described, and what was said can be told afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.serving.words import WORD_BODIES
from tests.fleet_samples import device_id
from tests.serving.desk import FLEET, Client, serving, settings_in
from tests.serving.test_openapi import check, described

NAMES = st.sampled_from([FLEET, "x", "\x00", "é", "a\nb", "", "n" * 300])
TIMES = st.sampled_from(["2h", "999999w", "0001-01-01", "9999-12-31T23:59:59Z", "2h" * 30, "soon", "٢h"])
WHATEVER = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=20), NAMES, TIMES, st.lists(NAMES, max_size=3)
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "fleets": st.lists(NAMES, max_size=3),
    "fleet": NAMES,
    "force": st.booleans(),
    "reason": st.text(max_size=20),
    "until": TIMES,
    "devices": st.lists(st.sampled_from([device_id(1), device_id(9), "pump-1"]), max_size=2),
    "commit": st.sampled_from(["a" * 40, "b" * 12, "main", ""]),
    "all": st.just(value=True),
}


@st.composite
def words(draw: st.DrawFn) -> tuple[str, Any]:
    verb = draw(st.sampled_from([*WORD_BODIES]))
    keys = draw(st.sets(st.sampled_from(sorted(WORD_BODIES[verb]["properties"])), max_size=4))
    return verb, {
        key: draw(st.one_of(VALUES.get(key, WHATEVER), VALUES.get(key, WHATEVER), WHATEVER)) for key in sorted(keys)
    }


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(settings_in(tmp_path_factory.mktemp("settings"))) as client:
        yield client


@pytest.fixture(scope="module")
def document(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/v1/openapi.json", None).json()
    return found


@settings(max_examples=200, deadline=None)
@given(word=words(), key=st.sampled_from([None, "k1", "k2"]))
def test_whatever_is_said_is_answered_as_described(
    client: Client, document: dict[str, Any], word: tuple[str, Any], key: str | None
) -> None:
    verb, body = word
    said = client.say(verb, body, headers={} if key is None else {"Idempotency-Key": key})
    assert said.status_code in {200, 400, 404, 409, 422}, said.text
    check(document, described(document, "POST", f"/v1/words/{verb}"), said)


def test_what_was_said_can_be_told(client: Client) -> None:
    assert client.get("/v1/history").status_code == 200
