"""Every worked example is sound, and says in its first line which schema it follows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.emulator.world import demo_world
from reconciler.firmware.known import known_catalog
from reconciler.manifests.schema import MANIFEST_KINDS
from reconciler.model.device import DeviceId, Observation, ObservedDevice, Product
from reconciler.model.instant import Instant
from reconciler.model.platform import platform_by_id
from reconciler.planning.census import census_of
from reconciler.planning.naming import Naming
from reconciler.planning.selection import Member, members_by_fleet
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


def demonstration() -> Observation:
    """The devices of the demonstration's world, as an observation would show them."""
    world = demo_world()
    now = Instant(0)
    names = [(line, name) for line in world.devices for name in line.names]
    return Observation(
        observed_at=now,
        source="snapshot",
        devices=tuple(
            ObservedDevice(
                id=DeviceId(f"{number:024x}"),
                name=name,
                platform_id=line.platform.id,
                product_id=line.product_id or line.platform.id,
                groups=line.groups,
                observed_at=now,
            )
            for number, (line, name) in enumerate(names)
        ),
        products=tuple(Product(id=product.id, slug=product.slug) for product in world.products),
    )


def demonstration_members() -> Mapping[str, list[Member]]:
    fleets = load_fleets([EXAMPLES / "demo"])
    naming = Naming(fleets)
    return members_by_fleet(fleets, census_of(demonstration(), naming), naming, now=Instant(0))


def test_every_device_of_the_demonstration_belongs_to_one_fleet_and_every_fleet_has_devices() -> None:
    seen = demonstration()
    members = demonstration_members()
    assert sum(len(member.kind.ids) for kinds in members.values() for member in kinds) == len(seen.devices)
    assert [name for name, kinds in members.items() if not kinds] == []


def test_the_demonstrations_override_holds_a_device() -> None:
    names = {device.id: device.name for device in demonstration().devices}
    held = [member for kinds in demonstration_members().values() for member in kinds if member.override is not None]
    assert [names[device_id] for member in held for device_id in member.kind.ids] == ["pumps-1"]


def test_the_demonstration_asks_for_releases_that_were_published_for_its_devices() -> None:
    fleets = load_fleets([EXAMPLES / "demo"])
    members = demonstration_members()
    for fleet in fleets.fleets:
        assert fleet.desired.device_os is not None
        for member in members[fleet.name]:
            platform = platform_by_id(member.kind.device.platform_id or 0)
            assert platform is not None
            release = known_catalog().release(platform, fleet.desired.device_os)
            assert release is not None, (fleet.name, platform)
            assert release.published, (fleet.name, platform)


def test_the_demonstrations_applications_are_those_of_its_products() -> None:
    held = {(product.slug, firmware.version) for product in demo_world().products for firmware in product.firmware}
    for fleet in load_fleets([EXAMPLES / "demo"]).fleets:
        application = fleet.desired.application
        if application is not None:
            assert (fleet.product, application.version) in held
            assert application.binaries
