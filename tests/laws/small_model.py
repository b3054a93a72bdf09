"""A small world of two devices, one journal and two controllers, to be explored completely.

What the model leaves out it leaves out on purpose: one step a device, one fleet, no waves. What it has is what goes
wrong between processes: crashes between any two acts, answers that are lost, lists that are stale, a person who halts,
and a controller that sleeps while another one takes over. An attempt moves by the real methods of `Attempt` and the
real rules of the journal, and an open one is ended by the real judge: the model is of this code, not of an idea of it.

Only what differs matters to a state: there are no clocks and no counters. Time is one event, "the deadline passes". It
does not pass while a transfer goes on (the cloud cancels one long before) or while a controller is between its intent
and its send: a process must not sleep longer than a deadline there. What happens when it does, a broken rule shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from reconciler.model.attempt import OPEN_STATES, AttemptState
from tests.laws.real_attempts import Shown, judged, moved

DEVICES = (0, 1)
CONCURRENT_MAX = 1
FAILURES_MAX = 2
"""Two failed devices halt the fleet: so there is a device that may be tried again, and a limit that is reached."""


class Rules(NamedTuple):
    """What the controllers keep to; False is a mistake that somebody could make."""

    journal_before_send: bool = True
    fencing: bool = True
    look_before_resend: bool = True
    look_before_send: bool = True
    slot_in_transaction: bool = True
    halt_before_answer: bool = True
    halt_in_transaction: bool = True
    failures_from_journal: bool = True
    no_long_sleep: bool = True


class Device(NamedTuple):
    """The truth: what it shows, how many transfers to it go on, and whether a send has not been followed by a look."""

    shown: Shown = Shown.SAME
    transfers: int = 0
    unlooked: bool = False


class Kept(NamedTuple):
    """What the journal has of a device: its last attempt, its deadline, and whether it counts as failed."""

    state: AttemptState | None = None
    overdue: bool = False
    failed: bool = False

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES


class At(Enum):
    """Where a controller is in its pass; between any two places anything may happen."""

    OFF = "off"
    LOOK = "look"
    SETTLE = "settle"
    DECIDE = "decide"
    LOOK_AGAIN = "look again"
    BEGIN = "begin"
    SEND = "send"
    RECORD = "record"

    __hash__ = object.__hash__


class Answer(Enum):
    """What came of a send, as far as its sender knows."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    LOST = "lost"

    __hash__ = object.__hash__


class Controller(NamedTuple):
    """One process. `mine`: the journal's last attempt on `device` is its own; `failures`: those that this run saw."""

    at: At = At.OFF
    seen: tuple[Shown, Shown] = (Shown.SAME, Shown.SAME)
    device: int = 0
    mine: bool = False
    answer: Answer | None = None
    is_old: bool = False
    failures: frozenset[int] = frozenset()


_NOTHING_SEEN = Controller().seen


class Budget(NamedTuple):
    """How much may still go wrong."""

    crashes: int = 1
    lost_answers: int = 1
    stale_looks: int = 1
    bad_transfers: int = 2
    refusals: int = 1
    halts: int = 1


class State(NamedTuple):
    """Everything. `holder` has the newest epoch; `told`: the person has been told that the fleet is halted."""

    devices: tuple[Device, Device] = (Device(), Device())
    kept: tuple[Kept, Kept] = (Kept(), Kept())
    controllers: tuple[Controller, Controller] = (Controller(), Controller())
    holder: int | None = None
    halted: bool = False
    told: bool = False
    left: Budget = Budget()


class Step(NamedTuple):
    """One event, the state after it, and the laws that the event itself breaks."""

    event: str
    state: State
    broken: tuple[str, ...] = ()


def put(pair: tuple, index: int, **changes: object) -> tuple:  # type: ignore[type-arg]  # a pair of any of the tuples
    """The pair with one of its two changed."""
    changed = pair[index]._replace(**changes)
    return (changed, pair[1]) if index == 0 else (pair[0], changed)


