"""`reconciler approve PLANFILE|PLAN_ID`: a person agrees to a plan, by its digest."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from reconciler.cli.catalog_file import read_catalog
from reconciler.cli.display_options import output_options
from reconciler.cli.inputs import by_option, catalog_option, journal_option
from reconciler.cli.saved_plan import is_plan_file, read_saved_plan
from reconciler.controller.approvals import keep, noted_approvals
from reconciler.firmware.catalog import Catalog
from reconciler.journal.journal import Journal
from reconciler.journal.location import JournalPlace, journal_location
from reconciler.journal.opening import open_journal
from reconciler.manifests.problem import did_you_mean, listed
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.model.rollout_entry import Approved
from reconciler.model.saved_plan import SavedPlan
from reconciler.render.plan_reading import plan_from_document
from reconciler.rollout.approval import BY_COMMAND


@click.command("approve")
@click.argument("plan", metavar="PLANFILE|PLAN_ID")
@click.option(
    "--fleet", "fleets", metavar="FLEET", multiple=True, help="Only for this fleet. May be given several times."
)
@click.option(
    "--wave",
    "waves",
    metavar="WAVE",
    multiple=True,
    help="For this wave, and not for the fleet as a whole. May be given several times.",
)
@by_option
@catalog_option
@journal_option
@output_options("quiet")
def command(
    plan: str,
    fleets: tuple[str, ...],
    waves: tuple[str, ...],
    by: str,
    catalog: Path | None,
    journal: JournalPlace | None,
    quiet: bool,
) -> None:
    """Agree to a plan that was saved with `plan --out`, or that `apply` has proposed and the journal keeps.

    What was approved is that plan and no other: `apply` starts a device only where its steps are those of the plan.

    Exit codes: 0 approved, now or before; 1 error; 2 usage.
    """
    now = Instant(time.time())
    releases = read_catalog(catalog)
    from_file = is_plan_file(Path(plan))
    with open_journal(journal_location(journal, os.environ), create=from_file) as kept:
        if from_file:
            file = read_saved_plan(Path(plan), releases, now=now)
            saved, document = file.plan, file.document
        else:
            saved, document = _kept_plan(kept, plan, releases, now)
        entries = [
            Approved(
                fleet=fleet, at=now, plan_id=saved.plan_id, digest=saved.digest, wave=wave, by=by, source=BY_COMMAND
            )
            for fleet, wave in _meant(saved, fleets, waves)
        ]
        keep(kept, document)
        before = [old for entry in entries for old in noted_approvals(kept, entry.fleet)]
        fresh = [entry for entry in entries if _same(entry, before) is None]
        kept.note(fresh)
    for entry in entries if not quiet else ():
        where = f"fleet {entry.fleet}" if entry.wave is None else f"wave {entry.wave} of fleet {entry.fleet}"
        old = _same(entry, before)
        was = "" if old is None else f" already, by {old.by} at {iso_from_instant(old.at)}"
        click.echo(f"{saved.plan_id} is approved for {where}{was}")


def _kept_plan(kept: Journal, plan_id: str, catalog: Catalog, now: Instant) -> tuple[SavedPlan, Mapping[str, Any]]:
    found = kept.plan(plan_id)
    if found is None:
        message = f"{plan_id!r} is neither a plan file nor a plan that the journal keeps"
        next_step = "give the file that `plan --out` wrote, or the id of the plan that `apply` showed last"
        raise OperatorError("PFR6721", message, next_step=next_step)
    document: Mapping[str, Any] = json.loads(found.text)
    return plan_from_document(document, catalog, now=now), document


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
