"""A pretend cloud, manifests, a journal, and the real command line as a process: what every test here plays on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from reconciler.cli.word import moment
from reconciler.emulator.faults import FaultOrder
from reconciler.emulator.records import Moment, RequestKind, RequestRecord
from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import load_world
from reconciler.journal.sqlite import SqliteJournal
from reconciler.model.attempt import Attempt, AttemptState
from reconciler.model.rollout_entry import Retried
from tests.simulation.secrecy import files_that_show, shows

TOKEN = "7e57" * 10
PERSON_TOKEN = "9e45" * 10
"""Of somebody who uses the cloud beside us."""
ROOT = Path(__file__).parents[2]
MORTAL = Path(__file__).with_name("mortal.py")
IMPATIENT = Path(__file__).with_name("impatient.py")

PRODUCTS = {"cold-chain": "boron", "home-hub": "photon", "legacy-meters": "electron", "door-sensors": "p2"}
DESIRED = {"boron": "6.3.4", "photon": "2.3.1", "electron": "3.3.1", "p2": "6.3.4", "argon": "6.3.4"}
OLD = {"boron": "0.9.0", "photon": "0.5.2", "electron": "0.5.2", "p2": "5.0.0"}

MIXED_DEVICES = """
  - {count: 1, product: cold-chain, platform: boron, deviceOS: "0.9.0", application: 1, groups: [all]}
  - {count: 2, product: cold-chain, platform: boron, deviceOS: "1.5.2", application: 1, groups: [all]}
  - {count: 1, product: cold-chain, platform: boron, deviceOS: "5.5.0", application: 1, groups: [all]}
  - {count: 2, product: home-hub, platform: photon, deviceOS: "0.6.3", application: 1, groups: [all]}
  - {count: 1, product: home-hub, platform: photon, deviceOS: "1.4.4", application: 1, groups: [all]}
  - {count: 1, product: legacy-meters, platform: electron, deviceOS: "0.7.0", application: 1, groups: [all]}
  - {count: 1, product: legacy-meters, platform: electron, deviceOS: "1.2.1", application: 1, groups: [all]}
  - {count: 2, product: door-sensors, platform: p2, deviceOS: "5.5.0", application: 1, groups: [all]}
  - {count: 2, platform: argon, deviceOS: "1.5.2"}
"""

SMALL_DEVICES = """
  - {count: 2, product: cold-chain, platform: boron, deviceOS: "1.5.2", application: 1, groups: [all]}
  - {count: 1, product: home-hub, platform: photon, deviceOS: "0.6.3", application: 1, groups: [all]}
"""


def world_text(devices: str, *, extra: str = "") -> str:
    """A world of the four products and the owner's own devices; the products hold applications 1, 2 and 3."""
    products = "".join(
        f"  - {{id: {12301 + number}, slug: {slug}, platform: {platform}, groups: [all], firmware: ["
        f'{{version: 1, deviceOS: "{OLD[platform]}"}}, {{version: 2, deviceOS: "{DESIRED[platform]}"}}]}}\n'
        for number, (slug, platform) in enumerate(PRODUCTS.items())
    )
    tokens = f'tokens: [{{name: operator, token: "{TOKEN}"}}, {{name: person, token: "{PERSON_TOKEN}"}}]\n'
    return f'start: "2026-11-22T09:00:00Z"\n{tokens}products:\n{products}devices:{devices}{extra}'


def manifests_for(
    products: Sequence[str],
    *,
    own: bool = False,
    device_os: Mapping[str, str] = DESIRED,
    application: int = 2,
    rollout: str = '{maxConcurrent: "100%", maxFailures: "100%"}',
    delivery: str = "{release: when-complete}",
) -> dict[str, str]:
    """One fleet a product, with its application; `own` adds a fleet of the owner's Argons, without one."""
    head = "apiVersion: fleet.reconciler.dev/v1alpha1\nkind: "
    files = {}
    for product in products:
        platform = PRODUCTS[product]
        versions = "".join(
            f"    - {{version: {version}, binaries: [{{platform: {platform}, source: product}}]}}\n"
            for version in (1, 2)
        )
        files[f"{product}-app.yaml"] = (
            f"{head}ApplicationRelease\nmetadata: {{name: {product}-app}}\n"
            f"spec:\n  product: {product}\n  versions:\n{versions}"
        )
        files[f"{product}.yaml"] = (
            f"{head}DeviceFleet\nmetadata: {{name: {product}}}\nspec:\n  product: {product}\n"
            f"  select: {{groups: [all]}}\n  desired:\n"
            f'    deviceOS: "{device_os[platform]}"\n'
            f"    application: {{release: {product}-app, version: {application}}}\n  rollout: {rollout}\n"
            f"  delivery: {delivery}\n"
        )
    if own:
        files["own.yaml"] = (
            f"{head}DeviceFleet\nmetadata: {{name: own-argons}}\nspec:\n  select: {{platforms: [argon]}}\n"
            f'  desired: {{deviceOS: "{device_os["argon"]}"}}\n  rollout: {rollout}\n'
        )
    return files


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended. `code` is negative for a signal."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def outcome(self) -> dict[str, Any]:
        """The last JSON line, which `apply --output json` ends with."""
        document: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return document


