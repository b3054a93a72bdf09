"""What the schema has against a manifest, in words, at the right place."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from reconciler.manifests import ManifestErrors, ProblemCode, load_manifests
from reconciler.manifests.validate import PROBLEMS_MAX
from tests.manifests.sample import FLEET, OVERRIDE, POLICY, RELEASE, REMOVED, bent, load, problem, problems, text


def errors_of(yaml_text: str) -> list[str]:
    with pytest.raises(ManifestErrors) as caught:
        load_manifests({"f.yaml": yaml_text}, {})
    return [str(each) for each in caught.value.problems]


@pytest.mark.parametrize("manifest", [FLEET, RELEASE, POLICY, OVERRIDE], ids=lambda manifest: manifest["kind"])
def test_a_sound_manifest_of_every_kind_has_no_problem(manifest: dict[str, Any]) -> None:
    assert load(manifest).digest.startswith("sha256:")


def test_an_unknown_field_is_told_at_its_key_with_a_similar_name() -> None:
    found = problem(bent(FLEET, spec__selekt={}))
    assert found.code is ProblemCode.UNKNOWN_FIELD
    assert found.message == "unknown field 'selekt' in spec"
    assert found.suggestion == "did you mean 'select'?"
    assert found.line.strip().startswith('"selekt"')
    assert found.place.column == found.line.index('"selekt"') + 1


def test_a_field_at_the_wrong_level_is_told_where_it_belongs() -> None:
    assert problem(bent(FLEET, spec__completeness="full")).suggestion == "it belongs to spec.desired"


def test_a_field_like_no_other_is_told_with_the_known_ones() -> None:
    found = problem(bent(FLEET, spec__select__zzz=1))
    assert found.suggestion == "known here: devices, exclude, groups, platforms, roster"


def test_a_misspelt_field_does_not_also_count_as_missing() -> None:
    found = problem(bent(FLEET, spec__select=REMOVED, spec__selec={"groups": ["eu"]}))
    assert found.code is ProblemCode.UNKNOWN_FIELD


def test_a_misspelt_line_of_select_does_not_also_count_as_an_empty_select() -> None:
    found = problem(bent(FLEET, spec__select={"device": ["a"]}))
    assert (found.code, found.suggestion) == (ProblemCode.UNKNOWN_FIELD, "did you mean 'devices'?")


@pytest.mark.parametrize(
    ("path", "name"), [("metadata__name", "name"), ("spec__select", "select"), ("spec__desired", "desired")]
)
def test_a_missing_field_is_named_at_the_object_that_lacks_it(path: str, name: str) -> None:
    found = problem(bent(FLEET, **{path: REMOVED}))
    assert found.code is ProblemCode.MISSING_FIELD
    assert f"the field {name!r} is missing" in found.message
    assert found.line.strip().startswith('"spec"' if path.startswith("spec") else '"metadata"')


@pytest.mark.parametrize(
    ("changes", "kind_of_value", "suggestion"),
    [
        ({"spec__select__groups": "eu"}, "a list", "write it as a list: [eu]"),
        ({"spec__select__groups": [7]}, "text", 'put it in quotes: "7"'),
        ({"spec__select__groups": [True]}, "text", 'put it in quotes: "true"'),
        ({"spec__approval": {"required": "no"}}, "true or false", "write false, without quotes"),
        ({"spec__approval": {"required": "Yes"}}, "true or false", "write true, without quotes"),
        ({"spec__limits": {"maxTargets": "010"}}, "a whole number", "write 10, without quotes and leading zeros"),
        ({"spec__desired": ["6.3.4"]}, "a mapping", "write desired must"),
        ({"spec__desired__deviceOS": 6}, "text", "write a full Device OS version in quotes"),
    ],
)
def test_a_wrong_type_says_what_was_expected_and_what_to_write(
    changes: dict[str, Any], kind_of_value: str, suggestion: str
) -> None:
    found = problem(bent(FLEET, **changes))
    assert found.code is ProblemCode.WRONG_TYPE
    assert f"expected {kind_of_value}, found" in found.message
    assert found.suggestion.startswith(suggestion)


def test_an_unquoted_number_is_not_a_version() -> None:
    (error,) = errors_of(text(FLEET).replace('"6.3.4"', "1.10"))
    assert "PFR1106" in error
    assert "'1.10' is not a full Device OS version in quotes, such as" in error


@pytest.mark.parametrize(
    ("changes", "message", "suggestion"),
    [
        ({"spec__desired__completeness": "ful"}, "'ful' is not one of: required, full", "did you mean 'full'?"),
        ({"spec__select__platforms": ["borron"]}, "'borron' is not a platform such as", "did you mean 'boron'?"),
        ({"spec__select__platforms": ["Boron"]}, "'Boron' is not a platform such as", "did you mean 'boron'?"),
        ({"spec__delivery": {"via": "cable"}}, "'cable' is not one of: cloud, usb", ""),
        (
            {"spec__rollout": {"waves": [{"name": "a", "size": 1, "approval": "yes"}]}},
            "'yes' is not one of: required",
            "",
        ),
    ],
)
def test_a_value_that_is_not_allowed_is_told_with_the_choices(
    changes: dict[str, Any], message: str, suggestion: str
) -> None:
    found = problem(bent(FLEET, **changes))
    assert found.code is ProblemCode.NOT_ALLOWED
    assert message in found.message
    assert found.suggestion == suggestion


def test_of_several_alternatives_the_one_that_was_meant_is_reported() -> None:
    found = problem(bent(FLEET, spec__suspend={"reason": "x", "untl": "2026-12-01"}))
    assert found.message == "unknown field 'untl' in spec.suspend"
    assert found.suggestion == "did you mean 'until'?"


def test_a_value_of_no_alternative_is_told_what_is_expected() -> None:
    found = problem(bent(FLEET, spec__suspend="soon"))
    assert found.message == "spec.suspend: 'soon' is not true, false, or an object with a reason"


def test_an_evident_slip_is_told_with_the_right_spelling() -> None:
    assert problem(bent(FLEET, metadata__name="Cold Chain_EU")).suggestion == 'write "cold-chain-eu"'
    assert problem(bent(FLEET, spec__desired__deviceOS="v6.3.4")).suggestion == 'write "6.3.4"'


def test_a_line_feed_at_the_end_of_a_value_is_not_passed_over() -> None:
    assert problem(bent(FLEET, spec__desired__deviceOS="6.3.4\n")).code is ProblemCode.WRONG_FORM


@pytest.mark.parametrize("size", [0, -1, "0.5", "2M", "2 MiB", "0MiB", True, None, [], "MiB"])
def test_a_size_without_a_known_unit_is_refused(size: object) -> None:
    assert "an amount of data such as 500KB or 2MiB" in str(
        problem(bent(FLEET, spec__delivery={"dataPerDevice": size}))
    )


@pytest.mark.parametrize("share", [-1, "101%", "100.5%", "%", "5 %", "ten", True, None, {}, "5"])
def test_a_share_is_a_count_or_a_percentage_up_to_100(share: object) -> None:
    found = problem(bent(FLEET, spec__rollout={"maxConcurrent": share}))
    assert "a count such as 5 or a percentage from 0% to 100%" in str(found)


@pytest.mark.parametrize("duration", [30, "30", "30min", "", "1.5h", "h", "1h 30m", "-1h", True])
def test_a_duration_needs_its_unit(duration: object) -> None:
    found = problem(bent(FLEET, spec__rollout={"stepDeadline": duration}))
    assert "a duration with its unit, such as 30m, 24h or 3d" in str(found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "DeviceFlet"}, "did you mean 'DeviceFleet'?"),
        ({"kind": REMOVED}, "the manifest has no kind"),
        ({"apiVersion": "fleet.reconciler.dev/v1"}, "did you mean 'fleet.reconciler.dev/v1alpha1'?"),
        ({"apiVersion": REMOVED}, "the manifest has no apiVersion"),
        ({"kind": ["DeviceFleet"]}, "kind a list is not known"),
    ],
)
def test_a_manifest_of_an_unknown_kind_is_refused(changes: dict[str, Any], message: str) -> None:
    found = problem(bent(FLEET, **changes))
    assert found.code is ProblemCode.UNKNOWN_KIND
    assert message in str(found)


@pytest.mark.parametrize("yaml_text", ["just text", "[1, 2]", "5"])
def test_what_is_no_mapping_is_no_manifest(yaml_text: str) -> None:
    (error,) = errors_of(yaml_text)
    assert "a manifest is a mapping" in error


def test_a_binary_from_a_file_needs_its_digest() -> None:
    binary = {"platform": "boron", "file": "a.bin"}
    found = problem(bent(RELEASE, spec__versions=[{"version": 1, "binaries": [binary]}]))
    assert found.code is ProblemCode.MISSING_FIELD
    assert "'file' needs 'sha256' beside it" in found.message


def test_a_pin_needs_what_the_devices_should_run() -> None:
    found = problem(bent(OVERRIDE, spec__mode="pin"))
    assert "the field 'desired' is missing" in found.message


@pytest.mark.parametrize(
    "changes", [{"spec__select__groups": list(range(5000))}, {"spec": {f"k{number}": 1 for number in range(5000)}}]
)
def test_only_the_first_few_hundred_problems_of_a_document_are_told(changes: dict[str, Any]) -> None:
    found = problems(bent(FLEET, **changes, spec__rollout={"stepDeadline": "soon"}, spec__windows=[{"allow": 5}]))
    assert 100 < len(found) <= PROBLEMS_MAX


@pytest.mark.parametrize("value", [None, True, 5, "x", [], {}, [[]], [{}], {"a": {}}, [None]])
@pytest.mark.parametrize("manifest", [FLEET, RELEASE, POLICY, OVERRIDE], ids=lambda manifest: manifest["kind"])
def test_a_wrong_value_anywhere_ends_in_problems_or_a_fleet_and_never_in_a_crash(
    manifest: dict[str, Any], value: object
) -> None:
    def paths(part: Any, path: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        return [path, *(found for key, inner in items for found in paths(inner, (*path, key)))]

    for path in paths(manifest, ())[1:]:
        changed = bent(manifest)
        place: Any = changed
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        with suppress(ManifestErrors):
            load(changed)
