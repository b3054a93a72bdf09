"""The array of devices of a snapshot, cut into pieces that are decoded one by one.

A cut is tried where one device object may end and the next begin, and proven by decoding: a piece that was cut in a
string or inside an object is no valid JSON array. The beginning of the array is proven the same way. So is a place in
the middle from which another process reads on: by whoever reads up to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from reconciler.inventory.snapshot import SnapshotHead
from reconciler.inventory.snapshot_tally import UnusualError, are_devices

PIECE_BYTES: Final = 512 * 1024
"""Large enough that cutting costs nothing, small enough that a piece and its records stay near the processor."""

_CUTS_TRIED_MAX: Final = 64
_ARRAY: Final = re.compile(rb'"devices"\s*:\s*\[')
_SPACE: Final = b" \t\r\n"
"""What JSON takes for space, which is less than Python does."""

_REST: Final = "what is left of the array"
"""Stands for `devices` when the end of the document is read."""

_BARE_ARRAY: Final = re.compile(rb"[ \t\r\n]*\[")
_BETWEEN: Final = re.compile(rb"\}([ \t\r\n]*,[ \t\r\n]*)\{")


class _Before(SnapshotHead, kw_only=True):
    devices: msgspec.Raw


class _After(SnapshotHead, kw_only=True):
    """`devices` is a second array of that name, which would take the place of the first."""

    rest: msgspec.Raw = msgspec.field(name=_REST)
    devices: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_BEFORE: Final = msgspec.json.Decoder(_Before).decode
_AFTER: Final = msgspec.json.Decoder(_After).decode


def beginning(buffer: bytes) -> tuple[SnapshotHead | None, int]:
    """What stands before the array (None: nothing, the document is the array), and where its first element begins."""
    bare = _BARE_ARRAY.match(buffer)
    if bare is not None:
        return None, bare.end()
    for start in _ARRAY.finditer(buffer):
        try:
            return _BEFORE(buffer[: start.end()] + b"]}"), start.end()
        except msgspec.DecodeError:
            continue
    raise UnusualError


def count_pieces(read: Callable[[int], bytes], count: Callable[[bytes], None], piece_bytes: int) -> bytes:
    """Give every piece but the last to `count`, as an array; the last one with what follows it is the answer."""
    buffer = read(piece_bytes)
    while more := read(piece_bytes):
        for end, behind in _cuts(buffer):
            try:
                count(b"[" + buffer[:end] + b"]")
            except msgspec.ValidationError:
                raise
            except msgspec.DecodeError:
                continue
            buffer = buffer[behind:]
            break
        buffer += more
    return buffer


def count_end(before: SnapshotHead | None, buffer: bytes, count: Callable[[bytes], None]) -> SnapshotHead:
    """Give the last piece to `count`; what stands around the array, from before and behind it."""
    if before is None:
        count(b"[" + buffer)
        return SnapshotHead()
    after = _AFTER(b'{"%s":[' % _REST.encode() + buffer)
    if after.devices is not msgspec.UNSET:
        raise UnusualError
    count(bytes(after.rest))
    for name in SnapshotHead.__struct_fields__:
        if getattr(after, name) is msgspec.UNSET:
            setattr(after, name, getattr(before, name))
    if not after.is_readable():
        raise UnusualError
    return after


def place_between(window: bytes) -> tuple[int, int] | None:
    """Where in these bytes out of the middle a device object seems to end, and the next one to begin; None: nowhere.

    What follows is decoded as a device, so that only an object with an id inside a device can be mistaken for one.
    """
    places = [match.span(1) for match in _BETWEEN.finditer(window)]
    for number, (end, behind) in enumerate(places):
        for further, _ in places[number + 1 : number + 1 + _CUTS_TRIED_MAX]:
            try:
                are_devices(b"[" + window[behind:further] + b"]")
            except msgspec.ValidationError:
                break
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            return end, behind
    return None


def _cuts(buffer: bytes) -> Iterator[tuple[int, int]]:
    """Where a device object may end and the next one begin, the last such place first."""
    place = len(buffer)
    for _ in range(_CUTS_TRIED_MAX):
        place = buffer.rfind(b"{", 0, place)
        if place < 0:
            return
        before = buffer[max(0, place - 64) : place].rstrip(_SPACE)
        if before.endswith(b",") and before[:-1].rstrip(_SPACE).endswith(b"}"):
            comma = buffer.rindex(b",", 0, place)
            yield buffer.rindex(b"}", 0, comma) + 1, place