def steps(state: State, rules: Rules) -> Iterator[Step]:
    """Everything that can happen next."""
    yield from _of_the_world(state, rules)
    yield from _of_a_person(state, rules)
    for who, controller in enumerate(state.controllers):
        if controller.at is At.OFF:
            yield _starts(state, who)
            continue
        if state.left.crashes:
            left = state.left._replace(crashes=state.left.crashes - 1)
            dead = put(state.controllers, who, **Controller()._asdict())
            yield Step(f"controller {who} crashes", state._replace(controllers=dead, left=left))
        yield from _ACTS[controller.at](state, rules, who)


def _of_the_world(state: State, rules: Rules) -> Iterator[Step]:
    for number in DEVICES:
        device, kept = state.devices[number], state.kept[number]
        if device.transfers:
            changes = {"transfers": device.transfers - 1}
            done = put(state.devices, number, shown=Shown.DONE, **changes)
            yield Step(f"device {number} takes the module", state._replace(devices=done))
            if state.left.bad_transfers:
                left = state.left._replace(bad_transfers=state.left.bad_transfers - 1)
                for shown, words in ((device.shown, "loses the transfer"), (Shown.BACK, "comes back without it")):
                    failed = put(state.devices, number, shown=shown, **changes)
                    yield Step(f"device {number} {words}", state._replace(devices=failed, left=left))
        between = any(c.at is At.SEND and c.device == number and c.mine for c in state.controllers)
        if kept.is_open and not kept.overdue and not device.transfers and not (between and rules.no_long_sleep):
            late = put(state.kept, number, overdue=True)
            yield Step(f"the deadline of the step on device {number} passes", state._replace(kept=late))


def _of_a_person(state: State, rules: Rules) -> Iterator[Step]:
    if state.left.halts:
        left = state.left._replace(halts=0)
        durable = rules.halt_before_answer or state.halted
        yield Step("a person halts the fleet", state._replace(told=True, halted=durable, left=left))
    if state.told and not state.halted:
        yield Step("the halt is written down, after it was answered", state._replace(halted=True))


def _starts(state: State, who: int) -> Step:
    """A run takes the epoch, and disowns what it finds open."""
    kept = state.kept
    for number in DEVICES:
        before = kept[number].state
        if before in OPEN_STATES and before is not AttemptState.UNKNOWN:
            assert before is not None
            after = moved(before, "disowned")
            assert after is not None
            kept = put(kept, number, state=after[0])
    controllers = put(state.controllers, who, **Controller(at=At.LOOK)._asdict())
    return Step(f"controller {who} starts", state._replace(kept=kept, controllers=controllers, holder=who))


def _goes(state: State, who: int, at: At, event: str, broken: tuple[str, ...] = (), **changes: object) -> Step:
    """A controller goes on, and forgets what it does not look at any more: fewer states, and the same lives."""
    gone = state.controllers[who]._replace(at=at, **changes)
    gone = gone._replace(**_forgotten(gone))
    controllers = (gone, state.controllers[1]) if who == 0 else (state.controllers[0], gone)
    return Step(f"controller {who} {event}", state._replace(controllers=controllers), broken)


def _forgotten(controller: Controller) -> dict[str, object]:
    match controller.at:
        case At.LOOK:
            return {"seen": _NOTHING_SEEN, "device": 0, "mine": False, "answer": None, "is_old": False}
        case At.SETTLE | At.DECIDE:
            return {"is_old": False}
        case At.LOOK_AGAIN:
            shown = controller.seen[controller.device]
            seen = (shown, Shown.SAME) if controller.device == 0 else (Shown.SAME, shown)
            return {"seen": seen, "is_old": False}
        case At.BEGIN:
            return {"seen": _NOTHING_SEEN}
        case _:
            return {"seen": _NOTHING_SEEN, "is_old": False}


def _ends(state: State, who: int, event: str) -> Step:
    controllers = put(state.controllers, who, **Controller()._asdict())
    return Step(f"controller {who} {event}", state._replace(controllers=controllers))


def _may_write(state: State, rules: Rules, who: int) -> bool:
    return state.holder == who or not rules.fencing


