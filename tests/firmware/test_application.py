"""Application files: what they say of themselves, and everything that is none."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.firmware.application import APPLICATION_BYTES_MAX, read_application
from reconciler.firmware.builder import build_application, build_module, combine_modules, compress_module
from reconciler.model.error import FirmwareError
from reconciler.model.module import Dependency, ModuleFunction, ModuleSlot
from tests.fleet_samples import module, platform

BORON = platform("boron")
APPLICATION = build_application(BORON, system_version=6305, product=(12345, 44), size=20_000)


def bundle(**files: bytes) -> bytes:
    """A zip file; `__` in a name means a folder, and every name ends in .bin."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(f"{name.replace('__', '/')}.bin", data)
    return content.getvalue()


def refusal(data: bytes) -> str:
    with pytest.raises(FirmwareError) as caught:
        read_application(data)
    return f"{caught.value.code} {caught.value.message}"


def test_an_application_says_what_it_is_and_what_it_needs() -> None:
    built = read_application(APPLICATION)
    assert (built.platform_id, built.product_id, built.product_version) == (13, 12345, 44)
    assert built.module.slot == ModuleSlot(ModuleFunction.USER_PART, 2)
    assert built.module.dependencies == (Dependency(ModuleSlot(ModuleFunction.SYSTEM_PART, 1), 6305),)
    assert (built.size, built.module_size, built.bundle) == (20_000, 20_000, False)
    assert built.sha256 == hashlib.sha256(APPLICATION).hexdigest()


def test_an_application_without_a_product_names_none() -> None:
    built = read_application(build_application(BORON, system_version=6305, product=None))
    assert (built.product_id, built.product_version) == (None, None)


def test_a_version_without_a_product_id_is_kept() -> None:
    """Since Device OS 4.0 the product id is the cloud's affair (facts 5.5)."""
    data = bytearray(APPLICATION)
    data[-44:-42] = b"\xff\xff"
    data[-38:-6] = hashlib.sha256(data[:-38]).digest()
    data[-4:] = zlib.crc32(data[:-4]).to_bytes(4, "big")
    built = read_application(bytes(data))
    assert (built.product_id, built.product_version) == (None, 44)


def test_a_compressed_application_is_sent_small_and_takes_its_slot_whole() -> None:
    compressed = compress_module(APPLICATION)
    built = read_application(compressed)
    assert (built.size, built.module_size) == (len(compressed), 20_000)


def test_a_bundle_is_its_application_with_about_its_assets() -> None:
    data = bundle(logger=APPLICATION, assets__picture=b"picture" * 1000, assets__other=b"other" * 1000)
    built = read_application(data)
    assert built.bundle
    assert built.module_size == 20_000
    assert 20_000 < built.size < 20_500
    assert built.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (build_module(BORON, module("boron", "6.3.4", "system_part/1")), "PFR4011 the file is no application but"),
        (
            combine_modules([build_module(BORON, module("boron", "6.3.4", "system_part/1")), APPLICATION]),
            "PFR4011 the file holds 2 modules",
        ),
        (APPLICATION[:-1], "PFR4003"),
        (b"", "PFR4001"),
        (bundle(), "PFR4011 a bundle has one .bin file at its top level; this one has: none"),
        (bundle(one=APPLICATION, two=APPLICATION), "this one has: 'one.bin', 'two.bin'"),
        (bundle(folder__logger=APPLICATION), "this one has: none"),
        (bundle(logger=b"nonsense" * 20), "PFR4002"),
        (bundle(logger=APPLICATION)[:-30], "PFR4011 the bundle cannot be read"),
    ],
)
def test_what_is_no_application_is_refused(data: bytes, said: str) -> None:
    assert said in refusal(data)


def test_a_bundle_that_unpacks_without_end_is_refused_at_the_limit() -> None:
    bomb = bundle(logger=bytes(APPLICATION_BYTES_MAX + 1))
    assert len(bomb) < 100_000
    assert "larger than" in refusal(bomb)


@given(st.binary(max_size=300), st.integers(0, 400))
def test_a_damaged_bundle_is_refused_and_never_anything_else(junk: bytes, place: int) -> None:
    whole = bundle(logger=build_application(BORON, system_version=6305, product=None), assets__a=b"asset")
    damaged = whole[:place] + junk + whole[place + len(junk) :]
    code = "none"
    try:
        read_application(damaged)
    except FirmwareError as error:
        code = error.code
    assert code == "none" or code.startswith("PFR40")
