"""`reconciler status [PATH…]`: what is under way, and where every fleet stands. Reads only."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import click

from reconciler import __version__
from reconciler.cli.display_options import output_options, wants_color
from reconciler.cli.inputs import (
    Intent,
    catalog_option,
    journal_option,
    observe,
    observed_option,
    plan_on,
    read_intent,
    text_width,
)
from reconciler.cli.options import cloud_access, cloud_options
from reconciler.controller.knowledge import Knowledge
from reconciler.controller.status import Memory, budget_status, fleet_statuses
from reconciler.journal.journal import Journal
from reconciler.journal.location import JournalPlace, journal_location
from reconciler.journal.lock import holder_of
from reconciler.journal.opening import open_if_there
from reconciler.model.device import Observation
from reconciler.model.error import OperatorError, WireError
from reconciler.model.fleet import FleetSet
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan
from reconciler.particle.error import RefusedError
from reconciler.particle.http import WirePatience
from reconciler.render.status import RunStatus, Status, TokenState, TokenStatus
from reconciler.render.status_json import status_document
from reconciler.render.status_text import status_text
from reconciler.wiring import CloudConnection, CloudSettings

_PATIENCE: Final = WirePatience(read_total=20.0, read_tries=2)
"""Who asks how things stand wants an answer, and has the journal's when the cloud gives none."""

_NO_PATHS: Final = "no manifests were given"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What there was to see. `plan` is None where no device was observed, and `blind_because` says why.

    `cloud_now` is when the cloud was asked, by its own clock: attempts have the times of the cloud.
    """

    plan: Plan | None = None
    cloud_now: Instant | None = None
    blind_because: str = ""
    token: TokenStatus
    requests: int = 0


@click.command("status")
@click.argument("paths", metavar="[PATH…]", nargs=-1)
@click.option("--offline", is_flag=True, help="Do not ask the cloud; say what the journal knows.")
@observed_option
@catalog_option
@journal_option
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom.")
@cloud_options
@output_options("no_color")
def command(
    paths: tuple[str, ...],
    offline: bool,
    observed: Path | None,
    catalog: Path | None,
    journal: JournalPlace | None,
    output: str,
    api_url: str,
    token_file: Path | None,
    no_color: bool,
) -> None:
    """Say what is under way and where every fleet of the manifests in PATH stands, the worst first.

    Without PATH, with --offline, and when the cloud cannot be asked: what the journal knows.
    """
    if observed is not None and (offline or not paths):
        message = "--observed goes with manifests, and without --offline"
        raise click.UsageError(message)
    intent = read_intent(paths, catalog) if paths else None
    place = journal_location(journal, os.environ)
    with ExitStack() as stack:
        kept = open_if_there(place)
        if kept is not None:
            stack.enter_context(kept)
        if offline:
            seen = _blind("--offline was given")
        elif observed is not None and intent is not None:
            on = observe(intent, observed=observed, api_url=api_url, token_file=token_file, journal=journal)
            seen = _Seen(plan=plan_on(intent, on), token=_unknown("a snapshot was given, the cloud was not asked"))
        else:
            seen = _look(intent, kept, api_url, token_file)
        status = _status(intent, kept, place, seen)
    if output == "json":
        click.echo(json.dumps(status_document(status, tool_version=__version__), indent=2, sort_keys=True))
    else:
        colour = wants_color(no_color=no_color) and sys.stdout.isatty()
        click.echo(status_text(status, width=text_width(), colour=colour), nl=False)


def _status(intent: Intent | None, kept: Journal | None, place: JournalPlace, seen: _Seen) -> Status:
    plan = seen.plan
    now = Instant(time.time()) if seen.cloud_now is None else seen.cloud_now
    memory = None if kept is None else Memory(kept)
    holder = holder_of(place)
    words, alive = ("", False) if holder is None else (holder.words, holder.alive)
    return Status(
        at=now,
        observed_at=None if plan is None else plan.source.observed_at,
        complete=plan is not None and plan.complete,
        blind_because=seen.blind_because,
        fleets=fleet_statuses(None if intent is None else intent.fleets, plan, memory, now=now),
        run=RunStatus(
            journal_found=kept is not None,
            under_way=words if alive else "",
            broken_off="" if alive else words,
            last=None if memory is None else memory.last_run(),
        ),
        budget=budget_status(memory, requests=seen.requests, now=now),
        token=seen.token,
    )


def _look(intent: Intent | None, kept: Journal | None, api_url: str, token_file: Path | None) -> _Seen:
    """Ask the cloud for the token and the devices; whatever it does not tell, is said to be unknown."""
    try:
        access = cloud_access(api_url, token_file)
    except OperatorError as error:
        return _blind(_in_words(error))
    fleets = FleetSet(fleets=()) if intent is None else intent.fleets
    settings = CloudSettings(api_url=access.api_url, token=access.token, patience=_PATIENCE)
    try:
        with CloudConnection(settings, fleets) as cloud:
            return _seen(cloud, intent, kept)
    except WireError as error:
        return _blind(_in_words(error))


def _seen(cloud: CloudConnection, intent: Intent | None, kept: Journal | None) -> _Seen:
    plan, now, because = None, None, _NO_PATHS
    try:
        token = _token_status(cloud)
        if intent is not None and token.state is not TokenState.REFUSED:
            plan, because = plan_on(intent, _observed(cloud, kept)), ""
            now = plan.source.observed_at
        elif intent is not None:
            because = "the cloud refuses the token"
    except WireError as error:
        because = _in_words(error)
        token = _unknown(because)
    requests = cloud.api.wire.traffic().requests
    return _Seen(plan=plan, cloud_now=now, blind_because=because, token=token, requests=requests)


def _observed(cloud: CloudConnection, kept: Journal | None) -> Observation:
    if kept is None:
        return cloud.observe()
    cloud.recall(kept)
    return Knowledge(kept).added_to_all(cloud.observe())


def _token_status(cloud: CloudConnection) -> TokenStatus:
    """Raises WireError when the cloud does not answer."""
    try:
        info = cloud.api.token_info()
    except RefusedError as error:
        is_invalid = error.status == HTTPStatus.UNAUTHORIZED
        return TokenStatus(state=TokenState.REFUSED if is_invalid else TokenState.UNKNOWN, detail=_in_words(error))
    return TokenStatus(state=TokenState.VALID, scopes=info.scopes, expires_at=info.expires_at)


def _blind(because: str) -> _Seen:
    return _Seen(blind_because=because, token=_unknown(because))


def _unknown(because: str) -> TokenStatus:
    return TokenStatus(state=TokenState.UNKNOWN, detail=because)


def _in_words(error: OperatorError) -> str:
    return f"{error.message} ({error.code})"
