"""`reconciler status [PATH…]`: what is under way, and where every fleet stands. Reads only."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
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
from reconciler.cli.watch import INTERVAL_SECONDS, JOURNAL_INTERVAL_SECONDS, watch
from reconciler.cli.word import moment
from reconciler.controller.approvals import KeptPlans
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What to look at: the manifests, the journal's place, and the cloud, a snapshot, or neither (`offline`)."""

    intent: Intent | None
    place: JournalPlace
    offline: bool
    observed: Path | None
    api_url: str
    token_file: Path | None


@click.command("status")
@click.argument("paths", metavar="[PATH…]", nargs=-1)
@click.option("--offline", is_flag=True, help="Do not ask the cloud; say what the journal knows.")
@click.option("--watch", "is_watching", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help=f"With --watch: seconds between two looks. Default: {INTERVAL_SECONDS:g}, and "
    f"{JOURNAL_INTERVAL_SECONDS:g} with --offline. Large fleets are looked at as seldom as the API budget asks.",
)
@observed_option
@catalog_option
@journal_option
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom.")
@cloud_options
@output_options("no_color")
def command(
    paths: tuple[str, ...],
    offline: bool,
    is_watching: bool,
    interval: float | None,
    observed: Path | None,
    catalog: Path | None,
    journal: JournalPlace | None,
    output: str,
    api_url: str,
    token_file: Path | None,
    no_color: bool,
) -> None:
    """Say what is under way and where every fleet of the manifests in PATH stands, the worst first.

    Without PATH, with --offline, and when the cloud cannot be asked: what the journal knows. With --watch the screen
    is drawn anew; where there is no screen, a new block (with JSON: a new line) is written when something changed.

    Exit codes: 0 told, whatever it is, also when Ctrl-C ended it; 1 an error; 2 usage.
    """
    if observed is not None and (offline or not paths or is_watching):
        raise click.UsageError("--observed goes with manifests, and without --offline and --watch")
    asked = _Asked(
        intent=read_intent(paths, catalog) if paths else None,
        place=journal_location(journal, os.environ),
        offline=offline,
        observed=observed,
        api_url=api_url,
        token_file=token_file,
    )
    on_terminal = sys.stdout.isatty()
    as_json = output == "json"
    colour = wants_color(no_color=no_color) and on_terminal
    shown = partial(_shown, as_json=as_json, in_one_line=is_watching, colour=colour)
    if is_watching:
        seconds = interval or (JOURNAL_INTERVAL_SECONDS if offline else INTERVAL_SECONDS)
        drawn = on_terminal and not as_json
        watch(partial(_look_at, asked), shown, interval_seconds=seconds, sleep=time.sleep, on_terminal=drawn)
    else:
        click.echo(shown(_look_at(asked)), nl=False)


def _shown(status: Status, *, as_json: bool, in_one_line: bool, colour: bool) -> str:
    if not as_json:
        return status_text(status, width=text_width(), colour=colour)
    document = status_document(status, tool_version=__version__)
    return json.dumps(document, indent=None if in_one_line else 2, sort_keys=True) + "\n"


def _look_at(asked: _Asked) -> Status:
    intent, place = asked.intent, asked.place
    with ExitStack() as stack:
        kept = open_if_there(place)
        if kept is not None:
            stack.enter_context(kept)
        if asked.offline:
            seen = _blind("--offline was given")
        elif asked.observed is not None and intent is not None:
            on = observe(
                intent, observed=asked.observed, api_url=asked.api_url, token_file=asked.token_file, journal=place
            )
            seen = _Seen(plan=plan_on(intent, on), token=_unknown("a snapshot was given, the cloud was not asked"))
        else:
            seen = _look(intent, kept, asked.api_url, asked.token_file)
        return _status(intent, kept, place, seen)


def _status(intent: Intent | None, kept: Journal | None, place: JournalPlace, seen: _Seen) -> Status:
    plan = seen.plan
    now = seen.cloud_now
    if now is None:
        now = Instant(time.time()) if kept is None else moment(kept)
    memory = None if kept is None else Memory(kept, None if intent is None else KeptPlans(kept, intent.catalog))
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
