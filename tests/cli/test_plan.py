"""`plan`, `explain` and `drift` on a snapshot, as a person calls them."""

from __future__ import annotations

import json
import os
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.main import cli
from reconciler.model.error import ManifestError, OperatorError, ReconcilerError

FLEET = """
apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata: {name: eu}
spec:
  product: "12345"
  select: {groups: [eu]}
  desired: {deviceOS: "6.3.4"}
"""


def device_object(number: int, device_os: str, **fields: Any) -> dict[str, Any]:
    known = {
        "id": f"e00fce68{number:016x}",
        "name": f"eu-{number}",
        "platform_id": 13,
        "product_id": 12345,
        "system_firmware_version": device_os,
        "firmware_version": 12,
        "online": True,
        "status": "normal",
        "groups": ["eu"],
    }
    return {**known, **fields}


DEVICES = [
    device_object(1, "2.0.1"),
    device_object(2, "2.0.1"),
    device_object(3, "1.5.2"),
    device_object(4, "6.3.4"),
    device_object(5, "6.4.1"),
    device_object(6, "2.0.1", online=False),
]
CURRENT = [device_object(4, "6.3.4")]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a manifest, and no cloud to be reached."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PARTICLE_ACCESS_TOKEN", raising=False)
    (tmp_path / "fleet.yaml").write_text(FLEET, encoding="utf-8")
    return tmp_path


def seen(place: Path, devices: list[dict[str, Any]], name: str = "seen.json") -> str:
    document = {"format_version": "1.0", "observed_at": "2026-11-22T09:00:00Z", "source": "cloud", "devices": devices}
    (place / name).write_text(json.dumps(document), encoding="utf-8")
    return name


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def ended(*words: str) -> Result:
    result = run(*words)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def error_of(*words: str) -> ReconcilerError:
    error = run(*words).exception
    assert isinstance(error, ReconcilerError), error
    return error


# --- plan ---


def test_the_text_names_every_group_of_devices(place: Path) -> None:
    said = ended("plan", "fleet.yaml", "--observed", seen(place, DEVICES)).stdout
    assert all(word in said for word in ("eu", "6.3.4", "downgrade_refused", "offline"))


def test_json_goes_to_standard_output_alone_and_counts_everyone(place: Path) -> None:
    result = ended("plan", "fleet.yaml", "--observed", seen(place, DEVICES), "--output", "json")
    document = json.loads(result.stdout)
    assert document["summary"] == {"devices": 6, "current": 1, "upgrade": 3, "refused": 1, "waiting": 1}
    assert document["fleets"][0]["routes"][0]["steps"][0]["action"] == "flash"


def test_current_devices_are_listed_on_request(place: Path) -> None:
    words = ["plan", "fleet.yaml", "--observed", seen(place, DEVICES), "--output", "json"]
    assert "current" not in json.loads(ended(*words).stdout)["fleets"][0]
    assert json.loads(ended(*words, "--show-current").stdout)["fleets"][0]["current"] == [DEVICES[3]["id"]]


@pytest.mark.parametrize("output", ["text", "json"])
def test_the_same_inputs_in_any_order_give_the_same_bytes(place: Path, output: str) -> None:
    shuffled = DEVICES.copy()
    random.Random(7).shuffle(shuffled)
    assert shuffled != DEVICES
    words = ["plan", "fleet.yaml", "--output", output, "--observed"]
    first, again = ended(*words, seen(place, DEVICES)), ended(*words, seen(place, DEVICES))
    other = ended(*words, seen(place, shuffled, "shuffled.json"))
    assert first.stdout_bytes == again.stdout_bytes == other.stdout_bytes


def test_a_snapshot_may_come_through_a_pipe(place: Path) -> None:
    words = ["plan", "fleet.yaml", "--output", "json", "--observed"]
    on_a_file = ended(*words, seen(place, DEVICES)).stdout_bytes
    content = (place / "seen.json").read_bytes()
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_bytes(content), daemon=True)
    writer.start()
    assert ended(*words, "pipe").stdout_bytes == on_a_file
    writer.join(10)


@pytest.mark.parametrize(
    ("devices", "flags", "code"),
    [(DEVICES, [], 0), (DEVICES, ["--detailed-exitcode"], 2), (CURRENT, ["--detailed-exitcode"], 0), ([], [], 0)],
    ids=["changes", "changes, detailed", "none, detailed", "no devices"],
)
def test_exit_codes_of_plan(place: Path, devices: list[dict[str, Any]], flags: list[str], code: int) -> None:
    assert ended("plan", "fleet.yaml", "--observed", seen(place, devices), *flags).exit_code == code


def test_refusals_do_not_change_the_exit_code(place: Path) -> None:
    refused = seen(place, [device_object(5, "6.4.1")])
    assert ended("plan", "fleet.yaml", "--observed", refused, "--detailed-exitcode").exit_code == 0


def test_a_wrong_manifest_is_an_error(place: Path) -> None:
    (place / "fleet.yaml").write_text(FLEET.replace('"6.3.4"', "1.10"), encoding="utf-8")
    result = run("plan", "fleet.yaml", "--observed", seen(place, DEVICES), "--detailed-exitcode")
    assert result.exit_code == 1
    assert isinstance(result.exception, ManifestError)


