"""What every pair of eyes promises, whoever it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from reconciler.inventory.cloud import CloudInventory
from reconciler.inventory.hearing import Hearing
from reconciler.inventory.inventory import Inventory
from reconciler.inventory.watching import WatchingInventory
from reconciler.model.allowance import REQUESTS
from reconciler.model.device import DeviceId
from reconciler.model.error import OperatorError
from tests.simulation.stage import world_text
from tests.simulation.virtual import TOKEN, VirtualCloud

DEVICES = """
  - {count: 250, product: cold-chain, platform: boron, deviceOS: "6.3.4", application: 2, groups: [all]}
  - {count: 3, platform: argon, deviceOS: "1.5.2"}
"""


@dataclass
class Seen:
    """Eyes, and the cloud that they look at."""

    eyes: Inventory
    cloud: VirtualCloud

    def ids(self, product: str | None) -> list[str]:
        devices = self.cloud.cloud.state.devices.values()
        number = None if product is None else 12301
        return sorted(device.id for device in devices if device.product_id == number)


Eyes = Callable[[str | None, str], Seen]


@pytest.fixture(params=["cloud", "watching"])
def eyes(request: pytest.FixtureRequest) -> Eyes:
    def looking(product: str | None, token: str = TOKEN) -> Seen:
        cloud = VirtualCloud(world_text(DEVICES))
        hearing = Hearing(clock=cloud.clock)
        found: CloudInventory = CloudInventory(
            cloud.api(token=token), product=product, hearing=hearing, clock=cloud.clock
        )
        if request.param == "cloud":
            return Seen(found, cloud)
        watching = WatchingInventory(
            found,
            hearing,
            interval_seconds=600.0,
            requests_per_second=REQUESTS.per_second,
            monotonic=cloud.monotonic,
        )
        return Seen(watching, cloud)

    return looking


@pytest.mark.parametrize("product", ["cold-chain", None])
def test_all_devices_are_shown_once_in_the_order_of_their_ids(eyes: Eyes, product: str | None) -> None:
    seen = eyes(product, TOKEN)
    for _ in range(3):
        observation = seen.eyes.observe()
        assert [each.id for each in observation.devices] == seen.ids(product)
        assert list(observation.by_id) == seen.ids(product)
        assert observation.complete
        seen.cloud.sleep(400.0)


def test_looks_go_forward_in_time(eyes: Eyes) -> None:
    seen, latest = eyes("cold-chain", TOKEN), 0.0
    for _ in range(4):
        observation = seen.eyes.observe()
        assert latest <= observation.observed_at <= seen.cloud.now
        latest = observation.observed_at
        assert all(each.observed_at <= seen.cloud.now for each in observation.devices)
        seen.cloud.sleep(250.5)


def test_one_device_is_shown_as_it_is_now(eyes: Eyes) -> None:
    seen = eyes("cold-chain", TOKEN)
    device_id = DeviceId(seen.ids("cold-chain")[7])
    seen.eyes.observe()
    seen.cloud.cloud.state.devices[device_id].development = True
    seen.cloud.sleep(5.0)
    fresh = seen.eyes.observe_device(device_id)
    assert fresh is not None
    assert (fresh.development, fresh.observed_at) == (True, seen.cloud.now)


def test_who_is_not_there_is_none(eyes: Eyes) -> None:
    assert eyes("cold-chain", TOKEN).eyes.observe_device(DeviceId("e00fce68" + "f" * 16)) is None


def test_a_cloud_that_shows_nothing_is_an_error_of_the_operators(eyes: Eyes) -> None:
    seen = eyes("cold-chain", "9e45" * 9 + "0000")
    with pytest.raises(OperatorError):
        seen.eyes.observe()
