"""The bench: bring one device that is plugged in to its desired state, step by step. `bench_hall.py` watches the ports.

It is the pass of `cycle.py` for a single device that a person has put here: look, settle, plan, act. The pieces are
the same: the planner, the guard, the journal before every send, and an attempt that only a newer look ends. Left out is
what belongs to many devices far away: waves, windows, budgets, health, what others do in the console (ADR 0044). The
word of a person holds here too: a halted or suspended fleet, a hold, a pin.

Unlike a pass it waits for its device, on a thread of its own: nobody else waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from reconciler.controller.act import act
from reconciler.controller.bench_settle import disown, open_attempt, settle_device
from reconciler.controller.run import Run, Scope
from reconciler.controller.seat import Seat, SeatState
from reconciler.inventory.usb import Plugged, UsbInventory
from reconciler.inventory.usb_flash import UNREADABLE
from reconciler.journal.journal import AttemptMovedError
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.device import BENCH, DeviceId, DeviceMode, Observation, ObservedDevice
from reconciler.model.event import DeviceArrived
from reconciler.model.fleet import Via
from reconciler.model.module import ModuleFunction
from reconciler.model.plan import FleetPlan, Refused, Route, Waiting
from reconciler.model.step import FlashApplication, FlashModule, Step, goes_in_dfu_mode
from reconciler.particle.usb import UsbMode
from reconciler.particle.usb_error import UsbError, UsbGoneError, UsbUnsupportedError
from reconciler.planning.planner import plan_fleets
from reconciler.rollout.verdict import Start

FAILURES_MAX: Final = 3
"""Failures in a row of one device while it is plugged in; then a person must do something, be it replugging."""
TROUBLES_MAX: Final = 3
"""Looks in a row at which a device cannot be talked to."""
_TURNS_MAX: Final = 200
"""Looks at one device while it is plugged in. The longest route has far fewer steps; more is a circle."""


_Hold = tuple[SeatState, str | None, str]
"""How a device stands that is not worked on: its state, the code and the reason in words."""


class BenchHands(Protocol):
    """What the bench asks of its hands besides sending."""

    def rest(self, device_id: DeviceId) -> None:
        """Bring a device back to work: out of DFU mode, or out of listening. Raises UsbError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchTools:
    """What the bench works with.

    `scope` has all fleets, with the bus as its eyes and the bench's hands. `show` hears of every change of a seat.
    `sleep` waits some seconds. `may` says whether a step was agreed to. `is_shared`: devices of fleets that the cloud's
    hand serves may be served here too, because both hands write one journal, or because a person says so.
    """

    scope: Scope
    eyes: UsbInventory
    hands: BenchHands
    show: Callable[[Seat], None]
    sleep: Callable[[float], None]
    may: Callable[[DeviceId, Step], bool] = lambda _device, _step: True
    is_shared: bool = False
    stopped: Callable[[], bool] = lambda: False


@dataclass(slots=True)
class _Visit:
    """One device from being plugged in to being unplugged.

    `ended_before`: how many attempts on it had ended in this run when it began; `done` are those that ended since.
    """

    seat: Seat
    ended_before: int
    failures: int = 0
    troubles: int = 0
    turned_back: int = 0
    rests: int = 0
    done: list[Attempt] = field(default_factory=list)


