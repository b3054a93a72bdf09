"""A slow, plain second opinion on routes: one platform, one pair of releases, straight from the tables.

Written from two documents alone, the contract on plans ("What a route may be", the rules 1 to 9 below) and the facts on
how a device evaluates dependencies (4.3), before the planner existed. It shares no code with the planner, and reads the
CSV tables itself. `tests/planning/route_rules.py` judges a given route with it.

Over USB (`via="usb"`) the facts 4.5, 7.1, 7.3 and 7.4 are read like this: system parts and the radio stack are written
in DFU mode, where nothing is checked and nothing boots until DFU mode is left; bootloaders and NCP firmware go through
the running Device OS, in safe mode too, under the same acceptance as over the air and with a boot after each. A hop
ends with a boot. There are no stations. Where a system part is missing no Device OS runs: only DFU mode takes modules.

Values are plain: a slot is a text ("bootloader/0"), a device is a frozenset of modules, one for each slot.
"""

from __future__ import annotations

import csv
import heapq
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

Need = tuple[str, int]  # a slot, and the lowest version that must be there


class Module(NamedTuple):
    slot: str
    version: int
    first: Need | None = None
    second: Need | None = None


Device = frozenset[Module]


class Step(NamedTuple):
    device_os: str
    module: Module


class Answer(NamedTuple):
    """The cheapest route to one release; everything before `steps` is its cost, most important first."""

    safe_mode_boots: int
    flashes: int
    bytes: int
    hop_count: int
    hops: tuple[str, ...]
    steps: tuple[Step, ...]


FACTS = Path(__file__).parents[2] / "reconciler" / "firmware" / "facts"
FUNCTIONS = {"2": "bootloader", "4": "system_part", "5": "user_part", "7": "ncp_firmware", "8": "radio_stack"}
NRF52840 = {"argon", "boron", "xenon", "esomx", "asom", "bsom", "xsom", "b5som", "tracker"}
GEN_2 = {"photon", "p1", "electron"}
NEVER_SENT = "bootloader/1"
"""The encrypted MBR of Realtek devices."""
NOTHING = ""  # in place of a release: no system part is there
ELECTRON_STATIONS_OVER_THE_CLOUD = ("0.5.5", "0.6.4", "0.7.0", "1.2.1")


# --- the tables -------------------------------------------------------------------------------------------------------


