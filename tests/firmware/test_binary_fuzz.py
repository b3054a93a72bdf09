"""No input of any size or content may do anything else than parse or be refused."""

from __future__ import annotations

import contextlib
import hashlib
import random
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.firmware.binary import ParsedModule, parse_file, parse_module, uncompressed
from reconciler.firmware.builder import (
    build_application,
    build_asset,
    build_module,
    combine_modules,
    compress_module,
)
from reconciler.firmware.extension import AssetDependency, SecurityMode
from reconciler.firmware.prefix import OFFSETS
from reconciler.model.error import FirmwareError
from reconciler.model.module import Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import PLATFORMS, platform_by_name

SYSTEM = Module(slot=ModuleSlot(ModuleFunction.SYSTEM_PART, 1), version=6305)


def seeds() -> list[bytes]:
    boron, p2 = platform_by_name("boron"), platform_by_name("p2")
    assert boron is not None
    assert p2 is not None
    system = build_module(boron, SYSTEM, size=1200, suffix_extensions=(SecurityMode(mode=1, certificate=b"DER"),))
    application = build_application(boron, system_version=6305, product=(1, 2), size=300)
    assets = (AssetDependency(hash_type=0, digest=bytes(32), name="a"),)
    user = Module(slot=ModuleSlot(ModuleFunction.USER_PART, 1), version=6)
    return [
        system,
        application,
        build_asset("cat", b"meow" * 50),
        compress_module(system),
        combine_modules([compress_module(system), application]),
        build_module(p2, user, size=600, prefix_extensions=assets, suffix_extensions=assets),
    ]


SEEDS = seeds()


def read_all(data: bytes) -> tuple[ParsedModule, ...]:
    """Everything that can be done with a file; only a FirmwareError may come out."""
    try:
        parsed = parse_file(data)
    except FirmwareError:
        return ()
    assert sum(one.size for one in parsed) == len(data)
    for one in parsed:
        if one.compression is not None:
            with contextlib.suppress(FirmwareError):
                assert len(uncompressed(one, data)) == one.compression.uncompressed_size
    return parsed


def repaired(data: bytes) -> bytes:
    """With hash and CRC of a lone module put right, so that what is behind those checks is reached too."""
    if len(data) < 64:
        return data
    hashed = data[:-38] + hashlib.sha256(data[:-38]).digest() + data[-6:-4]
    return hashed + struct.pack(">I", zlib.crc32(hashed))


def mutated(data: bytes, dice: random.Random) -> bytes:
    content = bytearray(data)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(content))
        match dice.randrange(7):
            case 0:
                content[at] ^= 1 << dice.randrange(8)
            case 1:
                content[at] = dice.choice((0x00, 0x01, 0x7F, 0x80, 0xFF))
            case 2:
                content[at : at + 2] = struct.pack("<H", dice.choice((0, 1, 3, 4, 36, 40, 62, 0xFFFF)))
            case 3:
                content[at : at + 4] = struct.pack("<I", dice.getrandbits(32))
            case 4:
                del content[at : at + dice.randint(1, 64)]
            case 5:
                content[at:at] = dice.randbytes(dice.randint(1, 64))
            case 6:
                # The suffix is where most of the structure is.
                near = max(0, len(content) - dice.randint(1, 80))
                content[near : near + 1] = dice.randbytes(1)
        if not content:
            content += b"\x00"
    return bytes(content)


@pytest.mark.parametrize("seed", range(6))
def test_mutated_modules_parse_or_are_refused(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(1500):
        data = mutated(SEEDS[seed], dice)
        read_all(data)
        read_all(repaired(data))


def test_mutations_reach_the_code_behind_hash_and_crc() -> None:
    dice = random.Random(7)
    codes = set()
    for _ in range(6000):
        data = repaired(mutated(SEEDS[dice.randrange(len(SEEDS))], dice))
        try:
            parse_module(data)
        except FirmwareError as error:
            codes.add(error.code)
    assert codes >= {"PFR4002", "PFR4003", "PFR4006", "PFR4007", "PFR4008", "PFR4009"}


@given(st.binary(max_size=2000))
@settings(max_examples=300, deadline=None)
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    read_all(data)


@given(
    offset=st.sampled_from(OFFSETS),
    platform_id=st.sampled_from([platform.id for platform in PLATFORMS]) | st.integers(0, 0xFFFF),
    function=st.integers(0, 255) | st.sampled_from([2, 4, 5, 9]),
    index=st.integers(0, 3),
    flags=st.integers(0, 31),
    body=st.binary(min_size=0, max_size=400),
)
@settings(max_examples=500, deadline=None)
def test_any_prefix_with_right_sums_parses_or_is_refused(
    offset: int, platform_id: int, function: int, index: int, flags: int, body: bytes
) -> None:
    start = 0x30000
    size = offset + 24 + len(body) + 40
    prefix = struct.pack("<IIBBHHBB8x", start, start + size - 4, 0, flags, 7, platform_id, function, index)
    read_all(repaired(bytes(offset) + prefix + body + bytes(34) + struct.pack("<H", 36 + len(body) % 90) + bytes(4)))


@given(st.binary(max_size=600), st.integers(0, 0xFFFFFFFF), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_any_compressed_stream_is_uncompressed_within_its_stated_size(stream: bytes, size: int, window: int) -> None:
    compressed = SEEDS[3]
    body = compressed[:24] + struct.pack("<HBBI", 8, 0, window % 17, size % 5_000_000) + stream + compressed[-60:]
    end = struct.unpack_from("<I", compressed)[0] + len(body) - 4
    read_all(repaired(body[:4] + struct.pack("<I", end) + body[8:]))


def test_a_deflate_bomb_is_stopped_at_its_stated_size() -> None:
    bomb = zlib.compressobj(level=9, wbits=-15)
    stream = bomb.compress(bytes(200_000_000)) + bomb.flush()
    compressed = SEEDS[3]
    body = compressed[:24] + struct.pack("<HBBI", 8, 0, 0, 4_000_000) + stream + compressed[-60:]
    end = struct.unpack_from("<I", compressed)[0] + len(body) - 4
    data = repaired(body[:4] + struct.pack("<I", end) + body[8:])
    parsed = parse_module(data)
    with pytest.raises(FirmwareError, match="holds more than the stated 4000000 bytes"):
        uncompressed(parsed, data)


def test_a_large_file_of_noise_is_refused_at_once() -> None:
    noise = hashlib.shake_128(b"noise").digest(16_000_000)
    with pytest.raises(FirmwareError):
        parse_file(noise)
