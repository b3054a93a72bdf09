"""A snapshot of any size read straight into a census: one pass over the file, and little more memory than the ids.

What is unusual (a field of another type, an id in another spelling or there twice) is left to the reader of whole
snapshots, which is tolerant where it may be and explains what is wrong: None is the answer then.

A large file is read by several processes, each a part of it. Only what they counted is put together, so the census is
the same however many they are. Where that fails, for whatever reason, one process reads all.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

from reconciler.inventory.snapshot import SnapshotHead
from reconciler.inventory.snapshot_pieces import PIECE_BYTES, beginning, count_end, count_pieces, place_between
from reconciler.inventory.snapshot_tally import Counted, Marks, Tally, UnusualError
from reconciler.model.census import Census
from reconciler.model.instant import Instant

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError, UnusualError)

_WINDOW_BYTES: Final = 256 * 1024
"""Enough for the longest device object and the next one."""


def census_from_snapshot(
    file: BinaryIO, marks: Marks | None, *, read_at: Instant, piece_bytes: int = PIECE_BYTES, readers: int = 1
) -> Census | None:
    """The census of a snapshot, or None when it has to be read as a whole.

    `marks` None: no manifest names a device. `read_at` is the time of the observation where the document says none.
    More than one of `readers` needs a file on disk, and a system and a moment in which a process may be forked.
    """
    for processes in sorted({1, readers}, reverse=True):
        tally = Tally(marks)
        try:
            around = _read(file, tally, marks, piece_bytes, processes)
            observed_at = around.time_of_observation(read_at)
            kinds = tally.kinds(observed_at)
        except _UNREADABLE:
            continue
        return Census(observed_at=observed_at, kinds=kinds, **around.about())
    return None


def _read(file: BinaryIO, tally: Tally, marks: Marks | None, piece_bytes: int, processes: int) -> SnapshotHead:
    """Count all devices; what stands around their array. This process reads the last part of it."""
    file.seek(0)
    before, start = beginning(file.read(piece_bytes))
    *parts, last = _parts(file, start, processes)
    with _counted_elsewhere(file, parts, marks, piece_bytes) as others:
        file.seek(last[0])
        around = count_end(before, count_pieces(file.read, tally.count, piece_bytes), tally.count)
        for counted in others:
            tally.add(counted)
    return around


def _parts(file: BinaryIO, start: int, processes: int) -> list[tuple[int, int]]:
    """From where to where each process reads: from a device object to the end of another, the last one to the end."""
    if processes == 1:
        return [(start, 0)]
    size = os.fstat(file.fileno()).st_size
    starts, ends = [start], []
    for number in range(1, processes):
        place = start + (size - start) * number // processes
        found = place_between(os.pread(file.fileno(), _WINDOW_BYTES, place))
        if found is not None and place + found[0] > starts[-1]:
            ends.append(place + found[0])
            starts.append(place + found[1])
    return list(zip(starts, [*ends, size], strict=True))


@contextmanager
def _counted_elsewhere(
    file: BinaryIO, parts: list[tuple[int, int]], marks: Marks | None, piece_bytes: int
) -> Iterator[Iterator[list[Counted]]]:
    """What other processes count, while this one does what it has to; UnusualError where one of them fails."""
    if not parts:
        yield iter(())
        return
    import multiprocessing  # noqa: PLC0415  # few snapshots are so large

    context = multiprocessing.get_context("fork")
    running = []
    try:
        for part in parts:
            receiving, sending = context.Pipe(duplex=False)
            work = (sending, file.fileno(), part, marks, piece_bytes)
            process = context.Process(target=_send_counted, args=work, daemon=True)
            try:
                process.start()
            except OSError as error:  # there is no room for it
                raise UnusualError from error
            sending.close()
            running.append((process, receiving))
        yield (_received(receiving) for _, receiving in running)
    finally:
        for process, receiving in running:
            receiving.close()
            process.terminate()
            process.join()


def _send_counted(
    sending: Connection, descriptor: int, part: tuple[int, int], marks: Marks | None, piece_bytes: int
) -> None:
    """The work of another process. What interrupts the command ends it through the one that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    place, end = part

    def read(size: int) -> bytes:
        nonlocal place
        piece = os.pread(descriptor, min(size, end - place), place)
        place += len(piece)
        return piece

    tally = Tally(marks)
    try:
        tally.count(b"[" + count_pieces(read, tally.count, piece_bytes) + b"]")
    except _UNREADABLE:
        sending.send(None)
    else:
        sending.send(tally.counted())


def _received(receiving: Connection) -> list[Counted]:
    try:
        counted: list[Counted] | None = receiving.recv()
    except (EOFError, OSError):  # it was killed
        counted = None
    if counted is None:
        raise UnusualError
    return counted
