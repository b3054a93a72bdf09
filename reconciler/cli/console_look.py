"""What others changed in the console, for commands that only read: held against the journal, and nothing written."""

from __future__ import annotations

import os

from reconciler.cli.inputs import Intent
from reconciler.journal.location import JournalPlace, journal_is_there, journal_location
from reconciler.model.console import ConsoleChange
from reconciler.model.device import Observation
from reconciler.model.plan import Plan
from reconciler.planning.console import still_stands


def look_at_console(
    intent: Intent, plan: Plan, observation: Observation, *, journal: JournalPlace | None
) -> tuple[ConsoleChange, ...]:
    """What is new since the last `apply` looked, and what it saw before that still stands against Git.

    In the order of devices and of time; empty where there is no journal. Raises JournalError.
    """
    place = journal_location(journal, os.environ)
    if not journal_is_there(place):
        return ()
    # Imported here: without a journal there is no need of a database.
    from reconciler.controller.console import Look
    from reconciler.controller.knowledge import Knowledge
    from reconciler.journal.opening import open_if_there

    kept = open_if_there(place)
    if kept is None:
        return ()
    with kept:
        knowledge = Knowledge(kept)
        look = Look(knowledge, kept, intent.fleets, plan)
        looked = look.at(observation.devices)
        knowledge.keep_look(looked)
        earlier = kept.console_changes()
    devices = {device.id: device for device in observation.devices}
    latest = {(change.device_id, change.kind): change for change in reversed(earlier) if change.device_id in devices}
    for change in looked.changes:
        latest.pop((change.device_id, change.kind), None)
    standing = [
        change
        for change in latest.values()
        if still_stands(change, knowledge.states[change.device_id], look.desired_at(devices[change.device_id]))
    ]
    return tuple(sorted([*standing, *looked.changes], key=lambda each: (each.device_id, each.seen_at, each.kind)))
