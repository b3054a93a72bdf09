"""What a person with gloves on sees and hears at the bench."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from reconciler.cli.usb.showing import Lines, Room, SerialLogs, Sound, completed, fitting_table, seat_document, table_of
from reconciler.cli.usb.working import outcome
from reconciler.controller.seat import Seat, SeatState
from reconciler.model.device import DeviceId
from reconciler.particle.usb import Phase, UsbPort

SEAT = Seat(
    port=UsbPort("1-2.4"),
    device_id=DeviceId("e00fce680000000000000001"),
    platform="Boron",
    state=SeatState.WORKING,
    name="pump",
    fleet="eu",
    what="system part 1 of 6.3.4",
    steps_done=1,
    steps=2,
    share=0.4,
    phase=Phase.SENDING,
)
DONE = replace(SEAT, state=SeatState.DONE, steps_done=2, message="verified: Device OS 6.3.4")


def drawn(*seats: Seat) -> str:
    screen = io.StringIO()
    Console(file=screen, width=140, no_color=True).print(table_of(seats))
    return screen.getvalue()


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (SeatState.DONE, "UNPLUG ME"),
        (SeatState.GONE, "PLUG IN AGAIN"),
        (SeatState.TROUBLE, "LOOK HERE"),
        (SeatState.STRANGER, "NOT OURS"),
    ],
)
def test_every_state_is_a_word_in_capitals_that_says_what_to_do(state: SeatState, word: str) -> None:
    assert word in drawn(replace(SEAT, state=state))


@pytest.mark.parametrize("width", [80, 90, 110, 160])
@pytest.mark.parametrize("count", [1, 4, 7, 10, 20])
def test_every_device_has_its_word_on_the_screen_however_many_there_are(count: int, width: int) -> None:
    """Whoever is cut off at the lower edge would never be unplugged."""
    seats = [replace(DONE, port=UsbPort(f"1-{number}")) for number in range(1, count + 1)]
    screen = io.StringIO()
    console = Console(file=screen, width=width, height=24, no_color=True)
    console.print(fitting_table(seats, console))
    lines = screen.getvalue().splitlines()
    assert len(lines) <= 24
    assert sum("UNPLUG ME" in line for line in lines) == count


@pytest.mark.parametrize("room", [Room.LARGE, Room.CLOSE])
def test_ids_and_words_are_whole_on_a_narrow_screen(room: Room) -> None:
    screen = io.StringIO()
    Console(file=screen, width=80, no_color=True).print(table_of([replace(SEAT, state=SeatState.GONE)], room))
    assert "e00fce680000000000000001" in screen.getvalue()
    assert "PLUG IN AGAIN" in screen.getvalue()


def test_in_a_line_each_the_end_of_an_id_tells_two_devices_apart() -> None:
    screen = io.StringIO()
    ids = ("e00fce680000000000000001", "e00fce680000000000000002")
    seats = [replace(DONE, name=None, device_id=DeviceId(each)) for each in ids]
    Console(file=screen, width=90, no_color=True).print(table_of(seats, Room.LINE))
    assert "Boron …000001" in screen.getvalue()
    assert "Boron …000002" in screen.getvalue()


def test_the_bar_of_a_step_never_goes_back() -> None:
    phases = (Phase.PREPARING, Phase.ERASING, Phase.SENDING, Phase.VERIFYING)
    moments = [replace(SEAT, phase=phase, share=share) for phase in phases for share in (0.0, 0.5, 1.0)]
    shares = [completed(seat) for seat in moments]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (1.0, 2.0)


def test_the_outcome_counts_those_that_are_ours_to_bring_there() -> None:
    stranger, failed = replace(SEAT, state=SeatState.STRANGER), replace(SEAT, state=SeatState.FAILED)
    assert outcome([DONE, DONE, failed, stranger]) == "2 of 3 devices are done; 1 is not ours, and not touched"
    assert outcome([DONE]) == "1 of 1 device is done"
    assert outcome([stranger, stranger]) == "0 of 0 devices are done; 2 are not ours, and not touched"
    assert outcome([]) == "0 of 0 devices are done"


def test_the_table_has_port_name_step_and_how_far_it_is() -> None:
    text = drawn(SEAT)
    for part in (
        "1-2.4",
        "pump",
        "e00fce680000000000000001",
        "step 2 of 2",
        "system part 1 of 6.3.4",
        "sending",
        "40%",
    ):
        assert part in text


def test_every_state_can_be_drawn() -> None:
    assert all(drawn(replace(SEAT, state=state)) for state in SeatState)


def test_an_empty_bench_says_what_to_do() -> None:
    assert "plug something in" in drawn()


def test_the_bell_rings_once_for_done_and_three_times_for_trouble_and_not_again_for_the_same() -> None:
    rings: list[str] = []
    sound = Sound(enabled=True, bell=lambda: rings.append("ring"))
    for seat in (SEAT, DONE, DONE):
        sound.seat(seat)
    assert len(rings) == 1
    sound.seat(replace(DONE, state=SeatState.FAILED))
    assert len(rings) == 4


def test_without_the_flag_it_is_silent() -> None:
    rings: list[str] = []
    Sound(enabled=False, bell=lambda: rings.append("ring")).seat(DONE)
    assert rings == []


def test_lines_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(as_json=True, sound=False)
    for seat in (SEAT, SEAT, DONE):
        lines.seat(seat)
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said == [seat_document(SEAT), seat_document(DONE)]


def test_a_log_is_one_file_a_device_and_only_ever_added_to(tmp_path: Path) -> None:
    for _ in range(2):
        logs = SerialLogs(tmp_path)
        logs.seat(SEAT)
        logs.seat(DONE)
        logs.seat(DONE)
    (file,) = tmp_path.iterdir()
    assert file.name == "e00fce680000000000000001.jsonl"
    assert [json.loads(line)["state"] for line in file.read_text().splitlines()] == ["done", "done"]
