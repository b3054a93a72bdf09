"""The vendor's binary-version-reader reads every binary that is built here as what it was meant to be."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import load_world
from reconciler.firmware.builder import build_application, build_asset, build_module, combine_modules, compress_module
from reconciler.firmware.extension import AssetDependency
from reconciler.firmware.known import known_catalog
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import PLATFORMS, Platform

pytestmark = pytest.mark.real


TOKEN = "1" * 40
READER = ("binary-version-reader", "3.1.3")
SYSTEM = ModuleSlot(ModuleFunction.SYSTEM_PART, 1)
BOOTLOADER = ModuleSlot(ModuleFunction.BOOTLOADER, 0)
WITHOUT_PRODUCT = (ModuleFunction.RADIO_STACK, ModuleFunction.NCP_FIRMWARE)


def every_slot() -> Iterator[tuple[str, bytes, Platform, Module, tuple[int, int] | None]]:
    """A module for every slot of every platform, with a product where it has a place for one."""
    for platform in PLATFORMS:
        for slot in platform.bounds:
            module = Module(
                slot=slot,
                version=4711,
                first_dependency=Dependency(SYSTEM, 7),
                second_dependency=Dependency(BOOTLOADER, 3),
            )
            product = None if slot.function in WITHOUT_PRODUCT else (1234, 5)
            yield f"{platform} {slot}", build_module(platform, module, product=product), platform, module, product


@pytest.fixture(scope="module")
def read(run_node: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """What the reader makes of these contents."""

    def ask(files: list[bytes], compressed: list[bytes] | None = None, combined: list[bytes] | None = None) -> Any:
        folder = tmp_path_factory.mktemp("binaries")
        question = {
            kind: [str(written(folder / f"{kind}-{number}.bin", content)) for number, content in enumerate(contents)]
            for kind, contents in (("files", files), ("compressed", compressed or []), ("combined", combined or []))
        }
        return run_node("read_binaries.js", READER, question)

    return ask


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def needs(dependency: Dependency | None) -> tuple[int, int, int]:
    return (dependency.slot.function.value, dependency.slot.index, dependency.version) if dependency else (0, 0, 0)


def test_every_module_is_read_as_what_it_is(read: Callable[..., Any]) -> None:
    built = list(every_slot())
    found = read([content for _, content, *_ in built])["files"]
    assert len(found) == len(built) > 40
    for (name, content, platform, module, product), seen in zip(built, found, strict=True):
        prefix, suffix = seen["prefixInfo"], seen["suffixInfo"]
        assert seen["crc"]["ok"], name
        assert prefix["platformID"] == platform.id, name
        assert (prefix["moduleFunction"], prefix["moduleIndex"], prefix["moduleVersion"]) == (
            module.slot.function.value,
            module.slot.index,
            module.version,
        ), name
        assert tuple(prefix[f"depModule{part}"] for part in ("Function", "Index", "Version")) == needs(
            module.first_dependency
        ), name
        assert tuple(prefix[f"dep2Module{part}"] for part in ("Function", "Index", "Version")) == needs(
            module.second_dependency
        ), name
        size = int(prefix["moduleEndAddy"], 16) - int(prefix["moduleStartAddy"], 16) + 4
        assert size == len(content), name
        if product is not None:
            assert (suffix["productId"], suffix["productVersion"]) == product, name
        assert suffix["fwUniqueId"] == hashlib.sha256(content[:-38]).hexdigest(), name


def test_applications_and_assets_are_read_too(read: Callable[..., Any]) -> None:
    releases = {platform: known_catalog().releases(platform) for platform in PLATFORMS if platform.system_parts}
    applications = [
        build_application(platform, system_version=versions[-1].version.module_number or 1, product=(4242, 9))
        for platform, versions in releases.items()
        if versions
    ]
    asset = build_asset("sounds/hello.wav", b"hello " * 500)
    found = read([*applications, asset])["files"]
    assert all(seen["crc"]["ok"] for seen in found)
    assert {(seen["suffixInfo"]["productId"], seen["suffixInfo"]["productVersion"]) for seen in found[:-1]} == {
        (4242, 9)
    }
    assert {seen["prefixInfo"]["moduleFunction"] for seen in found[:-1]} == {ModuleFunction.USER_PART.value}
    assert found[-1]["prefixInfo"]["moduleFunction"] == ModuleFunction.ASSET.value
    names = [one["name"] for one in found[-1]["suffixInfo"]["extensions"] if "name" in one]
    assert names == ["sounds/hello.wav"]


def test_what_an_application_asks_for_is_read(read: Callable[..., Any]) -> None:
    wanted = hashlib.sha256(b"hello").digest()
    for platform in (one for one in PLATFORMS if one.name in ("boron", "p2")):
        slot = max(slot for slot in platform.bounds if slot.function is ModuleFunction.USER_PART)
        where = "prefix_extensions" if platform.name == "p2" else "suffix_extensions"
        extension = AssetDependency(hash_type=0, digest=wanted, name="hello.wav")
        content = build_module(platform, Module(slot=slot, version=6), product=(7, 1), **{where: (extension,)})
        (seen,) = read([content])["files"]
        extensions = [*seen["prefixInfo"].get("extensions", []), *seen["suffixInfo"].get("extensions", [])]
        assert [one["hash"] for one in extensions if one.get("name") == "hello.wav"] == [wanted.hex()], platform


def test_what_is_compressed_or_combined_here_is_taken_apart_there(read: Callable[..., Any]) -> None:
    boron = next(platform for platform in PLATFORMS if platform.name == "boron")
    plain = build_module(boron, Module(slot=BOOTLOADER, version=3200), product=None)
    system = build_module(boron, Module(slot=SYSTEM, version=6305), size=20_000)
    seen = read(
        [], compressed=[compress_module(plain), compress_module(system)], combined=[combine_modules([plain, system])]
    )
    hashes = [hashlib.sha256(content).hexdigest() for content in (plain, system)]
    assert seen["unpacked"] == hashes
    ((_, last),) = seen["parts"]
    assert last == hashes[1]


def test_what_the_catalogue_says_of_its_downloads_is_what_the_reader_reads(run_node: Callable[..., Any]) -> None:
    """Every module of every published release of every platform, downloaded once."""
    with EmulatorServer(load_world("devices: []"), speed=0.0) as server:
        platforms = [platform.id for platform in PLATFORMS if server.catalog.releases(platform)]
        question = {"url": server.url, "token": TOKEN, "platforms": platforms}
        found = run_node("read_catalogue.js", READER, question)
        published = sum(release.published for release in server.catalog.all_releases)
    assert found["releases"] == published
    assert len(found["modules"]) > 1500
    names = found["modules"][0][0]["prefixInfo"].keys()
    # The catalogue names functions, the reader numbers them.
    same = names - {"moduleFunction", "depModuleFunction", "dep2ModuleFunction"}
    for told, seen in found["modules"]:
        assert seen["crc"] == told["crc"], told["filename"]
        assert {name: seen["prefixInfo"][name] for name in same} == {name: told["prefixInfo"][name] for name in same}
        assert {name: seen["suffixInfo"][name] for name in told["suffixInfo"]} == told["suffixInfo"]


def test_what_a_product_holds_is_downloaded_as_the_application_that_it_is(read: Callable[..., Any]) -> None:
    text = """
products:
  - {id: 12345, slug: a, platform: boron, firmware: [{version: 1, deviceOS: "1.5.2"}, {version: 2, deviceOS: "6.3.4"}]}
  - {id: 12346, slug: b, platform: p2, firmware: [{version: 3, deviceOS: "5.0.0"}]}
devices: []
"""
    with EmulatorServer(load_world(text), speed=0.0) as server, requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        contents = [
            session.get(f"{server.url}/v1/products/{product}/firmware/{version}/binary", timeout=10).content
            for product, version in ((12345, 1), (12345, 2), (12346, 3))
        ]
    suffixes = [seen["suffixInfo"] for seen in read(contents)["files"]]
    assert [(one["productId"], one["productVersion"]) for one in suffixes] == [(12345, 1), (12345, 2), (12346, 3)]
