"""`python -m tests.benchmarks.converge`: how long a fleet takes, and what it costs, beside the least that is possible.

In virtual time (`tests/simulation/virtual.py`), so that neither this machine nor anybody on it is part of the figures:
the client of production brings fleets of several sizes from an old release to their desired state, with everything
allowed at once. The lower bound is what transfers and the request budget set. `converge_served.py` has the same job
done by what people use today.
"""

from __future__ import annotations

import argparse
import platform as machine
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.emulator.device import Device
from reconciler.emulator.records import Moment, RequestKind
from reconciler.journal.memory import MemoryJournal
from reconciler.model.allowance import REQUESTS
from reconciler.model.plan import Plan
from reconciler.model.step import FlashModule
from tests.simulation.stage import PRODUCTS, manifests_for, world_text
from tests.simulation.virtual import Play, VirtualCloud, fleets_from

START = {"cold-chain": "1.5.2", "door-sensors": "5.5.0"}
"""Cellular Borons and P2s on Wi-Fi, and the Device OS that they run at the beginning."""
DESIRED_APPLICATION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Converged:
    """One fleet, from its first look to the end of the run. Times in virtual seconds, bytes as devices receive them.

    - `transfers_bound`: of the device that takes longest, the sum of all transfers and restarts.
    - `budget_bound`: how long one write for every step of every device keeps the request budget busy.
    """

    platform: str
    devices: int
    steps: int
    seconds: float
    transfers_bound: float
    budget_bound: float
    requests: int
    bytes_needed: int
    bytes_received: int
    processor_seconds: float

    @property
    def ratio(self) -> float:
        """Against the larger bound. Below it nobody can be: a device goes its way, and every step is sent."""
        return self.seconds / max(self.transfers_bound, self.budget_bound)


def converge(product: str, devices: int) -> Converged:
    """Bring one fleet up to date. Raises AssertionError unless every device arrives and the referee is content."""
    platform = PRODUCTS[product]
    line = f'{{count: {devices}, product: {product}, platform: {platform}, deviceOS: "{START[product]}"'
    virtual = VirtualCloud(world_text(f"\n  - {line}, application: 1, groups: [all]}}\n"))
    with tempfile.TemporaryDirectory() as folder:
        fleets = fleets_from(Path(folder), manifests_for((product,)))
    play = Play(virtual=virtual, fleets=fleets, journal=MemoryJournal())
    began, processor = virtual.now, time.process_time()
    plan, agreement = play.agree()
    run, rest = play.carry_out(agreement)
    processor_seconds = time.process_time() - processor
    assert not rest.left
    assert len(run.arrived) == devices
    assert virtual.cloud.violations() == ()
    steps = sum(map(len, agreement.steps.values()))
    return Converged(
        platform=platform,
        devices=devices,
        steps=steps,
        seconds=virtual.now - began,
        transfers_bound=max(map(_seconds_under_way, virtual.cloud.state.devices.values())),
        budget_bound=REQUESTS.seconds_at_least(steps),
        requests=sum(request.kind is not RequestKind.OTHER for request in virtual.cloud.requests),
        bytes_needed=_bytes_needed(plan, virtual),
        bytes_received=sum(device.bytes_received for device in virtual.cloud.state.devices.values()),
        processor_seconds=processor_seconds,
    )


def _seconds_under_way(device: Device) -> float:
    """From the beginning of each transfer to the session after it, summed."""
    total, began = 0.0, None
    for entry in device.history:
        if entry.moment is Moment.TRANSFER_STARTED:
            began = entry.at
        elif entry.moment is Moment.SESSION and began is not None:
            total, began = total + entry.at - began, None
    return total


def _bytes_needed(plan: Plan, virtual: VirtualCloud) -> int:
    """Every module and application that the plan names, once a device; the product knows an application's size."""
    (product,) = [p for p in virtual.cloud.state.products.values() if p.slug == plan.fleets[0].fleet.product]
    application = product.firmware[DESIRED_APPLICATION].artifact.size
    return sum(
        ((step.size or 0) if isinstance(step, FlashModule) else application) * len(route.devices)
        for fleet in plan.fleets
        for route in fleet.routes
        for step in route.steps
    )


HEADS = (
    "Fleet",
    "Steps",
    "Time",
    "Transfers alone",
    "Budget alone",
    "Time / bound",
    "Requests a device",
    "a step",
    "Bytes a device",
    "Bytes / needed",
)


def row(one: Converged) -> tuple[str, ...]:
    """One fleet, under `HEADS`."""
    return (
        f"{one.devices:,} {one.platform}",
        f"{one.steps:,}",
        f"{one.seconds:,.0f} s",
        f"{one.transfers_bound:,.0f} s",
        f"{one.budget_bound:,.0f} s",
        f"{one.ratio:.2f}",
        f"{one.requests / one.devices:.2f}",
        f"{one.requests / one.steps:.2f}",
        f"{one.bytes_received / one.devices:,.0f}",
        f"{one.bytes_received / one.bytes_needed:.2f}",
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, the first column to the left."""
    rule = ("---", *("--:" for _ in heads[1:]))
    return [f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, nargs="+", default=[10, 100, 1_000], help="Sizes of the fleets.")
    parser.add_argument("--products", choices=list(START), nargs="+", default=list(START), help="Which fleets.")
    chosen = parser.parse_args(arguments)
    results = [converge(product, devices) for product in chosen.products for devices in chosen.devices]
    lines = [f"Python {machine.python_version()}, virtual time", "", *table(HEADS, map(row, results)), ""]
    slowest = max(results, key=lambda one: one.processor_seconds)
    each = 1000 * slowest.processor_seconds / slowest.steps
    lines.append(f"processor time, emulated cloud included: {each:.1f} ms a step ({slowest.devices:,} devices)")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
