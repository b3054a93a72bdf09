"""What `plan`, `explain`, `drift` and `apply` read: manifests, catalog, observation, and what our journal knows."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import click

from reconciler.cli.catalog_file import read_catalog
from reconciler.cli.display_options import text_width
from reconciler.cli.journal_options import by_option, journal_option
from reconciler.cli.options import cloud_access
from reconciler.firmware.catalog import Catalog
from reconciler.inventory.snapshot import observation_from_document
from reconciler.inventory.snapshot_census import census_from_snapshot
from reconciler.journal.location import JournalPlace, journal_is_there, journal_location
from reconciler.model.census import Census
from reconciler.model.device import BENCH, Observation
from reconciler.model.error import OperatorError
from reconciler.model.fleet import FleetSet
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan
from reconciler.planning.naming import Naming
from reconciler.planning.planner import plan_fleets
from reconciler.rollout.opening import never_starting
from reconciler.sources import ManifestSet, read_manifests
from reconciler.sources.applications import with_applications

__all__ = ["by_option", "journal_option", "text_width"]  # beside what is defined here: most commands need all of it

Command = TypeVar("Command", bound=Callable[..., Any])

SNAPSHOT_BYTES_MAX: Final = 2 * 1024**3
"""A million devices are about 620 MB as the API writes them."""

_BYTES_A_READER: Final = 32 * 1024 * 1024
"""Some 40,000 devices: from there on half the reading takes longer than starting a process."""
_READERS_MAX: Final = 8
"""More of them wait for the one that puts together what they counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is desired: the manifests as read, the fleets they compile to, and the releases that are known.

    `also_known` are the releases of the operator's own catalog, which manifests may name beside the published ones.
    """

    manifests: ManifestSet
    fleets: FleetSet
    catalog: Catalog
    also_known: frozenset[str] = frozenset()


def catalog_option(command: Command) -> Command:
    """Adds `--catalog`; the command gets `catalog`."""
    return click.option(
        "--catalog",
        type=click.Path(path_type=Path, dir_okay=False),
        help="A release catalog that adds to the known one.",
    )(command)


def observed_option(command: Command) -> Command:
    """Adds `--observed`; the command gets `observed`."""
    return click.option(
        "--observed",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Plan on this snapshot (see `observe`) instead of asking the cloud.",
    )(command)


def read_intent(paths: Sequence[str], catalog: Path | None) -> Intent:
    """Read and compile the manifests. Raises ManifestErrors or OperatorError."""
    releases = read_catalog(catalog)
    also_known = frozenset(release.version.text for release in releases.all_releases) if catalog else frozenset[str]()
    return intent_of(read_manifests(paths), releases, also_known)


def intent_of(manifests: ManifestSet, releases: Catalog, also_known: frozenset[str]) -> Intent:
    """Compile manifests, wherever they were read, and read the applications' files that they name.

    Raises ManifestErrors.
    """
    fleets = with_applications(manifests.compile(also_known=also_known), manifests)
    return Intent(manifests=manifests, fleets=fleets, catalog=releases, also_known=also_known)


def observe(
    intent: Intent, *, observed: Path | None, api_url: str, token_file: Path | None, journal: JournalPlace | None
) -> Observation:
    """The snapshot, or one look at the cloud with what our journal knows of its devices. Raises OperatorError."""
    if observed is not None:
        return read_snapshot(observed)
    # Imported here: a plan on a snapshot needs neither the network nor a database.
    from reconciler.wiring import CloudConnection, CloudSettings

    access = cloud_access(api_url, token_file)
    settings = CloudSettings(api_url=access.api_url, token=access.token)
    with CloudConnection(settings, intent.fleets) as cloud:
        place = journal_location(journal, os.environ)
        if not journal_is_there(place):
            return cloud.observe()
        from reconciler.controller.knowledge import Knowledge
        from reconciler.journal.opening import open_if_there

        found = open_if_there(place)
        if found is None:
            return cloud.observe()
        with found as kept:
            cloud.recall(kept)
            return Knowledge(kept).added_to_all(cloud.observe())


def survey(
    intent: Intent, *, observed: Path | None, api_url: str, token_file: Path | None, journal: JournalPlace | None
) -> Observation | Census:
    """As `observe`, for commands that need no single device: of a large snapshot only what planning looks at."""
    if observed is not None and observed.is_file():
        naming = Naming(intent.fleets)
        with _readable(observed) as file:
            read_at = Instant(os.fstat(file.fileno()).st_mtime)
            marks = None if naming.names_nobody else naming.marks
            census = census_from_snapshot(file, marks, read_at=read_at, readers=_readers(file))
        if census is not None:
            return census
    return observe(intent, observed=observed, api_url=api_url, token_file=token_file, journal=journal)


def plan_on(
    intent: Intent, observation: Observation | Census, *, revision: str | None = None, now: Instant | None = None
) -> Plan:
    """The plan for these manifests on this observation, by this machine's date unless `now` is given.

    Its findings say, too, what would wait for ever for an opening of its windows or for its budget; not on a bench.
    """
    moment = Instant(time.time()) if now is None else now
    plan = plan_fleets(intent.fleets, observation, intent.catalog, now=moment, revision=revision)
    if observation.source == BENCH:
        return plan
    never = [sentence for fleet in plan.fleets for sentence in never_starting(fleet, now=plan.source.observed_at)]
    return replace(plan, findings=(*plan.findings, *never)) if never else plan


def read_snapshot(path: Path) -> Observation:
    """A snapshot without a date of its own is as old as its file. A pipe is read once."""
    with _readable(path) as file:
        content = file.read(SNAPSHOT_BYTES_MAX + 1)
        read_at = Instant(os.fstat(file.fileno()).st_mtime)
    if len(content) > SNAPSHOT_BYTES_MAX:
        raise OperatorError("PFR6701", f"{path} is larger than {SNAPSHOT_BYTES_MAX} bytes: is it a snapshot?")
    return observation_from_document(content, name=str(path), read_at=read_at)


@contextmanager
def no_search_for_cycles() -> Iterator[None]:
    """For a large plan: nearly all its objects live until its end, and looking for cycles among them takes a tenth."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _readers(file: BinaryIO) -> int:
    """How many processes read a snapshot. This command has no threads, so that it may fork where that is usual."""
    if sys.platform != "linux":
        return 1
    parts = os.fstat(file.fileno()).st_size // _BYTES_A_READER
    return max(1, min(parts, len(os.sched_getaffinity(0)), _READERS_MAX))


@contextmanager
def _readable(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or type(error).__name__}"
        raise OperatorError("PFR6701", message, next_step="write one with `reconciler observe --output FILE`") from None
