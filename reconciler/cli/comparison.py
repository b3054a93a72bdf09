"""`plan --base REV`: the manifests as another revision has them, planned on the same observation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.cli.inputs import Intent, intent_of
from reconciler.model.census import Census
from reconciler.model.change import Change
from reconciler.model.device import Observation, ObservedDevice
from reconciler.model.error import ManifestError, OperatorError
from reconciler.model.fleet import FleetSet
from reconciler.model.instant import Instant
from reconciler.model.plan import Plan
from reconciler.planning.change import compare
from reconciler.planning.planner import plan_fleets
from reconciler.sources.commit import read_manifests_at, working_revision

Look = Callable[[Intent], Observation | Census]
"""Look at the devices of some manifests' products; of a snapshot, as planning these manifests needs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What the plan is held against: a revision as it was asked for, and what its manifests desire.

    `missing` are the given paths that hold no manifest there.
    """

    revision: str
    commit: str
    intent: Intent
    missing: tuple[str, ...]


def read_base(revision: str, paths: Sequence[str], intent: Intent) -> Base:
    """Read and compile the same paths as a revision has them; nothing of the work tree is used.

    Raises:
        OperatorError: PFR6501 to PFR6505 of Git; PFR6506 the manifests there have problems.
    """
    committed = read_manifests_at(revision, paths)
    try:
        of_base = intent_of(committed.manifests, intent.catalog, intent.also_known)
    except ManifestError as error:
        raise _unusable(revision, error) from None
    return Base(revision=revision, commit=committed.commit, intent=of_base, missing=committed.missing)


def look_for_both(
    intent: Intent, base: Base, look: Look, *, snapshot: Path | None
) -> tuple[Observation | Census, Observation | Census]:
    """One observation, as planning these manifests needs it and as planning the base needs it.

    A census is taken for one set of manifests, so its snapshot is read twice; an observation serves both, and is what a
    pipe gives, which can be read only once. In the cloud the products of both are looked at, or nobody would see what
    leaves a product that only the base names.

    Raises:
        OperatorError: As `look` does; PFR6701 the snapshot was changed between the two readings.
    """
    if snapshot is None:
        fleets = replace(intent.fleets, fleets=(*intent.fleets.fleets, *base.intent.fleets.fleets))
        both = look(replace(intent, fleets=fleets))
        return (of_products(both, intent.fleets) if isinstance(both, Observation) else both), both
    first = look(intent)
    second = first if isinstance(first, Observation) else look(base.intent)
    if (first.observed_at, first.source) != (second.observed_at, second.source):
        message = f"{snapshot} was changed while it was read"
        raise OperatorError("PFR6701", message, next_step="plan again when it is written")
    return first, second


def of_products(observation: Observation, fleets: FleetSet) -> Observation:
    """What would have been seen by looking at the products of these fleets alone: a plan must not depend on its base.

    A product whose number the observation does not tell leaves it as it is; the planner says what is to be done.
    """
    named = {fleet.product for fleet in fleets.fleets}
    slugs = {product.slug: product.id for product in observation.products}
    if not all(word is None or word.isdecimal() or word in slugs for word in named):
        return observation
    numbers = {int(word) if word.isdecimal() else slugs[word] for word in named if word is not None}

    def is_seen(device: ObservedDevice) -> bool:
        own = device.product_id is None or device.product_id == device.platform_id
        return device.product_id in numbers or (own and None in named)

    return replace(observation, devices=tuple(device for device in observation.devices if is_seen(device)))


def change_against(base: Base, plan: Plan, observation: Observation | Census, *, now: Instant) -> Change:
    """What the plan changes against the base, on an observation that was taken for the base as well.

    Raises:
        OperatorError: PFR6506 the base's manifests cannot be planned, such as two fleets that claim one device.
    """
    try:
        before = plan_fleets(base.intent.fleets, observation, base.intent.catalog, now=now)
    except ManifestError as error:
        raise _unusable(base.revision, error) from None
    return compare(before, plan, revision=base.revision, commit=base.commit, missing=base.missing)


def revision_of(paths: Sequence[str], intent: Intent) -> str | None:
    """Where manifests come from that were read from a work tree: `main@sha1:…`, perhaps `-dirty`; None: unknown."""
    desired = [fleet.desired for fleet in intent.fleets.fleets]
    desired += [override.pin for override in intent.fleets.overrides if override.pin is not None]
    applications = (each.application for each in desired)
    binaries = (binary for application in applications if application is not None for binary in application.binaries)
    named = {binary.file for binary in binaries if binary.file is not None}
    return working_revision(paths, (*intent.fleets.files, *named))


def _unusable(revision: str, error: ManifestError) -> OperatorError:
    next_step = "leave out --base, or name a revision whose manifests were in order"
    return OperatorError("PFR6506", f"nothing can be compared with {revision}: {error.message}", next_step=next_step)
