"""The `base` of a plan document: what the manifests change against those of a revision."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.model.change import Change, ChangeFinding, Crossing, FleetChange, Rerouted
from reconciler.model.device import DeviceId
from reconciler.model.fleet import Desired
from reconciler.model.plan import Refused
from reconciler.render.desired_json import desired_document


def change_document(change: Change) -> dict[str, Any]:
    """The change in the published format."""
    return {
        "revision": change.revision,
        "commit": change.commit,
        "manifest_digest": change.manifest_digest,
        "blast_radius": change.blast_radius,
        "blast_radius_later": change.blast_radius_later,
        "joined": list(change.joined),
        "left": list(change.left),
        "bytes_before": sum(fleet.bytes_before for fleet in change.fleets),
        "bytes_after": sum(fleet.bytes_after for fleet in change.fleets),
        "fleets": [_fleet(fleet) for fleet in change.fleets],
        "findings": [_finding(finding) for finding in change.findings],
    }


def membership_document(change: Change | None, fleet_name: str) -> dict[str, list[DeviceId]]:
    """Who came into a fleet and who left it, wherever from and to."""
    fleet = next((each for each in change.fleets if each.name == fleet_name), None) if change is not None else None
    if fleet is None:
        return {"joined": [], "left": []}
    return {"joined": _all(fleet.joined), "left": _all(fleet.left)}


def _all(crossings: Iterable[Crossing]) -> list[DeviceId]:
    return sorted(device for crossing in crossings for device in crossing.devices)


def _fleet(fleet: FleetChange) -> dict[str, Any]:
    return {
        "name": fleet.name,
        "renamed_from": fleet.renamed_from,
        "desired_before": _desired(fleet.desired_before),
        "desired_after": _desired(fleet.desired_after),
        "joined": [{"from": each.other, "devices": list(each.devices)} for each in fleet.joined],
        "left": [{"to": each.other, "devices": list(each.devices)} for each in fleet.left],
        "newly_targeted": list(fleet.newly_targeted),
        "targeted_later": list(fleet.targeted_later),
        "no_longer_targeted": list(fleet.no_longer_targeted),
        "rerouted": [_rerouted(each) for each in fleet.rerouted],
        "newly_refused": [_refused(each) for each in fleet.newly_refused],
        "bytes_before": fleet.bytes_before,
        "bytes_after": fleet.bytes_after,
    }


def _desired(desired: Desired | None) -> dict[str, Any] | None:
    return None if desired is None else desired_document(desired)


def _rerouted(rerouted: Rerouted) -> dict[str, Any]:
    before, after = rerouted.before, rerouted.after
    return {
        "hops_before": [hop.text for hop in before.hops],
        "hops_after": [hop.text for hop in after.hops],
        "steps_before": len(before.steps),
        "steps_after": len(after.steps),
        "bytes_before": before.bytes_known,
        "bytes_after": after.bytes_known,
        "devices": list(rerouted.devices),
    }


def _refused(refused: Refused) -> dict[str, Any]:
    return {
        "code": refused.reason.code,
        "reason": refused.reason.reason,
        "message": refused.message,
        "devices": list(refused.devices),
    }


def _finding(finding: ChangeFinding) -> dict[str, Any]:
    return {"code": finding.code.value, "message": finding.message, "fleet": finding.fleet}
