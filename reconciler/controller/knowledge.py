"""What our own record adds to an observation: modules that we put there, locks that are ours, and where a fight is.

The cloud shows neither the module versions of a device in normal mode nor who set a lock; the journal knows what our
verified steps did. It only ever adds to an observation, and never overrides what the observation shows.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.journal.journal import Journal, Looked
from reconciler.model.attempt import Attempt
from reconciler.model.device import ModuleReport, Observation, ObservedDevice


class Knowledge:
    """Read from the journal once, and kept up to date with every attempt that this process moves."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._learnt = dict(journal.learnt())
        self._locked = dict(journal.locked())
        self._reports = dict(journal.reports())
        self.states = dict(journal.console_states())
        self.latches = dict(journal.latches())

    def added_to(self, device: ObservedDevice) -> ObservedDevice:
        """The device with what we know of it besides."""
        learnt, lock = self._learnt.get(device.id, ()), self._locked.get(device.id)
        state, latch = self.states.get(device.id), self.latches.get(device.id)
        arrived = None if state is None else state.arrived
        if latch is not None and not latch.lifted:
            device = replace(device, latched=latch.intent, latched_why=latch.why)
        if not learnt and lock is None and arrived is None:
            return device
        return replace(device, learnt=learnt, locked_by_us=lock, arrived=arrived)

    def added_to_all(self, observation: Observation) -> Observation:
        """The observation with what we know of its devices besides."""
        return replace(observation, devices=tuple(map(self.added_to, observation.devices)))

    def note(self, attempt: Attempt) -> None:
        """An attempt has moved: what it taught counts from now on."""
        device_id = attempt.device_id
        self._learnt.pop(device_id, None)
        self._learnt.update(self._journal.learnt(device_id=device_id))
        self._locked.pop(device_id, None)
        self._locked.update(self._journal.locked(device_id=device_id))

    def keep_look(self, looked: Looked) -> None:
        """A look at the console showed something new, which the journal has."""
        self.states |= {state.device_id: state for state in looked.states}
        self.latches |= {latch.device_id: latch for latch in looked.latches}

    def keep(self, report: ModuleReport) -> None:
        """Keep what a device said of its modules, if it is news."""
        if self._reports.get(report.device_id) != report:
            self._journal.keep_report(report)
            self._reports[report.device_id] = report
