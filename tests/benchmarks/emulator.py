"""`python -m tests.benchmarks.emulator --devices 1000 100000`: what a large world costs, and whoever asks it.

Every world lives in a process of its own. Inside of it are measured: building it, its memory, pages of a list, single
devices, and virtual time without anybody asking. From outside: a page and a device over HTTP, beside a bare Starlette
application under the same server that answers with as many bytes; and `reconciler observe` of the whole world. What a
server costs is the processor time of its process, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as BareRequest
from starlette.responses import Response
from starlette.routing import Route

from reconciler.emulator.cloud import Cloud
from reconciler.emulator.message import Request
from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import World, load_world
from reconciler.model.instant import Instant

TOKEN = "1" * 40
PAGE_SIZE = 100
_FEW = 40
_REPEATED = 40
"""Requests for one of `--runs`: processor time is counted in hundredths of a second."""
_DAY_SECONDS = 86_400.0
_LISTS = "/v1/products/200/devices"
_HEADERS = {"authorization": f"Bearer {TOKEN}"}
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What a world costs by itself: processor seconds, bytes, and things a second."""

    devices: int
    build_seconds: float
    bytes_per_device: float
    first_page_seconds: float
    last_page_seconds: float
    connection_page_seconds: float
    group_page_seconds: float
    device_seconds: float
    moments: int
    moments_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What being asked costs: processor seconds an answer, their ratio to a bare one's, and reading the whole world."""

    devices: int
    page_bytes: int
    page_seconds: float
    page_ratio: float
    device_seconds: float
    device_ratio: float
    observe_client_seconds: float
    observe_server_seconds: float


