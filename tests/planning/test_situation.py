from __future__ import annotations

import pytest

from reconciler.firmware.known import known_catalog
from reconciler.model.device import DeviceMode, ObservedDevice
from reconciler.model.plan import Knowledge, RefusalReason, Refused, Situation, Waiting, WaitingReason
from reconciler.model.version import DeviceOsVersion
from reconciler.planning.situation import inferred_situation, situation_of
from reconciler.planning.standing import MixedPartsError, standing_of
from tests.fleet_samples import device, module, modules, platform, situation, versions


def placed(of_device: ObservedDevice) -> Refused | Waiting:
    found = situation_of(of_device, known_catalog())
    assert not isinstance(found, Situation), found
    return found


def test_what_the_device_reports_wins_over_the_version_field() -> None:
    reported = device(device_os="6.3.4", modules=modules(bootloader_0=1005, radio_stack_0=202, system_part_1=2011))
    found = situation(reported)
    assert found.knowledge is Knowledge.REPORTED
    assert found.device_os == DeviceOsVersion("2.0.1")
    assert versions(found) == {"bootloader/0": 1005, "system_part/1": 2011, "radio_stack/0": 202}


def test_a_device_in_normal_mode_has_at_least_what_its_release_needs() -> None:
    # The example of the contract: a Boron on 1.5.2.
    found = situation(device(device_os="1.5.2"))
    assert found.knowledge is Knowledge.INFERRED
    assert versions(found) == {"bootloader/0": 501, "radio_stack/0": 202, "system_part/1": 1512}


def test_needs_of_needs_are_inferred_too() -> None:
    # Realtek: the system part implies bootloader 0, which implies bootloader 2.
    found = situation(device(platform_name="p2", device_os="6.3.4"))
    assert versions(found) == {"bootloader/0": 3200, "bootloader/2": 11, "system_part/1": 6305}


@pytest.mark.parametrize("reported", [None, ()])
def test_a_device_in_safe_mode_that_reported_no_modules_waits(reported: tuple[()] | None) -> None:
    found = placed(device(mode=DeviceMode.SAFE_MODE, modules=reported))
    assert found.reason is WaitingReason.MODULES_UNKNOWN


@pytest.mark.parametrize("fields", [{"device_os": None}, {"platform_id": None}, {"device_os": None, "modules": ()}])
def test_a_device_that_never_said_what_it_runs_waits(fields: dict[str, None]) -> None:
    assert placed(device(**fields)).reason is WaitingReason.NEVER_REPORTED


def test_a_report_of_modules_is_enough_without_a_version_field() -> None:
    found = situation(device(device_os=None, modules=modules(bootloader_0=1005, radio_stack_0=202, system_part_1=2011)))
    assert found.device_os == DeviceOsVersion("2.0.1")


def test_an_unknown_status_waits() -> None:
    assert placed(device(mode=None)).reason is WaitingReason.UNKNOWN_STATUS


@pytest.mark.parametrize("number", [42, 999])
def test_a_platform_without_known_modules_is_refused(number: int) -> None:
    assert placed(device(platform_id=number)).reason is RefusalReason.UNKNOWN_PLATFORM


def test_a_release_that_nobody_knows_is_refused_by_name() -> None:
    found = placed(device(device_os="9.9.9"))
    assert found.reason is RefusalReason.UNKNOWN_RELEASE
    assert "9.9.9" in found.message


def test_text_that_is_no_version_is_an_unknown_release() -> None:
    assert placed(device(device_os="not-a-version")).reason is RefusalReason.UNKNOWN_RELEASE


def test_a_reported_module_of_no_release_is_refused() -> None:
    found = placed(device(modules=modules(bootloader_0=1005, system_part_1=2012)))
    assert found.reason is RefusalReason.UNKNOWN_MODULE
    assert "system_part/1 2012" in found.message


def test_a_reported_module_in_a_slot_that_the_platform_has_not_is_refused() -> None:
    assert placed(device(modules=modules(ncp_firmware_0=7, system_part_1=2011))).reason is RefusalReason.UNKNOWN_MODULE


@pytest.mark.parametrize("bootloader", [7, 9, 11, 101])
def test_a_bootloader_that_only_the_table_of_versions_names_is_known(bootloader: int) -> None:
    reported = modules(bootloader_0=bootloader, system_part_1=207, system_part_2=207)
    found = situation_of(device(platform_name="photon", device_os="0.7.0", modules=reported), known_catalog())
    assert isinstance(found, Situation)


@pytest.mark.parametrize("radio", [169, 182])
def test_old_radio_stacks_are_known_though_never_sent(radio: int) -> None:
    found = situation(device(modules=modules(bootloader_0=401, radio_stack_0=radio, system_part_1=1321)))
    assert versions(found)["radio_stack/0"] == radio


