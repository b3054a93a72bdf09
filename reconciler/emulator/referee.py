"""The referee: what a client did wrong, judged from the request log and the devices' histories alone.

The laws are those of the S-invariants that can be seen from outside. Always judged:

- S1: no module and no application version falls as an effect of what a client asked for: a flash, a lock, a lock taken
  away, a release, another group.
- S2: nothing is sent or uploaded that is not for the device's, or the product's, platform, product and slots.
- S3: no installation that a client caused leaves dependencies unmet at the boot, unless the rules allow safe mode.
- S4: no station is passed, and the system parts of one release are complete before those of another one come.
- S5: nothing is sent to a device while an earlier send of a client is still in flight there. A send is in flight from
  the beginning of its transfer to the device's next session, or to the transfer's failure.
- S7: no blind resend: after a send whose answer was lost, or that is still in flight, the device is looked at (a read
  that shows it, or an event about it) before anything is sent to it again.
- S8: what is sent is a module, what is uploaded an application; and the bytes are those that the cloud itself holds
  under that name, where it holds any.
- S9: nothing is sent to a device that a person has locked, or that has disabled updates; no development device is
  locked. A mark counts from the first look on that could show it. A person's lock to what the client locks the device
  to, or is to bring by the rules, agrees with it; one that lowered the client's own lock may be put back.
- S11: nothing is sent on what was seen before the client's own last send that the cloud took.
- S19: nothing is sent to a device that does not exist, has never reported or runs an unknown release, and no Device OS
  module that no known release ships.

Judged by the rules of the house (`house_rules.py`), where there are such:

- S9: a device that is to be left alone gets nothing and is reached by no release.
- S10: nothing starts outside the windows; a lock that starts its transfer later counts then, too.
- S11: nothing is sent when the last look at the device is too old.
- S12: at most so many devices have a send in flight.
- S13: a later wave starts nothing before what was begun on the earlier ones is over and has soaked.
- S14: nothing starts during a halt, not even by a lock from before; to take a lock away starts nothing.
- S15: after too many failures nothing is sent to other devices. A device that stays away counts as failed.
- S16: sends a minute, requests in five minutes, bytes a day.
- S18: at most so many devices are touched.

Not judged, because they cannot be seen from outside:

- S4, that every hop is an edge of the graph at the plan's commit: the log does not say which graph that was.
- S6, journal before send: a journal is the client's own.
- S8, the manifest's hash: the referee compares with what the cloud holds, which the manifest should have pinned.
- S10, that the expected end is within the window: only the client has an expectation.
- S17, the order of Git commits: the cloud sees no commits.
- S18, that a person approved: the rules say the number that was approved.
- S20, that every send is explained: explanations stay with the client.

Why from outside: a client's own account of itself proves nothing. The referee shares no code with any client, and reads
nothing of the cloud but records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.emulator.device_laws import judge_device
from reconciler.emulator.evidence import Violation, gather
from reconciler.emulator.fleet_laws import judge_fleet
from reconciler.emulator.house_rules import HouseRules
from reconciler.emulator.records import HistoryEntry, RequestRecord, Stations


def judge(
    requests: Sequence[RequestRecord],
    histories: Mapping[str, Sequence[HistoryEntry]],
    deliveries: Mapping[str, Sequence[int]],
    *,
    rules: HouseRules,
    stations: Stations,
) -> tuple[Violation, ...]:
    """All violations, in order of time. `deliveries` are the ordinals at which a listener heard of a device."""
    evidence = gather(requests, histories, deliveries, rules)
    found = [one for case in evidence.cases.values() for one in judge_device(case, rules, stations)]
    found += judge_fleet(evidence)
    return tuple(sorted(found, key=lambda violation: (violation.at, violation.law, violation.device)))
