"""One run at a time on one journal: an advisory lock in a file beside it, `<journal>.lock`, or on its server.

The operating system holds the lock for a process and frees it when the process ends, however it ends. So the file says
who holds the lock, and its presence means nothing; it is never removed, or two runs could hold locks on two files of
one name.

Why: two runs that share a journal keep each other's devices apart, but plan on one another's half-done work.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.journal.location import JournalPlace
from reconciler.journal.run_under_way import under_way
from reconciler.model.error import JournalError
from reconciler.model.instant import Instant, iso_from_instant

_HOLDER_BYTES_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The run that wrote its name into the lock's file. Not `alive`: it ended without taking it out again."""

    words: str
    alive: bool


def holder_of(journal: JournalPlace) -> Holder | None:
    """Which run is at work on a journal, or broke off in the midst of it; None: neither, or nobody can tell.

    A file without a name is not tried, so that looking never keeps a run from starting.
    """
    if not isinstance(journal, Path):
        from reconciler.journal.postgres_lock import holder_words  # noqa: PLC0415  # loads the database's driver

        holder = holder_words(journal)
        return None if holder is None else Holder(words=holder, alive=True)
    place = _beside(journal)
    try:
        handle = os.open(place, os.O_RDONLY)
    except OSError:
        return None
    try:
        words = os.pread(handle, _HOLDER_BYTES_MAX, 0).decode(errors="replace").strip()
        return Holder(words=words, alive=_is_held(handle)) if words else None
    finally:
        os.close(handle)


def _is_held(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False


def freed_by_force(journal: JournalPlace) -> bool:
    """Free the lock of a run that hangs, where that can be done without ending its process: on a server.

    False: it is as it was. A file's lock is its process's own, and is free when that process has ended.
    """
    if isinstance(journal, Path):
        return False
    from reconciler.journal.postgres_lock import cut_off  # noqa: PLC0415  # loads the database's driver

    return cut_off(journal)


@contextmanager
def sole_run(journal: JournalPlace, *, now: Instant) -> Iterator[None]:
    """Be the only run on a journal for as long as the context lasts. Two names of one file are one journal.

    Raises:
        RunUnderWayError: PFR5012 another process (or another context of this one) is at it; who, and since when.
        JournalError: PFR5004 the lock's file cannot be opened or locked; PFR5024 the server cannot be reached.
    """
    if isinstance(journal, Path):
        with _file_lock(journal, now=now):
            yield
        return
    from reconciler.journal.postgres_lock import held_run_lock  # noqa: PLC0415  # loads the database's driver

    with held_run_lock(journal, now=now) as other:
        if other is not None:
            raise under_way(journal, other)
        yield


@contextmanager
def _file_lock(journal: Path, *, now: Instant) -> Iterator[None]:
    place = _beside(journal)
    try:
        handle = os.open(place, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _unusable(place, error) from None
    try:
        _take(handle, journal, place)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()}, started at {iso_from_instant(now)}\n".encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _beside(journal: Path) -> Path:
    place = journal.resolve()
    return place.with_name(f"{place.name}.lock")


def _take(handle: int, journal: Path, place: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # Between locking and writing the holder has not said yet who it is.
        holder = os.pread(handle, _HOLDER_BYTES_MAX, 0).decode(errors="replace").strip()
    except OSError as error:
        raise _unusable(place, error) from None
    else:
        return
    raise under_way(journal, holder)


def _unusable(place: Path, error: OSError) -> JournalError:
    message = f"{place} cannot be locked: {error.strerror or type(error).__name__}"
    return JournalError("PFR5004", message, next_step="check the folder and its permissions")
