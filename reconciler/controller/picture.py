"""What a run has seen of one product, kept from pass to pass, so that a pass costs what changed and not what there is.

The rules:
- Nothing here is looked at instead of the world: a picture is of the last observation, and every device in it is as the
  observation has it, with what we know of it besides. What was derived of a device is kept until the device is another.
- The plan follows (`planning/following.py`) while what it rests on besides devices is the same: manifests, products,
  what the cloud refuses, and the day on which an override, a suspension or a refusal ends. Else it is made anew.
- `news` are the devices that are not as they were when the console was last looked at, each with the time up to which
  it was as before. What was not settled stays news.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import compress
from operator import attrgetter, is_not
from typing import Final

from reconciler.controller.knowledge import Knowledge
from reconciler.firmware.catalog import Catalog
from reconciler.model.device import DeviceId, Observation, ObservedDevice
from reconciler.model.fleet import Fleet, FleetSet
from reconciler.model.instant import NEVER, Instant
from reconciler.model.plan import Plan
from reconciler.planning.answer import Answers
from reconciler.planning.census import OBSERVED_FIELDS
from reconciler.planning.claims import Claims
from reconciler.planning.following import FollowingPlan

_MATTERS: Final = attrgetter("name", *OBSERVED_FIELDS)
"""What an observation says of a device but for times: what planning and the look at the console go by."""

_EMPTY: Final = Observation(observed_at=NEVER, source="", devices=())


class Picture(Mapping[DeviceId, ObservedDevice]):
    """One product's devices with what we know of them, and the plan of its fleets."""

    def __init__(self, knowledge: Knowledge, catalog: Catalog, answers: Answers) -> None:
        self._knowledge = knowledge
        self._catalog = catalog
        self._answers = answers
        self._fleets = FleetSet(fleets=())
        self._known: dict[DeviceId, ObservedDevice] = {}
        self._devices: Mapping[DeviceId, ObservedDevice] = {}
        self._following: FollowingPlan | None = None
        self._plan: Plan | None = None
        self._rests_on: object = None
        self._valid_until = -math.inf
        self._changed: set[DeviceId] = set()
        self.observation = _EMPTY
        self.news: dict[DeviceId, Instant] = {}

    def __getitem__(self, device_id: DeviceId) -> ObservedDevice:
        found = self._known.get(device_id)
        if found is None:
            found = self._known[device_id] = self._knowledge.added_to(self._devices[device_id])
        return found

    def __iter__(self) -> Iterator[DeviceId]:
        return iter(self._devices)

    def __len__(self) -> int:
        return len(self._devices)

    def __contains__(self, device_id: object) -> bool:
        return device_id in self._devices

    def show(self, observation: Observation) -> None:
        """This was just seen."""
        before, self.observation = self.observation, observation
        self._known.clear()
        if observation.devices is before.devices:
            return
        known, self._devices = self._devices, observation.by_id
        is_aligned = len(before.devices) == len(observation.devices)
        # Most devices of a look at some are the very same values.
        seen = (
            compress(observation.devices, map(is_not, observation.devices, before.devices))
            if is_aligned
            else (device for device in observation.devices if known.get(device.id) is not device)
        )
        joined = 0
        for device in seen:
            was = known.get(device.id)
            joined += was is None
            if was is None or _MATTERS(was) != _MATTERS(device):
                self._changed.add(device.id)
                listed_at = before.listed_at or before.observed_at
                self.news.setdefault(device.id, listed_at if was is None else was.observed_at)
        for device_id in known.keys() - self._devices.keys() if joined or not is_aligned else ():
            self._changed.add(device_id)
            self.news.pop(device_id, None)

    def plan(self, fleets: FleetSet) -> Plan:
        """The plan of a pass, without waves and digest. Raises ManifestError as `plan_fleets` does."""
        self._take_what_was_learnt()
        observation = self.observation
        rests_on = (observation.products, self._knowledge.refusals)
        if self._following is None or fleets is not self._fleets or rests_on != self._rests_on or self._is_over():
            self._begin(fleets, rests_on)
        following, self._following = self._following, None
        assert following is not None
        following.look(observation)
        following.remove(device_id for device_id in self._changed if device_id not in self._devices)
        there = (self[device_id] for device_id in self._changed if device_id in self._devices)
        following.change(there, observed_at=observation.observed_at)
        # Whoever raised on the way has changed half of it: the next pass begins anew.
        self._changed, self._following = set(), following
        return following.plan_of_pass()

    def whole_plan(self) -> Plan | None:
        """The plan of the last pass with its waves and digest, as people are shown it; None: there was no pass."""
        return None if self._following is None else self._following.plan()

    def place_of(self, device_id: DeviceId) -> tuple[Fleet, bool] | None:
        """The fleet of a device in the last plan, and whether it is as desired; None: it is in none."""
        return None if self._following is None else self._following.place_of(device_id)

    def claims(self, fleet: Fleet) -> Claims:
        """What a fleet's waves name and select among its devices."""
        return Claims() if self._following is None else self._following.claims(fleet)

    def _take_what_was_learnt(self) -> None:
        for device_id in self._knowledge.take_learnt_of():
            self._known.pop(device_id, None)
            was = self._devices.get(device_id)
            if was is not None:
                self._changed.add(device_id)
                self.news.setdefault(device_id, was.observed_at)

    def _is_over(self) -> bool:
        return self.observation.observed_at >= self._valid_until

    def _begin(self, fleets: FleetSet, rests_on: object) -> None:
        observation, now = self.observation, self.observation.observed_at
        for device in observation.devices:
            self.news.setdefault(device.id, device.observed_at)
        self._known.clear()
        known = self._knowledge.added_to_all(observation)
        self._following = FollowingPlan(fleets, known, self._catalog, now=now, answers=self._answers)
        self._fleets, self._rests_on, self._changed = fleets, rests_on, set()
        ends = [override.expires for override in fleets.overrides]
        ends += [None if fleet.suspension is None else fleet.suspension.until for fleet in fleets.fleets]
        ends += [refusal.until for refusal in self._knowledge.refusals]
        self._valid_until = min((end for end in ends if end is not None and end > now), default=math.inf)
