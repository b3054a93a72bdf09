"""What a change of the manifests adds to a plan: two plans on the same observation, held side by side.

`before` is the plan of the base, `after` the plan that is proposed. Devices are in ascending order everywhere, and each
is counted in the fleet that it is in now (what it loses: in the fleet that it was in).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.device import DeviceId
from reconciler.model.fleet import Desired
from reconciler.model.plan import Refused, Route


class ChangeCode(StrEnum):
    """What a person must know of a change. Each has a page in `docs/errors.md`."""

    FLEET_SHRINKS = "PFR2901"
    NOTHING_LEFT = "PFR2902"
    NOT_IN_BASE = "PFR2903"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeFinding:
    """Something that a person must look at before the change is agreed to. `fleet` is None where it is about all."""

    code: ChangeCode
    message: str
    fleet: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """Devices that came into a fleet or left it. `other` is the fleet at the other end; None: no fleet."""

    other: str | None
    devices: tuple[DeviceId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerouted:
    """Devices that have a route before and after, with other steps. The two routes name no devices."""

    before: Route
    after: Route
    devices: tuple[DeviceId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetChange:
    """What changes for one fleet.

    - `desired_before`, `desired_after`: what it asks for; None: there is no such fleet on that side.
    - `renamed_from`: the fleet that is gone and whose devices are all in this new one, which has no others;
      `desired_before` is what that one asked for.
    - `newly_targeted`: devices that have a route after and had none before.
    - `targeted_later`: devices that would have one, but wait for a reason that passes (offline, suspended, …), and
      did not before.
    - `no_longer_targeted`: devices that had a route before and have none after.
    - `newly_refused`: refusals, with those of their devices that were not refused before.
    - `bytes_before`, `bytes_after`: what the routes of all devices send, over the steps whose size is known.
    """

    name: str
    desired_before: Desired | None
    desired_after: Desired | None
    renamed_from: str | None = None
    joined: tuple[Crossing, ...] = ()
    left: tuple[Crossing, ...] = ()
    newly_targeted: tuple[DeviceId, ...] = ()
    targeted_later: tuple[DeviceId, ...] = ()
    no_longer_targeted: tuple[DeviceId, ...] = ()
    rerouted: tuple[Rerouted, ...] = ()
    newly_refused: tuple[Refused, ...] = ()
    bytes_before: int = 0
    bytes_after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What the proposed manifests change against the base.

    `revision` is the base as it was asked for, `commit` what that is (`sha1:…`). `fleets` are those for which anything
    changes, by name. `findings` are in the order of their codes and fleets.
    """

    revision: str
    commit: str
    manifest_digest: str
    fleets: tuple[FleetChange, ...]
    findings: tuple[ChangeFinding, ...] = ()

    @property
    def blast_radius(self) -> int:
        """How many devices would be changed now that the base would leave alone."""
        return sum(len(fleet.newly_targeted) for fleet in self.fleets)

    @property
    def blast_radius_later(self) -> int:
        """How many more would be changed once what they wait for has come."""
        return sum(len(fleet.targeted_later) for fleet in self.fleets)

    @property
    def joined(self) -> tuple[DeviceId, ...]:
        """The devices that are in a fleet and were in none."""
        return tuple(
            sorted(
                device for fleet in self.fleets for came in fleet.joined if not came.other for device in came.devices
            )
        )

    @property
    def left(self) -> tuple[DeviceId, ...]:
        """The devices that were in a fleet and are in none: nothing is done to them any more."""
        return tuple(
            sorted(device for fleet in self.fleets for went in fleet.left if not went.other for device in went.devices)
        )
