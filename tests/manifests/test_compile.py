"""Manifests to fleets: defaults, references, and what no schema can say."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from reconciler.manifests import ManifestErrors, ProblemCode, load_manifests
from reconciler.model.error import ManifestError
from reconciler.model.fleet import (
    AllowWindow,
    ApplicationBinary,
    Completeness,
    Delivery,
    DenyDays,
    DenyWindow,
    Fleet,
    Order,
    OverrideMode,
    RolloutPolicy,
    Selector,
    Share,
    Suspension,
    Via,
    Wave,
    WaveSize,
    ZoneRule,
)
from reconciler.model.instant import instant_from_iso
from reconciler.model.version import DeviceOsVersion
from tests.manifests.sample import (
    APPROVAL,
    FLEET,
    ID,
    OVERRIDE,
    POLICY,
    RELEASE,
    REMOVED,
    bent,
    load,
    problem,
    problems,
    text,
)

APPLICATION = {"release": "logger", "version": 44}


def fleet(**changes: Any) -> Fleet:
    (only,) = load(bent(FLEET, **changes)).fleets
    return only


def test_a_fleet_that_says_little_gets_the_defaults() -> None:
    found = fleet()
    assert (found.name, found.product) == ("eu", "cold-chain")
    assert found.select == Selector(groups=frozenset({"eu"}))
    assert found.desired.device_os is DeviceOsVersion("6.3.4")
    assert found.desired.completeness is Completeness.REQUIRED
    assert (found.delivery, found.rollout) == (Delivery(), RolloutPolicy())
    assert found.correct_drift
    assert not found.approval_required
    assert (found.exclude, found.targets_max, found.suspension, found.desired.application) == (None,) * 4


def test_the_place_of_a_fleet_is_that_of_its_name() -> None:
    yaml_text = "apiVersion: fleet.reconciler.dev/v1alpha1\nkind: DeviceFleet\nmetadata:\n  name: x\nspec:\n"
    yaml_text += '  select: {groups: [a]}\n  desired: {deviceOS: "6.3.4"}\n'
    (found,) = load_manifests({"a/b.yaml": yaml_text}, {}).fleets
    assert str(found.place) == "a/b.yaml:4:9"


@pytest.mark.parametrize("product", [12345, "12345"])
def test_a_product_number_is_kept_as_text(product: object) -> None:
    assert fleet(spec__product=product).product == "12345"


def test_a_fleet_without_product_is_the_token_owners() -> None:
    assert fleet(spec__product=REMOVED).product is None


def test_platform_aliases_become_the_platforms_own_names() -> None:
    assert fleet(spec__select__platforms=["photon2", "b", "muon"]).select.platforms == frozenset(
        {"p2", "boron", "msom"}
    )


def test_device_ids_become_lower_case_and_names_stay() -> None:
    assert fleet(spec__select__devices=[ID.upper(), "Eu-1"]).select.devices == frozenset({ID, "Eu-1"})


@pytest.mark.parametrize("wrong", [ID[:-1], ID + "0"])
def test_a_device_id_of_the_wrong_length_is_told(wrong: str) -> None:
    found = problem(bent(FLEET, spec__select__devices=[wrong]))
    assert found.code is ProblemCode.DEVICE_ID
    assert f"{len(wrong)} digits" in found.message


@pytest.mark.parametrize("line", ["groups", "devices"])
def test_a_list_that_names_something_twice_is_told_with_both_places(line: str) -> None:
    found = problem(bent(FLEET, **{f"spec__select__{line}": ["a", "b", "a"]}))
    assert found.code is ProblemCode.DUPLICATE_ENTRY
    assert "first at line" in found.message


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90s", 90), ("30m", 1800), ("24h", 86400), ("3d", 259200), ("1h30m", 5400), ("1w", 604800)],
)
def test_durations_become_seconds(written: str, seconds: float) -> None:
    assert fleet(spec__rollout={"stepDeadline": written}).rollout.step_deadline_seconds == seconds


@pytest.mark.parametrize(
    ("written", "size"), [(7, 7), ("7B", 7), ("500KB", 500_000), ("2MiB", 2 * 1024**2), ("1GB", 10**9), ("1GiB", 2**30)]
)
def test_sizes_become_bytes(written: object, size: int) -> None:
    assert fleet(spec__delivery={"dataPerDevice": written}).delivery.bytes_per_device_max == size


@pytest.mark.parametrize(
    ("written", "share"),
    [(0, Share(0)), (5, Share(5)), ("10%", Share(10, percent=True)), ("0.5%", Share(0.5, percent=True))],
)
def test_shares_are_counts_or_percentages(written: object, share: Share) -> None:
    assert fleet(spec__rollout={"maxConcurrent": written}).rollout.concurrent_max == share


def test_delivery_is_compiled() -> None:
    found = fleet(spec__delivery={"via": "usb", "order": "application-first"}).delivery
    assert found == Delivery(via=Via.USB, order=Order.APPLICATION_FIRST)


def test_drift_approval_and_limits_are_compiled() -> None:
    found = fleet(spec__drift={"mode": "detect"}, spec__approval={"required": True}, spec__limits={"maxTargets": 0})
    assert (found.correct_drift, found.approval_required, found.targets_max) == (False, True, 0)


def test_suspension_is_a_word_or_a_reason() -> None:
    assert fleet(spec__suspend=False).suspension is None
    assert fleet(spec__suspend=True).suspension == Suspension(reason="suspended in the manifest")
    found = fleet(spec__suspend={"reason": "r", "until": "2026-12-01T00:00:00Z", "by": "ops"}).suspension
    assert found == Suspension(reason="r", until=instant_from_iso("2026-12-01T00:00:00Z"), by="ops")


def test_waves_are_compiled() -> None:
    waves = [
        {"name": "canary", "devices": ["a", "b"], "soak": "24h", "maxFailures": 0},
        {"name": "early", "size": "10%", "approval": "required"},
        {"name": "rest", "size": "remaining"},
    ]
    assert fleet(spec__rollout={"waves": waves}).rollout.waves == (
        Wave(
            name="canary",
            size=WaveSize.LISTED,
            soak_seconds=86400,
            failures_max=Share(0),
            devices=frozenset({"a", "b"}),
        ),
        Wave(name="early", size=Share(10, percent=True), approval_required=True),
        Wave(name="rest", size=WaveSize.REMAINING),
    )


def test_a_wave_selects_by_the_same_lines_as_a_fleet() -> None:
    select = {"groups": ["lab"], "platforms": ["b", "argon"], "devices": ["eu-7", ID.upper()], "roster": "lab.txt"}
    waves = [{"name": "lab", "select": select}, {"name": "early", "select": {"groups": ["lab"]}, "size": 5}]
    (found,) = load(bent(FLEET, spec__rollout={"waves": waves}), rosters={"lab.txt": ID}).fleets
    lab = Selector(
        groups=frozenset({"lab"}),
        platforms=frozenset({"boron", "argon"}),
        devices=frozenset({"eu-7", ID}),
        roster=frozenset({ID}),
    )
    early = Selector(groups=frozenset({"lab"}))
    assert found.rollout.waves == (
        Wave(name="lab", size=WaveSize.LISTED, select=lab),
        Wave(name="early", size=Share(5), select=early),
    )


@pytest.mark.parametrize("select", [{}, {"group": ["lab"]}, {"platforms": ["toaster"]}, {"groups": []}])
def test_a_selection_of_a_wave_that_says_nothing_known_is_told(select: dict[str, Any]) -> None:
    assert problem(bent(FLEET, spec__rollout={"waves": [{"name": "lab", "select": select}]})).place.line > 1


@pytest.mark.parametrize(
    ("waves", "message"),
    [
        ([{"name": "a", "size": "remaining"}, {"name": "b", "size": 1}], "is the last one"),
        ([{"name": "a", "size": "remaining"}, {"name": "b", "size": "remaining"}], "there is only one"),
        ([{"name": "a", "size": 1}, {"name": "a", "size": 2}], "'a' is there twice"),
        ([{"name": "a", "size": "0%"}], "0% takes no device"),
        ([{"name": "a", "select": {"groups": ["lab"]}, "size": "remaining"}], "cannot select some"),
    ],
)
def test_waves_that_do_not_fit_together_are_told(waves: list[Any], message: str) -> None:
    found = problem(bent(FLEET, spec__rollout={"waves": waves}))
    assert found.code is ProblemCode.WAVE
    assert message in found.message


def test_windows_are_compiled() -> None:
    allow = {"days": ["fri", "mon"], "start": "02:30", "duration": "3h", "timeZone": "Europe/Berlin"}
    deny = {"from": "2026-12-20", "until": "2027-01-03T06:00:00+01:00", "reason": "peak"}
    found = fleet(spec__windows=[{"allow": allow}, {"deny": deny}, {"allow": {"start": "23:00", "duration": "1h"}}])
    assert found.windows_allow == (
        AllowWindow(days=(0, 4), start_minute=150, duration_seconds=10800, time_zone="Europe/Berlin"),
        AllowWindow(days=(0, 1, 2, 3, 4, 5, 6), start_minute=1380, duration_seconds=3600, time_zone="UTC"),
    )
    (freeze,) = found.windows_deny
    assert freeze.from_instant == instant_from_iso("2026-12-20T00:00:00Z")
    assert freeze.until_instant == instant_from_iso("2027-01-03T05:00:00Z")


@pytest.mark.parametrize(
    ("window", "code", "message"),
    [
        ({"allow": {"start": "02:00", "duration": "0h"}}, ProblemCode.WINDOW, "more than 0 and at most 7 days"),
        ({"allow": {"start": "02:00", "duration": "8d"}}, ProblemCode.WINDOW, "more than 0 and at most 7 days"),
        (
            {"allow": {"start": "02:00", "duration": "1h", "timeZone": "Europe/Berln"}},
            ProblemCode.WINDOW,
            "did you mean 'Europe/Berlin'?",
        ),
        ({"allow": {"start": "02:00", "duration": "1h", "timeZone": "../etc"}}, ProblemCode.WINDOW, "not a time zone"),
        ({"allow": {"start": "02:00", "duration": "1h", "timeZone": "Europe"}}, ProblemCode.WINDOW, "not a time zone"),
        (
            {"deny": {"from": "2026-12-20", "until": "2026-12-20", "reason": "r"}},
            ProblemCode.WINDOW,
            "before it begins",
        ),
        ({"deny": {"from": "2026-02-30", "until": "2027-01-01", "reason": "r"}}, ProblemCode.TIME, "no such moment"),
    ],
)
def test_impossible_windows_are_told(window: dict[str, Any], code: ProblemCode, message: str) -> None:
    found = problem(bent(FLEET, spec__windows=[window]))
    assert found.code is code
    assert message in str(found)


BY_DEVICE = {"allow": {"start": "02:00", "duration": "3h", "timeZone": "device"}}
ZONES = {"zones": [{"groups": ["eu"], "timeZone": "Europe/Berlin"}, {"timeZone": "Europe/Lisbon"}]}


def test_windows_by_each_devices_own_zone_are_compiled() -> None:
    freeze = {"from": "2026-12-20", "until": "2027-01-03", "timeZone": "device", "reason": "peak"}
    found = fleet(spec__windows=[BY_DEVICE, {"deny": freeze}, ZONES])
    assert [window.time_zone for window in found.windows_allow] == [None]
    assert found.windows_deny == (DenyDays(from_day=date(2026, 12, 20), until_day=date(2027, 1, 3), reason="peak"),)
    assert found.time_zones == (
        ZoneRule(select=Selector(groups=frozenset({"eu"})), time_zone="Europe/Berlin"),
        ZoneRule(select=Selector(), time_zone="Europe/Lisbon"),
    )
    assert found.needs_device_zones


def test_a_freeze_with_a_zone_begins_and_ends_with_the_day_there() -> None:
    freeze = {"from": "2026-12-20", "until": "2027-01-03T00:00:00Z", "timeZone": "America/New_York", "reason": "peak"}
    (window,) = fleet(spec__windows=[{"deny": freeze}]).windows_deny
    assert window == DenyWindow(
        from_instant=instant_from_iso("2026-12-20T05:00:00Z"),
        until_instant=instant_from_iso("2027-01-03T00:00:00Z"),
        reason="peak",
    )


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ([BY_DEVICE], "needs the zones of the devices (add to windows: - zones:"),
        ([{"allow": {"start": "02:00", "duration": "3h"}}, ZONES], "no window goes by them"),
        ([BY_DEVICE, ZONES, ZONES], "zones are given twice"),
        ([BY_DEVICE, {"zones": [{"groups": ["eu"], "timeZone": "Europe/Berln"}]}], "did you mean 'Europe/Berlin'?"),
        ([BY_DEVICE, {"zones": [{"timeZone": "device"}]}], "'device' is not a time zone"),
        ([BY_DEVICE, {"zones": [{"timeZone": "UTC"}, {"groups": ["a"], "timeZone": "UTC"}]}], "make it the last entry"),
        (
            [
                BY_DEVICE,
                {"deny": {"from": "2026-12-20", "until": "2027-01-03T06:00:00Z", "timeZone": "device", "reason": "r"}},
                ZONES,
            ],
            "write 2027-01-03, or name a zone",
        ),
        (
            [
                BY_DEVICE,
                {"deny": {"from": "2026-12-20", "until": "2026-12-20", "timeZone": "device", "reason": "r"}},
                ZONES,
            ],
            "before it begins",
        ),
        (
            [{"deny": {"from": "2026-12-20", "until": "2026-12-24", "timeZone": "Europe/Pariss", "reason": "r"}}],
            "did you mean 'Europe/Paris'?",
        ),
    ],
)
def test_zones_that_do_not_fit_are_told(windows: list[Any], message: str) -> None:
    found = problem(bent(FLEET, spec__windows=windows))
    assert found.code is ProblemCode.WINDOW
    assert message in str(found)


def test_a_day_that_does_not_exist_is_told_where_zones_are_the_devices_own() -> None:
    freeze = {"from": "2026-02-30", "until": "2026-03-02", "timeZone": "device", "reason": "r"}
    assert problem(bent(FLEET, spec__windows=[{"deny": freeze}, ZONES])).code is ProblemCode.TIME


def test_budgets_are_compiled() -> None:
    found = fleet(spec__rollout={"sendsPerMinute": 30, "offlineDeadline": "90m"}, spec__limits={"dataPerDay": "50MB"})
    assert (found.rollout.sends_per_minute, found.rollout.offline_deadline_seconds) == (30, 5400)
    assert found.bytes_per_day_max == 50_000_000
    plain = fleet()
    assert (plain.rollout.sends_per_minute, plain.bytes_per_day_max) == (None, None)
    assert plain.rollout.offline_deadline_seconds == 3600


@pytest.mark.parametrize(
    "absurd",
    [
        {"spec__rollout": {"sendsPerMinute": 0}},
        {"spec__rollout": {"sendsPerMinute": 1601}},
        {"spec__rollout": {"sendsPerMinute": "30"}},
        {"spec__rollout": {"offlineDeadline": "0s"}},
        {"spec__rollout": {"offlineDeadline": "366d"}},
        {"spec__limits": {"dataPerDay": 0}},
        {"spec__limits": {"dataPerDay": "0MB"}},
        {"spec__limits": {"dataPerDay": "50 MB"}},
    ],
)
def test_absurd_budgets_are_told(absurd: dict[str, Any]) -> None:
    assert problem(bent(FLEET, **absurd)).code in {
        ProblemCode.OUT_OF_RANGE,
        ProblemCode.WRONG_TYPE,
        ProblemCode.WRONG_FORM,
    }


def test_a_step_needs_time() -> None:
    assert problem(bent(FLEET, spec__rollout={"stepDeadline": "0s"})).code is ProblemCode.OUT_OF_RANGE


@pytest.mark.parametrize(
    ("version", "suggestion"), [("6.3.44", "did you mean '6.3.4'?"), ("5.4.0+ledger", "did you mean '5.4.0'?")]
)
def test_an_unknown_release_is_told_with_a_similar_one(version: str, suggestion: str) -> None:
    found = problem(bent(FLEET, spec__desired__deviceOS=version))
    assert (found.code, found.suggestion) == (ProblemCode.UNKNOWN_RELEASE, suggestion)


def test_a_release_of_the_operators_own_catalog_is_known() -> None:
    files = {"f.yaml": text(bent(FLEET, spec__desired__deviceOS="99.0.0"))}
    (found,) = load_manifests(files, {}, also_known=["99.0.0"]).fleets
    assert found.desired.device_os is DeviceOsVersion("99.0.0")


def test_a_prerelease_needs_a_word() -> None:
    found = problem(bent(FLEET, spec__desired__deviceOS="5.5.0-rc.1"))
    assert found.code is ProblemCode.PRERELEASE
    assert "allowPrerelease: true" in found.suggestion
    desired = fleet(spec__desired={"deviceOS": "5.5.0-rc.1", "allowPrerelease": True}).desired
    assert desired.allow_prerelease
    assert str(desired.device_os) == "5.5.0-rc.1"


def test_an_application_gets_the_binaries_of_its_release() -> None:
    (found,) = load(bent(FLEET, spec__desired={"application": APPLICATION}), RELEASE).fleets
    assert found.desired.device_os is None
    assert found.desired.application is not None
    assert found.desired.application.binaries == (
        ApplicationBinary(platform="boron", file="bin/logger-44.bin", sha256="a" * 64, size=9),
    )


def test_a_binary_lies_beside_its_manifest() -> None:
    files = {"fleets/f.yaml": text(bent(FLEET, spec__desired__application=APPLICATION)), "apps/r.yaml": text(RELEASE)}
    (found,) = load_manifests(files, {}).fleets
    assert found.desired.application is not None
    assert found.desired.application.binaries[0].file == "apps/bin/logger-44.bin"


def test_without_any_release_of_the_product_the_clouds_own_copy_is_meant() -> None:
    other = bent(RELEASE, metadata__name="valve", spec__product="pumps")
    (found,) = load(bent(FLEET, spec__desired__application=APPLICATION), other).fleets
    assert found.desired.application is not None
    assert found.desired.application.binaries == ()


def test_a_release_that_is_not_there_is_told_with_a_similar_one() -> None:
    found = problem(bent(FLEET, spec__desired__application={"release": "loger", "version": 44}), RELEASE)
    assert (found.code, found.suggestion) == (ProblemCode.UNKNOWN_APPLICATION, "did you mean 'logger'?")


def test_a_version_that_the_release_does_not_list_is_told_with_those_it_has() -> None:
    found = problem(bent(FLEET, spec__desired__application={"release": "logger", "version": 45}), RELEASE)
    assert (found.code, found.suggestion) == (ProblemCode.UNKNOWN_APPLICATION_VERSION, "it has: 43, 44")


def test_a_release_of_another_product_is_not_taken() -> None:
    found = problem(bent(FLEET, spec__desired__application=APPLICATION), bent(RELEASE, spec__product="pumps"))
    assert found.code is ProblemCode.UNKNOWN_APPLICATION
    assert "is for the product 'pumps'" in found.message


@pytest.mark.parametrize(
    ("versions", "message"),
    [
        ([{"version": 1}, {"version": 1}], "version 1 is listed twice"),
        (
            [
                {
                    "version": 1,
                    "binaries": [{"platform": "b", "source": "product"}, {"platform": "boron", "source": "product"}],
                }
            ],
            "a second binary for boron",
        ),
    ],
)
def test_what_a_release_lists_twice_is_told(versions: list[Any], message: str) -> None:
    found = problem(bent(RELEASE, spec__versions=versions))
    assert (found.code, message in found.message) == (ProblemCode.DUPLICATE_ENTRY, True)


@pytest.mark.parametrize("path", ["/etc/passwd", "C:/a.bin", "a\\b.bin", "~/a.bin", " a.bin"])
def test_a_path_that_is_not_relative_is_refused(path: str) -> None:
    binary = {"platform": "boron", "file": path, "sha256": "a" * 64}
    assert problem(bent(RELEASE, spec__versions=[{"version": 1, "binaries": [binary]}])).code is ProblemCode.PATH
    assert problem(bent(FLEET, spec__select__roster=path)).code is ProblemCode.PATH


def test_a_policy_stands_for_rollout_and_windows() -> None:
    found = load(bent(FLEET, spec__rolloutPolicyRef="careful"), POLICY).fleets[0]
    assert found.rollout == RolloutPolicy(concurrent_max=Share(3))
    assert len(found.windows_allow) == 1


def test_a_policy_that_is_not_there_is_told_with_a_similar_one() -> None:
    found = problem(bent(FLEET, spec__rolloutPolicyRef="carefull"), POLICY)
    assert (found.code, found.suggestion) == (ProblemCode.POLICY, "did you mean 'careful'?")


@pytest.mark.parametrize("own", [{"spec__rollout": {}}, {"spec__windows": []}])
def test_a_policy_and_a_rollout_of_its_own_are_one_too_many(own: dict[str, Any]) -> None:
    found = problem(bent(FLEET, spec__rolloutPolicyRef="careful", **own), POLICY)
    assert found.code is ProblemCode.POLICY
    assert "stands beside rolloutPolicyRef" in found.message


def test_two_manifests_of_one_kind_and_name_are_told_with_both_places() -> None:
    found = problem(FLEET, FLEET)
    assert found.code is ProblemCode.DUPLICATE_NAME
    assert found.place.file == "1.yaml"
    assert "first at 0.yaml:" in found.message


def test_manifests_of_two_kinds_may_share_a_name() -> None:
    assert len(load(FLEET, bent(POLICY, metadata__name="eu")).fleets) == 1


def test_overrides_are_compiled_and_kept_when_expired() -> None:
    pin = bent(
        OVERRIDE,
        metadata__name="pin",
        spec__mode="pin",
        spec__author="ana",
        spec__expires="2001-01-01",
        spec__desired={"deviceOS": "6.4.1", "application": APPLICATION},
    )
    found = load(pin, OVERRIDE, RELEASE).overrides
    assert [(each.name, each.mode, each.devices) for each in found] == [
        ("pin", OverrideMode.PIN, frozenset({ID})),
        ("trial", OverrideMode.HOLD, frozenset({ID})),
    ]
    assert found[0].expires == instant_from_iso("2001-01-01")
    assert found[0].pin is not None
    assert found[0].pin.application is not None
    assert len(found[0].pin.application.binaries) == 1


def test_a_pinned_application_that_is_nowhere_is_told() -> None:
    desired = {"application": {"release": "nothing-like-it", "version": 1}}
    found = problem(bent(OVERRIDE, spec__mode="pin", spec__desired=desired), RELEASE)
    assert (found.code, found.suggestion) == (ProblemCode.UNKNOWN_APPLICATION, "there is: logger")


def test_fleets_come_in_the_order_of_their_names() -> None:
    found = load(bent(FLEET, metadata__name="b"), bent(FLEET, metadata__name="a"))
    assert [each.name for each in found.fleets] == ["a", "b"]


def test_a_roster_gives_its_ids_without_comments() -> None:
    roster = f"# eu\n\n{ID.upper()}  # on the roof\r\n  {ID[:-1]}2\n"
    files = {"fleets/f.yaml": text(bent(FLEET, spec__select={"roster": "../rosters/eu.txt"}))}
    (found,) = load_manifests(files, {"rosters/eu.txt": roster}).fleets
    assert found.select.roster == frozenset({ID, ID[:-1] + "2"})


def test_a_roster_may_exclude() -> None:
    found = load(bent(FLEET, spec__select__exclude={"roster": "r.txt"}), rosters={"r.txt": ID}).fleets[0]
    assert found.exclude == Selector(roster=frozenset({ID}))


def test_a_line_of_a_roster_that_is_no_id_is_told_where_it_stands() -> None:
    found = problem(bent(FLEET, spec__select={"roster": "r.txt"}), rosters={"r.txt": f"{ID}\n  eu-1 # a name\n"})
    assert (found.code, str(found.place)) == (ProblemCode.ROSTER_LINE, "r.txt:2:3")
    assert found.line == "  eu-1 # a name"


def test_a_roster_that_is_not_there_is_told_at_the_manifest() -> None:
    found = problem(bent(FLEET, spec__select={"roster": "r.txt"}))
    assert (found.code, found.message) == (ProblemCode.ROSTER, "there is no roster r.txt")
    assert found.place.file == "0.yaml"


def test_a_roster_that_names_nobody_is_refused() -> None:
    found = problem(bent(FLEET, spec__select={"roster": "r.txt"}), rosters={"r.txt": "# all gone\n"})
    assert (found.code, "names no device" in found.message) == (ProblemCode.ROSTER, True)


def test_a_roster_that_must_not_be_read_is_told_at_the_manifest() -> None:
    def refuse(path: str) -> str | None:
        raise ManifestError(ProblemCode.OUTSIDE, f"{path} lies outside")

    with pytest.raises(ManifestErrors) as caught:
        load_manifests({"f.yaml": text(bent(FLEET, spec__select={"roster": "../r.txt"}))}, refuse)
    (found,) = caught.value.problems
    assert (found.code, found.message, found.place.file) == (ProblemCode.OUTSIDE, "../r.txt lies outside", "f.yaml")


def test_all_problems_of_all_files_come_in_one_run_sorted_by_place() -> None:
    first = bent(FLEET, spec__desired={"deviceOS": "6.3.44", "completeness": "ful"}, spec__selekt=1)
    second = bent(FLEET, spec__select__platforms=["borron"], spec__rollout={"stepDeadline": "0s"})
    found = problems(first, second)
    assert [each.code for each in found] == [
        ProblemCode.UNKNOWN_RELEASE,
        ProblemCode.NOT_ALLOWED,
        ProblemCode.UNKNOWN_FIELD,
        ProblemCode.DUPLICATE_NAME,
        ProblemCode.NOT_ALLOWED,
        ProblemCode.OUT_OF_RANGE,
    ]
    assert list(found) == sorted(found, key=lambda each: (each.place.file, each.place.line, each.place.column))


def test_a_name_is_not_missed_when_a_file_that_may_hold_it_cannot_be_read() -> None:
    files = {"f.yaml": text(bent(FLEET, spec__rolloutPolicyRef="careful")), "p.yaml": "kind: [RolloutPolicy\n"}
    with pytest.raises(ManifestErrors) as caught:
        load_manifests(files, {})
    assert [each.code for each in caught.value.problems] == [ProblemCode.SYNTAX]


def test_the_error_tells_every_problem_and_a_next_step() -> None:
    with pytest.raises(ManifestErrors) as caught:
        load(bent(FLEET, spec__desired={}), bent(FLEET, metadata__name="x", spec__a=1))
    message = str(caught.value)
    assert message.startswith("PFR1001 the manifests have 2 problems:")
    assert "0.yaml:" in message
    assert "1.yaml:" in message
    assert "next: correct the manifests" in message


def test_the_digest_changes_with_what_a_manifest_or_a_roster_says_and_with_every_path() -> None:
    manifest = text(bent(FLEET, spec__select={"roster": "r.txt"}))
    later = text(bent(FLEET, spec__select={"roster": "r.txt"}, spec__desired={"deviceOS": "6.3.3"}))
    digests = [
        load_manifests({"a/f.yaml": manifest, "b.yaml": text(POLICY)}, {"a/r.txt": ID}).digest,
        load_manifests({"a/f.yaml": later, "b.yaml": text(POLICY)}, {"a/r.txt": ID}).digest,
        load_manifests({"a/f.yaml": manifest, "c.yaml": text(POLICY)}, {"a/r.txt": ID}).digest,
        load_manifests({"a/f.yaml": manifest, "b.yaml": text(POLICY)}, {"a/r.txt": ID[:-1] + "2"}).digest,
    ]
    assert len(set(digests)) == len(digests)


def test_remarks_white_space_and_the_order_of_keys_change_no_digest() -> None:
    plain = load_manifests({"f.yaml": text(bent(FLEET, spec__select={"roster": "r.txt"}))}, {"r.txt": ID}).digest
    turned = bent(FLEET, spec__select={"roster": "r.txt"})
    turned["spec"] = dict(reversed(turned["spec"].items()))
    remarked = f"# a remark\n{json.dumps(turned)}  # another\n\n"
    assert load_manifests({"f.yaml": remarked}, {"r.txt": f"# all\n\n{ID}  # the first\n"}).digest == plain


def test_a_number_and_the_same_digits_as_text_have_different_digests() -> None:
    number, word = (load(bent(FLEET, spec__product=product)).digest for product in (12345, "12345"))
    assert number != word


def test_an_approval_that_is_added_changes_no_digest_wherever_it_stands() -> None:
    files = {"fleets/eu.yaml": text(FLEET)}
    plain = load_manifests(files, {}).digest
    assert load_manifests({**files, "approvals/a.yaml": text(APPROVAL)}, {}).digest == plain
    together = {"fleets/eu.yaml": f"{text(FLEET)}\n---\n{text(APPROVAL)}"}
    assert load_manifests(together, {}).digest == plain


def test_the_digest_does_not_depend_on_order_or_on_where_the_folder_lies() -> None:
    here = load_manifests({"m/a.yaml": text(FLEET), "m/b.yaml": text(POLICY)}, {}).digest
    there = load_manifests({"/srv/m/b.yaml": text(POLICY), "/srv/m/a.yaml": text(FLEET)}, {}).digest
    assert here == there
