"""`python -m tests.benchmarks.plan --devices 10000 100000`: what a plan costs, beside reading its input.

Measured are whole processes: `reconciler plan --observed FILE --output json`, and one that only decodes the same file
(`decode_only.py`). The two alternate, so that what else the machine does hits both; the median of their ratios is the
figure to compare between versions and machines. Memory is the highest sum over a command's processes, each shared page
counted once, seen by looking every few milliseconds in the first run, whose time does not count; not less than the peak
resident set of the largest of them. Processor time is that of all of them together. Both find their bytecode beside the
output, written by the runs that do not count: an installed program is not compiled at every start.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.fleet_snapshot import write_manifests, write_snapshot

LOOK_EVERY_SECONDS = 0.005
DECODE_ONLY = Path(__file__).with_name("decode_only.py")
PROFILED_LINES = 40
_KIB_A_UNIT = 1 if sys.platform != "darwin" else 1 / 1024
"""`ru_maxrss` is in KiB, on macOS in bytes."""

LAUNCHER = """
import os, sys, time
output = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
began = time.perf_counter()
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, output, 1)])
_, status, usage = os.wait4(child, 0)
print([time.perf_counter() - began, usage.ru_maxrss, usage.ru_utime + usage.ru_stime])
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""A process of its own starts what is measured: a child's peak begins with the memory of the process that starts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one process took."""

    seconds: float
    peak_bytes: int
    processor_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the counted runs of one command took: the median of the times, the highest of all peaks."""

    runs: tuple[Cost, ...]
    watched: Cost

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def peak_bytes(self) -> int:
        """The highest."""
        return max(run.peak_bytes for run in (*self.runs, self.watched))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The figures for one size of fleet. `routes` counts the situations in which there is something to do."""

    devices: int
    file_bytes: int
    routes: int
    plan: Figures
    decode: Figures

    @property
    def ratio(self) -> float:
        """How many times longer planning takes than decoding: the median over pairs of neighbouring runs."""
        pairs = zip(self.plan.runs, self.decode.runs, strict=True)
        return statistics.median(plan.seconds / decode.seconds for plan, decode in pairs)

    @property
    def processor_ratio(self) -> float:
        """The same in processor time, which other work on the machine touches less."""
        pairs = zip(self.plan.runs, self.decode.runs, strict=True)
        return statistics.median(plan.processor_seconds / decode.processor_seconds for plan, decode in pairs)


def measured(command: list[str], *, output: Path, watched: bool = False) -> Cost:
    """Run a command to its end, its standard output into a file. Raises CalledProcessError when it fails.

    `watched`: look at the memory of all its processes meanwhile, which disturbs it.
    """
    launched = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(output), *command]
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(output.with_name("bytecode"))
    seen = 0
    with subprocess.Popen(launched, stdout=subprocess.PIPE, env=environment) as process:
        while watched and process.poll() is None:
            seen = max(seen, sum(map(_memory_of, _descendants(process.pid))))
            time.sleep(LOOK_EVERY_SECONDS)
        answer, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    seconds, peak, processor_seconds = json.loads(answer)
    peak_bytes = max(seen, int(peak * _KIB_A_UNIT * 1024))
    return Cost(seconds=seconds, peak_bytes=peak_bytes, processor_seconds=processor_seconds)


def _descendants(pid: int) -> list[int]:
    """The processes below this one that run now; none where the system does not tell."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*children, *(below for child in children for below in _descendants(child))]


def _memory_of(pid: int) -> int:
    """Its memory in bytes, of each shared page its share; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def plan_command(manifests: Path, snapshot: Path) -> list[str]:
    """The command line that is measured."""
    return ["-m", "reconciler", "plan", str(manifests), "--observed", str(snapshot), "--output", "json"]


def row(devices: int, folder: Path, *, runs: int, seed: int) -> Row:
    """Generate a fleet, and measure both processes alternately; the first pair warms up and is not counted."""
    snapshot, manifests, output = folder / f"{devices}.json", folder / "manifests", folder / "output"
    write_snapshot(snapshot, devices, seed=seed)
    write_manifests(manifests)
    plans, decodes = [], []
    for run in range(runs + 1):
        for costs, command in (
            (decodes, [str(DECODE_ONLY), str(snapshot)]),
            (plans, plan_command(manifests, snapshot)),
        ):
            costs.append(measured([sys.executable, *command], output=output, watched=run == 0))
    plan = json.loads(output.read_bytes())
    if plan["summary"]["devices"] != devices:
        message = f"the plan holds {plan['summary']['devices']} devices of {devices}"
        raise AssertionError(message)
    return Row(
        devices=devices,
        file_bytes=snapshot.stat().st_size,
        routes=sum(len(fleet["routes"]) for fleet in plan["fleets"]),
        plan=Figures(runs=tuple(plans[1:]), watched=plans[0]),
        decode=Figures(runs=tuple(decodes[1:]), watched=decodes[0]),
    )


def table(rows: Sequence[Row]) -> list[str]:
    """The figures as a Markdown table."""
    lines = [
        "| Devices | File | Routes | Plan | Decode only | Ratio | Processor ratio | Plan peak | Decode peak |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for each in rows:
        cells = [
            f"{each.devices:,}",
            f"{each.file_bytes / 1e6:.1f} MB",
            f"{each.routes:,}",
            f"{each.plan.seconds:.2f} s",
            f"{each.decode.seconds:.2f} s",
            f"{each.ratio:.1f}",
            f"{each.processor_ratio:.1f}",
            f"{each.plan.peak_bytes / 1e6:.0f} MB",
            f"{each.decode.peak_bytes / 1e6:.0f} MB",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def growth(name: str, few: Row, many: Row) -> str:
    """What each further device costs, from the smallest fleet to the largest."""
    smaller, larger = (getattr(each, name) for each in (few, many))
    more = many.devices - few.devices
    return (
        f"{name}: {(larger.seconds - smaller.seconds) / more * 1e6:.1f} us and "
        f"{(larger.peak_bytes - smaller.peak_bytes) / more:.0f} bytes of peak memory for each further device; "
        f"{many.devices / few.devices:g} times the devices take {larger.seconds / smaller.seconds:.1f} times as long"
    )


def profile(devices: int, folder: Path, *, seed: int) -> None:
    """Run one plan under the profiler, and print where its time goes."""
    snapshot, manifests, stats = folder / f"{devices}.json", folder / "manifests", folder / "profile"
    write_snapshot(snapshot, devices, seed=seed)
    write_manifests(manifests)
    subprocess.run(
        [sys.executable, "-m", "cProfile", "-o", str(stats), *plan_command(manifests, snapshot)],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    figures = pstats.Stats(str(stats)).strip_dirs()
    figures.sort_stats("cumulative").print_stats(PROFILED_LINES)
    figures.sort_stats("tottime").print_stats(PROFILED_LINES)


def main() -> None:
    """Measure, or profile, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--runs", type=int, default=5, help="Counted pairs of runs for each size.")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--profile", action="store_true", help="Print where the time of one plan goes instead.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.profile:
            profile(max(arguments.devices), folder, seed=arguments.seed)
            return
        rows = [row(count, folder, runs=arguments.runs, seed=arguments.seed) for count in sorted(arguments.devices)]
    lines = [f"Python {platform.python_version()}, {os.cpu_count()} processors, {arguments.runs} pairs of runs", ""]
    lines += table(rows)
    if len(rows) > 1:
        lines += ["", *(growth(name, rows[0], rows[-1]) for name in ("plan", "decode"))]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
