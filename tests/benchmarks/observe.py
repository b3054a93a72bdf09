"""`python -m tests.benchmarks.observe --devices 10000 100000`: what an observation costs, beside bare pages.

Measured are whole processes against one server on this machine, which has all pages in memory: `reconciler observe`,
and one that reads the same pages one after another and decodes them with msgspec (`pages_only.py`). They alternate; the
median of their ratios is the figure to compare. The server works on the same processors and is the same for both.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.inventory.snapshot import observation_from_document
from reconciler.model.instant import NEVER
from tests.benchmarks.fleet_snapshot import write_snapshot
from tests.benchmarks.plan import Figures, measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The figures for one size of fleet. `requests` are those for pages of one observation."""

    devices: int
    requests: int
    observe: Figures
    pages: Figures

    def ratio(self, figure: str) -> float:
        """How many times more an observation takes: the median over pairs of neighbouring runs."""
        pairs = zip(self.observe.runs, self.pages.runs, strict=True)
        return statistics.median(getattr(ours, figure) / getattr(bare, figure) for ours, bare in pairs)


@contextmanager
def serving(snapshot: Path) -> Iterator[str]:
    """The devices of a snapshot as the pages of one product; the server's address."""
    command = [sys.executable, "-m", "tests.benchmarks.page_server", str(snapshot)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def asked(url: str) -> int:
    """How many pages were asked for so far."""
    with urllib.request.urlopen(f"{url}/count", timeout=10) as answer:
        return int(answer.read())


def row(devices: int, folder: Path, *, runs: int, seed: int) -> Row:
    """Measure both processes alternately; the first pair warms up and is not counted."""
    snapshot, seen, output = folder / "fleet.json", folder / "seen.json", folder / "output"
    write_snapshot(snapshot, devices, seed=seed)
    ours, bare = [], []
    with serving(snapshot) as url:
        os.environ |= {"PARTICLE_ACCESS_TOKEN": "f" * 40, "PARTICLE_API_URL": url}
        observe = [sys.executable, "-m", "reconciler", "observe", "--product", "big", "--quiet", "--output", str(seen)]
        for _ in range(runs + 1):
            bare.append(measured([sys.executable, "-m", "tests.benchmarks.pages_only", url], output=output))
            before = asked(url)
            ours.append(measured(observe, output=output))
            requests = asked(url) - before
        if output.read_bytes() or len(observation_from_document(seen.read_bytes(), read_at=NEVER).devices) != devices:
            message = f"the snapshot does not hold {devices} devices"
            raise AssertionError(message)
    return Row(
        devices=devices,
        requests=requests,
        observe=Figures(runs=tuple(ours[1:]), watched=ours[0]),
        pages=Figures(runs=tuple(bare[1:]), watched=bare[0]),
    )


def table(rows: Sequence[Row]) -> list[str]:
    """The figures as a Markdown table."""
    lines = [
        "| Devices | Requests | Observe | Bare pages | Ratio | Processor ratio | Observe peak | Bare peak |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for each in rows:
        cells = [
            f"{each.devices:,}",
            f"{each.requests:,}",
            f"{each.observe.seconds:.2f} s",
            f"{each.pages.seconds:.2f} s",
            f"{each.ratio('seconds'):.1f}",
            f"{each.ratio('processor_seconds'):.1f}",
            f"{each.observe.peak_bytes / 1e6:.0f} MB",
            f"{each.pages.peak_bytes / 1e6:.0f} MB",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--runs", type=int, default=3, help="Counted pairs of runs for each size.")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = [row(count, Path(name), runs=arguments.runs, seed=arguments.seed) for count in sorted(arguments.devices)]
    head = f"Python {platform.python_version()}, {os.cpu_count()} processors, {arguments.runs} pairs of runs"
    sys.stdout.write("\n".join([head, "", *table(rows)]) + "\n")


if __name__ == "__main__":
    main()
