"""`reconciler demo`: the guided tour. A pretend cloud with 300 devices, planned, applied, and looked at afterwards."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from importlib import resources
from pathlib import Path

import click

from reconciler import __version__
from reconciler.cli.carrying_out import Pace, agreement_on, carry_out
from reconciler.cli.display_options import output_options, wants_color
from reconciler.cli.inputs import Intent, plan_on, text_width
from reconciler.cli.progress import Bars, Display, Lines, Silent
from reconciler.controller.knowledge import Knowledge
from reconciler.controller.report import Ending, ending_of, holds_in_words, outcome_of
from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import demo_world
from reconciler.journal.journal import Journal, KeptPlan
from reconciler.journal.location import JournalPlace, journal_place
from reconciler.journal.opening import open_journal
from reconciler.model.allowance import REQUESTS, Allowance
from reconciler.model.attempt import AttemptState
from reconciler.model.error import OperatorError
from reconciler.model.plan import Plan
from reconciler.model.step import FlashModule
from reconciler.particle.token import AccessToken
from reconciler.render.drift_text import drift_text, drifted_devices
from reconciler.render.ink import counted
from reconciler.render.outcome import outcome_text
from reconciler.render.plan_json import plan_document, plan_json
from reconciler.render.plan_text import plan_text
from reconciler.sources import read_manifests
from reconciler.wiring import CloudConnection, CloudSettings

_POLL_SECONDS = 0.4
_ROUNDS_MAX = 3
_NOT_AS_PROMISED = 1


@click.command("demo")
@click.option(
    "--speed", type=click.FloatRange(min=1), default=600.0, show_default=True, help="Virtual seconds a second."
)
@click.option("--seed", type=int, default=7, show_default=True, help="One seed, one world.")
@click.option(
    "--firmware",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of real Device OS binaries; without it the pretend cloud serves synthetic ones.",
)
@click.option("--journal", type=journal_place, metavar="FILE|URL", help="Keep the journal here.")
@output_options("no_color", "quiet", "verbose")
def command(
    speed: float,
    seed: int,
    firmware: Path | None,
    journal: JournalPlace | None,
    no_color: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Bring a pretend fleet of 300 devices to what a folder of manifests declares; about a minute.

    Exit codes: 0 everything as promised, 1 an error, drift, or a violation found by the referee, 3 devices failed.
    """
    colour = wants_color(no_color=no_color) and sys.stdout.isatty()
    # The pretend cloud counts its limit by its own clock, which runs faster.
    requests = replace(REQUESTS, window_seconds=REQUESTS.window_seconds / speed)
    tour = _Tour(colour=colour, quiet=quiet, verbose=verbose, requests=requests)
    world = demo_world()
    with (
        tempfile.TemporaryDirectory(prefix="reconciler-demo-") as folder,
        EmulatorServer(world, speed=speed, seed=seed, firmware=firmware) as emulator,
        open_journal(journal or Path(folder) / "journal.sqlite") as kept,
    ):
        ending = tour.show(emulator, AccessToken(world.tokens[0].token), kept, firmware=firmware)
    sys.exit(ending)


