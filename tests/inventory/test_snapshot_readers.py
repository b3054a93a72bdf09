"""Several processes that each read a part of a snapshot give the census that one process gives."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler.inventory.snapshot_census import census_from_snapshot
from reconciler.inventory.snapshot_tally import Marks
from reconciler.model.census import Census
from tests.inventory.test_snapshot_census import READ_AT, as_a_whole, same, with_ids

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="several processes read on Linux alone"),
    # The command has no threads, a parallel test run has.
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]


class Watched(io.FileIO):
    """A file that knows how much this process has read of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(-1 if size is None else size) or b""
        self.read_bytes += len(piece)
        return piece


def by_several(
    path: Path, content: bytes, readers: int, marks: Marks | None = None, piece_bytes: int = 2000
) -> tuple[Census | None, int]:
    """The census, and how many bytes this process has read for it."""
    path.write_bytes(content)
    with Watched(path) as file:
        census = census_from_snapshot(file, marks, read_at=READ_AT, piece_bytes=piece_bytes, readers=readers)
        return census, file.read_bytes


def many(**fields: object) -> list[dict[str, Any]]:
    """Devices that differ, some of which have reported modules; each holds what looks like the end of a device."""
    entry = {
        "f": "s",
        "n": "1",
        "v": 1512,
        "l": "m",
        "d": [{"f": "b", "n": "0", "v": 501}, {"f": "a", "n": "0", "v": 202}],
    }
    return with_ids(
        [
            {
                "name": '"}, {"id": "x"}, {',
                "platform_id": (6, 10, 13)[number % 3],
                "firmware_version": number % 7,
                "modules": [entry, entry, entry] if number % 5 == 0 else None,
                **fields,
            }
            for number in range(400)
        ]
    )


@pytest.mark.parametrize("readers", [2, 3, 8])
@pytest.mark.parametrize("shape", ["object", "bare"])
def test_several_readers_give_the_census_of_one_and_each_reads_its_part(
    tmp_path: Path, readers: int, shape: str
) -> None:
    content = json.dumps(many() if shape == "bare" else {"devices": many(), "source": "cloud"}).encode()
    census, read_bytes = by_several(tmp_path / "snapshot", content, readers)
    assert census is not None
    assert same(census, as_a_whole(content))
    assert read_bytes < len(content) / readers + 10_000


def test_objects_with_ids_inside_a_device_are_not_taken_for_devices(tmp_path: Path) -> None:
    neighbours = [{"id": "a"}, {"id": "b"}, {"id": "c"}] * 20
    content = json.dumps(many(neighbours=neighbours)).encode()
    census, _ = by_several(tmp_path / "snapshot", content, 3)
    assert census is not None
    assert same(census, as_a_whole(content))


@pytest.mark.parametrize("place", [0, 100, 200, 399])
@pytest.mark.parametrize("wrong", [{"name": 5}, {"id": "e00fce680000000000000032"}, {"id": f"{'a' * 24} {'b' * 24}"}])
def test_what_is_unusual_is_found_whichever_process_reads_it(tmp_path: Path, place: int, wrong: dict[str, Any]) -> None:
    members = many()
    members[place] |= wrong
    assert by_several(tmp_path / "snapshot", json.dumps(members).encode(), 4)[0] is None


def test_a_reader_that_dies_costs_time_alone(tmp_path: Path) -> None:
    content = json.dumps(many()).encode()
    this_process = os.getpid()

    def marks(_device_id: str, _name: str | None) -> int:
        if os.getpid() != this_process:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    census, read_bytes = by_several(tmp_path / "snapshot", content, 3, marks)
    assert census is not None
    assert same(census, as_a_whole(content))
    assert read_bytes > len(content)
