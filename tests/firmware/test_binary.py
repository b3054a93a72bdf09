from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable

import pytest

from reconciler.firmware.binary import parse_file, parse_module, uncompressed
from reconciler.firmware.builder import (
    application_module,
    build_application,
    build_asset,
    build_module,
    combine_modules,
    compress_module,
)
from reconciler.firmware.extension import (
    AssetDependency,
    EndExtension,
    Extension,
    NameExtension,
    ProductData,
    SecurityMode,
    UnknownExtension,
    encode_extension,
    read_extensions,
)
from reconciler.firmware.prefix import ModuleFlags
from reconciler.model.error import FirmwareError
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform, platform_by_name

SYSTEM = ModuleSlot(ModuleFunction.SYSTEM_PART, 1)
BOOTLOADER = ModuleSlot(ModuleFunction.BOOTLOADER, 0)
SYSTEM_6305 = Module(slot=SYSTEM, version=6305, first_dependency=Dependency(BOOTLOADER, 3100))
USER_FLAGS_AT = 9


def platform(name: str) -> Platform:
    found = platform_by_name(name)
    assert found is not None
    return found


def sealed(data: bytes) -> bytes:
    """The module with hash and CRC repaired, as somebody would who changes it on purpose."""
    hashed = data[:-38] + hashlib.sha256(data[:-38]).digest() + data[-6:-4]
    return hashed + struct.pack(">I", zlib.crc32(hashed))


def changed(data: bytes, offset: int, new: bytes) -> bytes:
    at = offset % len(data)
    return data[:at] + new + data[at + len(new) :]


def refusal(data: bytes, read: Callable[[bytes], object] = parse_module) -> FirmwareError:
    with pytest.raises(FirmwareError) as caught:
        read(data)
    assert caught.value.next_step
    return caught.value


@pytest.fixture
def application() -> bytes:
    return build_application(platform("boron"), system_version=6305, product=(1234, 44))


@pytest.fixture
def system_part() -> bytes:
    return build_module(platform("boron"), SYSTEM_6305, size=9000)


def test_an_empty_file_is_refused() -> None:
    assert refusal(b"").code == "PFR4001"


@pytest.mark.parametrize("size", [1, 24, 63])
def test_a_file_smaller_than_any_module_is_refused(size: int) -> None:
    assert refusal(bytes(size)).code == "PFR4001"


@pytest.mark.parametrize("filling", [0x00, 0xFF, 0x20, 0x55])
def test_a_file_of_one_repeated_byte_is_refused(filling: int) -> None:
    assert refusal(bytes([filling]) * 100_000).code == "PFR4002"