class _Tour:
    """What the demonstration says, and how."""

    def __init__(self, *, colour: bool, quiet: bool, verbose: bool, requests: Allowance) -> None:
        self._requests = requests
        self._colour = colour
        self._quiet = quiet
        self._verbose = verbose
        self._folder = _manifests_folder()
        self._shown = os.path.relpath(self._folder) if self._folder.is_relative_to(Path.cwd()) else str(self._folder)

    def show(self, emulator: EmulatorServer, token: AccessToken, journal: Journal, *, firmware: Path | None) -> int:
        """The whole tour; its exit code."""
        manifests = read_manifests([self._folder])
        intent = Intent(manifests=manifests, fleets=manifests.compile(), catalog=emulator.catalog)
        binaries = "synthetic" if firmware is None else _real_binaries(emulator, firmware)
        self._head("1  A pretend Particle cloud")
        self._say(f"Serving {self._census(emulator)} at {emulator.url}.\nDevice OS binaries: {binaries}.")
        settings = CloudSettings(api_url=emulator.url, token=token, requests=self._requests)
        with CloudConnection(settings, intent.fleets, manifests) as cloud:
            cloud.listen()
            ending, drifted = self._rounds(cloud, intent, journal)
        self._say(f"\n{_flashed(journal)}")
        violations = self._referee(emulator)
        self._next()
        if ending is not Ending.DONE:
            return int(ending.value)
        return _NOT_AS_PROMISED if violations or drifted else 0

    def _rounds(self, cloud: CloudConnection, intent: Intent, journal: Journal) -> tuple[Ending, int]:
        """Plan and apply, and again while there is drift: devices in safe mode tell of their modules a little later."""
        for number in range(1, _ROUNDS_MAX + 1):
            again = "" if number == 1 else ", once more: devices have come back or reported their modules"
            before = cloud.api.wire.traffic()
            plan = plan_on(intent, Knowledge(journal).added_to_all(cloud.observe()))
            self._head(f"2  The plan: reconciler plan {self._shown}{again}")
            self._say(self._plan_text(plan, journal, only_changes=number > 1))
            self._head(f"3  Carrying it out: reconciler apply {self._shown}")
            agreement = agreement_on(plan_document(plan, tool_version=__version__)["plan_id"], plan)
            pace = Pace(poll_seconds=_POLL_SECONDS)
            carried = carry_out(cloud, intent.catalog, journal, agreement, self._display(plan), pace)
            traffic = cloud.api.wire.traffic().since(before)
            outcome = outcome_of(carried.run, traffic, interrupted=carried.interrupted)
            for line in holds_in_words(carried.run):
                self._say(line)
            self._say(outcome_text(outcome, width=text_width(), colour=self._colour))
            after = plan_on(intent, Knowledge(journal).added_to_all(cloud.observe()))
            ending = ending_of(carried.run, carried.rest)
            if not drifted_devices(after) or carried.interrupted:
                break
        self._head(f"4  Afterwards: reconciler drift {self._shown}")
        self._say(drift_text(after, width=text_width(), colour=self._colour))
        return ending, drifted_devices(after)

    def _plan_text(self, plan: Plan, journal: Journal, *, only_changes: bool) -> str:
        document = plan_document(plan, tool_version=__version__)
        journal.keep_plan(KeptPlan(plan_id=document["plan_id"], digest=document["digest"], text=plan_json(document)))
        if only_changes:
            plan = replace(plan, fleets=tuple(fleet for fleet in plan.fleets if fleet.routes))
        return plan_text(plan, plan_id=document["plan_id"], width=text_width(), colour=self._colour)

    def _display(self, plan: Plan) -> Display:
        if self._quiet:
            return Silent()
        if self._verbose or not sys.stderr.isatty():
            return Lines(verbose=self._verbose)
        planned = {fleet.fleet.name: fleet.summary.upgrade for fleet in plan.fleets if fleet.summary.upgrade}
        return Bars(planned, colour=self._colour)

    def _referee(self, emulator: EmulatorServer) -> int:
        with emulator.locked() as cloud:
            violations, requests = cloud.violations(), len(cloud.requests)
        self._head("5  The referee")
        self._say(f"It read {requests:,} requests and every device's history: {counted(len(violations), 'violation')}.")
        for violation in violations[:10]:
            self._say(f"  {violation.document()}")
        return len(violations)

    def _next(self) -> None:
        self._head("6  What to try next")
        self._say(
            "Serve the same world and play with it in another terminal:\n"
            "  reconciler emulate --speed 600 --write-catalog emulated.json\n"
            "  export PARTICLE_API_URL=http://127.0.0.1:8089 PARTICLE_ACCESS_TOKEN=" + "1" * 40 + "\n"
            f"  reconciler plan {self._shown} --catalog emulated.json\n"
            f"  reconciler explain home-hub-1 {self._shown} --catalog emulated.json\n"
            f"  reconciler apply {self._shown} --catalog emulated.json --poll-seconds 1\n"
            "With a token of your own and without PARTICLE_API_URL the same commands look at your devices."
        )

    def _census(self, emulator: EmulatorServer) -> str:
        with emulator.locked() as cloud:
            platforms = Counter(device.platform.name for device in cloud.state.devices.values())
        return f"{platforms.total()} devices of {len(platforms)} platforms"

    def _head(self, text: str) -> None:
        self._say(f"\n{text}\n{'-' * len(text)}")

    def _say(self, text: str) -> None:
        if not self._quiet:
            click.echo(text.rstrip("\n"))


def _real_binaries(emulator: EmulatorServer, firmware: Path) -> str:
    """How much of what is served is real. Raises OperatorError PFR6801 when nothing is."""
    count = emulator.binaries.real_count
    if not count:
        raise OperatorError(
            "PFR6801",
            f"{firmware} holds no Device OS binary of a known release as <platform>/<Device OS version>/<file>.bin",
            next_step="`make demo FIRMWARE=real` fetches them; leave --firmware out for synthetic ones",
        )
    return f"{count} of the vendor's own from {firmware}, synthetic ones for the rest"


def _flashed(journal: Journal) -> str:
    """What the devices were sent. A step has a hash only where a real file is served; what is sent is checked by it."""
    verified = [attempt.step for attempt in journal.attempts() if attempt.state is AttemptState.VERIFIED]
    flashed = [step for step in verified if isinstance(step, FlashModule)]
    real = sum(step.sha256 is not None for step in flashed)
    kinds = f"{real:,} of them the vendor's own binaries, the rest synthetic" if real else "all of them synthetic"
    return f"{counted(len(flashed), 'module')} of Device OS arrived: {kinds}."


def _manifests_folder() -> Path:
    """The demonstration's manifests: in the package when it is installed, beside it in a checkout."""
    package = Path(str(resources.files("reconciler")))
    installed = package / "demo_manifests"
    return installed if installed.is_dir() else package.parent / "fleet-manifests" / "demo"
