from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.execution.binaries import CloudBinaries, FolderBinaries, verify, verify_application
from reconciler.firmware.builder import build_application, build_module
from reconciler.model.device import DeviceMode
from reconciler.model.error import FirmwareError
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import PLATFORMS, Platform
from reconciler.model.step import FlashModule
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from tests.particle.pretend import Answer, PretendServer, Seen, pretend_cloud

BORON, PHOTON = (next(p for p in PLATFORMS if p.name == name) for name in ("boron", "photon"))
BOOTLOADER = ModuleSlot(ModuleFunction.BOOTLOADER, 0)
SYSTEM = ModuleSlot(ModuleFunction.SYSTEM_PART, 1)
MODULE = Module(slot=SYSTEM, version=4101, first_dependency=Dependency(BOOTLOADER, 1200))
STEP = FlashModule(module=MODULE, device_os=DeviceOsVersion("4.1.0"), boots_into=DeviceMode.NORMAL)
TWO = ApplicationVersion(2)


def binary(module: Module = MODULE, platform: Platform = BORON, seed: int = 0) -> bytes:
    return build_module(platform, module, size=8192, seed=seed)


def test_the_planned_module_is_accepted() -> None:
    verify(binary(), BORON, STEP)
    verify(binary(), BORON, replace(STEP, sha256=hashlib.sha256(binary()).hexdigest().upper()))


@pytest.mark.parametrize(
    "wrong",
    [
        binary(replace(MODULE, version=4102)),
        binary(replace(MODULE, version=4100)),
        binary(replace(MODULE, first_dependency=Dependency(BOOTLOADER, 1199))),
        binary(replace(MODULE, first_dependency=None)),
        binary(replace(MODULE, first_dependency=None, second_dependency=Dependency(BOOTLOADER, 1200))),
        binary(Module(slot=BOOTLOADER, version=4101, first_dependency=MODULE.first_dependency)),
        binary(platform=PHOTON),
        binary()[:-1],
        binary() + b"\0",
        binary()[:4000] + bytes([binary()[4000] ^ 1]) + binary()[4001:],
        b"",
        b"<html>",
    ],
)
def test_anything_else_than_the_planned_module_is_refused(wrong: bytes) -> None:
    with pytest.raises(FirmwareError) as caught:
        verify(wrong, BORON, STEP)
    assert caught.value.code == "PFR4401"


def test_a_valid_module_that_is_not_the_seen_file_is_refused() -> None:
    with pytest.raises(FirmwareError, match="SHA-256"):
        verify(binary(seed=1), BORON, replace(STEP, sha256=hashlib.sha256(binary(seed=2)).hexdigest()))


def test_an_application_is_known_by_platform_kind_and_version() -> None:
    application = build_application(BORON, system_version=4101, product=(12345, 2))
    verify_application(application, BORON, TWO, hashlib.sha256(application).hexdigest())
    no_product = build_application(BORON, system_version=4101, product=(BORON.id, 2))
    verify_application(no_product, BORON, TWO, None)
    for wrong, platform, version, sha256 in (
        (application, PHOTON, TWO, None),
        (application, BORON, ApplicationVersion(3), None),
        (application, BORON, TWO, "0" * 64),
        (build_application(BORON, system_version=4101, product=None), BORON, TWO, None),
        (binary(), BORON, TWO, None),
        (b"PK\3\4", BORON, TWO, None),
    ):
        with pytest.raises(FirmwareError) as caught:
            verify_application(wrong, platform, version, sha256)
        assert caught.value.code == "PFR4401"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "boron" / "4.1.0"
    place.mkdir(parents=True)
    bootloader = Module(slot=BOOTLOADER, version=1200)
    # The names lie on purpose.
    (place / "system-part1.bin").write_bytes(binary(bootloader))
    (place / "bootloader.bin").write_bytes(binary())
    (place / "notes.bin").write_bytes(b"no module")
    (place / "other.bin").write_bytes(binary(platform=PHOTON))
    return tmp_path


def test_a_file_is_known_by_its_prefix_and_not_by_its_name(folder: Path) -> None:
    assert FolderBinaries(folder).module(BORON, STEP) == binary()


def test_a_folder_that_lacks_the_module_says_so(folder: Path) -> None:
    store = FolderBinaries(folder)
    for step in (
        replace(STEP, device_os=DeviceOsVersion("4.2.0")),
        replace(STEP, module=replace(MODULE, version=4102)),
    ):
        with pytest.raises(FirmwareError) as caught:
            store.module(BORON, step)
        assert caught.value.code == "PFR4402"


def test_a_file_of_the_folder_that_has_other_dependencies_is_refused(folder: Path) -> None:
    step = replace(STEP, module=replace(MODULE, first_dependency=None))
    with pytest.raises(FirmwareError) as caught:
        FolderBinaries(folder).module(BORON, step)
    assert caught.value.code == "PFR4401"


def test_applications_come_from_the_manifests_alone(tmp_path: Path) -> None:
    store = FolderBinaries(tmp_path, {("boron", TWO, "ab"): b"one", ("boron", TWO, "cd"): b"other"})
    assert store.application("boron", TWO, "ab") == b"one"
    assert store.application("boron", TWO, "cd") == b"other"
    assert store.application("boron", TWO) is None
    assert store.application("photon", TWO, "ab") is None


