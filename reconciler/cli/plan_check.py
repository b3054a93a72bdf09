"""A saved plan held against the fleet as it is now: what may still be done, and what is said of every device."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.controller.agreement import Agreement
from reconciler.model.device import DeviceId
from reconciler.model.error import OperatorError
from reconciler.model.fleet import FleetSet, Share
from reconciler.model.plan import Plan
from reconciler.model.saved_plan import SavedPlan
from reconciler.rollout.staleness import Found, found_since, is_stale

_SHOWN_MAX: Final = 10
"""Ids of one line; all of them are in the journal, and in `--output json`."""

_WORDS: Final[Mapping[Found, str]] = {
    Found.UNCHANGED: "as planned on",
    Found.SATISFIED: "as desired already",
    Found.COMPATIBLE: "further on their way; what is left of the plan is done",
    Found.DRIFTED: "changed by something else",
    Found.VANISHED: "in their fleet no more",
    Found.DEFERRED: "offline or held for now",
}
_LISTED: Final = (Found.DRIFTED, Found.VANISHED, Found.DEFERRED)
"""What nothing is done to is shown by its ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StalePolicy:
    """What to do with devices that have drifted: `on_stale` fail, skip or replan.

    With fail they are left out and the run ends with 4; more than `drifted_max` of the plan's devices, and nothing is
    done at all.
    """

    on_stale: str
    drifted_max: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How the devices of a saved plan were found."""

    saved: SavedPlan
    devices: Mapping[Found, tuple[DeviceId, ...]]
    policy: StalePolicy

    @property
    def is_stale(self) -> bool:
        """Whether the plan as a whole must not be carried out."""
        drifted = len(self.devices[Found.DRIFTED])
        return self.policy.on_stale == "fail" and is_stale(drifted, len(self.saved.by_device), self.policy.drifted_max)

    @property
    def has_left_out(self) -> bool:
        """Whether devices that nobody wanted to skip are left out."""
        return self.policy.on_stale == "fail" and bool(self.devices[Found.DRIFTED])

    @property
    def document(self) -> dict[str, Any]:
        """For the journal, and for machines."""
        devices = {found.value: list(ids) for found, ids in self.devices.items()}
        return {"plan_id": self.saved.plan_id, "digest": self.saved.digest, "devices": devices}

    def lines(self) -> Iterator[str]:
        """For people: how many are how, and which are left alone; nothing where all are as they were planned on."""
        if len(self.devices[Found.UNCHANGED]) == len(self.saved.by_device):
            return
        for found, ids in self.devices.items():
            if ids:
                some = ", ".join(ids[:_SHOWN_MAX]) + (" …" if len(ids) > _SHOWN_MAX else "")
                what = f" ({self.policy.on_stale})" if found is Found.DRIFTED else ""
                listed = f": {some}" if found in _LISTED else ""
                yield f"{len(ids):,} {found.value}{what}, {_WORDS[found]}{listed}"

    def agreement(self, fresh: Agreement) -> Agreement:
        """What of a fresh plan was agreed to by the saved one.

        Every step is one of the saved plan's for that device; only with replan a drifted device may get others.
        """
        kinds = [Found.UNCHANGED, Found.COMPATIBLE]
        if self.policy.on_stale == "replan":
            kinds.append(Found.DRIFTED)
        allowed: Collection[DeviceId] = {device_id for found in kinds for device_id in self.devices[found]}
        steps = {device_id: steps for device_id, steps in fresh.steps.items() if device_id in allowed}
        return Agreement(plan_id=fresh.plan_id, steps=steps, actions=self.saved.actions)


def check_saved_plan(saved: SavedPlan, fresh: Plan, policy: StalePolicy) -> Checked:
    """Every device of the saved plan, held against a fresh plan of the same manifests."""
    return Checked(saved=saved, devices=found_since(saved, fresh), policy=policy)


def check_same_manifests(saved: SavedPlan, given: FleetSet) -> None:
    """Whether the manifests that were given beside a saved plan are those it was made from.

    Raises OperatorError PFR6409. Remarks, white space and approvals make no difference.
    """
    if given.digest != saved.source.manifest_digest:
        message = f"the plan {saved.plan_id} was made from other manifests than those given with --manifests"
        raise OperatorError("PFR6409", message, next_step="plan again from these manifests, or check out those")
