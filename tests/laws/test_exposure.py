"""Law of rollouts: a release that harms every device reaches fewer than maxConcurrent + maxFailures devices."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.controller.report import Ending, ending_of
from reconciler.model.fleet import RolloutPolicy, Share
from tests.controller.pretend_world import (
    PASS_SECONDS,
    Behaviour,
    carried_out,
    ends_in_safe_mode,
    ends_in_safe_mode_unheard,
    fails,
    goes_offline,
    world_of,
)
from tests.fleet_samples import LOGGER, device, fleet

HARMS = st.sampled_from([ends_in_safe_mode, ends_in_safe_mode_unheard, goes_offline, fails])
DEADLINE_SECONDS = 5 * PASS_SECONDS


@settings(max_examples=60, deadline=None)
@given(
    devices=st.integers(1, 24),
    concurrent=st.integers(1, 8),
    failures=st.integers(0, 8),
    harms=st.lists(HARMS, min_size=1, max_size=4),
)
def test_a_release_that_harms_every_device_reaches_few(
    devices: int, concurrent: int, failures: int, harms: list[Behaviour]
) -> None:
    world = world_of(*(device(number, device_os="6.3.4") for number in range(1, devices + 1)))
    harm_of = {device_id: harms[number % len(harms)] for number, device_id in enumerate(world.devices)}
    world.behaviour = lambda _, of_device, step: harm_of[of_device.id](world, of_device, step)
    rollout = RolloutPolicy(
        concurrent_max=Share(concurrent), failures_max=Share(failures), step_deadline_seconds=DEADLINE_SECONDS
    )

    run, rest = carried_out(world, fleet(application=LOGGER, rollout=rollout))

    exposed = {of_device for of_device, _ in world.sent}
    # One failure halts where none is allowed; up to that moment as many as may be under way at once were started.
    assert len(exposed) < concurrent + max(1, failures)
    assert ending_of(run, rest) is Ending.DEVICES_FAILED