def _look(state: State, _: Rules, who: int) -> Iterator[Step]:
    true = (state.devices[0].shown, state.devices[1].shown)
    yield _goes(state, who, At.SETTLE, "looks", seen=true, device=0)
    stale = (Shown.SAME, Shown.SAME)
    if state.left.stale_looks and true != stale:
        left = state.left._replace(stale_looks=state.left.stale_looks - 1)
        yield _goes(state._replace(left=left), who, At.SETTLE, "sees a stale list", seen=stale, device=0)


def _settle(state: State, rules: Rules, who: int) -> Iterator[Step]:
    """Judge the open attempt of one device, then the other's: two transactions."""
    controller = state.controllers[who]
    number = controller.device
    at, following = (At.SETTLE, 1) if number == 0 else (At.DECIDE, 0)
    kept = state.kept[number]
    words = f"judges device {number}"
    if kept.state is None or not kept.is_open:
        yield _goes(state, who, at, words, device=following)
        return
    after, failed = judged(kept.state, controller.seen[number], kept.overdue)
    if after is kept.state:
        yield _goes(state, who, at, words, device=following)
    elif not _may_write(state, rules, who):
        yield _ends(state, who, "is fenced as it judges")
    else:
        failures = controller.failures
        if not rules.failures_from_journal:
            failures = failures | {number} if failed else failures - {number}
        changed = state._replace(
            kept=put(state.kept, number, state=after, failed=failed, overdue=False),
            devices=put(state.devices, number, unlooked=False),
        )
        yield _goes(changed, who, at, f"{words}: {after.value}", device=following, failures=failures)


def _decide(state: State, rules: Rules, who: int) -> Iterator[Step]:
    controller = state.controllers[who]
    failures = {n for n in DEVICES if state.kept[n].failed} if rules.failures_from_journal else controller.failures
    if len(failures) >= FAILURES_MAX and not state.halted:
        if _may_write(state, rules, who):
            yield _goes(state._replace(halted=True), who, At.LOOK, "halts the fleet")
        else:
            yield _ends(state, who, "is fenced as it halts")
        return
    yield _goes(state, who, At.LOOK, "has nothing to start")
    if state.halted:
        return
    full = sum(kept.is_open for kept in state.kept) >= CONCURRENT_MAX
    for number in DEVICES:
        if controller.seen[number] is not Shown.DONE and not state.kept[number].is_open and not full:
            at = At.LOOK_AGAIN if rules.look_before_send else At.BEGIN
            yield _goes(state, who, at, f"decides for device {number}", device=number, is_old=False)


def _look_again(state: State, _: Rules, who: int) -> Iterator[Step]:
    """The last look at the one device, and the guard: is it as it was when it was planned?"""
    controller = state.controllers[who]
    if state.devices[controller.device].shown is controller.seen[controller.device]:
        yield _goes(state, who, At.BEGIN, f"looks again at device {controller.device}", is_old=False)
    else:
        yield _goes(state, who, At.LOOK, "is turned back by its last look")


def _begin(state: State, rules: Rules, who: int) -> Iterator[Step]:
    """The transaction of the intent: epoch, halt, one attempt a device, slots."""
    number = state.controllers[who].device
    if not rules.journal_before_send:
        yield _goes(state, who, At.SEND, "writes nothing down yet", mine=True)
        return
    if not _may_write(state, rules, who):
        yield _ends(state, who, "is fenced as it begins")
    elif state.halted and rules.halt_in_transaction:
        yield _goes(state, who, At.LOOK, "finds the fleet halted as it begins")
    elif state.kept[number].is_open:
        yield _goes(state, who, At.LOOK, f"finds device {number} busy")
    elif rules.slot_in_transaction and sum(kept.is_open for kept in state.kept) >= CONCURRENT_MAX:
        yield _goes(state, who, At.LOOK, "finds no slot")
    else:
        yield _begun(state, who, At.SEND)


