"""Every request that left to change something is noted, as it went and as it was answered."""

from __future__ import annotations

import threading

import pytest

from reconciler.model.external_write import ExternalWrite
from reconciler.model.instant import instant_from_iso
from reconciler.particle.error import MayHaveArrivedError, NotSentError, RefusedError
from tests.particle.pretend import TOKEN, Answer, TestClock, new_wire, pretend_cloud, unused_port

DATED = {"Date": "Sun, 22 Nov 2026 09:00:00 GMT"}


def test_a_write_is_noted_with_its_answer_and_a_read_is_not() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=b"[]"), Answer(headers=DATED, body=b'{"ok": true}')]
        with api.wire.noting_writes() as writes:
            api.own_devices()
            api.wire.write("PUT", "/v1/devices/x", json={})
    at = instant_from_iso("2026-11-22T09:00:00Z")
    assert writes == [ExternalWrite(at=at, method="PUT", path="/v1/devices/x", status=200, answer='{"ok": true}')]


def test_a_refusal_is_noted() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(status=404, body=b'{"error": "not connected"}')]
        with api.wire.noting_writes() as writes, pytest.raises(RefusedError):
            api.wire.write("PUT", "/v1/devices/x", json={})
    assert [(each.status, each.answer) for each in writes] == [(404, "not connected")]


def test_what_was_never_answered_is_noted_without_a_status() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(reset=True)]
        with api.wire.noting_writes() as writes, pytest.raises(MayHaveArrivedError):
            api.wire.write("PUT", "/v1/devices/x", json={})
    assert [(each.at, each.status) for each in writes] == [(None, None)]


def test_what_never_left_is_not_noted() -> None:
    wire = new_wire(f"http://127.0.0.1:{unused_port()}", TestClock())
    with wire.noting_writes() as writes, pytest.raises(NotSentError):
        wire.write("PUT", "/v1/devices/x", json={})
    assert writes == []


def test_no_token_is_noted_when_the_answer_sends_it_back() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=f'{{"ok": true, "message": "hello {TOKEN}"}}'.encode())]
        with api.wire.noting_writes() as writes:
            api.wire.write("PUT", "/v1/devices/x", json={})
    assert "hello" in writes[0].answer
    assert TOKEN not in writes[0].answer


def test_each_thread_notes_its_own() -> None:
    with pretend_cloud() as (server, api, _):
        server.answers = [Answer(body=b'{"ok": true}'), Answer(body=b'{"ok": true}')]
        with api.wire.noting_writes() as writes:
            other = threading.Thread(target=lambda: api.wire.write("PUT", "/v1/devices/other", json={}))
            other.start()
            other.join()
            api.wire.write("PUT", "/v1/devices/mine", json={})
    assert [each.path for each in writes] == ["/v1/devices/mine"]
