"""The oracle against what the documents say in words, and the rules against routes that break exactly one of them."""

from __future__ import annotations

import pytest

from tests.planning.oracle import Step, cheapest_routes, inferred, is_later, platforms, publishable, shipped
from tests.planning.route_rules import check_route


def steps(platform: str, *texts: str) -> tuple[Step, ...]:
    """`6.3.4 bootloader/0` is that release's bootloader."""
    pairs = [text.split() for text in texts]
    return tuple(Step(release, shipped()[platform][release][slot]) for release, slot in pairs)


def broken_rules(platform: str, start: str, desired: str, route: tuple[Step, ...]) -> set[str]:
    return {sentence.partition(":")[0] for sentence in check_route(platform, start, desired, route)}


def test_there_are_10527_published_pairs_and_10261_of_them_can_be_reached_without_one_boot_into_safe_mode() -> None:
    pairs = reachable = with_safe_mode = 0
    unreachable = set()
    for platform in platforms():
        for start in publishable(platform):
            routes = cheapest_routes(platform, start)
            later = [release for release in publishable(platform) if is_later(release, start)]
            pairs += len(later)
            reachable += len(routes)
            with_safe_mode += sum(route.safe_mode_boots > 0 for route in routes.values())
            unreachable |= {platform for release in later if release not in routes}
    assert (pairs, reachable, with_safe_mode, unreachable) == (10_527, 10_261, 0, {"tracker"})


def test_every_cheapest_route_of_some_platforms_keeps_every_rule() -> None:
    for platform in ("electron", "photon", "xenon", "p2", "tracker"):
        for start in publishable(platform):
            for desired, route in cheapest_routes(platform, start).items():
                breaches = [b for b in check_route(platform, start, desired, route.steps) if "order_within" not in b]
                assert not breaches, (platform, start, desired)


def test_an_electron_goes_through_the_vendors_stations_over_the_cloud_and_not_over_usb() -> None:
    assert cheapest_routes("electron", "0.5.1")["2.3.1"].hops == ("0.5.5", "0.6.4", "0.7.0", "1.2.1", "2.3.1")
    assert cheapest_routes("electron", "0.5.1", via="usb")["2.3.1"].hops == ("2.3.1",)


def test_a_photon_below_0_7_0_passes_through_0_7_0() -> None:
    assert cheapest_routes("photon", "0.6.3")["2.3.1"].hops == ("0.7.0", "2.3.1")


def test_a_boron_below_1_3_1_passes_through_1_3_1() -> None:
    assert cheapest_routes("boron", "1.2.1")["6.3.4"].hops[0] == "1.3.1"


def test_a_realtek_device_gets_part_1_then_the_bootloader_then_the_system_part() -> None:
    sent = [step.module.slot for step in cheapest_routes("p2", "5.0.0")["6.5.0"].steps]
    assert sent == ["bootloader/2", "bootloader/0", "system_part/1"]


def test_a_tracker_on_2_x_reaches_nothing_from_3_0_0_on() -> None:
    assert set(cheapest_routes("tracker", "2.3.0")) == {"2.3.1"}


def test_over_usb_a_tracker_on_2_x_gets_its_ncp_firmware_after_the_system_part_in_safe_mode() -> None:
    route = cheapest_routes("tracker", "2.3.1", via="usb")["3.0.0"]
    assert [step.module.slot for step in route.steps] == ["system_part/1", "ncp_firmware/0"]
    assert route.safe_mode_boots == 1


def test_over_usb_writes_in_dfu_mode_are_not_checked_and_have_one_boot_together() -> None:
    texts = ["1.5.2 bootloader/0", "1.5.2 radio_stack/0", "1.5.2 system_part/1"]
    assert check_route("boron", "1.2.1", "1.5.2", steps("boron", *texts), via="usb") == []
    assert "rule_2_the_device_takes_every_step" in broken_rules("boron", "1.2.1", "1.5.2", steps("boron", *texts))