def test_text_is_refused() -> None:
    assert refusal(b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n" * 100).code == "PFR4002"


def test_a_file_cut_off_anywhere_is_refused(system_part: bytes) -> None:
    for size in range(0, len(system_part), 7):
        assert refusal(system_part[:size]).code in {"PFR4001", "PFR4002", "PFR4003"}


def test_a_cut_off_file_says_how_long_it_should_be(system_part: bytes) -> None:
    assert "which is 9000 bytes; the file has 8000 there, so it is cut off" in refusal(system_part[:8000]).message


def test_a_padded_file_is_refused_and_says_so(system_part: bytes) -> None:
    error = refusal(system_part + b"\xff" * 100)
    assert error.code == "PFR4003"
    assert "padded" in error.message


def test_every_single_flipped_bit_of_a_module_is_refused(application: bytes) -> None:
    small = build_application(platform("boron"), system_version=6305, product=(1234, 44), size=200)
    assert parse_module(small)
    for bit in range(len(small) * 8):
        refusal(changed(small, bit // 8, bytes([small[bit // 8] ^ 1 << bit % 8])))


def test_a_wrong_crc_names_its_place(system_part: bytes) -> None:
    error = refusal(changed(system_part, 5000, b"\x00\x01\x02"))
    assert error.code == "PFR4004"
    assert f"offset {9000 - 4:#x}" in error.message


@pytest.mark.parametrize("name", ["system_part", "application"])
def test_a_changed_module_with_a_repaired_crc_is_refused(name: str, request: pytest.FixtureRequest) -> None:
    data = changed(request.getfixturevalue(name), 2000, b"evil")
    repaired = data[:-4] + struct.pack(">I", zlib.crc32(data[:-4]))
    assert refusal(repaired).code == "PFR4005"


def test_a_radio_stack_may_carry_any_hash() -> None:
    module = Module(slot=ModuleSlot(ModuleFunction.RADIO_STACK, 0), version=202)
    data = changed(build_module(platform("boron"), module), -38, bytes(32))
    repaired = data[:-4] + struct.pack(">I", zlib.crc32(data[:-4]))
    assert parse_module(repaired).sha256 == "00" * 32


@pytest.mark.parametrize(
    ("offset", "new", "words"),
    [
        (9, b"\x80", "flags 0x80 are unknown"),
        (12, b"\xc8\x00", "platform id 200 is unknown"),
        (14, b"\x63", "module function 99 is unknown"),
        (14, b"\x00", "module function 0 is unknown"),
        (15, b"\x07", "no source says where the prefix of user_part/7"),
        (16, b"\x63", "unknown function 99"),
        (16, b"\x00", "an empty dependency has index 1 and version 6305"),
        (22, b"\x01\x00", "an empty dependency has index 0 and version 1"),
    ],
)
def test_a_prefix_field_that_nobody_documented_is_refused(
    application: bytes, offset: int, new: bytes, words: str
) -> None:
    error = refusal(sealed(changed(application, offset, new)))
    assert error.code == "PFR4006"
    assert words in error.message


def test_a_module_whose_prefix_stands_elsewhere_than_documented_is_refused(application: bytes) -> None:
    as_system_part = changed(application, 14, bytes([ModuleFunction.SYSTEM_PART, 1]))
    error = refusal(sealed(as_system_part))
    assert error.code == "PFR4006"
    assert "belongs at 0x200" in error.message


def test_a_module_with_a_vector_table_cannot_drop_its_module_information(system_part: bytes) -> None:
    error = refusal(sealed(changed(system_part, 0x200 + 9, bytes([ModuleFlags.DROP_MODULE_INFO]))))
    assert "cannot drop" in error.message


@pytest.mark.parametrize("size", [0, 35, 41, 9000, 0xFFFF])
def test_a_suffix_size_that_does_not_fit_is_refused(system_part: bytes, size: int) -> None:
    assert refusal(sealed(changed(system_part, -6, struct.pack("<H", size)))).code in {"PFR4007", "PFR4008"}


def test_a_module_without_product_data_has_no_product(application: bytes) -> None:
    parsed = parse_module(sealed(changed(application, -6, struct.pack("<H", 36))))
    assert (parsed.product_id, parsed.product_version, parsed.product) == (None, None, None)


def test_the_product_of_an_application_is_read(application: bytes) -> None:
    assert parse_module(application).product == (1234, 44)


def test_the_product_in_an_extension_stands_where_the_raw_form_has_it() -> None:
    data = build_application(platform("p2"), system_version=6305, product=(32_000, 3))
    parsed = parse_module(data)
    assert parsed.product == (32_000, 3)
    assert data[-44:-40] == struct.pack("<HH", 32_000, 3)
    assert parsed.suffix_extensions[-1] == ProductData(product_id=32_000, product_version=3)


def test_zeros_in_a_system_part_are_no_product(system_part: bytes) -> None:
    parsed = parse_module(sealed(changed(system_part, -44, bytes(4))))
    assert (parsed.product_id, parsed.product_version) == (0, 0)
    assert parsed.product is None


def test_suffix_extensions_are_read_back(application: bytes) -> None:
    extensions: tuple[Extension, ...] = (
        AssetDependency(hash_type=0, digest=bytes(range(32)), name="büro.jpg"),
        SecurityMode(mode=1, certificate=b"DER"),
        UnknownExtension(type=0x4711, body=b"new"),
    )
    module = application_module(platform("boron"), 6305)
    data = build_module(platform("boron"), module, product=(12, 3), suffix_extensions=extensions)
    parsed = parse_module(data)
    assert parsed.suffix_extensions == (*extensions, EndExtension())
    assert parsed.product == (12, 3)


def test_prefix_extensions_are_read_back() -> None:
    extensions = (AssetDependency(hash_type=0, digest=bytes(32), name="a"),)
    module = application_module(platform("p2"), 6305)
    parsed = parse_module(build_module(platform("p2"), module, prefix_extensions=extensions))
    assert parsed.prefix_extensions[:-1] == extensions
    assert isinstance(parsed.prefix_extensions[-1], EndExtension)
    assert parsed.prefix_size % 8 == 0


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (b"\x11\x00\x00\x00" * 4, "says that it is 0 bytes long"),
        (b"\x11\x00\x03\x00" * 4, "says that it is 3 bytes long"),
        (b"\x11\x00\xff\xff" + bytes(12), "says that it is 65535 bytes long"),
        (b"\xff\xff\x08\x00" + bytes(12), "erased flash"),
        (b"\x01\x00\x08\x00" + bytes(8), "PRODUCT_DATA is 10 bytes long, this one 8"),
        (b"\x11\x00\x08\x00\xff\xfe\xfd\xfc" + bytes(4), "not UTF-8"),
        (b"\x10\x00\x06\x00\x00\x20" + bytes(6), "said to be 32 bytes long, 0 are left"),
        (b"\x10\x00\x08\x00\x00\x02ab" + bytes(6), "a SHA-256 has 32 bytes, this one 2"),
        (b"\x12\x00\x05\x00\x00" + bytes(6), "ends before its hash begins"),
        (b"\x13\x00\x04\x00" + bytes(6), "at least one byte"),
        (b"\x11\x00\x04\x00" + b"\x00", "1 bytes are left, an extension needs 4"),
        (b"\x03\x00\x0c\x00\x63" + bytes(7), "unknown function 99"),
    ],
)
def test_an_extension_that_lies_is_refused_at_its_place(region: bytes, words: str) -> None:
    with pytest.raises(FirmwareError, match=words) as caught:
        read_extensions(b"....." + region, 5, 5 + len(region))
    assert caught.value.code == "PFR4008"


def test_extensions_behind_an_end_are_not_read() -> None:
    region = encode_extension(EndExtension(padding=b"..")) + encode_extension(NameExtension(name="x"))
    found, behind = read_extensions(region, 0, len(region))
    assert (found, behind) == ((EndExtension(padding=b".."),), 6)


def test_suffix_extensions_without_an_end_or_product_are_refused(application: bytes) -> None:
    name = encode_extension(NameExtension(name="nobody"))
    data = changed(application, -44 - len(name) + 4, name)
    error = refusal(sealed(changed(data, -6, struct.pack("<H", 36 + len(name)))))
    assert error.code == "PFR4007"


def test_prefix_extensions_without_an_end_are_refused() -> None:
    module = application_module(platform("p2"), 6305)
    data = build_module(platform("p2"), module, size=4096)
    filled = b"".join(encode_extension(UnknownExtension(type=7, body=bytes(4))) for _ in range(600))
    flagged = changed(data, 9, bytes([ModuleFlags.PREFIX_EXTENSIONS]))
    region = len(data) - 4 - 62 - 24
    error = refusal(sealed(changed(flagged, 24, (filled * 2)[: region // 8 * 8] + bytes(region % 8))))
    assert error.code == "PFR4008"


def test_a_compressed_module_gives_back_the_original(system_part: bytes) -> None:
    compressed = compress_module(system_part)
    parsed = parse_module(compressed)
    assert parsed.compression is not None
    assert parsed.prefix_offset == 0
    assert parsed.module == SYSTEM_6305
    assert uncompressed(parsed, compressed) == system_part


def test_an_asset_gives_back_its_content() -> None:
    content = b"a picture " * 1000
    data = build_asset("cat.jpg", content)
    parsed = parse_module(data)
    assert uncompressed(parsed, data) == content
    assert NameExtension(name="cat.jpg") in parsed.suffix_extensions
    assert isinstance(parsed.suffix_extensions[-1], ProductData)


def test_an_uncompressed_module_cannot_be_uncompressed(system_part: bytes) -> None:
    assert refusal(system_part, lambda data: uncompressed(parse_module(data), data)).code == "PFR4009"


@pytest.mark.parametrize(
    ("offset", "new", "words"),
    [
        (0, b"\x09\x00", "9 bytes long instead of 8"),
        (2, b"\x01", "method is 1"),
        (3, b"\x10", r"window is 2\^16"),
        (4, b"\xff\xff\xff\xff", "4294967295 uncompressed bytes"),
    ],
)
def test_a_compression_header_that_the_facts_do_not_allow_is_refused(
    system_part: bytes, offset: int, new: bytes, words: str
) -> None:
    data = sealed(changed(compress_module(system_part), 24 + offset, new))
    with pytest.raises(FirmwareError, match=words) as caught:
        parse_module(data)
    assert caught.value.code == "PFR4009"


def test_not_one_byte_more_than_stated_is_uncompressed(system_part: bytes) -> None:
    data = sealed(changed(compress_module(system_part), 28, struct.pack("<I", 100)))
    error = refusal(data, lambda data: uncompressed(parse_module(data), data))
    assert "holds more than the stated 100 bytes" in error.message


def test_a_stream_that_holds_less_than_stated_is_refused(system_part: bytes) -> None:
    data = sealed(changed(compress_module(system_part), 28, struct.pack("<I", 9001)))
    error = refusal(data, lambda data: uncompressed(parse_module(data), data))
    assert "holds 9000 bytes instead of 9001" in error.message


def test_a_broken_stream_is_refused(system_part: bytes) -> None:
    data = sealed(changed(compress_module(system_part), 32, b"\xff" * 64))
    assert refusal(data, lambda data: uncompressed(parse_module(data), data)).code == "PFR4009"


def test_a_compressed_module_with_another_one_inside_is_refused(system_part: bytes) -> None:
    data = sealed(changed(compress_module(system_part), 10, struct.pack("<H", 6306)))
    error = refusal(data, lambda data: uncompressed(parse_module(data), data))
    assert "holds another module: system_part/1 6305" in error.message


def test_combined_modules_are_read_in_their_order(system_part: bytes, application: bytes) -> None:
    data = combine_modules([compress_module(system_part), application])
    first, second = parse_file(data)
    assert first.module == SYSTEM_6305
    assert second.module == parse_module(application).module
    assert second.offset == first.size
    assert uncompressed(first, data) == system_part


def test_a_file_with_one_module_is_a_file_of_one(application: bytes) -> None:
    assert parse_file(application) == (parse_module(application),)


def test_a_combined_file_is_not_one_module(system_part: bytes, application: bytes) -> None:
    assert refusal(combine_modules([system_part, application])).code in {"PFR4003", "PFR4010"}


def test_a_combined_file_that_ends_too_early_is_refused(system_part: bytes, application: bytes) -> None:
    data = combine_modules([system_part, application])
    assert refusal(data[: len(system_part)], parse_file).code == "PFR4010"
    assert refusal(data[: len(system_part)]).code == "PFR4010"


def test_something_behind_the_last_combined_module_is_refused(system_part: bytes, application: bytes) -> None:
    assert refusal(combine_modules([system_part, application]) + b"\xff" * 8, parse_file).code == "PFR4003"


def test_a_second_combined_module_names_its_place_in_the_file(system_part: bytes, application: bytes) -> None:
    data = combine_modules([system_part, application])
    error = refusal(changed(data, len(system_part) + 100, b"\x01\x02\x03\x04"), parse_file)
    assert error.code == "PFR4004"
    assert f"offset {len(data) - 4:#x}" in error.message


def test_a_combined_file_inside_a_compressed_one_is_refused(system_part: bytes, application: bytes) -> None:
    inside = combine_modules([system_part, application])
    compressed = compress_module(system_part)
    stream = zlib.compressobj(wbits=-15)
    payload = struct.pack("<HBBI", 8, 0, 0, len(inside)) + stream.compress(inside) + stream.flush()
    body = compressed[:24] + payload + compressed[-44:]
    end = struct.unpack_from("<I", compressed)[0] + len(body) - 4
    data = sealed(changed(body, 4, struct.pack("<I", end)))
    error = refusal(data, lambda data: uncompressed(parse_module(data), data))
    assert error.code in {"PFR4003", "PFR4010"}


def test_many_combined_modules_take_linear_time() -> None:
    small = build_application(platform("boron"), system_version=6305, product=None, size=200)
    assert len(parse_file(combine_modules([small] * 3000))) == 3000
