"""Flash as chips have it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.emulator.bench.flash import Flash

PLACES = st.integers(0, 20_000)
CONTENTS = st.binary(min_size=1, max_size=9000)


def test_a_write_only_clears_bits_and_erasing_sets_them_again() -> None:
    flash = Flash()
    assert flash.read(100, 4) == b"\xff" * 4
    flash.write(100, b"\xf0\x0f\xff\x00")
    flash.write(100, b"\x3c\xff\x3c\xff")
    assert flash.read(99, 6) == b"\xff\x30\x0f\x3c\x00\xff"
    flash.erase(101, 2)
    assert flash.read(100, 4) == b"\x30\xff\xff\x00"


@given(writes=st.lists(st.tuples(PLACES, CONTENTS), max_size=6))
@settings(deadline=None)
def test_flash_is_what_a_plain_array_would_be(writes: list[tuple[int, bytes]]) -> None:
    flash, plain = Flash(), bytearray(b"\xff" * 30_000)
    for place, content in writes:
        flash.write(place, content)
        for index, byte in enumerate(content, start=place):
            plain[index] &= byte
    assert flash.read(0, len(plain)) == plain


@given(place=PLACES, content=CONTENTS)
@settings(deadline=None)
def test_what_replaces_is_there_whatever_was_before(place: int, content: bytes) -> None:
    flash = Flash()
    flash.write(0, bytes(30_000))
    before = flash.changes
    flash.replace(place, content)
    assert flash.read(place, len(content)) == content
    assert flash.changes > before
