"""What comes from outside in a play: faults that come and go, people at the console, at Git and at a command line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from reconciler.emulator.faults import FaultOrder
from reconciler.emulator.message import Request
from reconciler.journal.journal import KeptPlan
from reconciler.journal.settling import settled
from reconciler.model.device import DeviceId
from reconciler.model.fleet import Fleet, Share, Suspension
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan, RefusalReason, Refused, Route, Waiting, WaitingReason
from reconciler.model.rollout_entry import Approved, Resumed, Retried, Suspended
from reconciler.render.plan_json import plan_document, plan_json
from tests.simulation.stage import PERSON_TOKEN
from tests.simulation.trace import Did
from tests.simulation.worlds import IN_GIT, OF_A_SOURCE, OUTSIDERS, Deed, FaultSpec, FleetSpec, Happening

if TYPE_CHECKING:
    from tests.simulation.playing import Performance

BY_A_PERSON = "a person"
HELD_BY_A_PERSON = frozenset(
    {
        WaitingReason.LOCKED,
        WaitingReason.RELEASED_HIGHER,
        WaitingReason.FIGHT,
        WaitingReason.DRIFTED,
        WaitingReason.TARGETS_EXCEEDED,
    }
)
FOR_EVER_OFFLINE = 3
"""Of the devices that are offline at the beginning every third one never comes back."""


def kept_form(plan: Plan) -> KeptPlan:
    """A plan as it is kept, by which a person may agree to it."""
    document = plan_document(plan, tool_version="0.0.0")
    return KeptPlan(plan_id=document["plan_id"], digest=document["digest"], text=plan_json(document))


class Outside:
    """Everybody but the clients."""

    def __init__(self, performance: Performance) -> None:
        self._performance = performance
        self._theatre = performance.theatre
        self._specs: dict[str, FleetSpec] = {spec.name: spec for spec in performance.world.fleets}
        self._suspended: dict[str, Suspension] = {}
        self._reach: Callable[[str, tuple[Any, ...]], bool] | None = None
        self.journal = performance.watched(-1, self._reached)

    def when_writing(self, dies: Callable[[str, tuple[Any, ...]], bool]) -> None:
        """Let the acting client die at its next point when a person's command comes by such a point."""
        self._reach = dies

    def fleets(self) -> tuple[Fleet, ...]:
        """What is in Git now."""
        return tuple(
            replace(spec.fleet(), suspension=self._suspended.get(spec.name))
            for spec in sorted(self._specs.values(), key=lambda spec: spec.name)
        )

    def put_down(self, end: float) -> None:
        """Everything that will happen, into the calendar."""
        world, begin = self._performance.world, self._performance.world.begins_at
        for spec in world.faults:
            self._theatre.at(begin + spec.begin, partial(self._order, spec))
            self._theatre.at(min(begin + spec.end, end), partial(self._lift, spec))
        for happening in world.happenings:
            if begin + happening.at < end:
                self._theatre.at(begin + happening.at, partial(self._happen, happening))

    def calm_down(self) -> None:
        """Faults end, clocks are right, and who can come back comes back."""
        self._theatre.wall_offset = 0.0
        self._suspended.clear()
        for order in self._theatre.cloud.state.faults.document():
            self._count(order)
            lifted = FaultOrder(fault=order["fault"], rate=0.0, application=order.get("application"))
            self._theatre.cloud.order_fault(lifted, self._theatre.now)
        for spec in self._performance.world.devices:
            device = self._theatre.cloud.state.devices[spec.id]
            is_offline_for_good = not spec.online and spec.number % FOR_EVER_OFFLINE == 0
            if not device.online and not device.gone and spec.sleep is None and not is_offline_for_good:
                self._theatre.cloud.state.life.set_online(device, online=True, now=self._theatre.now)
        self.tell("everything is well again")

    def resume_all(self) -> None:
        """A person has seen what halted, and agrees to what is planned now."""
        for spec in self._specs.values():
            if spec.approval_required or any(wave.approval_required for wave in spec.rollout.waves):
                # A plan that is too old cannot be approved: whoever comes back asks for a new one.
                self._approve(spec, self._performance.plan_for(spec.name, anew=True))
        for halt in self.journal.halts():
            self._resume(halt.fleet)
        self._retry_all()

    def _reached(self, point: str, given: tuple[Any, ...]) -> None:
        if self._reach is not None and self._reach(point, given):
            self._theatre.acting.dies = lambda _point, _given: True

    def _approve(self, spec: FleetSpec, kept: KeptPlan | None) -> None:
        """A plan, for the fleet as a whole and for every wave that asks for it."""
        plan_id, digest = ("plan-drawn", "sha256:drawn") if kept is None else (kept.plan_id, kept.digest)
        waves = [wave.name for wave in spec.rollout.waves if wave.approval_required]
        self.journal.note(
            [
                Approved(
                    fleet=spec.name,
                    at=self._theatre.clock(),
                    plan_id=plan_id,
                    digest=digest,
                    wave=wave,
                    by=BY_A_PERSON,
                    source="command",
                )
                for wave in (None, *waves)
            ]
        )

    def _retry_all(self) -> None:
        """A person has seen to the devices that are left behind."""
        fleets = {attempt.device_id: attempt.fleet for attempt in self._performance.store.attempts()}
        for device_id in sorted(self._performance.trace.left_behind.keys() & fleets.keys()):
            self._retry(fleets[device_id], DeviceId(device_id))

    def _resume(self, fleet: str) -> None:
        if any(halt.fleet == fleet for halt in self.journal.halts()):
            known = settled(self.journal, fleet=fleet)
            self.journal.note([Resumed(fleet=fleet, at=self._theatre.clock(), by=BY_A_PERSON, **known)])

    def _retry(self, fleet: str, device_id: DeviceId) -> None:
        known = settled(self.journal, device_id=device_id)
        word = Retried(fleet=fleet, at=self._theatre.clock(), device_id=device_id, by=BY_A_PERSON, **known)
        self.journal.note([word])

    def count_strikes(self) -> None:
        """How often each fault struck that is still in place."""
        for order in self._theatre.cloud.state.faults.document():
            self._count(order)

    def left_behind(self, plan: Plan) -> dict[str, str]:
        """Devices of a plan that are neither as desired nor waiting for what only a person can do, and why."""
        return {
            device_id: f"{fleet.fleet.name}: {place.reason}"
            for fleet in plan.fleets
            for place in (*fleet.routes, *fleet.waiting, *fleet.refused)
            for device_id in place.devices
            if not self._is_beyond_us(place, device_id, fleet.fleet)
        }

    def needs_a_person(self, fleet: Fleet) -> bool:
        """Whether a fleet is halted again and again because of devices that crash whatever anybody does.

        Its canaries are among them, and whoever waits behind these waits for a person who mends or removes them.
        """
        devices = self._theatre.cloud.state.devices.values()
        is_halted = any(halt.fleet == fleet.name for halt in self.journal.halts())
        return is_halted and any(device.crashing and fleet.name in device.groups for device in devices)

    def tell(self, words: str) -> None:
        """Into the trace."""
        self._performance.note(Did(words), run=-1)

    def _is_beyond_us(self, place: object, device_id: DeviceId, fleet: Fleet) -> bool:
        device = self._theatre.cloud.state.devices[device_id]
        if device.gone or device.crashing:
            return True
        if isinstance(place, Refused):
            return place.reason is RefusalReason.DOWNGRADE_REFUSED and (device.application_version or 0) > 2
        if isinstance(place, Waiting):
            # Who sleeps comes back; but hardly ever while a window is open for long enough.
            is_away = not device.online and (device.sleep is None or bool(fleet.windows_allow))
            return place.reason in HELD_BY_A_PERSON or (place.reason is WaitingReason.OFFLINE and is_away)
        return isinstance(place, Route) and device.sleep is not None and bool(fleet.windows_allow)

    def _order(self, spec: FaultSpec) -> None:
        order = FaultOrder(fault=spec.fault, rate=spec.rate, count=spec.count, application=spec.application)
        self._theatre.cloud.order_fault(order, self._theatre.now)

    def _lift(self, spec: FaultSpec) -> None:
        for order in self._theatre.cloud.state.faults.document():
            if order["fault"] == spec.fault and order.get("application") == spec.application:
                self._count(order)
        lifted = FaultOrder(fault=spec.fault, rate=0.0, application=spec.application)
        self._theatre.cloud.order_fault(lifted, self._theatre.now)

    def _count(self, order: dict[str, object]) -> None:
        struck = order["struck"]
        assert isinstance(struck, int)
        self._performance.trace.faults_struck += Counter({str(order["fault"]): struck})

    def _happen(self, happening: Happening) -> None:  # noqa: C901  # one case for every deed
        """One deed. What does not fit the world as it is then does nothing."""
        self.tell(f"{happening.deed} {happening.fleet} {happening.device} {happening.seconds:g}")
        fleet, now = happening.fleet, self._theatre.clock()
        device_id = DeviceId(f"e00fce68{happening.device:016x}")
        match happening.deed:
            case Deed.HALT:
                self.journal.halt(fleet, "a person halted it", now, by=BY_A_PERSON)
            case Deed.RESUME:
                self._resume(fleet)
            case Deed.RETRY:
                self._retry(fleet, device_id)
            case Deed.SUSPEND:
                until = Instant(now + happening.seconds)
                self.journal.note([Suspended(fleet=fleet, at=now, reason="a person", until=until, by=BY_A_PERSON)])
            case Deed.LOCK | Deed.UNLOCK:
                self._put(device_id, desired_firmware_version=1 if happening.deed is Deed.LOCK else None)
            case Deed.JOIN | Deed.LEAVE:
                self._move(device_id, fleet if happening.deed is Deed.JOIN else OUTSIDERS)
            case Deed.GAP:
                for client in self._performance.clients.values():
                    client.break_streams()
                    self._theatre.at(self._theatre.now + happening.seconds, client.mend_streams)
            case Deed.CLOCK:
                self._theatre.wall_offset += happening.seconds
            case Deed.APPROVE:
                self._approve(self._specs[fleet], self._performance.plan_for(fleet, anew=False))
            case _ if happening.deed in OF_A_SOURCE:
                self._performance.on_source(happening)
            case _:
                assert happening.deed in IN_GIT
                self._change_git(happening)

    def _move(self, device_id: DeviceId, group: str) -> None:
        device = self._theatre.cloud.state.devices.get(device_id)
        spec = self._specs.get(group)
        product = None if device is None else self._theatre.cloud.state.products[device.product_id or 0].slug
        if spec is None or spec.product == product:
            self._put(device_id, groups=[group])

    def _put(self, device_id: DeviceId, **fields: object) -> None:
        device = self._theatre.cloud.state.devices.get(device_id)
        if device is None or device.product_id is None:
            return
        request = Request(
            method="PUT",
            path=f"/v1/products/{device.product_id}/devices/{device_id}",
            headers={"authorization": f"Bearer {PERSON_TOKEN}", "content-type": "application/json"},
            body=json.dumps(fields).encode(),
        )
        self._theatre.cloud.handle(request, self._theatre.now)

    def _change_git(self, happening: Happening) -> None:
        """A commit."""
        spec = self._specs[happening.fleet]
        match happening.deed:
            case Deed.NEW_APPLICATION if spec.application == 2:
                spec = replace(spec, application=3)
            case Deed.GROW if spec.rollout.waves and isinstance(spec.rollout.waves[0].size, Share):
                first = spec.rollout.waves[0]
                grown = replace(first, size=Share(first.size.value * 2, percent=first.size.percent))
                spec = replace(spec, rollout=replace(spec.rollout, waves=(grown, *spec.rollout.waves[1:])))
            case Deed.SUSPEND_IN_GIT:
                until = Instant(self._theatre.now + happening.seconds)
                self._suspended[spec.name] = Suspension(reason="a person wants it", until=until)
            case _:
                return
        self._specs[spec.name] = spec
        self._performance.on_git()