def _begun(state: State, who: int, at: At) -> Step:
    """An intent is written. What the device showed before it is from now on what it was before."""
    number, device = state.controllers[who].device, state.devices[state.controllers[who].device]
    broken = ("S14 an intent after a halt",) if state.told or state.halted else ()
    if state.controllers[who].is_old:
        broken += ("S11 an intent on a look that is older than the last send",)
    if sum(kept.failed for kept in state.kept) >= FAILURES_MAX:
        broken += ("S15 an intent although the limit of failures is reached",)
    shown = Shown.SAME if device.shown is Shown.BACK else device.shown
    controllers = put(state.controllers, 1 - who, mine=state.controllers[1 - who].mine and not _same(state, who))
    begun = state._replace(
        kept=put(state.kept, number, state=AttemptState.INTENDED, overdue=False),
        devices=put(state.devices, number, shown=shown),
        controllers=controllers,
    )
    return _goes(begun, who, at, f"writes down its intent for device {number}", broken, mine=True)


def _same(state: State, who: int) -> bool:
    return state.controllers[0].device == state.controllers[1].device


def _send(state: State, _: Rules, who: int) -> Iterator[Step]:
    number = state.controllers[who].device
    device, kept = state.devices[number], state.kept[number]
    broken: tuple[str, ...] = ()
    if not (kept.is_open and state.controllers[who].mine):
        broken += ("S6 a send without an open intent of its own in the journal",)
    if device.unlooked:
        broken += ("S7 a send after another one whose outcome nobody has looked for",)
    if device.shown is Shown.DONE:
        broken += ("S11 a send to a device that is there",)
    other = state.controllers[1 - who]
    older = put(state.controllers, 1 - who, is_old=other.is_old or (other.at is At.BEGIN and other.device == number))
    state = state._replace(controllers=older)
    arrived = state._replace(devices=put(state.devices, number, transfers=device.transfers + 1, unlooked=True))
    words = f"sends to device {number}"
    yield _goes(arrived, who, At.RECORD, words, broken, answer=Answer.ACCEPTED)
    if state.left.refusals:
        left = state.left._replace(refusals=state.left.refusals - 1)
        yield _goes(state._replace(left=left), who, At.RECORD, f"{words}, refused", broken, answer=Answer.REFUSED)
    if state.left.lost_answers:
        left = state.left._replace(lost_answers=state.left.lost_answers - 1)
        for fate, how in ((arrived, "the answer is lost"), (state, "the request is lost")):
            after = fate._replace(devices=put(fate.devices, number, unlooked=True), left=left)
            yield _goes(after, who, At.RECORD, f"{words}, {how}", broken, answer=Answer.LOST)


def _record(state: State, rules: Rules, who: int) -> Iterator[Step]:
    controller = state.controllers[who]
    number, answer = controller.device, controller.answer
    assert answer is not None
    kept = state.kept[number]
    if not rules.journal_before_send and controller.mine and not kept.is_open:
        begun = _begun(state, who, At.RECORD)
        yield Step(begun.event, begun.state, begun.broken)
        return
    verb = answer.value if rules.look_before_resend or answer is not Answer.LOST else "given up unseen"
    after = None if kept.state is None or not controller.mine else moved(kept.state, verb)
    if not _may_write(state, rules, who) or after is None:
        yield _ends(state, who, "is told that somebody else has moved its attempt")
        return
    # The deadline of a step counts from its answer, where there is one.
    overdue = kept.overdue and answer is not Answer.ACCEPTED
    changed = state._replace(
        kept=put(state.kept, number, state=after[0], failed=kept.failed or after[1], overdue=overdue)
    )
    yield _goes(changed, who, At.LOOK, f"writes down: {answer.value}", answer=None, mine=False)


_ACTS = {
    At.LOOK: _look,
    At.SETTLE: _settle,
    At.DECIDE: _decide,
    At.LOOK_AGAIN: _look_again,
    At.BEGIN: _begin,
    At.SEND: _send,
    At.RECORD: _record,
}


def broken_in(state: State) -> tuple[str, ...]:
    """The laws that a state breaks."""
    found = []
    for number, device in enumerate(state.devices):
        if device.transfers > 1:
            found.append(f"S5 two transfers to device {number} at once")
    if sum(device.transfers > 0 for device in state.devices) > CONCURRENT_MAX:
        found.append("S12 more devices in flight than may be")
    if sum(kept.is_open for kept in state.kept) > CONCURRENT_MAX:
        found.append("S12 more intents open than there are slots")
    return tuple(found)
