"""`catalog lint`: the known catalog is clean, and every rule finds the catalog that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.firmware.catalog import Catalog
from reconciler.firmware.known import ELECTRON_STATIONS, LOWER_BOUNDS, TRACKER_CIRCLE, known_catalog
from reconciler.model.fleet import Completeness, Via
from reconciler.model.module import Dependency, Module, ModuleSlot
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.release import LowerBound, Release, Span, Station, Unreachable
from reconciler.model.version import DeviceOsVersion
from reconciler.planning.lint import Finding, LintRule, lint
from reconciler.planning.lint_change import Comparison, compared
from reconciler.planning.reach import Reach
from reconciler.planning.route import Found, RouteSearch
from reconciler.planning.situation import inferred_situation

KNOWN = known_catalog()


def platform(name: str) -> Platform:
    found = platform_by_name(name)
    assert found is not None
    return found


def known(
    *platforms: str,
    releases: Callable[[Release], Release | None] = lambda release: release,
    stations: tuple[Station, ...] = (ELECTRON_STATIONS,),
    unreachable: tuple[Unreachable, ...] = (TRACKER_CIRCLE,),
    lower_bounds: tuple[LowerBound, ...] = LOWER_BOUNDS,
) -> Catalog:
    """The known catalog of some platforms, with what a test changes in it."""
    kept = (releases(release) for name in platforms for release in KNOWN.releases(platform(name)))
    return Catalog(
        (release for release in kept if release is not None),
        (station for station in stations if {*station.platforms} & {*platforms}),
        unreachable=(one for one in unreachable if {*one.platforms} & {*platforms}),
        lower_bounds=(
            replace(bound, platforms=tuple(name for name in bound.platforms if name in platforms))
            for bound in lower_bounds
        ),
    )


def without(*versions: str) -> Callable[[Release], Release | None]:
    return lambda release: None if release.version.text in versions else release


def unpublished(*versions: str) -> Callable[[Release], Release | None]:
    return lambda release: replace(release, published=release.published and release.version.text not in versions)


def with_module(version: str, slot: str, change: Callable[[Module], Module | None]) -> Callable[[Release], Release]:
    def changed(release: Release) -> Release:
        if release.version.text != version:
            return release
        modules = []
        for shipped in release.modules:
            module: Module | None = shipped.module
            if module is not None and str(module.slot) == slot:
                module = change(module)
            if module is not None:
                modules.append(replace(shipped, module=module))
        return replace(release, modules=tuple(modules))

    return changed


def needing(slot: str, version: int) -> Callable[[Module], Module]:
    return lambda module: replace(module, first_dependency=Dependency(ModuleSlot.parse(slot), version))


def findings(catalog: Catalog) -> list[Finding]:
    return list(lint(catalog).findings)


def the_one_finding(catalog: Catalog) -> Finding:
    (finding,) = findings(catalog)
    return finding


def texts(versions: tuple[DeviceOsVersion, ...]) -> list[str]:
    return [version.text for version in versions]


def test_the_known_catalog_is_clean_and_its_only_unreachable_pairs_are_the_tracker_s_circle() -> None:
    report = lint(KNOWN)
    assert report.findings == ()
    assert (report.pairs, report.pairs_reached) == (10_527, 10_261)
    (circle,) = report.excepted
    assert (circle.exception, circle.pairs) == (TRACKER_CIRCLE, 266)
    assert "ncp_firmware/0 7 needs system_part/1 >= 3000" in circle.because


@pytest.mark.parametrize("name", ["photon", "electron", "tracker", "b5som", "p2"])
def test_what_is_taken_over_from_later_releases_is_what_a_search_of_every_pair_finds(name: str) -> None:
    reach = Reach(platform(name), KNOWN)
    search = RouteSearch(platform(name), KNOWN, Via.CLOUD)
    for start in reach.releases[::3]:
        situation = inferred_situation(platform(name), start.version, KNOWN)
        found = {
            goal
            for goal in reach.later(start)
            if isinstance(
                search.find(situation, goal, completeness=Completeness.REQUIRED, allow_prerelease=False), Found
            )
        }
        assert reach.reached(start) == found, start.version
        assert reach.reached(start) | reach.unreached(start).keys() == {*reach.later(start)}


def test_a_missing_bridge_is_found_with_the_planner_s_sentence() -> None:
    unreachable = [
        one
        for one in findings(known("boron", releases=unpublished("1.3.1")))
        if one.rule is LintRule.RELEASE_UNREACHABLE
    ]
    (finding,) = unreachable
    assert texts(finding.starts) == ["0.9.0", "1.1.0", "1.1.1", "1.2.1"]
    assert texts(finding.goals)[0] == "1.4.0"
    assert "nothing above 1.2.1 can be reached" in finding.message


def test_a_circle_within_a_release_is_found_as_a_release_that_nobody_reaches() -> None:
    circle = with_module("6.5.0", "bootloader/0", lambda m: needing("system_part/1", 6500)(replace(m, version=3302)))
    tied = with_module("6.5.0", "system_part/1", needing("bootloader/0", 3302))
    finding = the_one_finding(known("boron", releases=lambda release: tied(circle(release))))
    assert (finding.rule, texts(finding.goals)) == (LintRule.RELEASE_UNREACHABLE, ["6.5.0"])
    assert "bootloader/0 3302 needs system_part/1 >= 6500" in finding.message
    assert len(finding.starts) == 57


def test_the_tracker_s_circle_is_an_error_when_nobody_has_reviewed_it() -> None:
    finding = the_one_finding(known("tracker", unreachable=()))
    assert finding.rule is LintRule.RELEASE_UNREACHABLE
    assert len(finding.starts) * len(finding.goals) == 266


def test_an_exception_that_covers_too_little_leaves_the_rest_as_an_error() -> None:
    narrow = replace(TRACKER_CIRCLE, desired=Span(first=DeviceOsVersion("3.0.0"), last=DeviceOsVersion("5.5.0")))
    finding = the_one_finding(known("tracker", unreachable=(narrow,)))
    assert (finding.rule, texts(finding.goals)[0]) == (LintRule.RELEASE_UNREACHABLE, "5.6.0")


@pytest.mark.parametrize(
    ("start", "last", "desired", "words"),
    [
        ("2.0.0", "3.0.0", "3.1.0", "there is a route from 3.0.0 to 3.1.0 and 36 more pairs"),
        ("2.0.0", "2.3.1", "7.0.0", "7.0.0 is no known release"),
        ("6.5.0", None, "2.0.0", "it covers no pair of releases"),
    ],
)
def test_an_exception_that_is_no_longer_true_is_found(start: str, last: str | None, desired: str, words: str) -> None:
    span = Span(first=DeviceOsVersion(start), last=None if last is None else DeviceOsVersion(last))
    stale = replace(TRACKER_CIRCLE, start=span, desired=Span(first=DeviceOsVersion(desired)))
    finding = the_one_finding(known("tracker", unreachable=(TRACKER_CIRCLE, stale)))
    assert finding.rule is LintRule.EXCEPTION_STALE
    assert words in finding.message


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("0.6.9", "the station 0.6.9 is no known release"),
        ("0.7.0-rc.1", "the station 0.7.0-rc.1 is a prerelease"),
    ],
)
def test_a_station_that_is_no_release_to_pass_is_found(version: str, words: str) -> None:
    station = replace(ELECTRON_STATIONS, versions=(DeviceOsVersion(version),))
    finding = next(one for one in findings(known("electron", stations=(station,))))
    assert finding.rule is LintRule.STATION_UNUSABLE
    assert finding.message.startswith(words)


def test_a_station_that_was_unpublished_is_found_and_so_is_what_it_blocks() -> None:
    found = findings(known("electron", releases=unpublished("0.7.0")))
    assert {one.rule for one in found} == {LintRule.STATION_UNUSABLE, LintRule.RELEASE_UNREACHABLE}


def test_a_station_of_a_platform_without_releases_is_found() -> None:
    station = replace(ELECTRON_STATIONS, platforms=("electron", "core"))
    found = findings(known("electron", stations=(station,)))
    assert {(one.rule, one.platform) for one in found} == {(LintRule.STATION_UNUSABLE, "core")}


def test_stations_that_do_not_ascend_are_found() -> None:
    backwards = replace(ELECTRON_STATIONS, versions=ELECTRON_STATIONS.versions[::-1])
    finding = the_one_finding(known("electron", stations=(backwards,)))
    assert finding.rule is LintRule.STATIONS_DISORDERED


@pytest.mark.parametrize("field", ["reason", "source"])
def test_an_entry_that_explains_nothing_is_found(field: str) -> None:
    blank = {field: " "}
    catalog = known(
        "electron",
        "tracker",
        "boron",
        stations=(replace(ELECTRON_STATIONS, **blank),),
        unreachable=(replace(TRACKER_CIRCLE, **blank),),
        lower_bounds=(*(b for b in LOWER_BOUNDS if b.version != 101), replace(LOWER_BOUNDS[0], **blank)),
    )
    found = findings(catalog)
    assert {(one.rule, one.platform) for one in found} == {
        (LintRule.UNEXPLAINED, name) for name in ("electron", "tracker", "boron")
    }
    assert all(one.message.endswith(f"has no {field}") for one in found)


def test_a_release_without_system_parts_is_found_and_planned_around() -> None:
    finding = the_one_finding(known("boron", releases=with_module("6.5.0", "system_part/1", lambda _: None)))
    assert finding.rule is LintRule.RELEASE_UNSOUND
    assert "6.5.0 ships no system part" in finding.message


def test_a_release_with_parts_of_two_numbers_is_found() -> None:
    mixed = with_module("3.3.1", "system_part/1", lambda module: replace(module, version=3300))
    found = findings(known("electron", releases=mixed))
    assert LintRule.RELEASE_UNSOUND in {one.rule for one in found}


def test_a_need_of_a_slot_that_the_platform_does_not_have_is_found() -> None:
    found = findings(known("boron", releases=with_module("6.5.0", "system_part/1", needing("system_part/2", 1))))
    assert LintRule.SLOT_UNKNOWN in {one.rule for one in found}
    assert "system_part/1 6500 of 6.5.0 needs system_part/2 >= 1: boron has no system_part/2" in [
        one.message for one in found
    ]


def test_a_need_that_nothing_meets_is_found() -> None:
    found = findings(known("boron", releases=with_module("6.5.0", "system_part/1", needing("bootloader/0", 9999))))
    assert {one.rule for one in found} == {
        LintRule.NEED_NEVER_MET,
        LintRule.RELEASE_UNBOOTABLE,
        LintRule.RELEASE_UNREACHABLE,
    }


def test_a_need_that_only_an_unpublished_release_meets_is_never_met() -> None:
    raised = with_module("6.5.0", "system_part/1", needing("bootloader/0", 3302))
    hidden = with_module("6.5.0", "bootloader/0", lambda module: replace(module, version=3302))
    catalog = known("boron", releases=raised)
    extra = replace(
        hidden(next(r for r in KNOWN.releases(platform("boron")) if r.version.text == "6.5.0")),
        version=DeviceOsVersion("6.5.1"),
        published=False,
    )
    found = findings(Catalog([*catalog.all_releases, extra], lower_bounds=catalog.lower_bounds))
    assert LintRule.NEED_NEVER_MET in {one.rule for one in found}


def test_a_needed_version_that_no_release_ships_must_be_listed() -> None:
    found = findings(known("xenon", lower_bounds=()))
    assert {one.rule for one in found} == {LintRule.NEED_UNLISTED}
    assert [one.message.split(": ")[0].split(" needs ")[1] for one in found] == [
        "bootloader/0 >= 101",
        "bootloader/0 >= 201",
    ]


@pytest.mark.parametrize(("version", "words"), [(501, "a release ships it"), (77, "nothing needs it")])
def test_a_lower_bound_that_is_no_longer_true_is_found(version: int, words: str) -> None:
    stale = replace(LOWER_BOUNDS[0], platforms=("xenon",), version=version)
    finding = the_one_finding(known("xenon", lower_bounds=(*LOWER_BOUNDS, stale)))
    assert finding.rule is LintRule.EXCEPTION_STALE
    assert words in finding.message


def test_a_release_that_ships_less_than_its_own_modules_need_is_found() -> None:
    lower = with_module("6.5.0", "bootloader/0", lambda module: replace(module, version=3300))
    finding = the_one_finding(known("boron", releases=lower))
    assert finding.rule is LintRule.RELEASE_UNBOOTABLE
    assert "system_part/1 6500 needs bootloader/0 >= 3301, it ships 3300" in finding.message


def test_every_rule_has_a_code_of_its_own() -> None:
    assert len({rule.code for rule in LintRule}) == len(LintRule)


def change(new: Catalog, old: Catalog = KNOWN) -> Comparison:
    kept = {release.platform_id for release in new.all_releases}
    return compared(Catalog([r for r in old.all_releases if r.platform_id in kept], old.all_stations), new)


def of_rule(comparison: Comparison, rule: LintRule) -> list[Finding]:
    return [finding for finding in comparison.findings if finding.rule is rule]


def test_a_catalog_that_stays_the_same_takes_nothing_away() -> None:
    comparison = compared(KNOWN, known_catalog())
    assert (comparison.platforms, comparison.pairs, comparison.findings) == ((), 0, ())


def test_a_removed_bridge_strands_every_situation_below_it_and_no_other() -> None:
    comparison = change(known("boron", releases=unpublished("1.3.1")))
    assert comparison.platforms == ("boron",)
    stranded = of_rule(comparison, LintRule.SITUATION_STRANDED)
    starts = {version.text for finding in stranded for version in finding.starts}
    assert {"0.9.0", "1.2.1", "1.3.0-rc.1"} <= starts
    assert not {"1.3.1", "1.4.0", "2.0.0"} & starts
    assert all(texts(finding.goals)[0] == "1.4.0" for finding in stranded)
    (withdrawn,) = of_rule(comparison, LintRule.RELEASE_WITHDRAWN)
    assert texts(withdrawn.goals) == ["1.3.1"]


def test_devices_on_a_release_that_is_no_longer_known_are_stranded_too() -> None:
    stranded = of_rule(change(known("boron", releases=without("2.0.0"))), LintRule.SITUATION_STRANDED)
    (finding,) = stranded
    assert texts(finding.starts) == ["2.0.0"]
    assert finding.message.endswith("nothing usable is known any more of the release that it runs")


def test_a_changed_need_strands_without_any_release_gone() -> None:
    comparison = change(known("p2", releases=with_module("6.5.0", "system_part/1", needing("bootloader/0", 4000))))
    (finding,) = of_rule(comparison, LintRule.SITUATION_STRANDED)
    assert texts(finding.goals) == ["6.5.0"]
    assert not of_rule(comparison, LintRule.RELEASE_WITHDRAWN)


def test_a_new_station_that_is_not_published_strands_who_must_pass_it() -> None:
    station = Station(
        platforms=("p2",), via=("cloud",), versions=(DeviceOsVersion("6.1.1"),), reason="because", source="notes"
    )
    (finding,) = of_rule(change(known("p2", stations=(station,))), LintRule.SITUATION_STRANDED)
    assert texts(finding.goals)[0] == "6.2.0"
    assert "5.9.0" in texts(finding.starts)


def test_an_added_release_takes_nothing_away() -> None:
    old = known("boron", releases=without("6.5.0"))
    comparison = change(known("boron"), old)
    assert (comparison.platforms, comparison.findings) == (("boron",), ())
    assert comparison.pairs > 1000


MUTATIONS = st.tuples(
    st.sampled_from(["lower", "raise", "drop module", "drop release", "hide", "need", "need of its own"]),
    st.integers(min_value=0, max_value=10_000),
    st.integers(min_value=0, max_value=7000),
)


def mutated(releases: list[Release], mutations: list[tuple[str, int, int]]) -> list[Release]:
    """Releases with some of them spoilt; each mutation names what it does, where, and a number."""
    for what, place, number in mutations:
        index = place % len(releases)
        release = releases[index]
        modules = list(release.modules)
        spot = place % len(modules) if modules else 0
        if what == "drop release" and len(releases) > 1:
            del releases[index]
            continue
        if what == "hide":
            releases[index] = replace(release, published=False)
        elif modules:
            module = modules[spot].module
            need = Dependency(module.slot if what == "need of its own" else ModuleSlot.parse("bootloader/0"), number)
            changed = {
                "lower": replace(module, version=max(module.version - number, 0)),
                "raise": replace(module, version=module.version + number),
            }.get(what, replace(module, first_dependency=need))
            if what == "drop module":
                del modules[spot]
            else:
                modules[spot] = replace(modules[spot], module=changed)
            releases[index] = replace(release, modules=tuple(modules))
    return releases


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(["xenon", "p2", "msom", "xsom"]), mutations=st.lists(MUTATIONS, min_size=1, max_size=6))
def test_whatever_is_wrong_with_a_catalog_it_is_said_and_no_search_breaks(
    name: str, mutations: list[tuple[str, int, int]]
) -> None:
    whole = known(name)
    catalog = Catalog(mutated(list(whole.all_releases), mutations), lower_bounds=whole.lower_bounds)
    report = lint(catalog)
    assert report == lint(Catalog(catalog.all_releases[::-1], lower_bounds=catalog.lower_bounds))
    unreached = sum(
        len(finding.starts) * len(finding.goals)
        for finding in report.findings
        if finding.rule is LintRule.RELEASE_UNREACHABLE
    )
    assert report.pairs_reached + unreached == report.pairs
    lost = {start for finding in change(catalog, whole).findings for start in finding.starts}
    assert lost <= {release.version for release in whole.all_releases}