class Bench:
    """Serves devices, each on the caller's thread; for many threads."""

    def __init__(self, run: Run, tools: BenchTools) -> None:
        self._run = run
        self._tools = tools
        self._planning = threading.Lock()

    def serve(self, plugged: Seat) -> Seat:
        """Work on one device until it is at rest, or gone. Returns how it ended. Raises JournalError."""
        assert plugged.device_id is not None
        visit = _Visit(plugged, ended_before=len(self._ended(plugged.device_id)))
        try:
            return self._serve(visit, plugged.device_id)
        except AttemptMovedError as error:
            # It was unplugged here and is at another bench by now, which saw how our step ended. The others go on.
            message = "another bench has taken it over: leave it there"
            return self._show(visit, replace(visit.seat, state=SeatState.ASIDE, code=error.code, message=message))

    def _serve(self, visit: _Visit, device_id: DeviceId) -> Seat:
        self._doubt_what_is_open(device_id)
        for _ in range(_TURNS_MAX):
            if self._tools.stopped():
                self._settle_before_leaving(device_id)
                return visit.seat
            seat = self._turn(visit, device_id)
            if seat.state.is_at_rest:
                self._show(visit, seat)
                return seat
        return self._show(
            visit, replace(visit.seat, state=SeatState.FAILED, message="it turns in circles: set it aside")
        )

    def _settle_before_leaving(self, device_id: DeviceId) -> None:
        """What was finished is proven now, while we still know what we did; nothing else is begun."""
        if open_attempt(self._run, device_id) is None:
            return
        plugged = self._tools.eyes.look_for(device_id)
        if plugged is not None and plugged.observed is not None:
            settle_device(self._run, plugged.observed)

    def _doubt_what_is_open(self, device_id: DeviceId) -> None:
        """Nobody saw the end of what an earlier visit had begun: nothing is supposed of that slot."""
        attempt = open_attempt(self._run, device_id)
        if attempt is not None:
            attempt = disown(self._run, attempt)
            if attempt.step.via is Via.USB and isinstance(attempt.step, FlashModule):
                self._tools.eyes.memory.doubt(device_id, attempt.step.module.slot)

    def _turn(self, visit: _Visit, device_id: DeviceId) -> Seat:
        """One look, and at most one step."""
        plugged = self._look(visit, device_id)
        if plugged is None or plugged.observed is None:
            return self._out_of_reach(visit, plugged)
        visit.troubles = 0
        device = self._run.knowledge.added_to(plugged.observed)
        seat = replace(visit.seat, port=plugged.port, name=device.name, code=None, message="")
        open_still = settle_device(self._run, device)
        self._count(visit, device_id)
        fleet_plan = self._plan(device)
        if fleet_plan is None:
            return replace(seat, state=SeatState.STRANGER, what="", message="in no fleet: not touched")
        seat = replace(seat, fleet=fleet_plan.fleet.name)
        if open_still is not None:
            return self._still_open(seat, open_still)
        return self._next(visit, plugged, device, fleet_plan, seat)

    def _look(self, visit: _Visit, device_id: DeviceId) -> Plugged | None:
        plugged = self._tools.eyes.look_for(device_id)
        is_unasked = (
            plugged is not None
            and plugged.observed is not None
            and plugged.mode is UsbMode.DFU
            and plugged.observed.mode is DeviceMode.NORMAL
            and any(bounds.slot.function in UNREADABLE for bounds in plugged.platform.layout)
            and not visit.done
            and not visit.rests
            and open_attempt(self._run, device_id) is None
        )
        if not is_unasked or plugged is None or plugged.observed is None or not self._may_touch(plugged.observed):
            return plugged
        # Somebody left it in DFU mode with a whole Device OS: that one knows more of the device than its flash shows.
        visit.rests += 1
        try:
            self._tools.hands.rest(device_id)
        except UsbUnsupportedError:
            self._doubt_what_cannot_be_read(plugged)
        except UsbError:
            return plugged
        return self._tools.eyes.look_for(device_id)

    def _may_touch(self, device: ObservedDevice) -> bool:
        """Whether the device is ours to work on, here and now."""
        plan = self._plan(self._run.knowledge.added_to(device))
        if plan is None or plan.refused or plan.waiting:
            return False
        return self._fleet_held(plan, device) is None

    def _doubt_what_cannot_be_read(self, plugged: Plugged) -> None:
        """All that can be read is sound, and it does not start: then it is the radio stack (facts 3.1)."""
        assert plugged.device_id is not None
        for bounds in plugged.platform.layout:
            if bounds.slot.function is ModuleFunction.RADIO_STACK:
                self._tools.eyes.memory.doubt(plugged.device_id, bounds.slot)

    def _out_of_reach(self, visit: _Visit, plugged: Plugged | None) -> Seat:
        visit.troubles += 1
        if plugged is None:
            message = "unplugged in the middle: plug it in again, and it goes on"
            seat = replace(visit.seat, code="PFR3204", message=message)
        else:
            assert plugged.trouble is not None
            seat = replace(visit.seat, port=plugged.port, code=plugged.trouble.code, message=_in_words(plugged.trouble))
        if visit.troubles >= TROUBLES_MAX:
            return replace(seat, state=SeatState.GONE if plugged is None else SeatState.TROUBLE)
        self._tools.sleep(1.0)
        return self._show(visit, replace(seat, state=SeatState.LOOKING))

    def _count(self, visit: _Visit, device_id: DeviceId) -> None:
        """What ended since the last look: a step that went well ends a row of failures."""
        ended = self._ended(device_id)[visit.ended_before :]
        for attempt in ended[len(visit.done) :]:
            visit.failures = 0 if attempt.state is AttemptState.VERIFIED else visit.failures + 1
        visit.done = ended

    def _ended(self, device_id: DeviceId) -> list[Attempt]:
        return [*reversed(self._run.ended.get(device_id, ()))]

    def _plan(self, device: ObservedDevice) -> FleetPlan | None:
        """The plan of the fleet that this device belongs to; None: it belongs to none."""
        scope, run = self._tools.scope, self._run
        products = self._tools.eyes.products
        seen = Observation(observed_at=device.observed_at, source=BENCH, devices=(device,), products=products)
        with self._planning:
            run.latest = max(run.latest, device.observed_at)
            plan = plan_fleets(scope.fleets, seen, run.tools.catalog, now=device.observed_at, answers=run.answers)
        return next((fleet for fleet in plan.fleets if device.id in fleet.devices), None)

    def _still_open(self, seat: Seat, attempt: Attempt) -> Seat:
        if attempt.step.via is not Via.USB:
            message = "the cloud has a step of it under way: plug it in again when that has ended"
            return replace(seat, state=SeatState.ASIDE, code="PFR5002", message=message)
        self._tools.sleep(0.5)
        return replace(seat, state=SeatState.WORKING, what="restarting")

    def _next(self, visit: _Visit, plugged: Plugged, device: ObservedDevice, plan: FleetPlan, seat: Seat) -> Seat:
        seat = replace(seat, steps_done=sum(each.state is AttemptState.VERIFIED for each in visit.done), share=0.0)
        places: tuple[Route | Refused | Waiting, ...] = (*plan.routes, *plan.refused, *plan.waiting)
        place = places[0] if places else None
        if place is None:
            return self._arrived(visit, plugged, device, plan, seat)
        if not isinstance(place, Route):
            self._put_to_rest(plugged, device.id, visit)
            return replace(seat, state=SeatState.ASIDE, what="", code=place.reason.code, message=place.message)
        step = place.steps[0]
        held = self._held(plan, device, step) or self._given_up(visit, device.id)
        if held is not None:
            self._put_to_rest(plugged, device.id, visit)
            return replace(seat, state=held[0], what="", code=held[1], message=held[2])
        if plugged.mode is UsbMode.DFU and _begins_another_hop(visit, device, step):
            return self._rested(visit, plugged, device.id, replace(seat, what="restarting"))
        seat = replace(seat, state=SeatState.WORKING, steps=seat.steps_done + len(place.steps), what=_step_words(step))
        self._show(visit, seat)
        turned_back = self._run.turned_back[device.id]
        start = Start(device_id=device.id, route=place, step=step)
        act(self._run, self._tools.scope, plan.fleet.name, start, device, None)
        visit.turned_back += self._run.turned_back[device.id] - turned_back
        self._count(visit, device.id)
        return visit.seat

    def _held(self, plan: FleetPlan, device: ObservedDevice, step: Step) -> _Hold | None:
        """Why nothing may be done to the device here now, though there is a way."""
        held = self._fleet_held(plan, device)
        if held is not None or self._tools.may(device.id, step):
            return held
        return SeatState.ASIDE, "PFR2302", "its next step is not in the plan that was agreed to: plan again"

    def _fleet_held(self, plan: FleetPlan, device: ObservedDevice) -> _Hold | None:
        """Why nothing may be done to devices of this fleet here now."""
        fleet = plan.fleet
        with self._planning:
            self._run.read_on()
        story = self._run.story_of(fleet.name)
        if fleet.delivery.via is Via.CLOUD and not self._tools.is_shared:
            message = f"fleet {fleet.name} is delivered over the cloud: share its journal, or give --any-fleet"
            return SeatState.ASIDE, "PFR6841", message
        if story.halted is not None:
            return SeatState.ASIDE, "PFR5027", f"fleet {fleet.name} is halted: {story.halted.reason}"
        if story.is_suspended(device.observed_at):
            return SeatState.ASIDE, "PFR2106", f"fleet {fleet.name} is suspended by a person"
        return None

    def _given_up(self, visit: _Visit, device_id: DeviceId) -> _Hold | None:
        if visit.turned_back >= FAILURES_MAX:
            return SeatState.FAILED, "PFR2302", "it changes every time just before its step"
        if visit.failures < FAILURES_MAX:
            return None
        last = next(each for each in reversed(visit.done) if each.device_id == device_id)
        return SeatState.FAILED, None, f"failed {visit.failures} times: {last.detail}"

    def _arrived(self, visit: _Visit, plugged: Plugged, device: ObservedDevice, plan: FleetPlan, seat: Seat) -> Seat:
        if plugged.mode is UsbMode.DFU:
            return self._rested(visit, plugged, device.id, replace(seat, what="restarting"))
        self._put_to_rest(plugged, device.id, visit)
        self._run.tools.tell(DeviceArrived(at=device.observed_at, fleet=plan.fleet.name, device_id=device.id))
        runs = f"Device OS {device.device_os}"
        runs += "" if device.application is None else f", application {device.application}"
        return replace(
            seat, state=SeatState.DONE, what="", steps=seat.steps_done, message=f"verified: {runs}", code=None
        )

    def _rested(self, visit: _Visit, plugged: Plugged, device_id: DeviceId, seat: Seat) -> Seat:
        """Out of DFU mode, and looked at again. One that does not come back is in trouble."""
        self._show(visit, replace(seat, state=SeatState.WORKING))
        visit.rests += 1
        if visit.rests > _TURNS_MAX // 20:
            return replace(seat, state=SeatState.FAILED, message="it always comes back in DFU mode")
        try:
            self._tools.hands.rest(device_id)
        except UsbUnsupportedError:
            self._doubt_what_cannot_be_read(plugged)
            return visit.seat
        except UsbGoneError:
            message = "it did not come back after its restart: unplug it and plug it in again"
            return replace(seat, port=plugged.port, state=SeatState.GONE, code="PFR3204", message=message)
        except UsbError as error:
            return replace(seat, state=SeatState.TROUBLE, code=error.code, message=_in_words(error))
        return visit.seat

    def _put_to_rest(self, plugged: Plugged, device_id: DeviceId, visit: _Visit) -> None:
        """Nothing more is done to it: what we put into another mode goes back to work, if it can."""
        if not visit.done or not plugged.is_bootable:
            return
        try:
            self._tools.hands.rest(device_id)
        except UsbError:
            return

    def _show(self, visit: _Visit, seat: Seat) -> Seat:
        visit.seat = seat
        self._tools.show(seat)
        return seat


def _begins_another_hop(visit: _Visit, device: ObservedDevice, step: Step) -> bool:
    """A hop ends with a boot: what has just been written boots before the next release is written over it."""
    if device.mode is not DeviceMode.NORMAL or not isinstance(step, FlashModule):
        return False
    last = visit.done[-1].step if visit.done else None
    return isinstance(last, FlashModule) and last.device_os != step.device_os and _is_written(last)


def _is_written(step: FlashModule) -> bool:
    return goes_in_dfu_mode(step.module.slot.function, step.via)


def _step_words(step: Step) -> str:
    match step:
        case FlashModule():
            return f"{step.module.slot.function.label.replace('_', ' ')} {step.module.slot.index} of {step.device_os}"
        case FlashApplication():
            return f"application {step.application}"
        case _:
            return str(step)


def _in_words(error: UsbError) -> str:
    return f"{error.message}; {error.next_step}" if error.next_step else error.message
