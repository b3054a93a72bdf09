"""Every worked example is sound, and says in its first line which schema it follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.manifests.schema import MANIFEST_KINDS
from reconciler.model.platform import platform_by_name
from reconciler.sources import load_fleets

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "fleet-manifests"
FOLDERS = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
MANIFESTS = sorted(path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.yaml"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_example_is_valid(folder: str) -> None:
    assert load_fleets([EXAMPLES / folder]).fleets


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_an_example_names_its_schema_and_says_what_it_shows(manifest: str) -> None:
    path = EXAMPLES / manifest
    first, second, *_ = path.read_text(encoding="utf-8").splitlines()
    relative = first.removeprefix("# yaml-language-server: $schema=")
    assert relative != first
    assert (path.parent / relative).resolve().parent == REPOSITORY / "schemas"
    assert (path.parent / relative).is_file()
    assert second.startswith("# ")


def test_every_folder_is_in_the_list_of_examples() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [folder for folder in FOLDERS if f"`{folder}/`" not in listed] == []


def test_the_examples_show_every_kind() -> None:
    text = "".join((EXAMPLES / manifest).read_text(encoding="utf-8") for manifest in MANIFESTS)
    assert [kind for kind in MANIFEST_KINDS if f"\nkind: {kind}\n" not in text] == []


def test_the_demonstration_asks_for_what_exists_on_its_platforms() -> None:
    fleets = load_fleets([EXAMPLES / "demo"])
    assert len({fleet.product for fleet in fleets.fleets}) == 10
    for fleet in fleets.fleets:
        application = fleet.desired.application
        for binary in () if application is None else application.binaries:
            assert platform_by_name(binary.platform) is not None
    assert [override.mode for override in fleets.overrides] == ["hold"]
