from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from reconciler.execution.cloud import CloudExecutor
from reconciler.execution.executor import Accepted, MayHaveArrived, NotSent, SendOutcome
from reconciler.firmware.builder import build_application, build_module
from reconciler.model.attempt import FailureClass
from reconciler.model.device import DeviceId, DeviceMode, ObservedDevice
from reconciler.model.error import BugError, FirmwareError, ManifestError, OperatorError, ReconcilerError
from reconciler.model.instant import Instant
from reconciler.model.module import Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform, platform_by_id
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from reconciler.particle.api import ParticleApi
from tests.particle.pretend import DEVICE, Answer, PretendServer, Seen, pretend_cloud

TWO = ApplicationVersion(2)
MODULE = Module(slot=ModuleSlot(ModuleFunction.BOOTLOADER, 0), version=1200)
FLASH = FlashModule(module=MODULE, device_os=DeviceOsVersion("4.1.0"), boots_into=DeviceMode.NORMAL)
LOCK = LockApplication(application=TWO)
APPLICATION = FlashApplication(application=TWO)
BORON = ObservedDevice(id=DeviceId(DEVICE), platform_id=13, observed_at=Instant(0.0))

YES = Answer(body=b'{"id":"x","status":"Update started"}')
FIRMWARE = Answer(body=b'{"version":2}')


def application() -> bytes:
    platform = platform_by_id(13)
    assert platform is not None
    return build_application(platform, system_version=4101, product=(12345, 2))


@dataclass
class Store:
    applications: dict[tuple[str, ApplicationVersion], bytes] = field(default_factory=dict)
    failure: ReconcilerError | None = None

    def module(self, platform: Platform, step: FlashModule) -> bytes:
        if self.failure is not None:
            raise self.failure
        return build_module(platform, step.module, size=4096)

    def application(
        self, platform_name: str, application: ApplicationVersion, sha256: str | None = None
    ) -> bytes | None:
        if self.failure is not None:
            raise self.failure
        return self.applications.get((platform_name, application))


@dataclass
class Hands:
    server: PretendServer
    api: ParticleApi
    store: Store = field(default_factory=Store)
    reads: Answer = field(default_factory=lambda: FIRMWARE)
    writes: Answer = field(default_factory=lambda: YES)

    def answer(self, seen: Seen) -> Answer:
        return self.reads if seen.method == "GET" else self.writes

    def send(self, step: Step, device: ObservedDevice = BORON, product: str | None = "logger") -> SendOutcome:
        self.server.chosen = self.answer
        return CloudExecutor(self.api, product=product, binaries=self.store).send(device, step)

    @property
    def written(self) -> list[Seen]:
        return [seen for seen in self.server.seen if seen.method != "GET"]


@pytest.fixture
def hands() -> Iterator[Hands]:
    with pretend_cloud() as (server, api, _):
        yield Hands(server, api)


@pytest.mark.parametrize("product", ["logger", None])
def test_a_module_is_flashed_once(hands: Hands, product: str | None) -> None:
    assert hands.send(FLASH, product=product) == Accepted(detail="Update started")
    [seen] = hands.written
    assert seen.path == ("/v1/products/logger/devices/" if product else "/v1/devices/") + DEVICE
    platform = platform_by_id(13)
    assert platform is not None
    assert hands.store.module(platform, FLASH) in seen.body


def test_an_application_is_locked_and_flashed(hands: Hands) -> None:
    assert isinstance(hands.send(LOCK), Accepted)
    [seen] = hands.written
    assert json.loads(seen.body) == {"desired_firmware_version": 2, "flash": True}


def test_an_application_that_runs_already_is_only_locked(hands: Hands) -> None:
    hands.server.chosen = hands.answer
    executor = CloudExecutor(hands.api, product="logger", binaries=hands.store)
    assert isinstance(executor.send(replace(BORON, application=TWO), LOCK), Accepted)
    [seen] = hands.written
    assert json.loads(seen.body) == {"desired_firmware_version": 2}


def test_a_version_that_the_product_lacks_is_never_locked_to(hands: Hands) -> None:
    hands.reads = Answer(status=404)
    outcome = hands.send(LOCK)
    assert isinstance(outcome, NotSent)
    assert outcome.failure is FailureClass.REFUSED
    assert hands.written == []


def test_the_product_is_asked_once_for_each_version_that_it_has(hands: Hands) -> None:
    hands.server.chosen = hands.answer
    executor = CloudExecutor(hands.api, product="logger", binaries=hands.store)
    for _ in range(3):
        executor.send(BORON, LOCK)
    assert [seen.method for seen in hands.server.seen] == ["GET", "PUT", "PUT", "PUT"]


def test_a_version_that_is_uploaded_later_is_found(hands: Hands) -> None:
    executor = CloudExecutor(hands.api, product="logger", binaries=hands.store)
    hands.server.chosen = hands.answer
    hands.reads = Answer(status=404)
    assert isinstance(executor.send(BORON, LOCK), NotSent)
    hands.reads = FIRMWARE
    assert isinstance(executor.send(BORON, LOCK), Accepted)


