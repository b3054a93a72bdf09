"""Control requests by name, on pretend devices: what they say, what they refuse, and what a failure leaves behind."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.emulator.bench.faults import BenchFault, FaultKind, TransferKind
from reconciler.emulator.bench.timing import LIFELIKE
from reconciler.model.module import Dependency, Module, ModuleSlot
from reconciler.particle.usb import ModuleReports, Phase, Protection, SystemCapability, UsbProgress
from reconciler.particle.usb_error import (
    UsbCancelledError,
    UsbError,
    UsbGarbledError,
    UsbGoneError,
    UsbProtectedError,
    UsbRefusedError,
    UsbTimeoutError,
    UsbUnsupportedError,
)
from reconciler.particle.usb_messages import encode
from reconciler.particle.usb_modules import read_module_reports
from tests.pretend_bench import DEVICE, PretendBench, application, module


def slot(text: str) -> ModuleSlot:
    return ModuleSlot.parse(text)


def last_check(content: bytes) -> int:
    """Which CHECK fetches the result of an update: one for its start, three a chunk (room, room, result), and it."""
    return 1 + 3 * -(-len(content) // 1024) + 1


def test_the_new_form_of_module_information_is_read_with_hash_size_and_both_needs() -> None:
    bench = PretendBench()
    device = bench.plug("boron", "6.3.4")
    with bench.normal().control() as session:
        reports = {report.module.slot: report for report in session.modules().modules}
    system = reports[slot("system_part/1")]
    held = device.holdings.held[slot("system_part/1")]
    assert system.module == held.installed.module
    assert len(system.module.dependencies) == 2
    assert (system.sha256, system.size_bytes) == (held.installed.sha256, held.size)
    assert system.intact
    assert system.dependencies_met


def test_the_old_form_of_module_information_says_the_same_without_hash() -> None:
    bench = PretendBench()
    device = bench.plug("argon", "4.0.0")
    with bench.normal().control() as session:
        reports = session.modules()
    assert reports.findings == ()
    assert {r.module for r in reports.modules} == {h.installed.module for h in device.holdings.held.values()}
    assert {r.module.slot: r.size_bytes for r in reports.modules} == {
        s: h.size for s, h in device.holdings.held.items()
    }
    assert {r.sha256 for r in reports.modules} == {None}


@pytest.mark.parametrize("release", ["4.0.0", "5.9.0"])
def test_a_need_that_is_not_met_is_reported_in_both_forms(release: str) -> None:
    bench = PretendBench()
    device = bench.plug("boron", release, own_application=application("boron", "6.3.4", 1))
    assert device.boot_mode() == "safe_mode"
    with bench.normal().control() as session:
        met = {report.module.slot.function.label: report.dependencies_met for report in session.modules().modules}
    assert met["user_part"] is False
    assert met["system_part"] is True


def test_a_module_that_nobody_knows_is_a_finding_and_the_others_hold() -> None:
    known = {"type": 4, "index": 1, "version": 6305, "checked_flags": 30, "passed_flags": 26}
    data = encode("ModuleInfoReply", modules=[known, {"type": 77, "version": 3}, {"type": 2, "store": 9}])
    reports = read_module_reports(data)
    assert [str(report.module) for report in reports.modules] == ["system_part/1 6305"]
    assert [report.dependencies_met for report in reports.modules] == [False]
    assert len(reports.findings) == 2


def test_an_empty_first_need_leaves_one() -> None:
    needs = [{"type": 0}, {"type": 2, "index": 0, "version": 501}]
    data = encode("ModuleInfoReply", old_modules=[{"type": 2, "index": 1, "version": 1512, "dependencies": needs}])
    # In the old form 2 is a system part, in the module as in its needs.
    expected = Module(slot=slot("system_part/1"), version=1512, first_dependency=Dependency(slot("system_part/0"), 501))
    assert [report.module for report in read_module_reports(data).modules] == [expected]


@given(data=st.binary(max_size=400))
@settings(deadline=None)
def test_no_bytes_of_module_information_raise_anything_untyped(data: bytes) -> None:
    with contextlib.suppress(UsbGarbledError):
        assert isinstance(read_module_reports(data), ModuleReports)


NUMBERS = st.integers(0, 2**32 - 1)
NEEDS = st.fixed_dictionaries({}, optional={"type": NUMBERS, "index": NUMBERS, "version": NUMBERS})
MODULES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.integers(0, 12),
        "index": NUMBERS,
        "version": st.integers(0, 70_000),
        "store": st.integers(0, 5),
        "size": NUMBERS,
        "checked_flags": NUMBERS,
        "passed_flags": NUMBERS,
        "hash": st.binary(max_size=40),
        "dependencies": st.lists(NEEDS, max_size=4),
    },
)


@given(modules=st.lists(MODULES, max_size=6))
@settings(deadline=None)
def test_every_module_that_a_device_names_is_read_or_told_of(modules: list[dict[str, object]]) -> None:
    reports = read_module_reports(encode("ModuleInfoReply", modules=modules))
    assert len(reports.modules) + len(reports.findings) == len(modules)


def test_an_update_is_taken_and_told_of_while_it_runs() -> None:
    bench = PretendBench(timing=LIFELIKE)
    device = bench.plug("boron", "6.1.1")
    content = module("boron", "6.3.4", "bootloader/0")
    progress: list[UsbProgress] = []
    before = bench.normal()
    with before.control() as session:
        session.update(content, on_progress=progress.append)
    sending = [step.done_bytes for step in progress if step.phase is Phase.SENDING]
    assert sending == sorted(sending)
    assert sending[-1] == len(content)
    assert progress[-1] == UsbProgress(phase=Phase.APPLYING, done_bytes=len(content), total_bytes=len(content))
    after = bench.bus.find(DEVICE, restarted_from=before, within_seconds=30)
    assert after.incarnation != before.incarnation
    assert device.holdings.held[slot("bootloader/0")].installed.module.version == 3200


@pytest.mark.parametrize(
    ("release", "content", "result"),
    [
        ("4.0.0", module("boron", "6.3.4", "system_part/1"), -1340),
        ("4.0.0", module("argon", "4.0.2", "system_part/1"), -1360),
        ("4.0.0", module("boron", "4.0.2", "system_part/1")[:-1] + b"\0", -1330),
        ("4.0.0", module("tracker", "5.6.0", "ncp_firmware/0"), -1360),
    ],
)
def test_a_device_refuses_with_its_own_number_and_stays_as_it_was(release: str, content: bytes, result: int) -> None:
    bench = PretendBench()
    device = bench.plug("boron", release)
    before = device.holdings.loadout.versions
    with bench.normal().control() as session:
        with pytest.raises(UsbRefusedError) as caught:
            session.update(content)
        assert caught.value.result == result
        assert not caught.value.may_have_changed
        assert session.system_version() == release
    assert device.holdings.loadout.versions == before


def test_updates_that_the_application_forbids_are_refused_at_once() -> None:
    bench = PretendBench()
    bench.plug("boron", "4.0.0").updates_enabled = False
    with bench.normal().control() as session, pytest.raises(UsbRefusedError) as caught:
        session.update(module("boron", "4.0.2", "system_part/1"))
    assert caught.value.result == -1380


def test_a_person_stops_an_update_and_the_next_one_goes_through() -> None:
    bench = PretendBench()
    device = bench.plug("boron", "6.1.1")
    content = module("boron", "6.3.4", "bootloader/0")
    sent: list[int] = []
    with bench.normal().control() as session:
        with pytest.raises(UsbCancelledError) as caught:
            session.update(
                content, on_progress=lambda step: sent.append(step.done_bytes), stopped=lambda: len(sent) > 5
            )
        assert not caught.value.may_have_changed
        session.update(content)
    bench.normal()
    assert device.holdings.held[slot("bootloader/0")].installed.module.version == 3200


@pytest.mark.parametrize("at", [1, 2, 20, 45])
@pytest.mark.parametrize("kind", [FaultKind.UNPLUG, FaultKind.STALL, FaultKind.LOST, FaultKind.FLIP])
def test_an_update_that_breaks_off_leaves_the_device_as_it_was_and_works_the_next_time(
    kind: FaultKind, at: int
) -> None:
    bench = PretendBench(faults=[BenchFault(kind=kind, of=TransferKind.SEND, transfer=at)])
    device = bench.plug("boron", "6.1.1")
    before = device.holdings.loadout.versions
    content = module("boron", "6.3.4", "bootloader/0")
    with pytest.raises(UsbError) as caught, bench.normal().control() as session:
        session.update(content)
    assert not caught.value.may_have_changed
    assert device.holdings.loadout.versions == before
    if kind is FaultKind.UNPLUG:
        bench.bench.plug(device, (4,), bench.seconds)
    with bench.normal().control() as session:
        session.update(content)
    bench.normal()
    assert device.holdings.held[slot("bootloader/0")].installed.module.version == 3200
    assert bench.violations() == []


def test_a_lost_answer_to_the_last_request_leaves_it_open_what_happened() -> None:
    content = application("boron", "4.0.0", 4)
    bench = PretendBench(faults=[BenchFault(kind=FaultKind.LOST, of=TransferKind.CHECK, transfer=last_check(content))])
    device = bench.plug("boron", "4.0.0")
    with pytest.raises(UsbTimeoutError) as caught, bench.normal().control() as session:
        session.update(content)
    assert caught.value.may_have_changed
    assert device.holdings.loadout.application is not None
    assert device.holdings.loadout.application.product_version == 4


def test_a_device_that_goes_in_the_last_request_is_gone_with_an_open_end() -> None:
    content = application("boron", "4.0.0", 4)
    fault = BenchFault(kind=FaultKind.UNPLUG, of=TransferKind.CHECK, transfer=last_check(content))
    bench = PretendBench(faults=[fault])
    bench.plug("boron", "4.0.0")
    with pytest.raises(UsbGoneError) as caught, bench.normal().control() as session:
        session.update(content)
    assert caught.value.may_have_changed


def test_an_update_that_takes_too_long_ends_at_its_deadline() -> None:
    bench = PretendBench(timing=LIFELIKE.scaled(100))
    bench.plug("boron", "6.1.1")
    begun = bench.seconds
    with bench.normal().control() as session, pytest.raises(UsbTimeoutError):
        session.update(module("boron", "6.3.4", "bootloader/0"), deadline_seconds=30)
    assert bench.seconds - begun < 45


def test_a_protected_device_says_so_and_little_else() -> None:
    bench = PretendBench()
    device = bench.plug("boron", "6.3.4")
    device.protected = True
    with bench.normal().control() as session:
        assert session.protection() is Protection.PROTECTED
        assert session.device_id() == device.id
        assert session.system_version() == "6.3.4"
        with pytest.raises(UsbProtectedError):
            session.modules()
        device.service = True
        assert session.protection() is Protection.SERVICE
        assert session.modules().modules


def test_an_old_device_os_says_what_it_does_not_know() -> None:
    bench = PretendBench()
    bench.plug("photon", "1.0.1")
    with bench.normal().control() as session:
        assert session.protection() is Protection.UNKNOWN
        assert session.capabilities() is SystemCapability.NONE
        with pytest.raises(UsbUnsupportedError):
            session.device_id()
        session.start_listening()
        assert session.system_version() == "1.0.1"


def test_a_session_of_the_wrong_kind_is_refused_before_anything_is_sent() -> None:
    bench = PretendBench()
    bench.plug("boron", "4.0.0")
    with pytest.raises(UsbUnsupportedError), bench.normal().dfu():
        pytest.fail("opened")
    with pytest.raises(UsbUnsupportedError), bench.in_dfu().control():
        pytest.fail("opened")