def world_of(devices: int) -> World:
    """One product, mostly online, a tenth of it asleep at times; a twentieth in one group."""
    few = max(1, devices // 20)
    return load_world(f"""
start: "2026-11-22T09:00:00Z"
products:
  - {{id: 200, slug: many, platform: boron, groups: [pilot], default: 1, firmware: [{{version: 1, deviceOS: "2.0.1"}}]}}
devices:
  - {{count: {few}, product: many, platform: boron, deviceOS: "2.0.1", application: 1, groups: [pilot]}}
  - {{count: {few * 2}, product: many, platform: boron, deviceOS: "4.0.2", application: 1,
     online: {{everySeconds: 3600, forSeconds: 600}}}}
  - {{count: {devices - 3 * few}, product: many, platform: boron, deviceOS: "2.0.1", application: 1, online: 0.95}}
""")


def inside(devices: int, *, runs: int, clock: Callable[[], float] = time.process_time) -> Inside:
    """Build a world and measure it without a server."""
    # What every world needs, whatever its size, is there before the measurement.
    with EmulatorServer(world_of(_FEW), speed=0.0):
        pass
    resident, begin = _resident_bytes(), clock()
    server = EmulatorServer(world_of(devices), speed=0.0)
    build_seconds, grown = clock() - begin, _resident_bytes() - resident
    now = server.now()
    pages = -(-devices // PAGE_SIZE)
    some = next(iter(server.cloud.state.devices))

    def asked(path: str, **query: object) -> float:
        return statistics.median(_seconds_of(server.cloud, now, path, query, clock) for _ in range(runs))

    wish: dict[str, object] = {"per_page": PAGE_SIZE, "sortAttr": "deviceId"}
    found = {
        "first_page_seconds": asked(_LISTS, page=1, **wish),
        "last_page_seconds": asked(_LISTS, page=max(1, pages - 1), **wish),
        "connection_page_seconds": asked(_LISTS, page=2, per_page=PAGE_SIZE, sortAttr="lastConnection", sortDir="desc"),
        "group_page_seconds": asked(_LISTS, page=1, groups="pilot", **wish),
        "device_seconds": asked(f"{_LISTS}/{some}"),
    }
    before, begin = _moments(server.cloud), clock()
    server.cloud.run_until(Instant(now + _DAY_SECONDS))
    spent = clock() - begin
    moments = _moments(server.cloud) - before
    server.close()
    return Inside(
        devices=devices,
        build_seconds=build_seconds,
        bytes_per_device=grown / devices,
        moments=moments,
        moments_per_second=moments / spent if spent else 0.0,
        **found,
    )


def outside(devices: int, folder: Path, *, runs: int) -> Outside:
    """Ask a world over HTTP, and a bare server for as much."""
    with _Served(["--serve", str(devices)]) as world:
        page = f"{_LISTS}?page=2&per_page={PAGE_SIZE}&sortAttr=deviceId"
        body = world.get(page)
        device = f"{_LISTS}/{json.loads(body)['devices'][0]['id']}"
        with _Served(["--bare", str(len(body)), str(len(world.get(device)))]) as bare:
            page_seconds, page_ratio = _beside(world, page, bare, "/first", runs)
            device_seconds, device_ratio = _beside(world, device, bare, "/second", runs)
        before, begin = world.processor_seconds(), _seconds_of_children()
        _observe(world.url, folder)
        return Outside(
            devices=devices,
            page_bytes=len(body),
            page_seconds=page_seconds,
            page_ratio=page_ratio,
            device_seconds=device_seconds,
            device_ratio=device_ratio,
            observe_client_seconds=_seconds_of_children() - begin,
            observe_server_seconds=world.processor_seconds() - before,
        )


def report(rows: Sequence[tuple[Inside, Outside | None]]) -> list[str]:
    """The tables of BENCHMARKS.md."""
    lines = [
        "| Devices | Build | Memory each | First page | Last | By connection | Of a group | One device | Moments/s |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row, _ in rows:
        pages = (row.first_page_seconds, row.last_page_seconds, row.connection_page_seconds, row.group_page_seconds)
        lines.append(
            f"| {row.devices:,} | {row.build_seconds:.2f} s | {row.bytes_per_device:,.0f} bytes | "
            + "".join(f"{seconds * 1e3:.2f} ms | " for seconds in pages)
            + f"{row.device_seconds * 1e6:.0f} us | {row.moments_per_second:,.0f} |"
        )
    served = [row for _, row in rows if row is not None]
    if served:
        lines += [
            "",
            f"| Devices | Page of {PAGE_SIZE} | Ratio | One device | Ratio | Observe all: client | Server |",
            "|--:|--:|--:|--:|--:|--:|--:|",
        ]
        lines += [
            f"| {row.devices:,} | {row.page_seconds * 1e3:.2f} ms ({row.page_bytes:,} bytes) | {row.page_ratio:.1f} | "
            f"{row.device_seconds * 1e3:.2f} ms | {row.device_ratio:.1f} | {row.observe_client_seconds:.1f} s | "
            f"{row.observe_server_seconds:.1f} s |"
            for row in served
        ]
    first, last = rows[0][0], rows[-1][0]
    if first.devices < last.devices:
        lines.append(
            f"\n- {last.devices / first.devices:,.0f} times the devices: a first page costs "
            f"{last.first_page_seconds / first.first_page_seconds:.2f} times as much, a last page "
            f"{last.last_page_seconds / first.last_page_seconds:.2f}, one device "
            f"{last.device_seconds / first.device_seconds:.2f} times."
        )
    return lines


class _Served:
    """A server in a process of its own, and one connection to it."""

    def __init__(self, options: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.emulator", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the server did not start"
        host, port = self.url.removeprefix("http://").split(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        # The server stops when nobody can speak to it any more.
        self._process.communicate()

    def get(self, path: str) -> bytes:
        self._connection.request("GET", path, headers=_HEADERS)
        with self._connection.getresponse() as answer:
            assert answer.status == 200, answer.status
            return answer.read()

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS


def _beside(world: _Served, path: str, bare: _Served, bare_path: str, runs: int) -> tuple[float, float]:
    """The processor seconds that an answer costs the server, and their ratio to those of a bare answer."""
    each = [_cost(server, asked, runs * _REPEATED) for server, asked in ((world, path), (bare, bare_path))]
    return each[0], each[0] / each[1]


def _cost(server: _Served, path: str, times: int) -> float:
    server.get(path)
    before = server.processor_seconds()
    for _ in range(times):
        server.get(path)
    return max(server.processor_seconds() - before, 1 / _CLOCK_TICKS) / times


def _seconds_of_children() -> float:
    """Processor seconds of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _observe(url: str, folder: Path) -> None:
    environment = {**os.environ, "PARTICLE_ACCESS_TOKEN": TOKEN}
    command = [sys.executable, "-m", "reconciler", "observe", "--product", "many", "--api-url", url]
    subprocess.run([*command, "--output", str(folder / "many.json")], env=environment, check=True, capture_output=True)


def _seconds_of(cloud: Cloud, now: Instant, path: str, query: dict[str, object], clock: Callable[[], float]) -> float:
    request = Request(
        method="GET", path=path, query={name: str(value) for name, value in query.items()}, headers=_HEADERS
    )
    begin = clock()
    answer = cloud.handle(request, now)
    spent = clock() - begin
    assert answer.status == 200, answer
    return spent


def _moments(cloud: Cloud) -> int:
    return sum(len(device.history) for device in cloud.state.devices.values())


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def _serve(devices: int) -> None:
    with EmulatorServer(world_of(devices), speed=0.0) as server:
        _say(server.url)
        sys.stdin.read()


def _serve_bare(sizes: Sequence[int]) -> None:
    """Answers of these sizes, under the same server with the same settings as the emulator's."""
    bodies = {name: b" " * size for name, size in zip(("first", "second"), sizes, strict=True)}

    async def answer(request: BareRequest) -> Response:
        return Response(bodies[request.path_params["name"]], media_type="application/json")

    application = Starlette(routes=[Route("/{name}", answer)])
    config = uvicorn.Config(application, port=0, log_level="critical", access_log=False, lifespan="off", http="h11")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    _say(f"http://127.0.0.1:{port}")
    sys.stdin.read()
    server.should_exit = True
    thread.join()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure, and print what belongs into BENCHMARKS.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--inside", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--bare", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        _say(json.dumps(asdict(inside(options.inside, runs=options.runs))))
    elif options.serve:
        _serve(options.serve)
    elif options.bare:
        _serve_bare(options.bare)
    else:
        _say(f"Python {platform.python_version()}, {os.cpu_count()} processors; medians of {options.runs}.\n")
        _say("\n".join(report([_measured(devices, options.runs) for devices in options.devices])))


def _measured(devices: int, runs: int) -> tuple[Inside, Outside]:
    command = [sys.executable, "-m", "tests.benchmarks.emulator", "--inside", str(devices), "--runs", str(runs)]
    alone = subprocess.run(command, check=True, capture_output=True, text=True)
    with tempfile.TemporaryDirectory() as folder:
        return Inside(**json.loads(alone.stdout)), outside(devices, Path(folder), runs=runs)


if __name__ == "__main__":
    main()
