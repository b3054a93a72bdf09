"""A roll has the devices that are on it, ascending, however they came and went."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.device import DeviceId
from reconciler.planning.roll import Roll

NUMBERS = st.sets(st.integers(0, 300), max_size=300)


@given(st.lists(st.tuples(NUMBERS, st.booleans()), max_size=6))
def test_a_roll_is_the_devices_on_it_ascending(turns: list[tuple[set[int], bool]]) -> None:
    roll, there = Roll(), set[DeviceId]()
    for numbers, asked in turns:
        for device_id in (DeviceId(f"{number:024x}") for number in sorted(numbers)):
            if device_id in there:
                roll.leave(device_id)
            else:
                roll.join(device_id)
            there ^= {device_id}
        if asked:
            roll.put_in_order()
            assert roll.devices == tuple(sorted(there))
            assert not roll.put_in_order()
    roll.put_in_order()
    assert roll.devices == tuple(sorted(there))


def test_a_device_that_leaves_and_comes_back_changes_nothing() -> None:
    device_id = DeviceId("e00fce680000000000000001")
    roll = Roll()
    roll.join(device_id)
    assert roll.put_in_order()
    roll.leave(device_id)
    roll.join(device_id)
    assert not roll.put_in_order()
    assert roll.devices == (device_id,)
