"""The emulator on a real port, asked by a real client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

import pytest
import requests

from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import WorldError, load_world

ONE = "e00fce680000000000000001"
PATH = f"/v1/products/12345/devices/{ONE}"
HEADERS = {"Authorization": "Bearer " + "1" * 40}
WORLD = """
start: "2026-11-22T09:00:00Z"
products:
  - {id: 12345, slug: cold-chain, platform: boron, groups: [eu], firmware: [{version: 1, deviceOS: "1.5.2"}]}
devices:
  - {id: e00fce680000000000000001, product: cold-chain, platform: boron, deviceOS: "2.0.1", application: 1,
     groups: [eu]}
  - {count: 40, product: cold-chain, platform: boron, deviceOS: "2.0.1", application: 1, groups: [eu]}
"""


@pytest.fixture
def server() -> Iterator[EmulatorServer]:
    """A server whose virtual time stands still unless a test moves it."""
    with EmulatorServer(load_world(WORLD), speed=0.0) as server:
        yield server


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.headers.update(HEADERS)
        session.trust_env = False
        yield session


def test_a_device_is_brought_a_module_over_http(
    server: EmulatorServer, session: requests.Session, module_binary: Callable[..., bytes]
) -> None:
    page = session.get(server.url + "/v1/products/cold-chain/devices", timeout=5).json()
    assert page["meta"]["total_pages"] == 2
    binary = module_binary("boron", "6.3.4", "bootloader/0")
    reply = session.put(server.url + PATH, files={"file": ("b.bin", binary)}, data={"file_type": "binary"}, timeout=5)
    assert reply.json() == {"id": ONE, "status": "Update started"}
    session.post(server.url + "/_emulator/clock", json={"advance_seconds": 300}, timeout=5)
    (device,) = session.get(server.url + "/_emulator/devices", params={"id": ONE}, timeout=5).json()
    assert (device["modules"]["bootloader/0"], device["bytes_received"]) == (3200, len(binary))
    assert session.get(server.url + "/_emulator/referee", timeout=5).json() == []


def test_a_module_of_the_catalogue_is_fetched_where_the_catalogue_says(
    server: EmulatorServer, session: requests.Session, module_binary: Callable[..., bytes]
) -> None:
    release = session.get(server.url + "/v1/device-os/versions/6.3.4?platform_id=13", timeout=5).json()
    name = next(m["filename"] for m in release["modules"] if m["prefixInfo"]["moduleFunction"] == "system_part")
    served = requests.get(f"{release['base_url']}/{name}", timeout=5).content
    assert served == module_binary("boron", "6.3.4", "system_part/1")


def test_the_event_stream_opens_with_ok_and_brings_events_as_they_happen(
    server: EmulatorServer, session: requests.Session
) -> None:
    with session.get(server.url + "/v1/products/12345/events/spark", stream=True, timeout=5) as stream:
        lines = stream.iter_lines()
        assert next(lines) == b":ok"
        session.post(server.url + "/_emulator/devices", json={"id": ONE, "online": False}, timeout=5)
        assert next(line for line in lines if line) == b"event: spark/status"
        assert next(lines).startswith(b'data: {"data":"offline","ttl":60,"published_at":"2026-11-22T09:00:00Z"')


def test_a_client_that_leaves_is_forgotten(server: EmulatorServer, session: requests.Session) -> None:
    with session.get(server.url + "/v1/products/12345/events", stream=True, timeout=5) as stream:
        lines = stream.iter_lines()
        assert next(lines) == b":ok"
        assert server.cloud.state.hub.listener_count == 1
    deadline = time.monotonic() + 5
    while server.cloud.state.hub.listener_count and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.cloud.state.hub.listener_count == 0


def test_a_broken_connection_is_one(server: EmulatorServer, session: requests.Session) -> None:
    outcomes = set()
    session.post(server.url + "/_emulator/faults", json={"fault": "lost-answer"}, timeout=5)
    for _ in range(12):
        try:
            outcomes.add(session.get(server.url + PATH, timeout=5).status_code)
        except requests.ConnectionError:
            outcomes.add("broken")
        except requests.exceptions.ChunkedEncodingError:
            outcomes.add("broken")
    assert outcomes == {502, "broken"}


def test_silence_lasts_until_the_client_gives_up(server: EmulatorServer, session: requests.Session) -> None:
    session.post(server.url + "/_emulator/faults", json={"fault": "silence"}, timeout=5)
    with pytest.raises(requests.ReadTimeout):
        session.get(server.url + PATH, timeout=(5, 0.2))


def test_it_stops_in_no_time_though_a_stream_and_a_silence_are_open(session: requests.Session) -> None:
    with EmulatorServer(load_world(WORLD), speed=0.0) as server:
        stream = session.get(server.url + "/v1/products/12345/events", stream=True, timeout=5)
        lines = stream.iter_lines()
        assert next(lines) == b":ok"
        session.post(server.url + "/_emulator/faults", json={"fault": "silence"}, timeout=5)

        def ask() -> None:
            with pytest.raises(requests.RequestException):
                requests.get(server.url + PATH, headers=HEADERS, timeout=20)

        asking = threading.Thread(target=ask)
        asking.start()
        while len(server.cloud.requests) < 2:
            time.sleep(0.01)
        begun = time.monotonic()
    assert time.monotonic() - begun < 3
    asking.join(timeout=5)
    assert not asking.is_alive()
    stream.close()


def test_many_clients_at_once_get_their_own_answers(server: EmulatorServer) -> None:
    ids = list(server.cloud.state.devices)

    def ask(device: str) -> str:
        reply = requests.get(f"{server.url}/v1/products/12345/devices/{device}", headers=HEADERS, timeout=10)
        return str(reply.json()["id"])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, ids)) == ids


def test_virtual_time_passes_at_the_speed_and_is_in_the_date(session: requests.Session) -> None:
    with EmulatorServer(load_world(WORLD), speed=0.0) as server:
        assert session.get(server.url + PATH, timeout=5).headers["Date"] == "Sun, 22 Nov 2026 09:00:00 GMT"
        server.advance(3600)
        assert session.get(server.url + PATH, timeout=5).headers["Date"] == "Sun, 22 Nov 2026 10:00:00 GMT"
        before = server.now()
        session.post(server.url + "/_emulator/clock", json={"speed": 100_000}, timeout=5)
        assert server.now() > before


def test_another_thread_sees_the_world_whole(server: EmulatorServer) -> None:
    server.advance(60)
    with server.locked() as cloud:
        assert cloud.state.devices[ONE].online
        assert cloud.violations() == ()


def test_a_body_that_is_too_large_is_refused(server: EmulatorServer, session: requests.Session) -> None:
    reply = session.put(server.url + PATH, data=b"x" * (9 * 1024 * 1024), timeout=10)
    assert reply.status_code == 413


def test_a_port_that_is_taken_is_named(server: EmulatorServer) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    with pytest.raises(WorldError) as caught:
        EmulatorServer(load_world(WORLD), port=port)
    assert caught.value.code == "PFR6205"
    assert str(port) in caught.value.message


def test_a_file_of_the_world_that_is_missing_is_named() -> None:
    text = WORLD.replace('{version: 1, deviceOS: "1.5.2"}', '{version: 1, deviceOS: "1.5.2", file: logger.bin}')
    with pytest.raises(WorldError) as caught:
        EmulatorServer(load_world(text))
    assert caught.value.code == "PFR6204"
    assert "logger.bin" in caught.value.message


def test_a_wrong_clock_shows_in_the_date_of_an_answer(server: EmulatorServer, session: requests.Session) -> None:
    def date() -> float:
        return parsedate_to_datetime(session.get(server.url + PATH, timeout=5).headers["Date"]).timestamp()

    right = date()
    fault = {"fault": "clock-skew", "device": "*"}
    assert session.post(server.url + "/_emulator/faults", json=fault, timeout=5).status_code == 200
    wrong = date()
    assert 300 <= abs(wrong - right) <= 1800
    session.post(server.url + "/_emulator/faults", json={**fault, "rate": 0}, timeout=5)
    assert date() == right


def test_what_people_did_is_asked_at_the_control_door(server: EmulatorServer, session: requests.Session) -> None:
    session.post(server.url + "/_emulator/faults", json={"fault": "person-changes-lock", "count": 1}, timeout=5)
    session.get(server.url + PATH, timeout=5)
    (act,) = session.get(server.url + "/_emulator/acts", timeout=5).json()
    assert (act["device"], act["words"]) == (ONE, "locked it to 1")
    assert session.get(server.url + PATH, timeout=5).json()["desired_firmware_version"] == 1