def test_over_usb_a_bootloader_before_the_part_that_it_needs_is_refused() -> None:
    route = steps("p2", "6.5.0 bootloader/0", "6.5.0 bootloader/2", "6.5.0 system_part/1")
    broken = check_route("p2", "5.0.0", "6.5.0", route, via="usb")
    assert any(sentence.startswith("rule_2") for sentence in broken)


def test_an_inferred_bootloader_has_the_lowest_version_that_the_release_needs() -> None:
    assert {m.slot: m.version for m in inferred("boron", "5.6.0")}["bootloader/0"] == 2300


@pytest.mark.parametrize(
    ("platform", "start", "desired", "route", "broken"),
    [
        ("boron", "1.5.2", "6.3.4", ["6.3.4 bootloader/0", "6.3.4 system_part/1"], set()),
        (
            "boron",
            "1.5.2",
            "6.3.4",
            ["6.3.4 system_part/1", "6.3.4 bootloader/0"],
            {"rule_2_the_device_takes_every_step", "rule_3_every_boot_is_normal_where_it_can_be"},
        ),
        (
            "argon",
            "5.9.0",
            "6.4.1",
            ["6.4.1 system_part/1", "6.4.1 bootloader/0"],
            {"rule_3_every_boot_is_normal_where_it_can_be"},
        ),
        ("boron", "1.5.2", "6.3.4", ["6.3.4 bootloader/0"], {"rule_1_all_system_parts", "rule_9_the_route_arrives"}),
        (
            "boron",
            "1.2.1",
            "1.5.2",
            ["1.3.1 bootloader/0", "1.3.1 system_part/1", "1.5.2 bootloader/0", "1.5.2 radio_stack/0"],
            {"rule_1_all_system_parts", "rule_9_the_route_arrives"},
        ),
        (
            "electron",
            "1.0.1",
            "2.3.1",
            ["2.3.1 bootloader/0", "2.3.1 system_part/3", "2.3.1 system_part/1", "2.3.1 system_part/2"],
            {"rule_4_no_station_is_passed_by"},
        ),
        (
            "boron",
            "1.5.2",
            "6.3.4",
            ["5.9.0 bootloader/0", "5.9.0 system_part/1", "6.3.4 bootloader/0", "6.3.4 system_part/1"],
            {"rule_5_no_other_route_is_cheaper"},
        ),
        (
            "boron",
            "6.3.4",
            "6.3.5",
            ["6.3.5 bootloader/0", "6.3.5 system_part/1"],
            {"rule_1_only_needed_modules_are_sent", "rule_5_no_other_route_is_cheaper"},
        ),
        (
            "boron",
            "6.3.4",
            "6.3.5",
            ["6.3.4 bootloader/0", "6.3.5 system_part/1"],
            {"rule_8_nothing_of_the_running_release", "rule_1_hops_go_strictly_upward"},
        ),
        (
            "boron",
            "6.3.4",
            "6.3.5",
            ["6.4.0 system_part/1"],
            {"rule_1_hops_go_strictly_upward", "rule_9_the_route_arrives"},
        ),
        ("boron", "6.3.4", "6.2.1", ["6.2.1 system_part/1"], {"rule_1_no_version_falls", "rule_1_hops_go_strictly"}),
        (
            "boron",
            "4.2.0",
            "5.2.0",
            ["5.0.0-alpha.1 bootloader/0", "5.0.0-alpha.1 system_part/1", "5.2.0 bootloader/0", "5.2.0 system_part/1"],
            {"rule_1_hops_go_strictly_upward"},
        ),
    ],
)
def test_the_rules_find_what_is_wrong_with_a_route(
    platform: str, start: str, desired: str, route: list[str], broken: set[str]
) -> None:
    found = broken_rules(platform, start, desired, steps(platform, *route))
    if not broken:
        assert found == set()
    for name in broken:
        assert any(rule.startswith(name) for rule in found), (name, found)
