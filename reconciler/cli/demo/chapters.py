"""The chapters of the demonstration, each a few commands and what to see in them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

from reconciler.cli.demo.stage import MANIFESTS, Stage
from reconciler.controller.report import Ending
from reconciler.emulator.device import Device
from reconciler.journal.sqlite import SqliteJournal
from reconciler.model.attempt import AttemptState
from reconciler.model.device import DeviceMode
from reconciler.model.error import OperatorError
from reconciler.model.step import FlashModule
from reconciler.render.ink import counted

FLEET: Final = "cold-chain-eu"
_ITS_FILES: Final = (f"{MANIFESTS}/cold-chain-eu.yaml", f"{MANIFESTS}/application-cold-chain.yaml")
_GROUP: Final = "eu"
_BAD, _FIXED = 3, 4
_CATALOG: Final = "emulated.json"
_ROUNDS_MAX: Final = 3
_DRIFT: Final = 2
_POLL_SECONDS: Final = "0.4"


def the_cloud(stage: Stage, firmware: Path | None) -> None:
    """What there is at the beginning."""
    stage.head("A pretend Particle cloud")
    binaries = "synthetic" if firmware is None else _real_binaries(stage, firmware)
    with stage.emulator.locked() as cloud:
        platforms = Counter(device.platform.name for device in cloud.state.devices.values())
    stage.say(
        f"Serving {platforms.total()} devices of {len(platforms)} platforms at {stage.emulator.url}.\n"
        f"Device OS binaries: {binaries}. Time runs {stage.emulator.speed:,.0f} times as fast here."
    )
    stage.write_catalog(_CATALOG)


def up_to_date(stage: Stage) -> int:
    """The whole fleet; how the last `apply` ended."""
    stage.head("Up to date, in waves")
    stage.say(
        "The manifests desire newer releases for most devices. `apply` shows its plan and carries it out. In a fleet\n"
        "of more than 20 devices a few go first; the others wait until these have stayed well for a while: they soak."
    )
    return _until_no_drift(stage, MANIFESTS)


def a_bad_release(stage: Stage) -> bool:
    """A version that crashes. Returns whether the rollout halted by itself."""
    stage.head("A bad release")
    stage.say(
        f"Somebody wants application {_BAD} in {FLEET}. That it crashes on every device, only the pretend cloud\n"
        "knows, and it tells nobody."
    )
    _ask_for(stage, _BAD, instead_of=2)
    ending = _apply(stage, *_ITS_FILES)
    _truth(stage, _BAD)
    return ending == Ending.DEVICES_FAILED.value


def the_fixed_release(stage: Stage) -> bool:
    """A person's word, and the next version. Returns whether all went well."""
    stage.head("A fixed release, and a person's word")
    stage.say(
        f"The halt is in the journal: nothing starts in {FLEET}, whoever asks and whatever for, until a person has\n"
        f"seen what happened. Application {_FIXED} is the repair."
    )
    _ask_for(stage, _FIXED, instead_of=_BAD)
    stage.run("resume", FLEET, "--by", "you")
    ending = _until_no_drift(stage, *_ITS_FILES)
    _truth(stage, _FIXED)
    return ending == Ending.DONE.value


def what_happened(stage: Stage) -> None:
    """The history of the fleet."""
    stage.head("What happened")
    stage.run("history", "--fleet", FLEET, whole=True)


def afterwards(stage: Stage) -> bool:
    """The whole fleet at the end. Returns whether there is drift."""
    stage.head("Afterwards")
    drifted = stage.run("drift", MANIFESTS, "--catalog", _CATALOG) == _DRIFT
    stage.say(f"\n{_flashed(stage)}")
    return drifted


def the_referee(stage: Stage) -> int:
    """The judgement; how many violations there are."""
    stage.head("The referee")
    with stage.emulator.locked() as cloud:
        violations, requests = cloud.violations(), len(cloud.requests)
    stage.say(f"It read {requests:,} requests and every device's history: {counted(len(violations), 'violation')}.")
    for violation in violations[:10]:
        stage.say(f"  {violation.document()}")
    return len(violations)


def what_next(stage: Stage) -> None:
    """Commands to go on with."""
    folder = stage.manifests_shown
    stage.head("What to try next")
    stage.say(
        "Serve the same world and play with it in another terminal:\n"
        "  reconciler emulate --speed 600 --write-catalog emulated.json\n"
        f"  export PARTICLE_API_URL=http://127.0.0.1:8089 PARTICLE_ACCESS_TOKEN={'1' * 40}\n"
        f"  reconciler plan {folder} --catalog emulated.json\n"
        f"  reconciler explain home-hub-1 {folder} --catalog emulated.json\n"
        f"  reconciler apply {folder} --catalog emulated.json --poll-seconds 1\n"
        "With a token of your own and without PARTICLE_API_URL the same commands look at your devices."
    )


def _apply(stage: Stage, *paths: str) -> int:
    options = ["--catalog", _CATALOG, "--auto-approve", "--poll-seconds", _POLL_SECONDS]
    return stage.run("apply", *paths, *options, *(["--verbose"] if stage.verbose else []))


def _until_no_drift(stage: Stage, *paths: str) -> int:
    """Apply, and again while there is drift: devices in safe mode tell of their modules a little later."""
    ending = _apply(stage, *paths)
    for _ in range(_ROUNDS_MAX - 1):
        if ending != Ending.DONE.value or stage.ask("drift", *paths, "--catalog", _CATALOG) != _DRIFT:
            break
        stage.say("\nOnce more: devices have come back, or reported their modules.")
        ending = _apply(stage, *paths)
    return ending


def _ask_for(stage: Stage, version: int, *, instead_of: int) -> None:
    name = "application: {release: cold-chain-app, version: "
    stage.edit("cold-chain-eu.yaml", f"{name}{instead_of}}}", f"{name}{version}}}")


def _truth(stage: Stage, version: int) -> None:
    """What has truly become of the fleet, by the pretend cloud."""
    with stage.emulator.locked() as cloud:
        devices = [device for device in cloud.state.devices.values() if _GROUP in device.groups]
    having = [device for device in devices if device.application_version == version]
    down = sum(_is_down(device) for device in having)
    stage.say(
        f"\nThe pretend cloud knows: {len(having)} of {len(devices)} devices have received application {version}, "
        f"{down} of them run no application."
    )


def _is_down(device: Device) -> bool:
    return device.gone or device.mode is not DeviceMode.NORMAL


def _real_binaries(stage: Stage, firmware: Path) -> str:
    """How much of what is served is real. Raises OperatorError PFR6801 when nothing is."""
    count = stage.emulator.binaries.real_count
    if not count:
        raise OperatorError(
            "PFR6801",
            f"{firmware} holds no Device OS binary of a known release as <platform>/<Device OS version>/<file>.bin",
            next_step="`make demo FIRMWARE=real` fetches them; leave --firmware out for synthetic ones",
        )
    return f"{count} of the vendor's own from {firmware}, synthetic ones for the rest"


def _flashed(stage: Stage) -> str:
    """What the devices were sent. A step has a hash only where a real file is served; what is sent is checked by it."""
    assert stage.journal is not None
    with SqliteJournal(stage.journal, create=False) as journal:
        verified = [attempt.step for attempt in journal.attempts() if attempt.state is AttemptState.VERIFIED]
    flashed = [step for step in verified if isinstance(step, FlashModule)]
    real = sum(step.sha256 is not None for step in flashed)
    kinds = f"{real:,} of them the vendor's own binaries, the rest synthetic" if real else "all of them synthetic"
    return f"{counted(len(flashed), 'module')} of Device OS arrived: {kinds}."
