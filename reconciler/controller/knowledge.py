"""What our own record adds to an observation: modules that we put there, locks that are ours, fights, refusals.

The cloud shows neither the module versions of a device in normal mode nor who set a lock; the journal knows what our
verified steps did. It only ever adds to an observation, and never overrides what the observation shows.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.journal.journal import Journal, Looked
from reconciler.model.attempt import Attempt
from reconciler.model.device import DeviceId, ModuleReport, Observation, ObservedDevice
from reconciler.model.instant import Instant
from reconciler.model.refusal import SystemFlashRefusal


class Knowledge:
    """Read from the journal once, and kept up to date with every attempt that this process moves."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._learnt = dict(journal.learnt())
        self._locked = dict(journal.locked())
        self._reports = dict(journal.reports())
        self.states = dict(journal.console_states())
        self.latches = dict(journal.latches())
        self._refusals = {refusal.product_id: refusal for refusal in journal.refusals()}
        self._learnt_of: set[DeviceId] = set()

    @property
    def refusals(self) -> tuple[SystemFlashRefusal, ...]:
        """What the cloud is known to refuse."""
        return tuple(self._refusals.values())

    def read_on(self) -> None:
        """Read again what a person's command may have changed in the journal: latches and refusals."""
        latches = dict(self._journal.latches())
        self._learnt_of.update(
            device_id for device_id, latch in latches.items() if self.latches.get(device_id) != latch
        )
        self.latches = latches
        self._refusals = {refusal.product_id: refusal for refusal in self._journal.refusals()}

    def take_learnt_of(self) -> frozenset[DeviceId]:
        """The devices of which something else is known since this was asked last; refusals are of whole products."""
        learnt_of, self._learnt_of = frozenset(self._learnt_of), set()
        return learnt_of

    def added_to(self, device: ObservedDevice) -> ObservedDevice:
        """The device with what we know of it besides."""
        learnt, lock = self._learnt.get(device.id, ()), self._locked.get(device.id)
        state, latch = self.states.get(device.id), self.latches.get(device.id)
        arrived = None if state is None else state.arrived
        refusal = None if device.product_id is None or device.development else self._refusals.get(device.product_id)
        if latch is not None and not latch.lifted:
            device = replace(device, latched=latch.intent, latched_why=latch.why)
        if not learnt and lock is None and arrived is None and refusal is None:
            return device
        until = None if refusal is None else refusal.until
        return replace(device, learnt=learnt, locked_by_us=lock, arrived=arrived, system_flash_refused_until=until)

    def added_to_all(self, observation: Observation) -> Observation:
        """The observation with what we know of its devices besides."""
        return replace(observation, devices=tuple(map(self.added_to, observation.devices)))

    def note(self, attempt: Attempt) -> None:
        """An attempt has moved: what it taught counts from now on."""
        device_id = attempt.device_id
        self._learnt_of.add(device_id)
        self._learnt.pop(device_id, None)
        self._learnt.update(self._journal.learnt(device_id=device_id))
        self._locked.pop(device_id, None)
        self._locked.update(self._journal.locked(device_id=device_id))

    def keep_look(self, looked: Looked) -> None:
        """A look at the console showed something new, which the journal has."""
        for state in looked.states:
            before = self.states.get(state.device_id)
            if state.arrived != (None if before is None else before.arrived):
                self._learnt_of.add(state.device_id)
        self._learnt_of.update(latch.device_id for latch in looked.latches)
        self.states |= {state.device_id: state for state in looked.states}
        self.latches |= {latch.device_id: latch for latch in looked.latches}

    def learn(self, refusal: SystemFlashRefusal) -> None:
        """The cloud refuses something for a whole product: durable before anything follows from it."""
        self._journal.keep_refusal(refusal)
        self._refusals[refusal.product_id] = refusal

    def refuses(self, product_id: int, now: Instant) -> bool:
        """Whether the cloud is known to refuse Device OS modules for devices of this product."""
        refusal = self._refusals.get(product_id)
        return refusal is not None and now < refusal.until

    def keep(self, report: ModuleReport) -> None:
        """Keep what a device said of its modules, if it is news."""
        if self._reports.get(report.device_id) != report:
            self._journal.keep_report(report)
            self._reports[report.device_id] = report
