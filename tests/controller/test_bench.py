"""The bench, on devices in memory: what a person sees, what is sent in which order, and what is never done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.controller.seat import SeatState
from reconciler.model.attempt import AttemptState
from reconciler.model.fleet import FleetSet, Selector, Via
from reconciler.model.instant import Instant
from reconciler.model.module import ModuleSlot
from reconciler.model.platform import platform_by_name
from reconciler.model.rollout_entry import Halted
from reconciler.model.version import ApplicationVersion
from reconciler.particle.usb import Protection, UsbMode
from tests.bench.fake_bus import FakeDevice, application_of
from tests.bench.stage import USB, Stage
from tests.fleet_samples import device as sample_device
from tests.fleet_samples import fleet, own_binary

ALL = Selector(devices=frozenset(f"e00fce68{number:016x}" for number in range(1, 21)))


def stage(device_os: str = "6.3.4", **fields: Any) -> Stage:
    return Stage(fleets=FleetSet(fleets=(fleet(**{"device_os": device_os, "select": ALL, "delivery": USB, **fields}),)))


def versions(device: FakeDevice) -> dict[str, int]:
    return {str(slot): module.version for slot, module in device.modules().items()}


def changes(device: FakeDevice) -> list[str]:
    kept = ("update", "written", "boots", "enter")
    return [moment for moment in device.moments if moment.startswith(kept)]


def test_a_device_below_the_desired_release_is_brought_there_and_seen_after_its_last_boot() -> None:
    here = stage("6.3.4")
    device = here.bus.plug(1, "boron", "2.0.1")
    seat = here.serve(device)
    assert seat.state is SeatState.DONE, seat
    assert versions(device)["system_part/1"] == 6305
    assert device.mode is UsbMode.NORMAL
    assert {attempt.state for attempt in here.journal.attempts()} == {AttemptState.VERIFIED}
    assert here.seats[-1].message == "verified: Device OS 6.3.4"


def test_bootloader_in_normal_mode_comes_before_what_is_written_in_dfu_mode() -> None:
    here = stage("1.5.2")
    device = here.bus.plug(1, "boron", "1.2.1")
    here.serve(device)
    outline = [moment.split()[0] for moment in changes(device)]
    assert outline == ["update", "boots", "enter", "boots", "written", "written", "boots"]


def test_a_hop_ends_with_a_boot() -> None:
    """Two releases are never written over one another in one visit to DFU mode."""
    here = stage("2.0.0")
    device = here.bus.plug(1, "boron", "0.9.0")
    assert here.serve(device).state is SeatState.DONE
    assert changes(device).count("boots into normal") == 4


def test_a_device_in_no_fleet_is_shown_and_not_touched() -> None:
    here = stage()
    device = here.bus.plug(99, "boron", "2.0.1")
    assert here.serve(device).state is SeatState.STRANGER
    assert changes(device) == []


def test_a_stranger_in_dfu_mode_stays_there() -> None:
    here = stage()
    device = here.bus.plug(99, "boron", "2.0.1")
    device.mode = UsbMode.DFU
    assert here.serve(device).state is SeatState.STRANGER
    assert device.mode is UsbMode.DFU


def test_a_device_as_desired_is_left_alone() -> None:
    here = stage("2.0.1")
    device = here.bus.plug(1, "boron", "2.0.1")
    assert here.serve(device).state is SeatState.DONE
    assert changes(device) == []


def test_a_later_release_is_never_taken_back() -> None:
    here = stage("2.0.1")
    device = here.bus.plug(1, "boron", "6.3.4")
    seat = here.serve(device)
    assert (seat.state, seat.code) == (SeatState.ASIDE, "PFR2001")
    assert changes(device) == []


def test_a_device_in_dfu_mode_without_its_system_part_is_repaired() -> None:
    here = stage("6.3.4")
    device = here.bus.plug(1, "boron", "6.3.4")
    part = device.platform.bounds[ModuleSlot.parse("system_part/1")]
    for address in part.start_addresses:
        device.write(address + 0x8000, b"\xff" * 4096)
    device.mode = UsbMode.DFU
    assert here.serve(device).state is SeatState.DONE
    assert (versions(device)["system_part/1"], device.mode) == (6305, UsbMode.NORMAL)


def test_a_photon_that_lost_one_of_its_parts_is_repaired_before_anything_is_sent_in_normal_mode() -> None:
    here = stage("2.3.1")
    device = here.bus.plug(1, "photon", "1.5.2")
    device.write(0x08060000, b"\xff" * 4096)
    device.mode = UsbMode.DFU
    assert here.serve(device).state is SeatState.DONE
    assert changes(device)[0].startswith("written")
    assert versions(device)["system_part/2"] == 2302


def test_a_tracker_on_2_x_gets_its_ncp_firmware_in_safe_mode() -> None:
    here = stage("3.0.0")
    device = here.bus.plug(1, "tracker", "2.3.1")
    assert here.serve(device).state is SeatState.DONE
    assert versions(device)["ncp_firmware/0"] == 7


@pytest.mark.parametrize("platform", ["argon", "electron", "photon", "p2", "xenon", "b5som"])
def test_every_family_arrives(platform: str) -> None:
    start, desired = {"xenon": ("1.1.0", "1.5.2"), "p2": ("5.0.0", "6.5.0")}.get(platform, ("2.0.0", "2.3.1"))
    start = "0.5.1" if platform == "electron" else start
    here = stage(desired)
    device = here.bus.plug(1, platform, start)
    assert here.serve(device).state is SeatState.DONE
    assert device.device_os() == desired


def with_application(version: int, *, platform: str = "boron", built_for: str = "6.3.4", **fields: Any) -> Stage:
    named = platform_by_name(platform)
    assert named is not None
    wanted = replace(own_binary(platform, file="logger.bin"), version=ApplicationVersion(version))
    here = stage(application=wanted, **fields)
    here.applications = {(platform, version): application_of(named, built_for, version)}
    return here


def test_the_application_is_written_last_in_the_same_visit_to_dfu_mode() -> None:
    here = with_application(44)
    device = here.bus.plug(1, "boron", "2.0.1", application=("2.0.1", 12))
    seat = here.serve(device)
    assert (seat.state, seat.message) == (SeatState.DONE, "verified: Device OS 6.3.4, application 44")
    assert [m.split()[0] for m in changes(device)][-4:] == ["written", "written", "written", "boots"]


def test_the_former_application_is_emptied_so_that_the_new_one_runs() -> None:
    here = with_application(44)
    device = here.bus.plug(1, "boron", "2.0.1", application=("2.0.1", 12))
    assert "user_part/1" in versions(device)
    here.serve(device)
    assert "user_part/1" not in versions(device)
    assert "user_part/2" in versions(device)


def test_an_application_whose_version_only_its_flash_tells_is_never_lowered() -> None:
    here = with_application(44, device_os="6.3.4")
    device = here.bus.plug(1, "boron", "6.3.4", application=("6.3.4", 50))
    seat = here.serve(device)
    assert (seat.state, seat.code) == (SeatState.ASIDE, "PFR2001")
    assert "runs application 50" in seat.message
    assert not [moment for moment in device.moments if moment.startswith("erase")]
    assert device.mode is UsbMode.NORMAL


def test_an_application_that_lies_there_already_is_not_written_again() -> None:
    here = with_application(44, device_os="6.3.4")
    device = here.bus.plug(1, "boron", "6.3.4", application=("6.3.4", 44))
    assert here.serve(device).state is SeatState.DONE
    assert not [moment for moment in device.moments if moment.startswith("erase")]


def test_a_lower_application_that_the_register_knows_is_refused_before_anything_is_touched() -> None:
    here = with_application(44, device_os="6.3.4")
    device = here.bus.plug(1, "boron", "6.3.4", application=("6.3.4", 50))
    here.records = {device.id: replace(sample_device(), id=device.id, application=50)}
    seat = here.serve(device)
    assert (seat.state, seat.code) == (SeatState.ASIDE, "PFR2001")
    assert changes(device) == []


def test_a_device_that_comes_back_on_another_port_is_the_same_device() -> None:
    here = stage("6.3.4")
    device = here.bus.plug(1, "boron", "2.0.1")

    def moves(moved: FakeDevice, moment: str) -> None:
        if moment.startswith("enter"):
            moved.port = "2-7.3"

    device.at_moment = moves
    seat = here.serve(device)
    assert (seat.state, seat.port) == (SeatState.DONE, "2-7.3")


def test_a_protected_device_is_not_touched() -> None:
    here = stage()
    device = here.bus.plug(1, "boron", "6.1.1")
    device.protection = Protection.PROTECTED
    seat = here.serve(device)
    assert (seat.state, seat.code) == (SeatState.TROUBLE, "PFR3214")
    assert changes(device) == []


def test_in_a_halted_fleet_nothing_is_sent() -> None:
    here = stage()
    here.journal.note([Halted(fleet="eu", at=Instant(1.0), reason="smoke")])
    device = here.bus.plug(1, "boron", "2.0.1")
    seat = here.serve(device)
    assert (seat.state, seat.code) == (SeatState.ASIDE, "PFR5027")
    assert changes(device) == []


def test_a_device_of_a_fleet_that_the_cloud_serves_is_not_touched_unless_the_bench_may() -> None:
    here = stage(delivery=replace(USB, via=Via.CLOUD))
    device = here.bus.plug(1, "boron", "2.0.1")
    device.mode = UsbMode.DFU
    seat = here.serve(device)
    assert (seat.state, seat.code) == (SeatState.ASIDE, "PFR6841")
    assert changes(device) == [], "not even restarted"
    here.is_shared = True
    assert here.serve(device).state is SeatState.DONE


def test_whatever_is_sent_is_in_the_journal_before() -> None:
    here = stage("1.5.2")
    device = here.bus.plug(1, "boron", "1.2.1")
    unrecorded = []

    def watch(_device: FakeDevice, moment: str) -> None:
        if moment.startswith(("erase", "update", "enter")) and not here.journal.open_attempts():
            unrecorded.append(moment)

    device.at_moment = watch
    assert here.serve(device).state is SeatState.DONE
    assert unrecorded == []


def test_what_fails_three_times_is_left_alone_and_tried_anew_when_a_person_has_plugged_it_in_again() -> None:
    here = stage("6.3.4")
    device = here.bus.plug(1, "boron", "2.0.1")
    device.refuses_updates = True
    bench = here.bench()
    seat = here.serve(device, bench)
    assert seat.state is SeatState.FAILED
    assert "failed 3 times" in seat.message
    assert len(here.journal.attempts()) == 3
    device.refuses_updates = False
    assert here.serve(device, bench).state is SeatState.DONE


def test_a_device_that_never_restarts_after_it_took_a_module_is_judged_by_another_look() -> None:
    """The answer said yes, and nothing came of it: that is a failure, told by the device itself."""
    here = stage("6.3.4")
    device = here.bus.plug(1, "boron", "2.0.1")
    device.forgets_updates = True
    seat = here.serve(device)
    assert seat.state is SeatState.FAILED
    assert {attempt.state for attempt in here.journal.attempts()} == {AttemptState.FAILED}
    assert "read again, it is not there" in seat.message


def test_when_a_person_leaves_the_module_under_way_is_finished_and_no_other_is_begun() -> None:
    here = stage("1.5.2")
    device = here.bus.plug(1, "boron", "1.2.1")

    def leave(_device: FakeDevice, moment: str) -> None:
        here.stopped = here.stopped or moment.startswith("half")

    device.at_moment = leave
    assert here.serve(device).state is SeatState.WORKING
    written = [moment for moment in device.moments if moment.startswith("written")]
    assert len(written) == 1
    assert versions(device)["radio_stack/0"] == 202
    here.stopped, device.at_moment = False, lambda _device, _moment: None
    assert here.serve(device).state is SeatState.DONE
    assert len([moment for moment in device.moments if moment.startswith("written")]) == 2