@dataclass(kw_only=True)
class Stage:
    """One world that is served, and a folder with everything a command needs."""

    emulator: EmulatorServer
    folder: Path
    said: list[str] = field(default_factory=list)
    on_flash: dict[int, Callable[[], object]] = field(default_factory=dict)

    def when_flashed(self, times: int, happening: Callable[[], object]) -> None:
        """Let something happen at the moment at which the cloud has had so many flashes, from now on."""
        self.on_flash[len(self.flashes()) + times] = happening

    def hear_of(self, request: RequestRecord) -> None:
        """What the emulator tells, on its own thread."""
        if request.kind is RequestKind.FLASH and self.on_flash:
            happening = self.on_flash.pop(len(self.flashes()), None)
            if happening is not None:
                happening()

    @property
    def journal(self) -> Path:
        return self.folder / "journal.sqlite"

    def write_manifests(self, files: Mapping[str, str]) -> None:
        place = self.folder / "manifests"
        place.mkdir(exist_ok=True)
        for name, text in files.items():
            (place / name).write_text(text, encoding="utf-8")

    def begin(
        self,
        command: str,
        *options: str,
        journal: Path | None = None,
        runner: Sequence[str] = ("-m", "reconciler"),
        manifests: str = "manifests",
        url: str | None = None,
    ) -> subprocess.Popen[str]:
        """Start a command; `runner` is what Python runs in place of the package."""
        paths = [manifests, "--catalog", "catalog.json", "--api-url", url or self.url]
        if command == "apply":
            paths += ["--auto-approve", "--poll-seconds", "0.1"]
        arguments = [sys.executable, *runner, command, *paths, "--journal", str(journal or self.journal), *options]
        environment = {"PARTICLE_ACCESS_TOKEN": TOKEN, "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            arguments,
            cwd=self.folder,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def end(self, process: subprocess.Popen[str], *, within: float = 120.0) -> Ended:
        """Wait for a command, and keep what it said."""
        before = time.monotonic()
        try:
            out, err = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            message = f"the command did not end within {within} s; it said:\n{out[-3000:]}\n{err[-3000:]}"
            raise AssertionError(message) from None
        self.said += [out, err]
        return Ended(code=process.returncode, out=out, err=err, seconds=time.monotonic() - before)

    def run(self, command: str, *options: str, within: float = 120.0, **begun: Any) -> Ended:
        """Run a command to its end."""
        return self.end(self.begin(command, *options, **begun), within=within)

    def say(self, *words: str) -> str:
        """A command that needs the journal alone; what it said."""
        arguments = [sys.executable, "-m", "reconciler", *words, "--journal", str(self.journal)]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        ended = subprocess.run(arguments, cwd=self.folder, env=environment, text=True, capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr
        self.said += [ended.stdout, ended.stderr]
        return ended.stdout

    def history(self) -> str:
        return self.say("history")

    def apply_until_rest(self, *, times: int = 3) -> Ended:
        """An operator's evening: apply, with halts lifted and failed devices tried again, until nothing is left."""
        for _ in range(times):
            with SqliteJournal(self.journal) as kept:
                now = moment(kept)
                for halt in kept.halts():
                    kept.lift(halt.fleet, now)
                failed = {(a.fleet, a.device_id) for a in kept.attempts() if a.state is AttemptState.FAILED}
                kept.note([Retried(fleet=fleet, at=now, device_id=device_id) for fleet, device_id in sorted(failed)])
            ended = self.run("apply")
            if ended.code == 0 and " wait for another run" not in ended.out:
                break
        return ended

    def kill_after(self, seconds: float, command: str = "apply", *options: str) -> Ended:
        """Start a command and kill it with SIGKILL, unless it ends by itself before."""
        process = self.begin(command, *options)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        return self.end(process)

    @property
    def url(self) -> str:
        return self.emulator.url

    def fault(self, name: str, *, rate: float = 1.0, device: str = "*", count: int | None = None) -> None:
        """Put a fault in place; rate 0 lifts it."""
        with self.emulator.locked() as cloud:
            cloud.order_fault(FaultOrder(fault=name, device=device, rate=rate, count=count), self.emulator.now())

    def struck(self) -> int:
        """How often the faults that are in place have struck."""
        with self.emulator.locked() as cloud:
            return sum(order["struck"] for order in cloud.state.faults.document())

    def lift_all(self) -> None:
        with self.emulator.locked() as cloud:
            orders = [(order["fault"], order["device"]) for order in cloud.state.faults.document()]
        for name, device in orders:
            self.fault(name, rate=0.0, device=device)

    def requests(self) -> list[RequestRecord]:
        with self.emulator.locked() as cloud:
            return list(cloud.requests)

    def writes(self) -> list[RequestRecord]:
        """Every request that is no read."""
        return [request for request in self.requests() if request.method != "GET"]

    def flashes(self) -> list[RequestRecord]:
        return [request for request in self.requests() if request.kind is RequestKind.FLASH]

    def violations(self) -> list[dict[str, Any]]:
        with self.emulator.locked() as cloud:
            return [violation.document() for violation in cloud.violations()]

    def end_state(self) -> dict[str, tuple[Mapping[str, int], int | None, str]]:
        """The true modules, application and mode of every device."""
        with self.emulator.locked() as cloud:
            return {
                device.id: (
                    {str(slot): version for slot, version in sorted(device.versions.items())},
                    device.application_version,
                    device.mode.value,
                )
                for device in cloud.state.devices.values()
            }

    def installed_more_than_once(self) -> dict[tuple[str, str], int]:
        """Modules that a device took more than once, by device and module."""
        return {what: times for what, times in self._count(Moment.INSTALLED).items() if times > 1}

    def sent_more_than_once(self) -> dict[tuple[str, str], int]:
        """Modules for which more than one flash reached a device, by device and module."""
        sent = Counter(
            (flash.device or "", f"{flash.artifact.slot} {flash.artifact.version}")
            for flash in self.flashes()
            if flash.artifact is not None and (flash.status == 200 or flash.fault in {"lost-answer", "garbage"})
        )
        return {what: times for what, times in sent.items() if times > 1}

    def open_attempts(self, journal: Path | None = None) -> tuple[Attempt, ...]:
        with SqliteJournal(journal or self.journal, create=False) as kept:
            return kept.open_attempts()

    def attempts(self) -> tuple[Attempt, ...]:
        with SqliteJournal(self.journal, create=False) as kept:
            return kept.attempts()

    def leaks(self) -> list[str]:
        """Where the token stands, in any form: in what the commands said, or in any file that they left."""
        found = [f"said: {text[:80]}" for text in self.said if shows(text, TOKEN)]
        return found + [str(path.relative_to(self.folder)) for path in files_that_show(self.folder, TOKEN)]

    def assert_nothing_wrong(self) -> None:
        """What holds after every play, whatever went wrong in it."""
        assert self.violations() == []
        assert self.leaks() == []
        with contextlib.closing(sqlite3.connect(self.journal)) as database:
            assert database.execute("pragma integrity_check").fetchone() == ("ok",)

    def _count(self, moment: Moment) -> Counter[tuple[str, str]]:
        with self.emulator.locked() as cloud:
            return Counter(
                (device.id, entry.detail)
                for device in cloud.state.devices.values()
                for entry in device.history
                if entry.moment is moment
            )


@contextlib.contextmanager
def set_stage(
    folder: Path,
    *,
    devices: str = SMALL_DEVICES,
    products: Sequence[str] = ("cold-chain", "home-hub"),
    own: bool = False,
    speed: float = 1000.0,
    seed: int = 7,
    extra: str = "",
    **manifests: Any,
) -> Iterator[Stage]:
    """Serve a world, and write its manifests and catalog into a folder."""
    told: list[Stage] = []
    with EmulatorServer(
        load_world(world_text(devices, extra=extra)),
        speed=speed,
        seed=seed,
        on_request=lambda request: told[0].hear_of(request) if told else None,
    ) as emulator:
        stage = Stage(emulator=emulator, folder=folder)
        told.append(stage)
        stage.write_manifests(manifests_for(products, own=own, **manifests))
        (folder / "catalog.json").write_text(catalog_text(emulator), encoding="utf-8")
        yield stage


@cache
def _catalog_texts() -> dict[str, str]:
    return {}


def catalog_text(emulator: EmulatorServer) -> str:
    """Every emulator of synthetic binaries has the same catalog, and building it takes a second."""
    texts = _catalog_texts()
    if "synthetic" not in texts:
        texts["synthetic"] = json.dumps(emulator.catalog.document())
    return texts["synthetic"]
