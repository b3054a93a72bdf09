"""`approve`: a person agrees to a plan, by its digest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reconciler.controller.approvals import keep, noted_approvals
from reconciler.controller.words.speaker import Speaker
from reconciler.firmware.catalog import Catalog
from reconciler.journal.journal import Journal
from reconciler.manifests.problem import did_you_mean, listed
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.rollout_entry import Approved
from reconciler.model.saved_plan import SavedPlan
from reconciler.render.plan_reading import plan_from_document
from reconciler.render.word import Told
from reconciler.rollout.approval import BY_COMMAND


def kept_plan(journal: Journal, plan_id: str, catalog: Catalog, now: Instant) -> tuple[SavedPlan, Mapping[str, Any]]:
    """A plan that the journal keeps, with its document. Raises OperatorError PFR6721, PFR64nn: it is not in force."""
    found = journal.plan(plan_id)
    if found is None:
        message = f"{plan_id!r} is neither a plan file nor a plan that the journal keeps"
        next_step = "give the file that `plan --out` wrote, or the id of the plan that `apply` showed last"
        raise OperatorError("PFR6721", message, next_step=next_step)
    document: Mapping[str, Any] = json.loads(found.text)
    return plan_from_document(document, catalog, now=now), document


def approve(
    speaker: Speaker,
    saved: SavedPlan,
    document: Mapping[str, Any],
    *,
    fleets: Sequence[str] = (),
    waves: Sequence[str] = (),
    source: str = BY_COMMAND,
) -> list[Told]:
    """Agree to a plan for these fleets (none named: all of its fleets), as a whole or for these waves alone.

    `source` is how the word came. The plan is kept, so that it stays approved while it is carried out. Raises
    OperatorError PFR6722 for an unknown name.
    """
    now, plan_id = speaker.clock(), saved.plan_id
    entries = [
        Approved(fleet=fleet, at=now, plan_id=plan_id, digest=saved.digest, wave=wave, by=speaker.by, source=source)
        for fleet, wave in _meant(saved, fleets, waves)
    ]
    keep(speaker.journal, document)
    before = [old for entry in entries for old in noted_approvals(speaker.journal, entry.fleet)]
    speaker.journal.note([entry for entry in entries if _same(entry, before) is None])
    return [_told(entry, _same(entry, before)) for entry in entries]


def _told(entry: Approved, old: Approved | None) -> Told:
    where = f"fleet {entry.fleet}" if entry.wave is None else f"wave {entry.wave} of fleet {entry.fleet}"
    was = "" if old is None else f" already, by {old.by} at {iso_from_instant(old.at)}"
    return Told(done=True, fleet=entry.fleet, message=f"{entry.plan_id} is approved for {where}{was}")


def _meant(saved: SavedPlan, fleets: Sequence[str], waves: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Every fleet and wave (None: as a whole) that is approved. Raises OperatorError PFR6722 for an unknown name."""
    for fleet in fleets:
        _check_name("fleet", fleet, saved.intents)
    named = fleets or [*saved.intents]
    for wave in waves:
        _check_name("wave", wave, [each for fleet in named for each in saved.waves[fleet]])
    for fleet in dict.fromkeys(named):
        if not waves:
            yield fleet, None
        yield from ((fleet, wave) for wave in dict.fromkeys(waves) if wave in saved.waves[fleet])


def _check_name(what: str, name: str, known: Sequence[str] | Mapping[str, str]) -> None:
    if name not in known:
        suggestion = did_you_mean(name, known) or f"there is: {listed(sorted(set(known))) or 'none'}"
        raise OperatorError("PFR6722", f"the plan has no {what} {name!r}", next_step=suggestion)


def _same(entry: Approved, before: Sequence[Approved]) -> Approved | None:
    """The first earlier word by command to the same, whoever gave it. One in a file may be taken out again."""
    what = (entry.fleet, entry.wave, entry.digest, entry.source)
    return next((old for old in before if (old.fleet, old.wave, old.digest, old.source) == what), None)