def test_a_snapshot_that_is_not_there_is_an_error(place: Path) -> None:
    assert error_of("plan", "fleet.yaml", "--observed", "nowhere.json").code == "PFR6701"


def test_two_fleets_that_claim_one_device_are_an_error(place: Path) -> None:
    (place / "other.yaml").write_text(FLEET.replace("name: eu", "name: other"), encoding="utf-8")
    assert error_of("plan", "fleet.yaml", "other.yaml", "--observed", seen(place, DEVICES)).code == "PFR1901"


def test_without_a_token_and_a_snapshot_the_error_says_what_is_missing(place: Path) -> None:
    error = error_of("plan", "fleet.yaml")
    assert error.code == "PFR3001"
    assert "PARTICLE_ACCESS_TOKEN" in f"{error.message} {error.next_step}"


def test_a_plan_on_a_snapshot_makes_no_journal(place: Path) -> None:
    ended("plan", "fleet.yaml", "--observed", seen(place, DEVICES))
    assert sorted(path.name for path in place.iterdir()) == ["fleet.yaml", "seen.json"]


def test_a_saved_plan_is_the_printed_one_with_its_manifests(place: Path) -> None:
    words = ["plan", "fleet.yaml", "--observed", seen(place, DEVICES)]
    ended(*words, "--out", "plan.json", "--quiet")
    saved = json.loads((place / "plan.json").read_text(encoding="utf-8"))
    printed = json.loads(ended(*words, "--output", "json").stdout)
    assert saved.pop("manifests")["files"] == {"fleet.yaml": FLEET}
    assert saved == printed


def test_a_plan_that_cannot_be_saved_leaves_nothing_behind(place: Path) -> None:
    error = error_of("plan", "fleet.yaml", "--observed", seen(place, DEVICES), "--out", "no-such-folder/plan.json")
    assert error.code == "PFR6702"


def test_a_plan_is_not_saved_under_the_name_of_a_manifest(place: Path) -> None:
    words = ["plan", "fleet.yaml", "--observed", seen(place, DEVICES), "--out", "fleet.yaml"]
    assert error_of(*words).code == "PFR6702"
    assert (place / "fleet.yaml").read_text(encoding="utf-8") == FLEET


# --- drift ---


@pytest.mark.parametrize(
    ("devices", "code"),
    [(DEVICES, 2), (CURRENT, 0), ([device_object(5, "6.4.1")], 0), ([device_object(6, "2.0.1", online=False)], 0)],
    ids=["drift", "none", "only refused", "only waiting"],
)
def test_exit_codes_of_drift(place: Path, devices: list[dict[str, Any]], code: int) -> None:
    assert ended("drift", "fleet.yaml", "--observed", seen(place, devices)).exit_code == code


def test_an_error_of_drift_is_not_mistaken_for_drift(place: Path) -> None:
    assert run("drift", "fleet.yaml", "--observed", "nowhere.json").exit_code == 1


def test_drift_as_json_is_a_plan(place: Path) -> None:
    result = ended("drift", "fleet.yaml", "--observed", seen(place, DEVICES), "--output", "json")
    assert json.loads(result.stdout)["summary"]["upgrade"] == 3


# --- explain ---


@pytest.mark.parametrize("name", ["e00fce680000000000000001", "E00FCE680000000000000001", "eu-1"])
def test_a_device_is_explained_by_its_id_or_name(place: Path, name: str) -> None:
    said = ended("explain", name, "fleet.yaml", "--observed", seen(place, DEVICES)).stdout
    assert "e00fce680000000000000001" in said
    assert "system_part/1" in said


@pytest.mark.parametrize(("number", "word"), [(4, "6.3.4"), (5, "downgrade_refused"), (6, "offline")])
def test_a_device_without_a_route_is_explained_too(place: Path, number: int, word: str) -> None:
    assert word in ended("explain", f"eu-{number}", "fleet.yaml", "--observed", seen(place, DEVICES)).stdout


def test_an_id_wins_over_a_device_that_is_named_like_it(place: Path) -> None:
    pretender = device_object(7, "6.3.4", name=DEVICES[0]["id"])
    said = ended("explain", DEVICES[0]["id"], "fleet.yaml", "--observed", seen(place, [pretender, *DEVICES])).stdout
    assert "eu-1" in said


def test_a_device_of_no_fleet_is_explained_as_such(place: Path) -> None:
    stranger = device_object(7, "2.0.1", groups=[])
    assert "no fleet" in ended("explain", "eu-7", "fleet.yaml", "--observed", seen(place, [stranger])).stdout.lower()


def test_a_name_that_nobody_has_is_an_error(place: Path) -> None:
    error = error_of("explain", "eu-99", "fleet.yaml", "--observed", seen(place, DEVICES))
    assert isinstance(error, OperatorError)
    assert error.code == "PFR6703"


def test_a_name_that_two_devices_have_is_an_error_with_both_ids(place: Path) -> None:
    twins = [device_object(1, "2.0.1", name="twin"), device_object(2, "2.0.1", name="twin")]
    error = error_of("explain", "twin", "fleet.yaml", "--observed", seen(place, twins))
    assert error.code == "PFR6704"
    assert all(each["id"] in error.message for each in twins)
