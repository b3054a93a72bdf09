"""Nights in two time zones, over both changes of the clock, in virtual time: nothing starts outside, all is done.

An operator runs `apply` whenever the last one said that the next window opens. The referee is told the openings in
UTC, written out by hand; besides, every send is held against the openings of its device's own zone.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.controller.report import Ending, ending_of
from reconciler.journal.memory import MemoryJournal
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant, instant_from_iso, iso_from_instant
from reconciler.rollout.verdict import Hold, Wait
from tests.simulation.stage import world_text
from tests.simulation.virtual import Play, VirtualCloud, fleets_from

MINUTES_OPEN = 15
NIGHTS_MAX = 9
EACH = 8

DEVICES = "\n" + "".join(
    f"  - {{id: e00fce68{number:016x}, product: cold-chain, platform: boron, deviceOS: "
    f'"5.5.0", application: 1, groups: [{zone}]}}\n'
    for number, zone in enumerate(["berlin", "lisbon"] * EACH)
)
MANIFEST = f"""apiVersion: fleet.reconciler.dev/v1alpha1
kind: DeviceFleet
metadata: {{name: cold-chain}}
spec:
  product: cold-chain
  select: {{platforms: [boron]}}
  desired: {{deviceOS: "6.3.4"}}
  rollout: {{maxConcurrent: 1, maxFailures: "100%"}}
  windows:
    - allow: {{start: "02:15", duration: {MINUTES_OPEN}m, timeZone: device}}
    - zones: [{{groups: [berlin], timeZone: Europe/Berlin}}, {{timeZone: Europe/Lisbon}}]
"""

# At 01:00 in UTC both clocks are moved: in Berlin 02:15 is skipped in spring (it becomes 03:15), and twice in autumn.
SPRING = {
    "berlin": ["2027-03-27T01:15", "2027-03-28T01:15", "2027-03-29T00:15", "2027-03-30T00:15", "2027-03-31T00:15"],
    "lisbon": ["2027-03-27T02:15", "2027-03-28T01:15", "2027-03-29T01:15", "2027-03-30T01:15", "2027-03-31T01:15"],
}
AUTUMN = {
    "berlin": ["2026-10-24T00:15", "2026-10-25T00:15", "2026-10-26T01:15", "2026-10-27T01:15", "2026-10-28T01:15"],
    "lisbon": ["2026-10-24T01:15", "2026-10-25T02:15", "2026-10-26T02:15", "2026-10-27T02:15", "2026-10-28T02:15"],
}


def seconds(text: str) -> Instant:
    return instant_from_iso(f"{text}:00Z")


@pytest.mark.parametrize("opens", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_nights_by_each_devices_own_clock_over_a_change_of_the_clock(
    opens: dict[str, list[str]], tmp_path: Path
) -> None:
    spans = [(seconds(text), Instant(seconds(text) + MINUTES_OPEN * 60)) for each in opens.values() for text in each]
    rules = ", ".join(f'{{from: "{iso_from_instant(a)}", until: "{iso_from_instant(b)}"}}' for a, b in spans)
    world = world_text(DEVICES, extra=f"rules: {{windows: [{rules}]}}\n")
    world = world.replace("platform: boron, groups: [all]", "platform: boron, groups: [berlin, lisbon]", 1)
    virtual = VirtualCloud(world, start=Instant(seconds(opens["berlin"][0]) - 3 * 3600))
    play = Play(virtual=virtual, fleets=fleets_from(tmp_path, {"fleet.yaml": MANIFEST}), journal=MemoryJournal())
    nights = 0
    while True:
        plan, agreement = play.agree()
        if not plan.summary.upgrade:
            break
        run, rest = play.carry_out(agreement)
        if ending_of(run, rest) is Ending.DONE:
            continue
        assert ending_of(run, rest) is Ending.OUTSIDE_WINDOW
        waits = [v for v in run.verdicts["cold-chain"] if isinstance(v, Wait)]
        assert {wait.hold for wait in waits} <= {Hold.OUTSIDE_WINDOW, Hold.WINDOW_ENDING, Hold.NO_SLOT}
        nights += 1
        assert nights <= NIGHTS_MAX
        virtual.sleep(min(wait.until for wait in waits if wait.until is not None) - virtual.now)
    assert plan.summary.current == 2 * EACH
    assert virtual.cloud.violations() == ()
    assert nights > 2  # it took more than the night of the change, with the evening before
    begun = [(attempt.device_id, attempt.intended_at) for attempt in play.journal.attempts(limit=1_000)]
    for device_id, at in begun:
        own = opens["berlin" if _number(device_id) % 2 == 0 else "lisbon"]
        assert any(0 <= at - seconds(text) < MINUTES_OPEN * 60 for text in own), (device_id, iso_from_instant(at))
    change = opens["berlin"][1]
    assert any(0 <= at - seconds(change) < MINUTES_OPEN * 60 for _, at in begun)


def _number(device_id: DeviceId) -> int:
    return int(device_id, 16) - int("e00fce68" + 16 * "0", 16)