def test_the_encrypted_bootloader_is_known_at_any_version() -> None:
    parts = modules(bootloader_0=3200, bootloader_1=3, bootloader_2=11, system_part_1=6305)
    assert versions(situation(device(platform_name="p2", modules=parts)))["bootloader/1"] == 3


def test_a_reported_module_without_needs_gets_those_of_its_known_build() -> None:
    found = situation(device(modules=modules(bootloader_0=1005, radio_stack_0=202, system_part_1=2011)))
    system = next(m for m in found.modules if str(m.slot) == "system_part/1")
    assert system == module("boron", "2.0.1", "system_part/1")


def test_a_reported_application_is_kept_apart() -> None:
    parts = modules(bootloader_0=1101, radio_stack_0=202, system_part_1=4006, user_part_1=6)
    found = situation(device(mode=DeviceMode.SAFE_MODE, modules=parts))
    assert found.user_part is not None
    assert "user_part/1" not in versions(found)


def test_parts_of_two_releases_leave_the_lower_one_as_the_running_release() -> None:
    parts = modules(bootloader_0=101, system_part_1=1512, system_part_2=1213)
    assert situation(device(platform_name="photon", modules=parts)).device_os == DeviceOsVersion("1.2.1")


def test_parts_of_three_releases_are_refused() -> None:
    parts = modules(bootloader_0=1003, system_part_1=1512, system_part_2=1213, system_part_3=2008)
    found = placed(device(platform_name="electron", modules=parts))
    assert found.reason is RefusalReason.UNKNOWN_MODULE
    assert "more than two releases" in found.message


def test_parts_of_three_releases_have_no_standing() -> None:
    parts = {m.slot: m.version for m in modules(system_part_1=1, system_part_2=2, system_part_3=3)}
    with pytest.raises(MixedPartsError):
        standing_of(platform("electron"), parts, known_catalog())


def test_an_electron_before_0_6_0_is_complete_with_two_system_parts() -> None:
    found = situation(device(platform_name="electron", modules=modules(system_part_1=23, system_part_2=23)))
    assert found.device_os == DeviceOsVersion("0.5.5")


def test_an_electron_from_0_6_0_on_with_two_system_parts_is_not_complete() -> None:
    parts = modules(bootloader_0=101, system_part_1=207, system_part_2=207)
    found = situation_of(device(platform_name="electron", modules=parts), known_catalog())
    assert isinstance(found, Situation)
    assert found.device_os is None


def test_what_we_put_there_raises_the_lower_bounds() -> None:
    found = situation(device(device_os="2.0.1", learnt=(module("boron", "6.3.4", "bootloader/0"),)))
    assert versions(found)["bootloader/0"] == 3200
    assert found.knowledge is Knowledge.INFERRED


def test_what_we_put_there_lowers_nothing() -> None:
    found = situation(device(device_os="6.3.4", learnt=(module("boron", "2.0.1", "bootloader/0"),)))
    assert versions(found)["bootloader/0"] == 3100


def test_what_we_learnt_is_forgotten_when_the_shown_part_is_lower_than_what_we_put_there() -> None:
    learnt = (module("boron", "6.3.4", "bootloader/0"), module("boron", "6.3.4", "system_part/1"))
    assert versions(situation(device(device_os="2.0.1", learnt=learnt))) == versions(
        situation(device(device_os="2.0.1"))
    )


def test_what_we_learnt_does_not_touch_what_the_device_reports() -> None:
    reported = modules(bootloader_0=1005, radio_stack_0=202, system_part_1=2011)
    found = situation(device(modules=reported, learnt=(module("boron", "6.3.4", "bootloader/0"),)))
    assert versions(found)["bootloader/0"] == 1005


def test_the_running_release_is_the_one_that_the_device_names_where_two_share_a_number() -> None:
    # Number 13: 0.5.0-rc.2 and 0.5.0.
    parts = modules(system_part_1=13, system_part_2=13)
    found = situation_of(device(platform_name="photon", device_os="0.5.0-rc.2", modules=parts), known_catalog())
    assert isinstance(found, Situation), found
    assert found.device_os == DeviceOsVersion("0.5.0-rc.2")


def test_a_device_of_its_owner_is_one_whose_product_is_its_platform() -> None:
    assert situation(device(product_id=13)).own
    assert situation(device(product_id=None)).own
    assert not situation(device()).own


def test_a_release_that_nobody_knows_cannot_be_inferred() -> None:
    with pytest.raises(KeyError):
        inferred_situation(platform("boron"), DeviceOsVersion("9.9.9"), known_catalog())