class Catalogue:
    """The cloud's Device OS catalogue with one release of one file, and what it is told of it."""

    def __init__(self, server: PretendServer, content: bytes, prefix: dict[str, object] | None) -> None:
        self.content = content
        release = {
            "version": "4.1.0",
            "base_url": f"{server.url}/files",
            "modules": [
                {
                    "filename": "user.bin",
                    "prefixInfo": {"moduleFunction": "user_part", "moduleIndex": 1, "moduleVersion": 6},
                },
                {"filename": "system.bin"} | ({} if prefix is None else {"prefixInfo": prefix}),
            ],
        }
        self.fetched: list[str] = []

        def answer(seen: Seen) -> Answer:
            self.fetched.append(seen.path.partition("?")[0])
            if seen.path == "/files/system.bin":
                return Answer(body=self.content)
            if seen.path == "/v1/device-os/versions/4.1.0?platform_id=13":
                return Answer(body=json.dumps(release).encode())
            return Answer(status=404)

        server.chosen = answer


PREFIXES: list[dict[str, object] | None] = [
    {"moduleFunction": "system-part", "moduleIndex": 1, "moduleVersion": 4101},
    {"moduleFunction": "system_part", "moduleIndex": "1", "moduleVersion": "4101"},
    {"moduleFunction": 4, "moduleIndex": 1, "moduleVersion": 4101},
    None,
]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_cloud_is_asked_once_for_each_module(prefix: dict[str, object] | None) -> None:
    with pretend_cloud() as (server, api, _):
        catalogue = Catalogue(server, binary(), prefix)
        store = CloudBinaries(api)
        assert store.module(BORON, STEP) == store.module(BORON, STEP) == binary()
        assert catalogue.fetched == ["/v1/device-os/versions/4.1.0", "/files/system.bin"]


def test_threads_that_want_the_same_module_wait_for_one_download() -> None:
    with pretend_cloud() as (server, api, _):
        catalogue = Catalogue(server, binary(), PREFIXES[0])
        store = CloudBinaries(api)
        got: list[bytes] = []
        threads = [threading.Thread(target=lambda: got.append(store.module(BORON, STEP))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert got == [binary()] * 8
        assert len(catalogue.fetched) == 2


def test_a_module_of_the_cloud_that_is_another_one_is_refused() -> None:
    with pretend_cloud() as (server, api, _):
        Catalogue(server, binary(replace(MODULE, version=4102)), PREFIXES[0])
        with pytest.raises(FirmwareError) as caught:
            CloudBinaries(api).module(BORON, STEP)
        assert caught.value.code == "PFR4401"


@pytest.mark.parametrize("version", ["4.1.1", "4.1.0"])
def test_a_release_or_module_that_the_cloud_does_not_have_is_said(version: str) -> None:
    with pretend_cloud() as (server, api, _):
        Catalogue(server, binary(), PREFIXES[0])
        step = replace(STEP, device_os=DeviceOsVersion(version), module=replace(MODULE, version=4199))
        with pytest.raises(FirmwareError) as caught:
            CloudBinaries(api).module(BORON, step)
        assert caught.value.code == "PFR4402"


def test_memory_is_bounded_and_forgets_what_was_used_longest_ago() -> None:
    with pretend_cloud() as (server, api, _):
        catalogue = Catalogue(server, binary(), PREFIXES[0])
        store = CloudBinaries(api, memory_bytes_max=10_000)
        store.module(BORON, STEP)
        other = replace(STEP, boots_into=DeviceMode.SAFE_MODE)
        store.module(BORON, other)
        store.module(BORON, other)
        assert len(catalogue.fetched) == 4
        store.module(BORON, STEP)
        assert len(catalogue.fetched) == 6


def test_a_folder_keeps_what_was_downloaded(tmp_path: Path) -> None:
    with pretend_cloud() as (server, api, _):
        catalogue = Catalogue(server, binary(), PREFIXES[0])
        CloudBinaries(api, cache=tmp_path).module(BORON, STEP)
        assert CloudBinaries(api, cache=tmp_path).module(BORON, STEP) == binary()
        assert len(catalogue.fetched) == 2
        assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["system_part-1-4101.bin"]


def test_a_damaged_file_of_the_folder_is_fetched_again(tmp_path: Path) -> None:
    with pretend_cloud() as (server, api, _):
        catalogue = Catalogue(server, binary(), PREFIXES[0])
        CloudBinaries(api, cache=tmp_path).module(BORON, STEP)
        [kept] = [path for path in tmp_path.rglob("*") if path.is_file()]
        kept.write_bytes(b"damaged")
        assert CloudBinaries(api, cache=tmp_path).module(BORON, STEP) == binary()
        assert len(catalogue.fetched) == 4
        assert kept.read_bytes() == binary()


def test_a_folder_that_cannot_be_written_to_costs_nothing_else(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf-8")
    with pretend_cloud() as (server, api, _):
        Catalogue(server, binary(), PREFIXES[0])
        assert CloudBinaries(api, cache=blocked).module(BORON, STEP) == binary()
