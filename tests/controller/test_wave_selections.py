"""A run in waves that select their devices: who goes first, and that the plan said so."""

from __future__ import annotations

from reconciler.model.device import DeviceId
from reconciler.model.fleet import RolloutPolicy, Selector, Wave, WaveSize
from reconciler.model.rollout_entry import WaveStarted
from tests.controller.pretend_world import carried_out, world_of
from tests.fleet_samples import device, device_id, fleet

LAB = Wave(name="lab", size=WaveSize.LISTED, select=Selector(groups=frozenset({"lab"}), platforms=frozenset({"boron"})))
IN_LAB = {device_id(3), device_id(5)}


def test_a_run_brings_the_selected_devices_to_their_release_before_it_touches_any_other() -> None:
    world = world_of(
        *(device(number, groups=("lab",) if number in (3, 5) else ("eu",)) for number in range(1, 7)),
        device(8, "argon", groups=("lab",)),
    )
    of_fleet = fleet(rollout=RolloutPolicy(waves=(LAB,)))
    (plan,) = world.plan(of_fleet).fleets
    assert {*plan.waves[0].devices} == IN_LAB
    carried_out(world, of_fleet)
    started = [noted.entry for noted in world.journal.entries() if isinstance(noted.entry, WaveStarted)]
    assert [(entry.wave, entry.members) for entry in started] == [("lab", frozenset(IN_LAB)), ("rest", None)]
    order: list[DeviceId] = [of_device for of_device, _ in world.sent]
    last_of_lab = max(position for position, each in enumerate(order) if each in IN_LAB)
    assert {*order[: last_of_lab + 1]} == IN_LAB
    assert {*order} == {*world.devices}