def test_a_device_of_no_product_cannot_be_locked(hands: Hands) -> None:
    outcome = hands.send(LOCK, product=None)
    assert isinstance(outcome, NotSent)
    assert hands.server.seen == []


def test_an_application_of_the_manifests_is_flashed(hands: Hands) -> None:
    hands.store.applications = {("boron", TWO): application()}
    assert isinstance(hands.send(APPLICATION, product=None), Accepted)
    assert application() in hands.written[0].body


def test_an_application_that_no_manifest_holds_comes_from_the_product(hands: Hands) -> None:
    hands.reads = Answer(body=application())
    assert isinstance(hands.send(APPLICATION), Accepted)
    assert hands.server.seen[0].path == "/v1/products/logger/firmware/2/binary"
    assert application() in hands.written[0].body


@pytest.mark.parametrize("product", ["logger", None])
def test_an_application_that_nobody_has_is_not_sent(hands: Hands, product: str | None) -> None:
    hands.reads = Answer(status=404)
    outcome = hands.send(APPLICATION, product=product)
    assert isinstance(outcome, NotSent)
    assert outcome.failure is FailureClass.REFUSED
    assert hands.written == []


def test_an_application_that_is_another_one_is_not_sent(hands: Hands) -> None:
    hands.reads = Answer(body=application())
    outcome = hands.send(FlashApplication(application=ApplicationVersion(3)))
    assert isinstance(outcome, NotSent)
    assert outcome.failure is FailureClass.INTEGRITY
    assert hands.written == []


@pytest.mark.parametrize(("code", "failure"), [("PFR4401", FailureClass.INTEGRITY), ("PFR4402", FailureClass.REFUSED)])
def test_without_the_right_bytes_nothing_is_sent(hands: Hands, code: str, failure: FailureClass) -> None:
    hands.store.failure = FirmwareError(code, "no")
    outcome = hands.send(FLASH)
    assert isinstance(outcome, NotSent)
    assert outcome.failure is failure
    assert hands.server.seen == []


@pytest.mark.parametrize("platform_id", [None, 999])
@pytest.mark.parametrize("step", [FLASH, APPLICATION])
def test_nothing_is_flashed_to_an_unknown_platform(hands: Hands, platform_id: int | None, step: Step) -> None:
    outcome = hands.send(step, replace(BORON, platform_id=platform_id))
    assert isinstance(outcome, NotSent)
    assert outcome.failure is FailureClass.INCOMPATIBLE
    assert hands.server.seen == []


UNCLEAR = {
    "500": Answer(status=500),
    "502 html": Answer(status=502, body=b"<html>", content_type="text/html"),
    "408": Answer(status=408, body=b'{"error":"Timed out."}'),
    "html": Answer(body=b"<html>", content_type="text/html"),
    "empty": Answer(body=b""),
    "reset": Answer(reset=True),
    "silence": Answer(silent=True),
    "cut": Answer(body=b'{"id"', cut=True),
}


@pytest.mark.parametrize("answer", UNCLEAR.values(), ids=UNCLEAR.keys())
@pytest.mark.parametrize("step", [FLASH, LOCK, APPLICATION])
def test_a_send_whose_fate_is_unclear_may_have_arrived_and_is_not_repeated(
    hands: Hands, step: Step, answer: Answer
) -> None:
    hands.store.applications = {("boron", TWO): application()}
    hands.writes = answer
    assert isinstance(hands.send(step), MayHaveArrived)
    assert len(hands.written) == 1


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (401, FailureClass.UNAUTHORISED),
        (403, FailureClass.UNAUTHORISED),
        (400, FailureClass.REFUSED),
        (429, FailureClass.TRANSPORT),
    ],
)
@pytest.mark.parametrize("step", [FLASH, LOCK])
def test_a_clear_no_is_not_sent(hands: Hands, step: Step, status: int, failure: FailureClass) -> None:
    hands.writes = Answer(status=status, body=b'{"error":"because"}')
    outcome = hands.send(step)
    assert isinstance(outcome, NotSent)
    assert outcome.failure is failure
    assert "because" in outcome.detail
    assert len(hands.written) == 1


ALIVE = Answer(body=json.dumps({"id": DEVICE}).encode())
NO_SCOPE = Answer(body=b'{"scopes":["devices:list","devices:get"]}')
SCOPES = Answer(body=b'{"scopes":["devices:list","devices:update"]}')
NOT_ALLOWED = b'{"error":"not_allowed","error_description":"because"}'


@dataclass
class Doubting(Hands):
    """A cloud that says no to modules; what it says of the token and of the device are two more answers."""

    token: Answer = field(default_factory=lambda: SCOPES)

    def answer(self, seen: Seen) -> Answer:
        return self.token if "access_tokens" in seen.path else super().answer(seen)


