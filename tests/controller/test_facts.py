from __future__ import annotations

from reconciler.controller.facts import facts_of, facts_of_product
from reconciler.model.action import ReleaseApplication, UploadApplication
from reconciler.model.device import DeviceId, DeviceMode, HeldApplication, ObservedDevice, Product
from reconciler.model.instant import Instant
from reconciler.model.version import ApplicationVersion

HELD = HeldApplication(version=ApplicationVersion(12), groups=("eu",), product_default=True, sha256="ab")
PRODUCT = Product(id=1, slug="cold-chain", holds=(HELD,))


def test_of_a_device_it_is_what_a_request_may_change() -> None:
    device = ObservedDevice(
        id=DeviceId("d"),
        device_os="6.3.4",
        application=12,
        online=True,
        mode=DeviceMode.SAFE_MODE,
        desired_application=44,
        observed_at=Instant(1.5),
    )
    assert facts_of(device) == {
        "observed_at": "1970-01-01T00:00:01.500Z",
        "online": True,
        "mode": "safe_mode",
        "device_os": "6.3.4",
        "application": 12,
        "lock": 44,
        "release": None,
        "last_handshake_at": None,
    }


def test_of_a_product_it_is_what_the_action_is_about() -> None:
    upload = UploadApplication(product="c", application=ApplicationVersion(44), platform="boron", sha256="cd")
    assert facts_of_product(PRODUCT, upload) == {"holds": False, "sha256": None}
    release = ReleaseApplication(
        product="c", application=ApplicationVersion(44), groups=("eu", "us"), product_default=True
    )
    assert facts_of_product(PRODUCT, release) == {"group eu": 12, "group us": None, "default": 12}
