"""Hands on a product at the wire, and what a look at it proves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from reconciler.execution.executor import Accepted, MayHaveArrived, NotSent, SendOutcome
from reconciler.execution.product import SHOWN_WITHIN_SECONDS, CloudProductHands, judge_on_product
from reconciler.firmware.builder import build_application
from reconciler.model.action import ProductAction, ReleaseApplication, UploadApplication
from reconciler.model.attempt import AttemptState, FailureClass
from reconciler.model.device import HeldApplication, Product
from reconciler.model.error import OperatorError, WireError
from reconciler.model.instant import Instant
from reconciler.model.platform import Platform
from reconciler.model.product_attempt import ProductAttempt
from reconciler.model.step import FlashModule
from reconciler.model.version import ApplicationVersion
from reconciler.particle.api import ParticleApi
from tests.fleet_samples import platform
from tests.particle.pretend import Answer, PretendServer, Seen, pretend_cloud

V44 = ApplicationVersion(44)
BINARY = build_application(platform("boron"), system_version=6305, product=(12345, 44), size=20_000)
SHA256 = hashlib.sha256(BINARY).hexdigest()
UPLOAD = UploadApplication(product="logger", application=V44, platform="boron", sha256=SHA256)
RELEASE = ReleaseApplication(product="logger", application=V44, groups=("eu",))
HELD = HeldApplication(version=V44, groups=("lab",), sha256=SHA256)
PRODUCT = Product(id=12345, slug="logger", holds=(HELD,))
EMPTY = replace(PRODUCT, holds=())


@dataclass
class Store:
    binary: bytes | None = BINARY
    error: Exception | None = None

    def module(self, platform: Platform, step: FlashModule) -> bytes:
        raise NotImplementedError

    def application(
        self, platform_name: str, application: ApplicationVersion, sha256: str | None = None
    ) -> bytes | None:
        if self.error is not None:
            raise self.error
        return self.binary


@dataclass
class Cloud:
    server: PretendServer
    api: ParticleApi
    store: Store = field(default_factory=Store)
    answer: Answer = field(default_factory=lambda: Answer(body=b'{"version":44}', status=201))

    @property
    def hands(self) -> CloudProductHands:
        self.server.chosen = lambda _: self.answer
        return CloudProductHands(self.api, product="logger", binaries=self.store)

    def send(self, action: ProductAction, product: Product = PRODUCT) -> SendOutcome:
        return self.hands.send(action, product)

    @property
    def seen(self) -> list[Seen]:
        return self.server.seen


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with pretend_cloud() as (server, api, _):
        yield Cloud(server, api)


def test_an_upload_sends_the_planned_bytes_once(cloud: Cloud) -> None:
    assert isinstance(cloud.send(UPLOAD, EMPTY), Accepted)
    [seen] = cloud.seen
    assert (seen.method, seen.path) == ("POST", "/v1/products/logger/firmware")
    assert BINARY in seen.body


WRONG: dict[str, tuple[bytes, dict[str, Any]]] = {
    "other bytes than planned": (BINARY, {"sha256": "ab" * 32}),
    "another platform": (BINARY, {"platform": "argon"}),
    "another version inside": (BINARY, {"application": ApplicationVersion(45)}),
    "no application": (b"nonsense", {"sha256": hashlib.sha256(b"nonsense").hexdigest()}),
}


@pytest.mark.parametrize(("binary", "fields"), WRONG.values(), ids=WRONG.keys())
def test_bytes_that_are_not_what_was_planned_never_leave(cloud: Cloud, binary: bytes, fields: dict[str, Any]) -> None:
    cloud.store.binary = binary
    outcome = cloud.send(replace(UPLOAD, **fields), EMPTY)
    assert isinstance(outcome, NotSent)
    assert outcome.failure is FailureClass.INTEGRITY
    assert cloud.seen == []


@pytest.mark.parametrize("store", [Store(binary=None), Store(error=OperatorError("PFR6004", "no file"))])
def test_a_file_that_cannot_be_read_means_that_nothing_was_sent(cloud: Cloud, store: Store) -> None:
    cloud.store = store
    outcome = cloud.send(UPLOAD, EMPTY)
    assert isinstance(outcome, NotSent)
    assert outcome.failure is FailureClass.REFUSED
    assert cloud.seen == []


def test_a_release_names_the_groups_that_have_the_version_already_and_takes_nothing_back(cloud: Cloud) -> None:
    released = replace(PRODUCT, holds=(replace(HELD, product_default=True),))
    assert isinstance(cloud.send(RELEASE, released), Accepted)
    [seen] = cloud.seen
    assert (seen.method, seen.path) == ("PUT", "/v1/products/logger/firmware/release")
    expected = {"version": 44, "groups": ["eu", "lab"], "product_default": True, "intelligent": False}
    assert json.loads(seen.body) == expected


@pytest.mark.parametrize("action", [UPLOAD, RELEASE])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(status=400, body=b'{"error":"no"}'), FailureClass.REFUSED),
        (Answer(status=401), FailureClass.UNAUTHORISED),
        (Answer(status=403), FailureClass.UNAUTHORISED),
        (Answer(status=429), FailureClass.TRANSPORT),
        (Answer(status=500), None),
        (Answer(status=408), None),
        (Answer(reset=True), None),
        (Answer(body=b"<html>"), None),
    ],
)
def test_what_an_answer_means(
    cloud: Cloud, action: ProductAction, answer: Answer, expected: FailureClass | None
) -> None:
    cloud.answer = answer
    outcome = cloud.send(action)
    if expected is None:
        assert isinstance(outcome, MayHaveArrived)
    else:
        assert isinstance(outcome, NotSent)
        assert outcome.failure is expected
    assert len(cloud.seen) == 1


def test_the_clouds_own_preview_is_asked_for_all_that_has_the_version_afterwards(cloud: Cloud) -> None:
    cloud.answer = Answer(body=b'{"devices":{"firmware_update":{"total":3,"by_version":[]}}}')
    assert cloud.hands.impact(RELEASE, PRODUCT) == 3
    url = urlsplit(cloud.seen[0].path)
    assert url.path == "/v1/products/logger/impact"
    assert parse_qs(url.query) == {
        "action": ["edit_groups_for_firmware"],
        "firmware_version": ["44"],
        "groups": ["eu,lab"],
        "product_default": ["false"],
    }


def test_a_cloud_without_a_preview_cannot_tell(cloud: Cloud) -> None:
    cloud.answer = Answer(status=404)
    assert cloud.hands.impact(RELEASE, PRODUCT) is None


@pytest.mark.parametrize("answer", [Answer(body=b'{"devices":{}}'), Answer(status=403), Answer(status=500)])
def test_a_preview_that_says_nothing_is_an_error(cloud: Cloud, answer: Answer) -> None:
    cloud.answer = answer
    with pytest.raises(WireError):
        cloud.hands.impact(RELEASE, PRODUCT)


# --- what a look proves ---


def sent(action: ProductAction, state: AttemptState = AttemptState.SENT) -> ProductAttempt:
    return ProductAttempt(
        id="p1",
        product="logger",
        fleet="eu",
        plan_id="plan",
        action=action,
        state=state,
        intended_at=Instant(90),
        sent_at=Instant(100) if state is AttemptState.SENT else None,
    )


SOON, LATE = Instant(110), Instant(100 + SHOWN_WITHIN_SECONDS)
RELEASED = replace(PRODUCT, holds=(replace(HELD, groups=("eu",)),))


@pytest.mark.parametrize("state", [AttemptState.SENT, AttemptState.UNKNOWN])
@pytest.mark.parametrize(("action", "shows"), [(UPLOAD, PRODUCT), (RELEASE, RELEASED)])
def test_a_newer_look_that_shows_the_effect_verifies_it(
    action: ProductAction, shows: Product, state: AttemptState
) -> None:
    assert judge_on_product(sent(action, state), shows, SOON).state is AttemptState.VERIFIED


@pytest.mark.parametrize("now", [Instant(100), Instant(50)])
def test_a_look_that_is_not_newer_proves_nothing(now: Instant) -> None:
    assert judge_on_product(sent(UPLOAD), PRODUCT, now).state is AttemptState.SENT


@pytest.mark.parametrize(("action", "shows"), [(UPLOAD, EMPTY), (RELEASE, PRODUCT)])
def test_what_is_not_shown_has_a_while_and_then_never_arrived(action: ProductAction, shows: Product) -> None:
    assert judge_on_product(sent(action), shows, SOON).is_open
    judged = judge_on_product(sent(action), shows, LATE)
    assert (judged.state, judged.failure) == (AttemptState.FAILED, FailureClass.TRANSPORT)


def test_other_bytes_under_the_version_are_an_integrity_failure_at_once() -> None:
    other = replace(PRODUCT, holds=(replace(HELD, sha256="cd" * 32),))
    judged = judge_on_product(sent(UPLOAD), other, SOON)
    assert (judged.state, judged.failure) == (AttemptState.FAILED, FailureClass.INTEGRITY)


def test_a_version_that_cannot_be_read_back_is_not_verified() -> None:
    unread = replace(PRODUCT, holds=(replace(HELD, sha256=None),))
    assert judge_on_product(sent(UPLOAD), unread, SOON).is_open
    judged = judge_on_product(sent(UPLOAD), unread, LATE)
    assert (judged.state, judged.failure) == (AttemptState.FAILED, FailureClass.REFUSED)


def test_a_bundle_is_there_when_its_version_is() -> None:
    """How the cloud hands out a bundle is not documented (facts 5.5)."""
    unread = replace(PRODUCT, holds=(replace(HELD, sha256="cd" * 32),))
    assert judge_on_product(sent(replace(UPLOAD, bundle=True)), unread, SOON).state is AttemptState.VERIFIED


def test_where_nothing_is_known_of_the_product_nothing_is_proven() -> None:
    assert judge_on_product(sent(UPLOAD), replace(PRODUCT, holds=None), LATE).is_open
