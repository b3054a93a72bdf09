"""Programs of others on the same pretend bus: Debian's `dfu-util`, and the vendor's `particle-usb` from npm.

What they read and write there shows that the pretend devices are true, and that our wire speaks as theirs do.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from reconciler.model.device import DeviceId
from reconciler.particle.usb_image import dfu_writes
from tests.npm_package import NpmError, installed
from tests.os_bench import missing, os_bench
from tests.pretend_bench import DEVICE, PretendBench, application, module, platform

PARTICLE_USB = ("particle-usb", "4.1.0")
HERE = Path(__file__).parent


def world(platform_name: str, release: str) -> dict[str, object]:
    line = {"id": DEVICE, "platform": platform_name, "release": release, "product": [12345, 3], "port": [1]}
    return {"devices": [line]}


def dfu_util() -> str:
    found = shutil.which("dfu-util")
    if found is None:
        missing("dfu-util is not installed (apt install dfu-util)")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("platform_name", "release", "wanted"), [("boron", "4.0.0", "4.0.2"), ("photon", "2.0.1", "2.1.0")]
)
def test_dfu_util_writes_and_reads_what_we_would_write(
    platform_name: str, release: str, wanted: str, tmp_path: Path
) -> None:
    program = dfu_util()
    (write,) = dfu_writes(platform(platform_name), module(platform_name, wanted, "system_part/1"))
    (tmp_path / "module.bin").write_bytes(write.content)
    with os_bench(world(platform_name, release)) as bench:
        assert bench.python("tests.usb_into_dfu", DEVICE) == "dfu"
        listed = bench.run([program, "-l"])
        assert DEVICE.upper() in listed
        assert "@Internal Flash" in listed
        bench.run([program, "-a", "0", "-s", f"{write.address:#x}", "-D", str(tmp_path / "module.bin")])
        bench.run(
            [program, "-a", "0", "-s", f"{write.address:#x}:{len(write.content)}", "-U", str(tmp_path / "back.bin")]
        )
        assert (tmp_path / "back.bin").read_bytes() == write.content
        assert bench.ask("flash", device=DEVICE, address=write.address, size=len(write.content)) == write.content.hex()
        assert bench.ask("broken", device=DEVICE) == []


def test_dfu_util_finds_what_we_wrote(tmp_path: Path) -> None:
    program = dfu_util()
    content = application("boron", "4.0.0", 4)
    former, write = dfu_writes(platform("boron"), content)
    with os_bench(world("boron", "4.0.0")) as bench:
        (tmp_path / "application.bin").write_bytes(content)
        bench.python("tests.usb_into_dfu", DEVICE, str(tmp_path / "application.bin"))
        bench.run(
            [program, "-a", "0", "-s", f"{write.address:#x}:{len(write.content)}", "-U", str(tmp_path / "back.bin")]
        )
        bench.run([program, "-a", "0", "-s", f"{former.address:#x}:4096", "-U", str(tmp_path / "former.bin")])
        bench.run([program, "-a", "0", "-s", f"{write.address:#x}:leave", "-U", str(tmp_path / "again.bin")])
        assert (tmp_path / "back.bin").read_bytes() == content
        assert (tmp_path / "former.bin").read_bytes() == b"\xff" * 4096
        assert bench.ask("mode", device=DEVICE) == "normal"
        assert bench.ask("judge") == []


@pytest.mark.real
def test_the_vendors_client_finds_a_device_like_any_other() -> None:
    try:
        node_modules = installed(*PARTICLE_USB)
    except NpmError as error:
        missing(str(error))
    new = module("boron", "6.3.4", "system_part/1")
    (write,) = dfu_writes(platform("boron"), new)
    question = {
        "normal": module("boron", "6.3.4", "bootloader/0").hex(),
        "refused": application("argon", "6.3.4", 4, size=8192).hex(),
        "dfu": write.content.hex(),
        "address": write.address,
    }
    with os_bench(world("boron", "6.1.1")) as bench:
        said = bench.run(
            ["node", str(HERE / "drive_particle_usb.js")],
            environment={"NODE_PATH": str(node_modules)},
            sent=json.dumps(question),
        )
        judged = bench.ask("judge", unmet_allowed=True)
    seen = json.loads(said.splitlines()[-1])
    here = PretendBench()
    here.plug("boron", "6.1.1")
    with here.normal().control() as session:
        ours = [session.device_id(), session.serial_number(), session.system_version()]
        names = {"bootloader": "BOOTLOADER", "system_part": "SYSTEM_PART", "user_part": "USER_PART"}
        modules = [report.module for report in session.modules().modules]
    assert seen["type"] == "boron"
    assert DeviceId(seen["id"]) == DEVICE
    assert seen["names"] == ours
    assert {
        f"{names[m.slot.function.label]} {m.slot.index} {m.version}" for m in modules if m.slot.function.label in names
    } <= set(seen["before"])
    assert len(seen["before"]) == len(modules)
    assert seen["modes"] == ["NORMAL", "LISTENING", "NORMAL"]
    assert seen["refused"] != "taken"
    assert seen["before"] != seen["after"]
    assert seen["same"] is True
    assert seen["version"] == "6.3.4"
    assert judged == []


@pytest.mark.parametrize(("ci", "ending"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_what_is_missing_is_said_loudly_and_fails_in_continuous_integration(
    ci: str, ending: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ending, match="umockdev is not installed"), os_bench(world("boron", "4.0.0")):
        pass
    with pytest.raises(ending, match="dfu-util is not installed"):
        dfu_util()