def rows(name: str) -> list[dict[str, str]]:
    with (FACTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def is_stable(release: str) -> bool:
    return "-" not in release and "+" not in release


@cache
def place_in_order(release: str) -> tuple[tuple[int, ...], bool, tuple[tuple[int, str], ...]]:
    """Semver order: the numbers, then a prerelease before its release, then the prerelease's own words and numbers."""
    numbers, _, suffix = release.partition("-")
    words = tuple((int(word), "") if word.isdigit() else (-1, word) for word in suffix.split("."))
    return tuple(int(number) for number in numbers.split(".")), not suffix, words


def is_later(release: str, other: str) -> bool:
    return place_in_order(release) > place_in_order(other)


def need(function: str, index: str, version: str) -> Need | None:
    return None if function == "0" else (f"{FUNCTIONS[function]}/{index}", int(version))


@cache
def shipped() -> dict[str, dict[str, dict[str, Module]]]:
    """Platform -> release -> slot -> module. Rule 7 adds what stands beside the table."""
    found: dict[str, dict[str, dict[str, Module]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows("device-os-dependencies.csv"):
        if "+" in row["version"] or not row["module_version"] or row["module_function"] == "user_part":
            continue
        slot = f"{row['module_function']}/{row['module_index']}"
        found[row["platform"]][row["version"]][slot] = Module(
            slot,
            int(row["module_version"]),
            need(row["dep_function"], row["dep_index"], row["dep_version"]),
            need(row["dep2_function"], row["dep2_index"], row["dep2_version"]),
        )
    for platform, releases in found.items():
        for release, modules in releases.items():
            if platform in NRF52840 and not is_later("1.4.0", release):
                bootloader = 401 if release in ("1.4.0", "1.4.1") or not is_later(release, "1.4.1") else 501
                modules["radio_stack/0"] = Module(
                    "radio_stack/0", 202, ("bootloader/0", bootloader), ("system_part/1", 1321)
                )
            if platform == "tracker" and not is_later("3.0.0", release):
                modules["ncp_firmware/0"] = Module("ncp_firmware/0", 7, ("system_part/1", 3000))
    return {platform: dict(releases) for platform, releases in found.items()}


@cache
def published() -> frozenset[tuple[str, str]]:
    return frozenset((row["platform"], row["version"]) for row in rows("device-os-published.csv"))


@cache
def sizes() -> dict[tuple[str, str, str, int], int]:
    """(platform, release, slot, version) -> bytes, without special builds."""
    return {
        (
            row["platform"],
            row["version"],
            f"{row['module_function']}/{row['module_index']}",
            int(row["module_version"]),
        ): (int(row["size"]))
        for row in rows("device-os-module-sizes.csv")
        if "+debug" not in row["source"] and "no-boot-dep" not in row["source"]
    }


@cache
def bytes_for_cost(platform: str, step: Step) -> int:
    """The size of a module, or the largest known size of anything in its slot on its platform."""
    exact = sizes().get((platform, step.device_os, step.module.slot, step.module.version))
    if exact is not None:
        return exact
    of_slot = [size for (of, _, slot, _), size in sizes().items() if of == platform and slot == step.module.slot]
    return max(of_slot, default=0)


@cache
def publishable(platform: str) -> tuple[str, ...]:
    """The published stable releases that have rows in the dependency table, ascending."""
    with_rows = [release for release in shipped()[platform] if (platform, release) in published()]
    return tuple(sorted(filter(is_stable, with_rows), key=place_in_order))


def platforms() -> tuple[str, ...]:
    return tuple(sorted(platform for platform in shipped() if publishable(platform)))


# --- the device: facts 4.3 --------------------------------------------------------------------------------------------


@cache
def versions(device: Device) -> dict[str, int]:
    return {module.slot: module.version for module in device}


def installed_version(device: Device, slot: str) -> int:
    return versions(device).get(slot, 0)


def holds(device: Device, wanted: Need | None) -> bool:
    return wanted is None or installed_version(device, wanted[0]) >= wanted[1]


@cache
def after(device: Device, module: Module) -> Device:
    return frozenset(other for other in device if other.slot != module.slot) | {module}


@cache
def boots_normally(device: Device) -> bool:
    """At boot nothing is skipped: both needs of every installed module."""
    return all(holds(device, module.first) and holds(device, module.second) for module in device)


@cache
def runs(platform: str, device: Device) -> bool:
    """Whether there is a Device OS that runs: every system part that the release of its newest part ships."""
    parts = {module.slot: module.version for module in device if module.slot.startswith("system_part/")}
    newest = max(parts.values(), default=0)
    return any(
        newest == max(of_release.values(), default=None) and of_release.keys() <= parts.keys()
        for of_release in system_parts(platform).values()
    )


@cache
def system_parts(platform: str) -> dict[str, dict[str, int]]:
    """Release -> slot -> version, of its system parts alone."""
    return {
        release: {slot: m.version for slot, m in modules.items() if slot.startswith("system_part/")}
        for release, modules in shipped()[platform].items()
    }


@cache
def is_written_in_dfu_mode(via: str, slot: str) -> bool:
    return via == "usb" and slot.partition("/")[0] in ("system_part", "radio_stack")


@cache
def takes(platform: str, device: Device, module: Module, via: str = "cloud") -> bool:
    """Whether the device accepts the transfer. A need on the module's own slot is read before the replacement."""
    if is_written_in_dfu_mode(via, module.slot):
        return True
    if not runs(platform, device) or not holds(device, module.first):
        return False
    second = module.second
    if second is not None and not second[0].startswith("bootloader/") and not holds(device, second):
        return False
    if platform in GEN_2 and module.slot.startswith("system_part/"):
        new = after(device, module)
        for other in device:
            if other.slot.startswith("system_part/") and other.slot != module.slot:
                for wanted in (other.first, other.second):
                    if wanted is not None and wanted[0] == module.slot and not holds(new, wanted):
                        return False
    return True


# --- rule 6: what is known of a device that runs a release in normal mode ---------------------------------------------


def build_of(platform: str, slot: str, version: int, near: str) -> Module:
    """The module with this number as `near` ships it, else as some release does, else one without needs."""
    releases = shipped()[platform]
    candidates = [releases[near], *(releases[release] for release in sorted(releases, key=place_in_order))]
    for modules in candidates:
        if slot in modules and modules[slot].version == version:
            return modules[slot]
    return Module(slot, version)


@cache
def inferred(platform: str, release: str) -> Device:
    """The system parts of the release, and every other module at the lowest version that the needs allow."""
    parts = {slot: module for slot, module in shipped()[platform][release].items() if slot.startswith("system_part/")}
    device: Device = frozenset(parts.values())
    while not boots_normally(device):
        for module in sorted(device):
            for wanted in (module.first, module.second):
                if wanted is not None and not holds(device, wanted):
                    assert wanted[0] not in parts, (platform, release, wanted)
                    device = after(device, build_of(platform, *wanted, near=release))
    return device


# --- the search -------------------------------------------------------------------------------------------------------


def is_complete(platform: str, device: Device, release: str) -> bool:
    """All system parts that the release ships are at the release."""
    return all(installed_version(device, slot) == version for slot, version in system_parts(platform)[release].items())


def has_arrived(platform: str, device: Device, desired: str, *, full: bool) -> bool:
    """All system parts at the release and every need met; `full`: every module that it ships is there as well."""
    everything = all(
        installed_version(device, slot) >= module.version
        for slot, module in shipped()[platform][desired].items()
        if slot != NEVER_SENT
    )
    return is_complete(platform, device, desired) and boots_normally(device) and (everything or not full)


def station_between(platform: str, via: str, earlier: str, later: str) -> str | None:
    """Rule 4: the first station strictly between two consecutive complete releases."""
    if platform != "electron" or via != "cloud":
        return None
    between = [s for s in ELECTRON_STATIONS_OVER_THE_CLOUD if is_later(s, earlier) and is_later(later, s)]
    return between[0] if between else None


@cache
def releases_after(platform: str, via: str, release: str) -> tuple[str, ...]:
    """Where a hop may go from a complete release; from `NOTHING` anywhere."""
    return tuple(
        later
        for later in publishable(platform)
        if release == NOTHING or (is_later(later, release) and station_between(platform, via, release, later) is None)
    )


@cache
def next_steps(platform: str, via: str, device: Device, hop: str, *, hop_is_open: bool) -> list[Step]:
    """Everything that may be sent now: more of this hop, and, when its system parts are all there, of a later one."""
    hops = [hop] if hop_is_open and hop != NOTHING else []
    if hop == NOTHING or is_complete(platform, device, hop):
        hops += releases_after(platform, via, hop)
    return [
        Step(release, module)
        for release in hops
        for module in shipped()[platform][release].values()
        if module.slot != NEVER_SENT
        and module.version > installed_version(device, module.slot)
        and takes(platform, device, module, via)
    ]


class _Label(NamedTuple):
    """A cost, in the order of rule 5: later releases are compared from the last hop backwards, later is less."""

    safe_mode_boots: int
    flashes: int
    bytes: int
    hop_count: int
    hops_backwards: tuple[int, ...]


class _State(NamedTuple):
    """What is installed, the hop that is being made, and whether it is in DFU mode with modules written there."""

    device: Device
    hop: str
    in_dfu_mode: bool


def cheapest_routes(
    platform: str,
    start: str,
    *,
    via: str = "cloud",
    device: Device | None = None,
    safe_mode: bool = False,
    full: bool = False,
) -> dict[str, Answer]:
    """The cheapest route from a release to every later published stable one that can be reached (uniform cost).

    `device` are the modules if they are known; without it they are inferred. Only a device in safe mode may be sent
    something of the release that it runs (rule 8), and that release may then be the desired one as well. `full` is
    `completeness: full`. `NOTHING` as start: no system part is there, so that any release may come first.
    """
    first = device if device is not None else inferred(platform, start)
    wanted = {r for r in publishable(platform) if start == NOTHING or is_later(r, start) or (safe_mode and r == start)}
    found: dict[str, Answer] = {}
    here = _State(first, start, in_dfu_mode=False)
    best: dict[_State, _Label] = {here: _Label(0, 0, 0, 0, ())}
    came: dict[_State, tuple[_State, Step | None]] = {}
    queue: list[tuple[_Label, int, _State]] = [(best[here], 0, here)]
    pushed = 0
    while queue and wanted:
        label, _, state = heapq.heappop(queue)
        if best[state] != label:
            continue
        device_now, hop, in_dfu_mode = state
        if hop in wanted and not in_dfu_mode and has_arrived(platform, device_now, hop, full=full):
            wanted.discard(hop)
            steps = _steps_back(came, state)
            found[hop] = Answer(*label[:4], tuple(dict.fromkeys(step.device_os for step in steps)), steps)
        onward: list[tuple[_State, _Label, Step | None]] = []
        if in_dfu_mode:
            # What leaves DFU mode boots. More of the same hop may be written before that.
            left = label._replace(safe_mode_boots=label.safe_mode_boots + (not boots_normally(device_now)))
            onward.append((state._replace(in_dfu_mode=False), left, None))
        hop_is_open = safe_mode or hop != start
        for step in next_steps(platform, via, device_now, hop, hop_is_open=hop_is_open):
            writes = is_written_in_dfu_mode(via, step.module.slot)
            if in_dfu_mode and (not writes or step.device_os != hop):
                continue
            new = after(device_now, step.module)
            opens = step.device_os != hop or not label.flashes
            reached = _Label(
                label.safe_mode_boots + (not writes and not boots_normally(new)),
                label.flashes + 1,
                label.bytes + bytes_for_cost(platform, step),
                label.hop_count + opens,
                (-publishable_rank(platform, step.device_os), *label.hops_backwards) if opens else label.hops_backwards,
            )
            onward.append((_State(new, step.device_os, in_dfu_mode=writes), reached, step))
        for reached_state, reached, step_there in onward:
            if reached_state not in best or reached < best[reached_state]:
                best[reached_state] = reached
                came[reached_state] = (state, step_there)
                pushed += 1
                heapq.heappush(queue, (reached, pushed, reached_state))
    return found


def _steps_back(came: dict[_State, tuple[_State, Step | None]], state: _State) -> tuple[Step, ...]:
    steps: list[Step] = []
    while state in came:
        state, step = came[state]
        if step is not None:
            steps.append(step)
    return tuple(reversed(steps))


@cache
def publishable_rank(platform: str, release: str) -> int:
    """The place of a release among all that have rows, ascending."""
    return sorted(shipped()[platform], key=place_in_order).index(release)