@pytest.fixture
def doubting() -> Iterator[Doubting]:
    with pretend_cloud() as (server, api, _):
        yield Doubting(server, api, reads=ALIVE, writes=Answer(status=403, body=NOT_ALLOWED))


@pytest.mark.parametrize("token", [SCOPES, Answer(body=b"{}"), Answer(status=404)])
@pytest.mark.parametrize("status", [400, 403, 405, 422])
def test_a_no_to_a_module_may_be_about_the_act_where_the_token_is_taken_elsewhere(
    doubting: Doubting, status: int, token: Answer
) -> None:
    doubting.token, doubting.writes = token, Answer(status=status, body=NOT_ALLOWED)
    outcome = doubting.send(FLASH)
    assert isinstance(outcome, NotSent)
    assert (outcome.failure, outcome.refuses_system_flash) == (FailureClass.REFUSED, True)
    assert "because" in outcome.detail
    assert len(doubting.written) == 1


@pytest.mark.parametrize(
    ("token", "reads"), [(NO_SCOPE, ALIVE), (SCOPES, Answer(status=403)), (SCOPES, Answer(status=401))]
)
def test_a_no_to_a_module_is_about_the_token_where_it_is_not_taken_elsewhere_either(
    doubting: Doubting, token: Answer, reads: Answer
) -> None:
    doubting.token, doubting.reads = token, reads
    outcome = doubting.send(FLASH)
    assert isinstance(outcome, NotSent)
    assert (outcome.failure, outcome.refuses_system_flash) == (FailureClass.UNAUTHORISED, False)


def test_a_no_that_speaks_of_the_token_is_looked_into_whatever_its_status(doubting: Doubting) -> None:
    doubting.reads = Answer(status=401)
    doubting.writes = Answer(status=400, body=b'{"error":"invalid_token"}')
    outcome = doubting.send(FLASH)
    assert isinstance(outcome, NotSent)
    assert outcome.failure is FailureClass.UNAUTHORISED


@pytest.mark.parametrize(
    ("status", "failure"),
    [(401, FailureClass.UNAUTHORISED), (404, FailureClass.OFFLINE), (409, FailureClass.REFUSED)],
)
def test_some_noes_to_a_module_say_nothing_about_the_act(
    doubting: Doubting, status: int, failure: FailureClass
) -> None:
    doubting.writes = Answer(status=status, body=NOT_ALLOWED)
    outcome = doubting.send(FLASH)
    assert isinstance(outcome, NotSent)
    assert (outcome.failure, outcome.refuses_system_flash) == (failure, False)
    assert len(doubting.server.seen) == 1


@pytest.mark.parametrize(
    ("device", "product"), [(replace(BORON, development=True), "logger"), (BORON, None)], ids=["development", "own"]
)
def test_the_act_is_not_in_doubt_for_a_development_device_or_the_owners_own(
    doubting: Doubting, device: ObservedDevice, product: str | None
) -> None:
    outcome = doubting.send(FLASH, device, product)
    assert isinstance(outcome, NotSent)
    assert (outcome.failure, outcome.refuses_system_flash) == (FailureClass.UNAUTHORISED, False)


def test_a_device_that_is_not_connected_is_offline(hands: Hands) -> None:
    hands.writes = Answer(status=404, body=b'{"error":"device not currently connected"}')
    outcome = hands.send(FLASH)
    assert isinstance(outcome, NotSent)
    assert outcome.failure is FailureClass.OFFLINE


def test_the_clouds_wish_to_wait_is_passed_on(hands: Hands) -> None:
    hands.writes = Answer(status=429, headers={"Retry-After": "9"})
    outcome = hands.send(FLASH)
    assert isinstance(outcome, NotSent)
    assert outcome.retry_after_seconds == 9


@pytest.mark.parametrize("answer", [Answer(status=500), Answer(reset=True), Answer(body=b"<html>")])
@pytest.mark.parametrize("step", [LOCK, APPLICATION])
def test_a_read_before_the_send_that_fails_means_that_nothing_was_sent(
    hands: Hands, step: Step, answer: Answer
) -> None:
    hands.reads = answer
    assert isinstance(hands.send(step), NotSent)
    assert hands.written == []


@pytest.mark.parametrize("error", [OperatorError("PFR6004", "no file"), ManifestError("PFR1009", "outside")])
@pytest.mark.parametrize("step", [FLASH, APPLICATION])
def test_a_file_that_cannot_be_read_before_the_send_means_that_nothing_was_sent(
    hands: Hands, step: Step, error: ReconcilerError
) -> None:
    hands.store.failure = error
    outcome = hands.send(step, product=None)
    assert outcome == NotSent(failure=FailureClass.REFUSED, detail=f"{error.code} {error.message}")
    assert hands.written == []


def test_a_mistake_of_ours_before_the_send_is_raised(hands: Hands) -> None:
    hands.store.failure = BugError("PFR9001", "an invariant does not hold")
    with pytest.raises(BugError):
        hands.send(FLASH)
    assert hands.written == []
