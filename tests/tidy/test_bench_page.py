"""What docs/bench.md shows is what happens: its commands are run on the pretend bench, and their output compared."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from reconciler.emulator.binaries import EmulatedBinaries
from reconciler.firmware.known import known_catalog
from reconciler.model.fleet import Desired
from reconciler.model.platform import platform_by_name
from reconciler.model.version import DeviceOsVersion
from reconciler.planning.provision import releases_for_bench, steps_of
from tests.tidy.test_readme import BLOCK, ROOT, difference, environment, run

PAGE = (ROOT / "docs" / "bench.md").read_text(encoding="utf-8")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
PLAN = re.compile(r"plan-local-[0-9a-f]{10}")


def prepare(folder: Path) -> None:
    """The folder that the page speaks of: manifests, and modules with the catalog that goes with them."""
    shutil.copytree(ROOT / "fleet-manifests" / "11-bench", folder / "bench")
    binaries = EmulatedBinaries(known_catalog())
    desired = Desired(device_os=DeviceOsVersion("6.3.4"), application=None)
    for name in ("argon", "boron"):
        platform = platform_by_name(name)
        assert platform is not None
        for release in releases_for_bench(platform, desired, known_catalog()):
            place = folder / "firmware" / name / release.version.text
            place.mkdir(parents=True)
            for step in steps_of(platform, release):
                content = binaries.module(platform, release.version, step.module.slot)
                assert content is not None
                (place / binaries.file_name(platform, release.version, step.module.slot)).write_bytes(content)
    (folder / "catalog.json").write_text(json.dumps(binaries.catalog.document()), encoding="utf-8")


def commands() -> list[tuple[str, list[str]]]:
    found = []
    for language, text in BLOCK.findall(PAGE):
        if language == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, *lines = part.splitlines()
                found.append((command, lines))
    return found


def steady(lines: list[str]) -> list[str]:
    return [PLAN.sub("<plan>", DIGEST.sub("<digest>", line)) for line in lines]


def test_every_command_of_the_page_does_what_the_page_says(tmp_path: Path) -> None:
    prepare(tmp_path)
    shown = commands()
    assert {command.split()[2] for command, _ in shown} == {"list", "plan", "bench", "apply", "create", "show"}
    for command, lines in shown:
        code = next((line.rpartition("# ends with ")[2] for line in lines if "# ends with " in line), None)
        line = command if code is None else f"{command}  # ends with {code}"
        wanted = [each.partition("  # ends with ")[0] for each in lines]
        printed = run(line, tmp_path, environment())
        assert difference(steady(wanted), steady(printed)) == "", command
    assert len(list((tmp_path / "records").glob("*.jsonl"))) == 6
