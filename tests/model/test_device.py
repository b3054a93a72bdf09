from __future__ import annotations

import pytest

from reconciler.model.device import DeviceId, DeviceMode, ObservedDevice
from reconciler.model.instant import Instant

BARE = ObservedDevice(id=DeviceId("e00fce680000000000000001"), observed_at=Instant(100))


@pytest.mark.parametrize(
    "name",
    [
        "name",
        "platform_id",
        "product_id",
        "device_os",
        "application",
        "last_heard_at",
        "last_handshake_at",
        "desired_application",
        "targeted_application",
        "updates_enabled",
        "updates_forced",
        "modules",
    ],
)
def test_what_an_observation_did_not_say_is_unknown_and_not_zero(name: str) -> None:
    assert getattr(BARE, name) is None


def test_an_observation_that_says_nothing_claims_nothing() -> None:
    assert BARE.online is False
    assert BARE.learnt == ()


def test_modes_are_the_words_of_the_cloud() -> None:
    assert [mode.value for mode in DeviceMode] == ["normal", "safe_mode"]
